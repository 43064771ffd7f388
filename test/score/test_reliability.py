"""Reliability of confidences, on turns whose right time is known."""

import pytest

from diarize.score.reliability import calibration_error, reliability, score_turns
from diarize.segments import Segment, Turn

REF = [Segment("r", 0, 4, "a"), Segment("r", 3, 8, "b"), Segment("q", 0, 5, "c")]


def test_a_turn_is_right_while_the_mapped_speaker_speaks():
    found = [
        Turn("r", 0, 5, "x", 0.9),  # a until 4
        Turn("r", 5, 8, "y", 0.5),  # b
        Turn("r", 8, 12, "y", 0.4),  # b is silent; beyond 10 it is not scored
        Turn("r", 1, 2, "z", 0.3),  # no speaker is left for z
        Turn("q", 4, 6, "x", None),
        Turn("s", 0, 9, "x", 1.0),  # not scored
    ]
    got = score_turns(REF, found, {"r": [(0, 10)], "q": [(0, 4.5), (5.5, 7)]})
    assert [tuple(s) for s in got] == [
        (0.9, 5, 4), (0.5, 3, 3), (0.4, 2, 0), (0.3, 1, 0), (None, 1.0, 0.5),
    ]  # fmt: skip


def test_labels_of_two_recordings_are_two_speakers():
    found = [Turn("r", 0, 3, "x", 0.9), Turn("q", 0, 5, "x", 0.8)]
    assert [s.correct for s in score_turns(REF, found)] == [3, 5]


def test_bins_weigh_by_time():
    turns = [
        Turn("q", 0, 3, "x", 0.92), Turn("q", 3, 4, "x", 0.96 - 0.02), Turn("q", 4.5, 6, "x", 1.0),
        Turn("q", 6, 7, "x", None),
    ]  # fmt: skip
    low, high = reliability(score_turns(REF, turns, {"q": [(0, 9)]}))
    assert (low.low, low.high, low.turns, low.seconds) == (0.9, 0.95, 2, 4)
    assert low.confidence == pytest.approx((3 * 0.92 + 0.94) / 4)
    assert low.share == 1
    assert (high.high, high.turns, high.confidence) == (1.0, 1, 1.0)
    assert high.share == pytest.approx(1 / 3)
    wanted = (4 * (1 - low.confidence) + 1.5 * 2 / 3) / 5.5
    assert calibration_error([low, high]) == pytest.approx(wanted)
    assert calibration_error([]) == 0
