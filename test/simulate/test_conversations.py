"""Simulated conversations have the statistics that they are made with."""

import json
import tracemalloc
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy import stats

from diarize.bin import simulate
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.table import write_table
from diarize.kaldi.datadir import DataDir
from diarize.segments import Segment, merge_segments
from diarize.simulate.draw.conversations import ConversationOptions, draw_order, make_conversations
from diarize.simulate.draw.turn_taking import (
    TIMES,
    Distribution,
    TurnStatistics,
    turn_times,
    write_statistics,
)
from diarize.simulate.manifest import Manifest, check_mixture

RNG = np.random.default_rng(5)
GIVEN = {
    "pause_same": RNG.gamma(2.0, 0.3, 3000),
    "pause_different": RNG.exponential(0.6, 3000),
    "overlap_seconds": RNG.gamma(1.2, 0.5, 3000),
}
STATISTICS = TurnStatistics(0.3, 0.55, *(Distribution.of(GIVEN[name]) for name in TIMES))
OPTIONS = ConversationOptions(400, (2, 4), seed=3)


@pytest.fixture
def readers(tmp_path) -> DataDir:
    """Eight speakers of 30 utterances of 8 to 15 s, of which only the lengths are ever asked."""
    folder = tmp_path / "readers"
    folder.mkdir()
    write_wav(folder / "a.wav", np.zeros(160, np.float32), 16000)
    keys = [f"spk{i}-{j:02d}" for i in range(8) for j in range(30)]
    rng = np.random.default_rng(0)
    write_table(folder / "wav.scp", dict.fromkeys(keys, str(folder / "a.wav")))
    write_table(folder / "utt2spk", {key: key[:4] for key in keys})
    write_table(folder / "reco2dur", {key: f"{rng.uniform(9, 16):.3f}" for key in keys})
    spans = {key: f"{key} {0.25 * rng.random():.3f} {rng.uniform(8, 9):.3f}" for key in keys}
    write_table(folder / "segments", spans)
    return DataDir.load(folder)


def segments_of(mixture: dict) -> list[Segment]:
    """The turns as the manifest has them, in seconds."""
    out = []
    for row in mixture["speakers"]:
        at = 0.0
        for (_, start, end), silence in zip(row["utts"], row["intervals"], strict=True):
            at += silence
            out.append(Segment(mixture["recid"], at, at + end - start, row["spkid"]))
            at += end - start
    return sorted(out)


def test_statistics_of_what_is_simulated_are_the_given_ones(readers):
    times = {name: [] for name in TIMES}
    for name, mixture in make_conversations(readers, STATISTICS, OPTIONS):
        check_mixture(mixture, name)
        for key, values in turn_times(segments_of(mixture)).items():
            times[key] += values
    holds, pauses, overlaps = (len(times[name]) for name in TIMES)
    assert holds + pauses + overlaps > 10000
    hold = stats.binomtest(holds, holds + pauses + overlaps, STATISTICS.turn_hold)
    overlap = stats.binomtest(overlaps, pauses + overlaps, STATISTICS.overlap)
    assert hold.pvalue > 0.01
    assert overlap.pvalue > 0.01
    for name in TIMES:
        assert stats.ks_2samp(times[name], GIVEN[name]).pvalue > 0.01, name
        assert np.mean(times[name]) == pytest.approx(GIVEN[name].mean(), rel=0.05)


def test_numbers_of_speakers_come_in_turn_and_everybody_speaks(readers):
    mixtures = [m for _, m in make_conversations(readers, STATISTICS, OPTIONS)]
    assert [len(m["speakers"]) for m in mixtures[:6]] == [2, 3, 4, 2, 3, 4]
    counts = np.array([sum(len(s["utts"]) for s in m["speakers"]) for m in mixtures[2::3]])
    assert 40 <= counts.min() < counts.max() <= 80
    assert counts.mean() == pytest.approx(60, abs=1.5)
    for mixture in mixtures:
        assert all(row["utts"] for row in mixture["speakers"])
        for row in mixture["speakers"]:
            assert len(row["utts"]) == len(row["intervals"])
    firsts = [mixture["speakers"][0]["spkid"] for mixture in mixtures]
    assert stats.chisquare(np.unique(firsts, return_counts=True)[1]).pvalue > 1e-3


@pytest.mark.parametrize("hold", [0.0, 0.3, 0.95])
def test_nobody_overlaps_himself_and_turns_keep_their_order(readers, hold):
    """Also with overlaps that are much too long: those that fit are drawn instead."""
    long = Distribution([2.0, 30.0, 60.0])
    statistics = replace(STATISTICS, turn_hold=hold, overlap=0.9, overlap_seconds=long)
    for _, mixture in islice(make_conversations(readers, statistics, OPTIONS), 60):
        segments = segments_of(mixture)
        ends = [segment.end for segment in segments]
        assert all(a <= b + 1e-5 for a, b in pairwise(ends))
        for row in mixture["speakers"]:
            assert min(row["intervals"]) >= 0
            own = [s for s in segments if s.label == row["spkid"]]
            assert all(a.end <= b.start + 1e-5 for a, b in pairwise(own))


def test_utterances_of_a_speaker_keep_their_order(readers):
    options = replace(OPTIONS, num_mixtures=30)
    starts = set()
    for _, mixture in make_conversations(readers, STATISTICS, options):
        for row in mixture["speakers"]:
            whole = readers.utterances
            places = [(u.start, u.end) for u in whole if u.speaker == row["spkid"]]
            found = [places.index((start, end)) for _, start, end in row["utts"]]
            assert found == [(found[0] + n) % len(places) for n in range(len(found))]
            starts.add(found[0])
    assert len(starts) > 15


def test_a_single_speaker_only_pauses(readers):
    options = ConversationOptions(20, (1, 1), seed=1)
    for _, mixture in make_conversations(readers, STATISTICS, options):
        times = turn_times(segments_of(mixture))
        assert not times["overlap_seconds"]
        assert not times["pause_different"]
        assert 9 <= len(times["pause_same"]) <= 19


def test_conversation_i_depends_on_seed_and_i_alone(readers):
    some = dict(make_conversations(readers, STATISTICS, replace(OPTIONS, num_mixtures=5)))
    more = dict(make_conversations(readers, STATISTICS, replace(OPTIONS, num_mixtures=9)))
    assert {name: more[name] for name in some} == some
    other = dict(make_conversations(readers, STATISTICS, replace(OPTIONS, num_mixtures=5, seed=4)))
    assert other["conv_0000001"] != some["conv_0000001"]
    assert list(more) == sorted(more)
    assert json.loads(json.dumps(some)) == some


def test_noise_and_rooms_change_nothing_else(readers):
    options = replace(OPTIONS, num_mixtures=200)
    dry = [m for _, m in make_conversations(readers, STATISTICS, options)]
    wet = [m for _, m in make_conversations(readers, STATISTICS, options, ["n", "m"], ["r", "q"])]
    for a, b in zip(dry, wet, strict=True):
        assert [s | {"rir": None} for s in b["speakers"]] == a["speakers"]
        assert (a["noise"], a["snr"]) == (None, None)
        assert b["noise"] in ("n", "m")
    rooms = [row["rir"] for mixture in wet for row in mixture["speakers"]]
    assert np.mean([room is not None for room in rooms]) == pytest.approx(0.5, abs=0.07)
    assert {"r", "q"} <= set(rooms)
    assert {mixture["snr"] for mixture in wet} == set(options.snrs)


def test_memory_is_that_of_one_conversation(readers):
    mixtures = make_conversations(readers, STATISTICS, replace(OPTIONS, num_mixtures=700))
    next(mixtures)
    tracemalloc.start()
    for _ in islice(mixtures, 50):
        pass
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    for _ in mixtures:
        pass
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 50_000
    assert peak - before < 500_000


@pytest.mark.parametrize(("speakers", "hold"), [(2, 0.9999), (4, 0.9), (3, 0.0), (1, 0.5)])
def test_order_of_turns(speakers, hold):
    rng = np.random.default_rng(0)
    for turns in (speakers, 12, 40):
        order = draw_order(speakers, turns, hold, rng)
        assert len(order) == turns
        assert set(order) == set(range(speakers))
        assert order[0] == 0


def test_mixed_labels_are_those_of_the_plan(make_corpus, render):
    """Through the mixer, with real (short) audio: samples instead of seconds."""
    data = make_corpus(num_speakers=3, num_utts=4, segments=True)
    options = ConversationOptions(6, (3, 3), min_utts=3, max_utts=5, seed=2)
    for _, mixture in make_conversations(data, STATISTICS, options):
        found = render(mixture).segments
        expected = segments_of(mixture)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert a.label == b.label
            assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=1e-3)
        assert len(merge_segments(found)) >= len(expected) - 1


def test_command_writes_a_manifest(make_corpus, tmp_path, capsys):
    data = make_corpus(num_speakers=3, num_utts=4)
    write_statistics(tmp_path / "s.json", STATISTICS)
    out = tmp_path / "mixture.scp"
    command = ["conversations", "--data", str(data.path), "--stats", str(tmp_path / "s.json")]
    command += ["--out", str(out), "--num-mixtures", "4", "--rir-data", str(data.path)]
    assert simulate.main([*command, "--num-speakers", "2-3"]) == 0
    assert "4 conversations of 2 to 3 speakers" in capsys.readouterr().err
    manifest = Manifest(out)
    assert [len(mixture["speakers"]) for _, mixture in manifest] == [2, 3, 2, 3]
    assert simulate.main([*command, "--num-speakers", "4"]) == 1
    assert "3 speakers, but up to 4 are wanted" in capsys.readouterr().err


def test_impossible_statistics_and_options(readers):
    with pytest.raises(DiarizeError, match="never changes"):
        make_conversations(readers, replace(STATISTICS, turn_hold=1.0), OPTIONS)
    never = replace(STATISTICS, turn_hold=0.0, pause_same=None)
    with pytest.raises(DiarizeError, match="no pause between turns of one speaker"):
        make_conversations(readers, never, replace(OPTIONS, speakers=(1, 2)))
    with pytest.raises(DiarizeError, match="speakers must be a range"):
        replace(OPTIONS, speakers=(3, 2))
    with pytest.raises(DiarizeError, match="rir_prob"):
        replace(OPTIONS, rir_prob=2.0)
