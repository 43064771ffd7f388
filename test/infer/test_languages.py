"""Languages from posteriors: who is kept, argmax under the VAD, smoothing, names."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarize.errors import DiarizeError
from diarize.infer.languages import LANGUAGE, LanguageRuns, smooth
from diarize.infer.postprocess import PostprocessOptions
from diarize.infer.tune import TuneRecording, tune_postprocessing
from diarize.segments import Segment
from diarize.timebase import FrameGrid


def decided(processor, *arguments):
    """Return the segments of a decision."""
    return [turn.segment for turn in processor.decide(*arguments).turns]

GRID = FrameGrid(sample_rate=16000, hop=320)


def columns(*rows):
    """Posteriors (T, N) from (frames, probabilities) pairs."""
    return np.array([p for frames, p in rows for _ in range(frames)], dtype=np.float32)


SPEECH = columns(
    (5, [0.1, 0.9, 0.2, 0.99]),
    (10, [0.9, 0.6, 0.2, 0.99]),
    (10, [0.9, 0.3, 0.4, 0.99]),
    (5, [0.4, 0.3, 0.9, 0.99]),
    (10, [0.9, 0.7, 0.4, 0.99]),
)
ACTIVE = np.array([0.01, 0.9, 0.95, 0.79], dtype=np.float32)  # query 3 is not kept


def test_the_best_kept_query_where_the_vad_says_speech():
    got = decided(LANGUAGE, SPEECH, ACTIVE, "rec", PostprocessOptions(), GRID)
    assert got == [
        Segment("rec", 0.1, 0.3, "L1"),
        Segment("rec", 0.3, 0.5, "L2"),  # no mask above 0.5, but the best of the kept ones
        Segment("rec", 0.6, 0.8, "L1"),
    ]


def test_masks_are_those_of_the_best_kept_query_where_there_is_speech():
    posteriors = np.array([[0.9, 0.2, 0.3, 0.8], [0.4, 0.9, 0.0, 0.0], [0.9, 0.9, 0.1, 0.0]])
    runs = LANGUAGE.runs(posteriors, 0.5, 1)
    assert LANGUAGE.masks(runs, [2, 1]).astype(int).tolist() == [[1, 0], [0, 0], [0, 1]]
    assert LANGUAGE.masks(runs, []).shape == (3, 0)


def test_no_kept_query_is_no_segment():
    assert decided(LANGUAGE, SPEECH, np.zeros(4), "rec", PostprocessOptions(), GRID) == []
    assert decided(LANGUAGE, SPEECH * 0, np.ones(4), "rec", PostprocessOptions(), GRID) == []
    # The VAD's own activity neither helps nor hurts.
    alone = np.array([0.99, 0.0, 0.0, 0.0])
    assert decided(LANGUAGE, SPEECH, alone, "rec", PostprocessOptions(), GRID) == []
    assert decided(LANGUAGE, np.zeros((0, 4)), np.ones(4), "r", PostprocessOptions(), GRID) == []


def test_the_number_of_languages_can_be_given():
    one = decided(LANGUAGE, SPEECH, ACTIVE, "rec", PostprocessOptions(num_speakers=1), GRID)
    assert {s.label for s in one} == {"L1"}
    assert [(s.start, s.end) for s in one] == [(0.1, 0.5), (0.6, 0.8)]
    with pytest.raises(DiarizeError, match="recording rec: at least 4 .* only 3 queries"):
        decided(LANGUAGE, SPEECH, ACTIVE, "rec", PostprocessOptions(num_speakers=4), GRID)


def test_names_where_they_are_known():
    head = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.8, 0.15, 0.05], [1, 0, 0]], np.float32)
    known = ["hin", "eng", "swa"]
    options = PostprocessOptions(language_id_threshold=0.5)
    got = decided(LANGUAGE, SPEECH, ACTIVE, "rec", options, GRID, (head, known))
    # Both are hin: one language, and turns that abut are one.
    assert [(s.start, s.end, s.label) for s in got] == [(0.1, 0.5, "hin"), (0.6, 0.8, "hin")]
    high = PostprocessOptions(language_id_threshold=0.75)
    got = decided(LANGUAGE, SPEECH, ACTIVE, "rec", high, GRID, (head, known))
    assert [s.label for s in got] == ["L1", "hin", "L1"]
    low = PostprocessOptions(language_id_threshold=0.1)
    plain = decided(LANGUAGE, SPEECH, ACTIVE, "rec", PostprocessOptions(), GRID, (head, known))
    assert [s.label for s in plain] == ["L1", "L2", "L1"]
    with pytest.raises(DiarizeError, match=r"recording rec: \(4, 3\) probabilities"):
        decided(LANGUAGE, SPEECH, ACTIVE, "rec", low, GRID, (head, known[:2]))


def test_the_median_filter_is_a_majority_vote():
    posteriors = columns(
        (6, [0.9, 0.8, 0.1]), (1, [0.9, 0.1, 0.8]), (1, [0.1, 0.1, 0.8]), (6, [0.9, 0.8, 0.1]),
        (6, [0.9, 0.1, 0.8]),
    )  # fmt: skip
    runs = LanguageRuns(posteriors, 0.5, 5)
    assert runs.decision([1, 2]).tolist() == [1] * 14 + [2] * 6
    assert LanguageRuns(posteriors, 0.5, 1).decision([1, 2]).tolist() == (
        [1] * 6 + [2, -1] + [1] * 6 + [2] * 6
    )


@pytest.mark.parametrize(
    ("decision", "gap", "shortest", "expected"),
    [
        ([1, 1, -1, 2, 2], 0, 0, [(0, 2, 1), (3, 5, 2)]),
        ([1, 1, -1, 2, 2], 2, 0, [(0, 3, 1), (3, 5, 2)]),
        ([1, 1, -1, 1, 1], 2, 0, [(0, 5, 1)]),
        ([1, 1, -1, -1, 1, 1], 2, 0, [(0, 2, 1), (4, 6, 1)]),
        ([-1, 1, -1, -1, 2, 2, 2], 0, 2, [(4, 7, 2)]),
        ([1, 2, 2, 2, 1, 2, 2], 0, 2, [(0, 7, 2)]),
        ([1, 2, 3, 3, 1], 0, 3, [(0, 5, 3)]),
        ([1, 2, 1, 2], 0, 4, [(0, 4, 2)]),
        ([-1, -1], 3, 3, []),
        ([], 0, 0, []),
    ],
)
def test_smooth(decision, gap, shortest, expected):
    assert smooth(np.array(decision, dtype=int), gap, shortest) == expected


@given(
    st.lists(st.sampled_from([-1, 1, 2, 3]), max_size=30), st.integers(0, 4), st.integers(0, 4)
)
def test_smoothing_keeps_what_it_must(decision, gap, shortest):
    array = np.array(decision, dtype=int)
    runs = smooth(array, gap, shortest)
    assert all(lo < hi for lo, hi, _ in runs)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(runs))
    if not shortest:
        covered = np.full(len(array), -1)
        for lo, hi, query in runs:
            covered[lo:hi] = query
        assert (covered[array != -1] == array[array != -1]).all()
    assert all(hi - lo >= shortest for lo, hi, _ in runs)


@pytest.mark.parametrize(
    ("posteriors", "activities", "message"),
    [
        (np.full((3, 2), np.nan), np.ones(2), "recording rec: .*NaN or Inf"),
        (np.zeros((3, 2)), np.ones(3), "recording rec: .*do not belong together"),
        (np.zeros((3, 1)), np.ones(1), "recording rec: no query besides the VAD slot"),
    ],
)
def test_bad_network_output_names_the_recording(posteriors, activities, message):
    with pytest.raises(DiarizeError, match=message):
        decided(LANGUAGE, posteriors, activities, "rec", PostprocessOptions(), GRID)


def test_tuning_decides_as_the_application_does():
    seen = []

    def score(reference, hypotheses, regions):
        seen.extend(hypotheses)
        return [(0.0, 0.0, 0.0, 1.0)] * len(hypotheses)

    points = [
        PostprocessOptions(query_threshold=t, median=m) for t in (0.5, 0.8, 0.99) for m in (1, 3)
    ]
    item = TuneRecording("rec", SPEECH, ACTIVE, [], [(0.0, 0.8)])
    tune_postprocessing([item], points, GRID, score, LANGUAGE)
    expected = [decided(LANGUAGE, SPEECH, ACTIVE, "rec", p, GRID) for p in points]
    assert sorted(map(str, seen)) == sorted(map(str, expected))
