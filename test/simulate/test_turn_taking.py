"""Turn-taking statistics: what is counted, and the file that they are kept in."""

import json

import numpy as np
import pytest
from scipy import stats

from diarize.bin import simulate
from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm
from diarize.segments import Segment
from diarize.simulate.draw.turn_taking import (
    Distribution,
    TurnStatistics,
    learn_statistics,
    read_statistics,
    turn_times,
    write_statistics,
)


def turns(*spans, recording="r"):
    return [Segment(recording, start, end, label) for start, end, label in spans]


TALK = turns(
    (0.0, 4.0, "ann"),
    (3.5, 3.9, "bob"),  # inside of ann's turn: ann keeps the floor
    (4.5, 6.0, "ann"),
    (5.0, 8.0, "bob"),
    (7.5, 9.0, "bob"),  # joined with the one before
    (10.0, 11.0, "cid"),
    (13.0, 14.0, "cid"),
)


def test_times_of_a_conversation():
    times = turn_times(TALK)
    assert times["overlap_seconds"] == pytest.approx([0.4, 1.0])
    assert times["pause_same"] == pytest.approx([0.5, 2.0])
    assert times["pause_different"] == pytest.approx([1.0])


def test_probabilities_are_pooled_over_recordings():
    found = learn_statistics([*TALK, *turns((0, 1, "ann"), (1.25, 2, "bob"), recording="q")])
    assert (found.recordings, found.turns) == (2, 8)
    assert found.turn_hold == pytest.approx(2 / 6)
    assert found.overlap == pytest.approx(2 / 4)
    assert found.pause_different.quantiles == pytest.approx([0.25, 1.0])


def test_other_numbers_of_speakers_can_be_left_out():
    two = turns((0, 1, "ann"), (1.25, 2, "bob"), recording="q")
    found = learn_statistics([*TALK, *two], speakers=(2, 2))
    assert (found.recordings, found.turns, found.turn_hold) == (1, 2, 0.0)
    assert found.pause_same is None
    with pytest.raises(DiarizeError, match="no turns to learn from in 0 recordings with 5 to 6"):
        learn_statistics(TALK, speakers=(5, 6))


def test_a_distribution_stands_for_what_it_is_of():
    values = np.random.default_rng(0).gamma(1.5, 0.7, 5000)
    times = Distribution.of(values)
    assert len(times.quantiles) == 200
    drawn = [times.draw(share) for share in np.random.default_rng(1).random(5000)]
    assert stats.ks_2samp(drawn, values).pvalue > 0.05
    assert np.mean(drawn) == pytest.approx(values.mean(), rel=0.03)


def test_shares_and_times_are_each_others_inverse():
    times = Distribution.of(np.random.default_rng(0).gamma(1.5, 0.7, 5000))
    for share in np.linspace(0.01, 0.99, 50):
        assert times.share_below(times.quantile(share)) == pytest.approx(share)
    assert times.share_below(0.0) == 0.0
    assert times.share_below(1e9) == 1.0
    flat = Distribution([0.04] * 10 + [0.08] * 10)  # as references on a frame grid have it
    assert flat.share_below(0.04) == pytest.approx(0.475)
    assert {flat.quantile(0.2), flat.quantile(0.8)} == {0.04, 0.08}


def test_times_up_to_a_limit_are_drawn_as_if_longer_ones_had_been_drawn_again():
    values = np.random.default_rng(0).gamma(1.5, 0.7, 5000)
    times = Distribution.of(values)
    drawn = [times.draw(share, 0.8) for share in np.random.default_rng(1).random(3000)]
    assert max(drawn) <= 0.8
    assert stats.ks_2samp(drawn, values[values <= 0.8]).pvalue > 0.05
    assert times.draw(0.9, 1e-4) == 1e-4  # shorter than all


def test_the_file_gives_the_same_back(tmp_path):
    values = np.round(np.random.default_rng(0).gamma(1.5, 0.7, 500), 3)
    given = TurnStatistics(
        0.25, 1.0, Distribution.of(values), None, Distribution([0.5]), 3, 700, "a reference"
    )
    write_statistics(tmp_path / "s.json", given)
    found = read_statistics(tmp_path / "s.json")
    assert (found.turn_hold, found.overlap, found.source) == (0.25, 1.0, "a reference")
    assert (found.recordings, found.turns, found.pause_different) == (3, 700, None)
    assert found.pause_same.quantiles == pytest.approx(given.pause_same.quantiles, abs=5.1e-4)
    assert found.pause_same.count == 500
    assert found.overlap_seconds.quantiles == [0.5]
    text = (tmp_path / "s.json").read_text()
    assert len(text.splitlines()) == 2 + 9  # a line for each key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not a file of turn-taking statistics"),
        ({"turn_hold": 1.5}, "turn_hold must be between 0 and 1"),
        ({"turn_hold": "often"}, "a value is not what it should be"),
        ({"pause_same": None}, "pause_same is missing"),
        ({"overlap_seconds": {"count": 1, "mean": 1, "quantiles": [2, 1]}}, "overlap_seconds must"),
        ({"overlap_seconds": {"count": 1, "mean": 1, "quantiles": []}}, "overlap_seconds must"),
        ({"pause_different": {"mean": 1}}, "key 'quantiles' is missing"),
        ({"overlap_seconds": {"count": 1, "mean": 1, "quantiles": [float("nan")]}}, "ascending"),
    ],
)
def test_a_bad_file_is_named(tmp_path, change, message):
    path = tmp_path / "s.json"
    write_statistics(path, learn_statistics(TALK))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DiarizeError, match=message) as error:
        read_statistics(path)
    assert str(error.value).startswith(str(path))
    path.write_text("{")
    with pytest.raises(DiarizeError, match=r"s\.json:1: not JSON"):
        read_statistics(path)


def test_the_command_on_a_real_reference(shared_data, tmp_path, capsys):
    rttm = shared_data / "voxconverse_scoring/ref.dev.rttm"
    out = tmp_path / "s.json"
    assert simulate.main(["statistics", "--rttm", str(rttm), "--out", str(out)]) == 0
    assert "216 recordings, 8268 turns" in capsys.readouterr().err
    found = read_statistics(out)
    segments = read_rttm(rttm)
    assert found.turns <= len(segments)
    assert 0.2 < found.turn_hold < 0.5
    assert 0.3 < found.overlap < 0.7
    assert 0.3 < found.pause_different.mean < 1.5
