"""Algorithm 1 of Fujita et al. 2019 as draws."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.common import audio_files, persons_of, rooms_of
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.manifest import check_mixture

OPTIONS = MixtureOptions(num_mixtures=300, num_speakers=2, beta=2.0, seed=3)


def test_draws_follow_algorithm_1(make_corpus):
    data = make_corpus(num_speakers=5, num_utts=25)
    mixtures = [mixture for _, mixture in make_manifest(data, OPTIONS)]
    speakers = [speaker for mixture in mixtures for speaker in mixture["speakers"]]
    counts = [len(speaker["utts"]) for speaker in speakers]
    assert set(counts) == set(range(10, 21))
    assert np.mean(counts) == pytest.approx(15, abs=0.5)
    silences = np.concatenate([speaker["intervals"] for speaker in speakers])
    assert len(silences) == sum(counts)
    assert silences.mean() == pytest.approx(2.0, rel=0.04)
    assert stats.kstest(silences, stats.expon(scale=2.0).cdf).pvalue > 1e-3
    for mixture in mixtures:
        assert len({speaker["spkid"] for speaker in mixture["speakers"]}) == 2
    chosen = np.unique([speaker["spkid"] for speaker in speakers], return_counts=True)[1]
    assert stats.chisquare(chosen).pvalue > 1e-3
    for speaker in speakers:  # 25 utterances are enough: none comes twice
        assert len(set(speaker["utts"])) == len(speaker["utts"])
        assert all(f"/{speaker['spkid']}-" in name for name in speaker["utts"])


def test_too_few_utterances_are_cycled(make_corpus):
    data = make_corpus(num_speakers=2, num_utts=3)
    for _, mixture in make_manifest(data, replace(OPTIONS, num_mixtures=5)):
        for speaker in mixture["speakers"]:
            utts = speaker["utts"]
            assert len(set(utts[:3])) == 3
            assert utts[3:] == utts[:-3]


def test_keys_and_nulls_are_those_of_hitachi(make_corpus):
    data = make_corpus()
    name, mixture = next(make_manifest(data, OPTIONS))
    assert name == "mix_0000001"
    assert list(mixture) == ["speakers", "noise", "snr", "recid"]
    assert list(mixture["speakers"][0]) == ["spkid", "rir", "utts", "intervals"]
    assert mixture["noise"] is None
    assert mixture["snr"] is None
    assert mixture["speakers"][0]["rir"] is None
    assert mixture["recid"] == name
    assert json.loads(json.dumps(mixture)) == mixture


def test_utterances_of_segments_have_their_times(make_corpus):
    data = make_corpus(segments=True)
    known = {
        (data.wav_scp[utt.recording], utt.start, utt.end): utt.speaker for utt in data.utterances
    }
    _, mixture = next(make_manifest(data, OPTIONS))
    for speaker in mixture["speakers"]:
        for utt in speaker["utts"]:
            assert known[tuple(utt)] == speaker["spkid"]


def test_mixture_depends_on_seed_and_index_alone(make_corpus):
    data = make_corpus(num_speakers=4)
    whole = list(make_manifest(data, replace(OPTIONS, num_mixtures=20)))
    assert list(make_manifest(data, replace(OPTIONS, num_mixtures=7))) == whole[:7]
    assert list(make_manifest(data, replace(OPTIONS, num_mixtures=20))) == whole
    other = list(make_manifest(data, replace(OPTIONS, num_mixtures=20, seed=4)))
    assert all(a[1] != b[1] for a, b in zip(whole, other, strict=True))


def test_noise_and_rirs_leave_the_speakers_as_they_are(make_corpus):
    data = make_corpus()
    noises = audio_files(make_corpus("noise", 3, 1).path)
    rirs = audio_files(make_corpus("rirs", 2, 2).path)
    dry = [mixture for _, mixture in make_manifest(data, OPTIONS)]
    wet = [mixture for _, mixture in make_manifest(data, OPTIONS, noises, rirs)]
    for a, b in zip(dry, wet, strict=True):
        for x, y in zip(a["speakers"], b["speakers"], strict=True):
            assert {**x, "rir": None} == {**y, "rir": None}
    rooms = [speaker["rir"] for mixture in wet for speaker in mixture["speakers"]]
    assert np.mean([room is not None for room in rooms]) == pytest.approx(0.5, abs=0.08)
    assert set(rooms) - {None} == set(rirs)
    assert {mixture["noise"] for mixture in wet} == set(noises)
    assert {mixture["snr"] for mixture in wet} == {5.0, 10.0, 15.0, 20.0}
    never = replace(OPTIONS, rir_prob=0.0)
    for _, mixture in make_manifest(data, never, rirs=rirs):
        assert all(speaker["rir"] is None for speaker in mixture["speakers"])
    always = replace(OPTIONS, rir_prob=1.0)
    for _, mixture in make_manifest(data, always, rirs=rirs):
        assert all(speaker["rir"] is not None for speaker in mixture["speakers"])


def test_too_few_speakers(make_corpus):
    with pytest.raises(DiarizeError, match="4 speakers, but 5 are wanted"):
        make_manifest(make_corpus(num_speakers=4), replace(OPTIONS, num_speakers=5))


def test_no_speakers_known(make_corpus):
    data = make_corpus()
    (data.path / "utt2spk").unlink()
    with pytest.raises(DiarizeError, match="spk0-0 has no speaker"):
        make_manifest(DataDir.load(data.path), OPTIONS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_mixtures", 0),
        ("num_speakers", 0),
        ("beta", -1.0),
        ("beta", float("nan")),
        ("min_utts", 0),
        ("max_utts", 9),
        ("rir_prob", 1.5),
        ("snrs", ()),
        ("seed", -1),
        ("prefix", "a b"),
        ("prefix", "a/b"),
    ],
)
def test_impossible_options(field, value):
    with pytest.raises(DiarizeError, match=field):
        replace(OPTIONS, **{field: value})


def test_relative_paths_beside_wav_scp(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    write_wav(folder / "a.wav", np.zeros(100, np.float32), 16000)
    (folder / "wav.scp").write_text("a a.wav\n")
    (folder / "utt2spk").write_text("a a\n")
    options = replace(OPTIONS, num_speakers=1, num_mixtures=1)
    _, mixture = next(make_manifest(DataDir.load(folder), options))
    assert set(mixture["speakers"][0]["utts"]) == {str(folder / "a.wav")}
    monkeypatch.chdir(folder)
    _, mixture = next(make_manifest(DataDir.load(folder), options))
    assert set(mixture["speakers"][0]["utts"]) == {"a.wav"}
    (folder / "a.wav").unlink()
    with pytest.raises(DiarizeError, match=r"recording a: a\.wav: .*neither.*data"):
        make_manifest(DataDir.load(folder), options)


def place_options(**more):
    return replace(OPTIONS, num_mixtures=200, num_speakers=3, min_utts=1, max_utts=2, **more)


def test_one_room_puts_each_speaker_at_a_place_of_its_own(make_corpus):
    data = make_corpus(num_speakers=4)
    rooms = [[f"a{n}" for n in range(4)], [f"b{n}" for n in range(3)]]
    rirs = [name for room in rooms for name in room]
    plain = list(make_manifest(data, place_options(), rirs=rirs))
    placed = list(make_manifest(data, place_options(one_room=0.5), rirs=rirs, rooms=rooms))
    together = 0
    for (_, one), (_, other) in zip(plain, placed, strict=True):
        before, after = ([s["rir"] for s in m["speakers"]] for m in (one, other))
        for speaker, same in zip(one["speakers"], other["speakers"], strict=True):
            assert {**speaker, "rir": None} == {**same, "rir": None}
        if after != before:
            assert len(set(after)) == 3
            assert len({name[0] for name in after}) == 1
            together += 1
    assert 75 <= together <= 125


def test_no_mixture_has_two_voices_of_one_person(make_corpus, tmp_path):
    data = make_corpus(num_speakers=6)
    (tmp_path / "spk2person").write_text("spk0 a\nspk1 a\nspk2 b\nspk3 b\n")
    persons = persons_of(tmp_path / "spk2person")
    options = place_options(persons=persons)
    pairs = Counter()
    for _, mixture in make_manifest(data, options):
        names = [speaker["spkid"] for speaker in mixture["speakers"]]
        assert len({persons.get(name, name) for name in names}) == len(names) == 3
        pairs.update(names)
    assert len(pairs) == 6  # every voice
    assert persons_of(None) == {}
    with pytest.raises(DiarizeError, match="persons"):
        next(make_manifest(data, replace(options, persons=dict.fromkeys(pairs, "a"))))


def test_levels_are_spread_by_speaker(make_corpus):
    data = make_corpus(num_speakers=4)
    levels = []
    for _, mixture in make_manifest(data, place_options(level_spread=3.0)):
        check_mixture(mixture, "here")
        for speaker in mixture["speakers"]:
            assert len({utt["gain"] for utt in speaker["utts"]}) == 1
            levels.append(speaker["utts"][0]["gain"])
    assert np.mean(levels) == pytest.approx(0.0, abs=0.5)
    assert np.std(levels) == pytest.approx(3.0, rel=0.1)


def test_rooms_are_the_speakers_of_the_responses(make_corpus):
    data = make_corpus(num_speakers=2, num_utts=3)
    rooms = rooms_of(data.path)
    assert [len(room) for room in rooms] == [3, 3]
    assert sorted(name for room in rooms for name in room) == sorted(audio_files(data.path))
    assert rooms_of(None) == []


@pytest.mark.parametrize("options", [{"one_room": 1.1}, {"level_spread": -1.0}])
def test_impossible_rooms_and_levels_are_refused(options):
    with pytest.raises(DiarizeError, match=next(iter(options))):
        place_options(**options)
