"""Confidence of turns: its definition, and its calibration on known odds."""

import numpy as np
import pytest

from diarize.infer.confidence import calibrated, fit_calibration, turn_probabilities
from diarize.infer.languages import LANGUAGE
from diarize.infer.postprocess import SPEAKER, PostprocessOptions
from diarize.segments import Segment
from diarize.timebase import FrameGrid

GRID = FrameGrid()


def test_confidence_is_the_mean_mask_probability_times_the_activity():
    masks = np.zeros((300, 2), np.float32)
    masks[:100, 0], masks[100:200, 0], masks[200:, 1] = 0.8, 0.6, 0.9
    found = SPEAKER.decide(masks, np.array([0.9, 1.0]), "r", PostprocessOptions(), GRID)
    assert [turn.segment for turn in found.turns] == [
        Segment("r", 0, 2, "spk1"), Segment("r", 2, 3, "spk2"),
    ]  # fmt: skip
    assert [turn.confidence for turn in found.turns] == pytest.approx([0.7 * 0.9, 0.9])
    assert found.queries == {"spk1": [0], "spk2": [1]}


def test_the_calibration_changes_no_turn():
    rng = np.random.default_rng(0)
    masks, activities = rng.random((500, 4), dtype=np.float32), rng.random(4)
    for processor in (SPEAKER, LANGUAGE):
        turns = []
        for line in (None, (2.0, -1.0)):
            options = PostprocessOptions(0.1, min_duration=0.05, confidence=line)
            found = processor.decide(masks, activities, "r", options, GRID)
            turns.append([turn.segment for turn in found.turns])
            assert all(0 <= turn.confidence <= 1 for turn in found.turns)
            assert len({turn.confidence for turn in found.turns}) > 5
        assert turns[0] == turns[1]


def test_turns_of_one_language_by_two_queries_name_both():
    masks = np.zeros((200, 3), np.float32)
    masks[:, 0] = 0.9
    masks[:100, 1], masks[120:, 2] = 0.8, 0.8
    masks[100:120, 1] = 0.7
    names = np.array([[0.1, 0.9], [0.1, 0.9], [0.2, 0.8]])
    options = PostprocessOptions(0.5, language_id_threshold=0.5)
    found = LANGUAGE.decide(masks, np.ones(3), "r", options, GRID, (names, ["de", "en"]))
    assert [turn.segment for turn in found.turns] == [Segment("r", 0, 2, "en")]
    assert found.turns[0].confidence == pytest.approx((180 * 0.8 + 20 * 0.7) / 200)
    assert found.queries == {"en": [1, 2]}


def test_probabilities_are_means_of_the_frames_of_the_turn():
    masks = np.arange(20, dtype=np.float32).reshape(10, 2) / 20
    turns = [Segment("r", 0.02, 0.05, "a"), Segment("r", 0.0, 0.1, "b")]
    queries = {"a": [1], "b": [0]}
    got = turn_probabilities(masks, np.array([1.0, 0.5]), turns, queries, GRID)
    assert got == pytest.approx([0.5 * masks[2:5, 1].mean(), masks[:, 0].mean()])


def test_the_fit_finds_the_odds_that_made_the_data():
    raw = np.linspace(0.02, 0.98, 400)
    odds = 1.7 * np.log(raw / (1 - raw)) - 0.8
    correct = 1 / (1 + np.exp(-odds))
    slope, offset = fit_calibration(raw, correct, np.full(400, 5.0))
    assert (slope, offset) == (pytest.approx(1.7, abs=0.01), pytest.approx(-0.8, abs=0.01))
    assert calibrated(0.5, (slope, offset)) == pytest.approx(correct[200], abs=0.01)


@pytest.mark.parametrize(
    ("raw", "correct"),
    [([0.5, 0.9], [1, 1]), ([0.5, 0.9], [0, 0]), ([0.1, 0.2, 0.9], [1, 1, 0]), ([], [])],
    ids=["all right", "all wrong", "inverted", "no turn"],
)
def test_undetermined_calibrations_are_none(raw, correct):
    assert fit_calibration(raw, correct, [100.0] * len(raw)) is None


def test_separable_turns_have_a_finite_calibration():
    slope, offset = fit_calibration([0.2, 0.3, 0.8, 0.9], [0, 0, 1, 1], [10.0] * 4)
    assert 1 < slope < 50
    assert abs(offset) < 50
