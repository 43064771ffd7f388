"""Both protocols of language diarization, by hand-made cases and a loop."""

import itertools
import json

import numpy as np
import pytest

from diarize.bin.score_language import main
from diarize.errors import DiarizeError
from diarize.io.rttm import write_rttm
from diarize.io.uem import write_uem
from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.score.language import NamedEvaluation, by_kind, score_windows, second_language
from diarize.segments import Segment, segments_to_mask
from diarize.timebase import FrameGrid

GRID = FrameGrid()


def seg(start, end, label, recording="r"):
    return Segment(recording, start, end, label)


def test_mapping_is_made_anew_in_every_window():
    ref = [seg(0, 10, "hi"), seg(10, 20, "en")]
    one_label = [seg(0, 20, "L1")]
    errors = score_windows(ref, one_label, {"r": [(0, 20)]})
    assert errors.wrong == (0, 0)
    assert errors.frames == (1000, 1000)
    # On the whole recording the same output confuses half of the speech.
    scores = Evaluation(problem_from_segments(ref, one_label, {"r": [(0, 20)]})).scores()
    assert scores.total.der == 0.5


def test_all_frames_count_silence_too():
    ref = [seg(2, 6, "hi"), seg(6, 8, "en")]
    hyp = [seg(1, 6, "L1"), seg(7, 8, "L2")]
    errors = score_windows(ref, hyp, {"r": [(0, 10)]})
    assert errors.wrong == (200,)  # 1 s of false alarm, 1 s of miss
    assert errors.mean == errors.pooled == 0.2
    named = score_windows(ref, hyp, {"r": [(0, 10)]}, names=True)
    assert named.wrong == (700,)
    assert score_windows(ref, ref, {"r": [(0, 10)]}, names=True).wrong == (0,)


def test_mean_over_windows_and_pooled_differ_where_the_last_is_short():
    ref = [seg(0, 15, "hi")]
    errors = score_windows(ref, [seg(0, 10, "L1")], {"r": [(0, 15)]})
    assert errors.frames == (1000, 500)
    assert errors.mean == 0.5
    assert errors.pooled == pytest.approx(1 / 3)
    both = errors + score_windows(ref, ref, {"r": [(0, 15)]})
    assert (len(both), both.mean) == (4, 0.25)
    assert score_windows([], [], {}).mean == 0.0
    with pytest.raises(DiarizeError, match="shorter than a frame"):
        score_windows(ref, ref, {"r": [(0, 15)]}, window=0.001)


def test_empty_output_and_empty_reference():
    ref = [seg(0, 4, "hi")]
    assert score_windows(ref, [], {"r": [(0, 10)]}).wrong == (400,)
    assert score_windows([], ref, {"r": [(0, 10)]}).wrong == (400,)
    assert score_windows(ref, [seg(0, 4, "x", "other")], {"r": [(0, 10)]}).wrong == (400,)


def test_windows_against_all_mappings_tried():
    rng = np.random.default_rng(4)
    for _ in range(30):
        sides = []
        for labels in (["a", "b", "c"], ["x", "y", "z"]):
            cuts = np.sort(np.round(rng.uniform(0, 10, 8), 2))
            sides.append([
                seg(a, b, labels[rng.integers(3)])
                for a, b in itertools.pairwise(cuts.tolist()) if rng.random() < 0.8 and b > a
            ])  # fmt: skip
        ref = segments_to_mask(sides[0], ["a", "b", "c"], 1000, GRID)
        hyp = segments_to_mask(sides[1], ["x", "y", "z"], 1000, GRID)
        best = min(
            int((ref != hyp[:, order]).any(1).sum()) for order in itertools.permutations(range(3))
        )
        assert score_windows(*sides, {"r": [(0, 10)]}).wrong == (best,)


def test_names_must_be_right_on_whole_recordings():
    ref = [seg(0, 6, "hi"), seg(6, 10, "en")]
    hyp = [seg(0, 6, "en"), seg(6, 10, "hi")]
    problem = problem_from_segments(ref, hyp, {"r": [(0, 10)]})
    assert Evaluation(problem).scores().total.der == 0
    assert NamedEvaluation(problem).scores().total.der == 1
    half = problem_from_segments(ref, [seg(0, 10, "hi")], {"r": [(0, 10)]})
    assert NamedEvaluation(half).scores().total.confusion == 4


def test_errors_by_kind_add_up_and_keep_the_mapping():
    ref = [seg(0, 6, "hi"), seg(6, 8, "en"), seg(8, 10, "hi")]
    hyp = [seg(0, 7, "L1"), seg(7, 8.5, "L2"), seg(8.5, 10, "L1")]
    kinds = [seg(0, 5, "inter"), seg(5, 10, "intra")]
    evaluation = Evaluation(problem_from_segments(ref, hyp, {"r": [(0, 12)]}))
    found = by_kind(evaluation, kinds)
    assert found["inter"].der == 0
    assert found["intra"].confusion == pytest.approx(1.5)
    assert found["intra"].scored_speech == pytest.approx(5)
    total = evaluation.scores().total
    assert found["inter"].error + found["intra"].error == pytest.approx(total.error)
    # Within this region alone "en" would be mapped to L1.
    assert by_kind(evaluation, [seg(6, 7, "x")])["x"].confusion == pytest.approx(1.0)


def test_second_language_of_confound_sets():
    ref = [seg(0, 4, "hi"), seg(5, 10, "hi"), seg(0, 10, "en", "q")]
    hyp = [seg(0, 4, "L1"), seg(4, 8, "L2"), seg(0, 10, "L1", "q")]
    uem = {"r": [(0, 10)], "q": [(0, 10)]}
    assert second_language(ref, hyp, uem) == pytest.approx((3.0, 19.0))
    assert second_language(ref, [], uem) == pytest.approx((0.0, 19.0))


def test_command_prints_both_and_writes_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_rttm("ref", [seg(0, 6, "hi"), seg(6, 10, "en")])
    write_rttm("hyp", [seg(0, 10, "hi")])
    write_rttm("kinds", [seg(0, 10, "inter")])
    write_uem("uem", {"r": [(0, 10)]})
    args = "-r ref -s hyp -u uem --kinds kinds --json out.json".split()
    assert main(args) == 0
    told = capsys.readouterr().out
    assert "DISPLACE" in told
    assert "not comparable" in told
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["whole"]["mapped"]["0.00"]["der"] == 40
    assert report["whole"]["named"]["0.00"]["conf"] == 40
    assert report["windows"]["mapped"]["mean"] == 40
    assert report["kinds"]["inter"]["speech"] == 10
    assert report["second_language"] == 0
    write_uem("uem", {"s": [(0, 10)]})
    assert main(args) == 1
    assert "no line for recording r" in capsys.readouterr().err
