import itertools

import numpy as np
import pytest

from diarize.config import from_dict
from diarize.errors import DiarizeError
from diarize.infer.postprocess import SPEAKER, PostprocessOptions
from diarize.infer.tune import (
    TuneOptions,
    TunePoint,
    TuneRecording,
    best_point,
    grid_options,
    tune_postprocessing,
    values_at_edge,
)
from diarize.segments import Segment, segments_to_mask
from diarize.timebase import FrameGrid


def decided(processor, *arguments):
    """Return the segments of a decision."""
    return [turn.segment for turn in processor.decide(*arguments).turns]

GRID = FrameGrid()


def frame_scorer(reference, hypotheses, regions):
    return [frame_errors(reference, hypothesis, regions) for hypothesis in hypotheses]


def frame_errors(reference, hypothesis, regions):
    """Errors in seconds by trying every mapping on the frame grid: slow and plain."""
    frames = GRID.to_frame(max(b for _, b in regions))
    scored = np.zeros(frames, dtype=bool)
    for a, b in regions:
        scored[GRID.to_frame(a) : GRID.to_frame(b)] = True
    masks = []
    for side in (reference, hypothesis):
        labels = sorted({s.label for s in side})
        masks.append(segments_to_mask(side, labels, frames, GRID)[scored].astype(int))
    ref, hyp = masks
    width = max(ref.shape[1], hyp.shape[1])
    ref, hyp = (np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in (ref, hyp))
    agree = max((ref * hyp[:, list(order)]).sum() for order in itertools.permutations(range(width)))
    r, h = ref.sum(1), hyp.sum(1)
    miss, false_alarm = np.maximum(r - h, 0).sum(), np.maximum(h - r, 0).sum()
    confusion = np.minimum(r, h).sum() - agree
    return tuple(float(x) / 100 for x in (miss, false_alarm, confusion, r.sum()))


def random_recordings(count=3, frames=300, queries=4):
    rng = np.random.default_rng(7)
    for i in range(count):
        smooth = np.repeat(rng.random((frames // 10, queries)), 10, axis=0)
        posteriors = np.clip(smooth + 0.3 * rng.standard_normal((frames, queries)), 0, 1)
        name = f"rec{i}"
        truth = [
            Segment(name, lo, lo + 0.7, f"s{s}") for s in range(2) for lo in (0.1 + s, 1.3 + s / 2)
        ]
        activities = rng.random(queries)
        yield TuneRecording(name, posteriors, activities, truth, [(0.0, 2.5)])


def test_every_point_is_scored_as_if_alone():
    options = TuneOptions(
        query_threshold=(0.2, 0.5, 0.8), mask_threshold=(0.4, 0.5), median=(1, 5),
        min_duration=(0.0, 0.1),
    )
    points = grid_options(PostprocessOptions(min_gap=0.05), options)
    assert len(points) == 3 * 2 * 2 * 2
    assert {p.min_gap for p in points} == {0.05}
    results = tune_postprocessing(random_recordings(), points, GRID, frame_scorer)
    for result, point in zip(results, points, strict=True):
        assert result.options == point
        sums, right = np.zeros(4), 0
        for item in random_recordings():
            found = decided(SPEAKER, item.posteriors, item.activities, item.recording, point, GRID)
            sums += frame_errors(item.reference, found, item.regions)
            right += len({s.label for s in found if s.start < 2.5}) == 2
        got = (result.miss, result.false_alarm, result.confusion, result.speech)
        np.testing.assert_allclose(got, sums)
        assert (result.counts_right, result.recordings) == (right, 3)
        assert result.der == pytest.approx(sums[:3].sum() / sums[3])
    # The grid matters, or nothing would have been tested.
    assert len({round(r.der, 6) for r in results}) > 12


def test_equal_results_are_scored_once():
    calls = []

    def scorer(reference, hypotheses, regions):
        calls.append([len(hypothesis) for hypothesis in hypotheses])
        return [(0.0, 0.0, 0.0, 1.0)] * len(hypotheses)

    item = TuneRecording(
        "r", np.full((50, 2), 0.9), np.array([0.9, 0.35]), [Segment("r", 0, 0.5, "a")], [(0, 0.5)]
    )
    points = grid_options(
        PostprocessOptions(),
        TuneOptions((0.1, 0.3, 0.5, 0.7), (0.5,), (1,), (0.0,)),
    )
    results = tune_postprocessing([item], points, GRID, scorer)
    assert calls == [[2, 1]]  # both queries; one query
    assert [r.counts_right for r in results] == [0, 0, 1, 1]


def test_given_counts_override_the_query_threshold():
    item = TuneRecording(
        "r", np.full((50, 3), 0.9), np.array([0.1, 0.2, 0.3]), [Segment("r", 0, 0.5, "a")],
        [(0, 0.5)], num_speakers=2,
    )  # fmt: skip
    points = grid_options(
        PostprocessOptions(max_speakers=1), TuneOptions(mask_threshold=(0.5,)),
        vary_query_threshold=False,
    )
    assert {p.query_threshold for p in points} == {0.8}
    result = tune_postprocessing([item], points, GRID, frame_scorer)[0]
    assert (result.false_alarm, result.miss) == (0.5, 0.0)


def point(der, **options):
    return TunePoint(PostprocessOptions(**options), der, 0.0, 0.0, 1.0, 0, 1)


def test_ties_go_to_the_value_nearest_to_the_default():
    default = PostprocessOptions(query_threshold=0.8, median=11)
    points = [
        point(0.2, query_threshold=0.8, median=11),
        point(0.1, query_threshold=0.5, median=11),
        point(0.1 + 1e-12, query_threshold=0.9, median=1),
        point(0.1, query_threshold=0.7, median=1),
        point(0.1, query_threshold=0.7, median=11, min_duration=0.2),
        point(0.1, query_threshold=0.7, median=11, min_duration=0.1),
    ]
    assert best_point(points, default) is points[5]
    assert best_point(points[:3], default) is points[2]
    assert best_point(points[::-1], default) is points[5]


def test_values_at_the_edge_of_the_grid_are_named():
    tune = TuneOptions(
        query_threshold=(0.3, 0.5, 0.9), mask_threshold=(0.5,), median=(1, 11),
        min_duration=(0.0, 0.1),
    )
    assert values_at_edge(PostprocessOptions(query_threshold=0.9), tune) == ["query_threshold"]
    assert values_at_edge(PostprocessOptions(query_threshold=0.5, median=11), tune) == ["median"]
    assert values_at_edge(PostprocessOptions(query_threshold=0.5), tune) == []


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"query_threshold": []}, "query_threshold must be one or more"),
        ({"query_threshold": [0.5, 1.5]}, "query_threshold must be between 0 and 1"),
        ({"median": [4]}, "odd"),
        ({"mask_threshold": [0.5, 0.5]}, "mask_threshold must be one or more different"),
        ({"mask_thresholds": [0.5]}, "did you mean 'mask_threshold'"),
        ({"query_threshold": 0.5}, "expected a list"),
    ],
)
def test_bad_grids(mapping, message):
    with pytest.raises(DiarizeError, match=message):
        from_dict(TuneOptions, mapping, "conf/infer.yaml: tune")


def test_nothing_to_tune_on():
    points = [PostprocessOptions()]
    with pytest.raises(DiarizeError, match="no recording"):
        tune_postprocessing([], points, GRID, frame_scorer)
    silent = TuneRecording("r", np.zeros((10, 2)), np.zeros(2), [], [(0, 0.1)])
    with pytest.raises(DiarizeError, match="no speech"):
        tune_postprocessing([silent], points, GRID, frame_scorer)
    broken = TuneRecording("rec9", np.full((10, 2), np.nan), np.zeros(2), [], [(0, 0.1)])
    with pytest.raises(DiarizeError, match="rec9"):
        tune_postprocessing([broken], points, GRID, frame_scorer)
