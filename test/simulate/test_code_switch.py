"""Code-switched mixtures: who says what in which language, and that it is heard and labelled."""

import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diarize.bin.simulate import main
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio, write_wav
from diarize.io.ctm import Word
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table, write_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.words import read_utterance_words
from diarize.simulate.draw.code_switch import CodeSwitchOptions, make_code_switch_manifest
from diarize.simulate.draw.conversion import Conversions, load_converter
from diarize.simulate.draw.splice import Fragment, cut_times, mixed_sentence
from diarize.simulate.draw.utterances import Spoken, load_corpus

sys.path.insert(0, str(Path(__file__).parent))
from reference import plain_mixture

from diarize.simulate.manifest import Manifest, check_mixture, write_manifest

RATE = 16000
OPTIONS = CodeSwitchOptions(30, seconds=(6, 9), seed=2)
PITCH = {"en": 400, "hi": 900, "sw": 2000}
SPEAKS = {"ann": ("en", "hi", "sw"), "bob": ("en", "hi"), "cat": ("sw",)}


@pytest.fixture
def make_voices(tmp_path) -> Callable[..., DataDir]:
    """A function that writes utterances of 4 words each: tones whose pitch is the language."""

    def make(name: str = "voices", speaks: dict | None = None, each: int = 4) -> DataDir:
        folder = tmp_path / name
        folder.mkdir()
        wav, utt2spk, utt2lang, ctm = {}, {}, {}, []
        rng = np.random.default_rng(3)
        for speaker, languages in (speaks or SPEAKS).items():
            for language in languages:
                for turn in range(each):
                    key = f"{speaker}-{language}-{turn}"
                    length = int(RATE * rng.uniform(1.0, 1.6))
                    wave = 0.05 * (1 + turn) * tone(language, length)
                    write_wav(folder / f"{key}.wav", wave, RATE)
                    wav[key], utt2spk[key], utt2lang[key] = f"{key}.wav", speaker, language
                    step = length / RATE / 4
                    ctm += [f"{key} 1 {k * step:.3f} {step:.3f} w{k}\n" for k in range(4)]
        for table, content in (("wav.scp", wav), ("utt2spk", utt2spk), ("utt2lang", utt2lang)):
            write_table(folder / table, content)
        (folder / "ctm").write_text("".join(sorted(ctm)))
        return DataDir.load(folder)

    return make


def tone(language: str, length: int) -> np.ndarray:
    return np.sin(2 * np.pi * PITCH[language] * np.arange(length) / RATE).astype(np.float32)


def corpus_of(data: DataDir):
    return load_corpus(data, read_utterance_words(data.path / "ctm", data))


def rows(corpus, **options) -> list[dict]:
    found = make_code_switch_manifest(corpus, replace(OPTIONS, **options))
    return [mixture["speakers"][0] for _, mixture in found]


def sentences(row: dict) -> dict[int, list[dict]]:
    out: dict[int, list[dict]] = {}
    for utt in row["utts"]:
        out.setdefault(utt["sentence"], []).append(utt)
    return out


def test_one_voice_says_both_languages(make_voices):
    for row in rows(corpus_of(make_voices())):
        assert len({utt["label"] for utt in row["utts"]}) == 2
        assert not any("speaker" in utt for utt in row["utts"])
        assert all(Path(utt["file"]).name.startswith(row["spkid"]) for utt in row["utts"])
        # Within a sentence nothing is silent.
        silent = [i for u, i in zip(row["utts"], row["intervals"], strict=True) if i > 0]
        assert len(silent) == len(sentences(row))


def test_groups_come_in_turn_matrix_first(make_voices):
    groups = (("en", "hi"), ("sw", "en"))
    found = rows(corpus_of(make_voices()), groups=groups, embedded=0.2, seconds=(15, 20))
    shares = []
    for number, row in enumerate(found):
        seconds = dict.fromkeys(groups[number % 2], 0.0)
        for utt in row["utts"]:
            seconds[utt["label"]] += utt.get("end", 1.3) - utt.get("start", 0.0)
        matrix, embedded = seconds.values()
        assert embedded > 0
        shares.append(matrix / (matrix + embedded))
    assert np.mean(shares) > 0.6
    assert np.mean(np.array(shares) > 0.5) > 0.8


@pytest.mark.parametrize("intra", [0.0, 1.0])
def test_share_of_sentences_with_a_switch_within(make_voices, intra):
    found = rows(corpus_of(make_voices()), intra=intra, seconds=(20, 20), embedded=0.0)
    mixed = [len({u["label"] for u in s}) > 1 for row in found for s in sentences(row).values()]
    # Without one, whole sentences of the second language are forced in, so that both are there.
    assert np.mean(mixed) == intra


def test_voices_differ(make_voices):
    corpus = corpus_of(make_voices())
    for row in rows(corpus, voices="differ"):
        voices = {(u["label"], u.get("speaker", row["spkid"])) for u in row["utts"]}
        assert len(voices) == len({voice for _, voice in voices}) == 2
    for row in rows(corpus, voices="differ", num_languages=1):
        assert len({u["label"] for u in row["utts"]}) == 1
        assert len({u.get("speaker", row["spkid"]) for u in row["utts"]}) == 2


def test_decoys_are_cuts_without_a_switch(make_voices):
    found = rows(corpus_of(make_voices()), num_languages=1, decoys=1.0)
    cut = [len(s) > 1 for row in found for s in sentences(row).values()]
    assert np.mean(cut) == 1
    assert all(len({u["label"] for u in row["utts"]}) == 1 for row in found)


def test_mixture_depends_on_seed_and_index_alone(make_voices):
    corpus = corpus_of(make_voices())
    longer = dict(make_code_switch_manifest(corpus, OPTIONS))
    again = dict(make_code_switch_manifest(corpus, replace(OPTIONS, num_mixtures=7)))
    assert again == dict(list(longer.items())[:7])
    noisy = dict(make_code_switch_manifest(corpus, OPTIONS, ["n.wav"], ["r.wav"]))
    for name, mixture in noisy.items():
        assert mixture["speakers"][0]["utts"] == longer[name]["speakers"][0]["utts"]
        assert mixture["snr"] is None or 5 <= mixture["snr"] <= 20
    share = np.mean([mixture["noise"] is not None for mixture in noisy.values()])
    assert 0.2 < share < 0.8
    assert longer != dict(make_code_switch_manifest(corpus, replace(OPTIONS, seed=9)))


def test_labels_are_where_the_language_is_heard(make_voices, render):
    """The pitch of every 20 ms in the waveform says the language of the label there."""
    corpus = corpus_of(make_voices())
    for name, mixture in make_code_switch_manifest(corpus, replace(OPTIONS, num_mixtures=6)):
        check_mixture(mixture, name)
        wave, segments = render(mixture)
        assert [s.start for s in segments] == sorted(s.start for s in segments)
        assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(segments))
        for segment in segments:
            first, last = round(segment.start * RATE), round(segment.end * RATE)
            part = wave[first + 200 : last - 200]
            heard = np.abs(np.fft.rfft(part)).argmax() * RATE / len(part)
            assert heard == pytest.approx(PITCH[segment.label], rel=0.02)
        inside = np.zeros(len(wave), bool)
        for segment in segments:
            inside[round(segment.start * RATE) : round(segment.end * RATE)] = True
        assert not wave[~inside].any()


def test_window_is_the_cut_of_the_whole(make_voices, tmp_path, render):
    rng = np.random.default_rng(7)
    room = np.exp(-np.arange(3000) / 500) * rng.standard_normal(3000)
    for name, wave in (("hum", 0.1 * rng.standard_normal(9000)), ("room", 0.3 * room)):
        write_wav(tmp_path / f"{name}.wav", wave.astype(np.float32), RATE)
    corpus = corpus_of(make_voices())
    options = replace(OPTIONS, num_mixtures=2, augment=1.0)
    files = [str(tmp_path / "hum.wav")], [str(tmp_path / "room.wav")]
    for _, mixture in make_code_switch_manifest(corpus, options, *files):
        assert mixture["noise"]
        assert mixture["speakers"][0]["rir"]
        wave, segments = render(mixture)
        for _ in range(8):
            lo, hi = np.sort(rng.integers(0, len(wave) + 1, size=2)).tolist()
            part = render(mixture, lo, hi)
            np.testing.assert_allclose(part.waveform, wave[lo:hi], atol=1e-6)
            cut = [
                (max(s.start * RATE, lo) - lo, min(s.end * RATE, hi) - lo, s.label)
                for s in segments
                if s.end * RATE > lo + 1e-6 and s.start * RATE < hi - 1e-6
            ]
            assert [s.label for s in part.segments] == [label for _, _, label in cut]
            times = [(s.start * RATE, s.end * RATE) for s in part.segments]
            np.testing.assert_allclose(times, [c[:2] for c in cut], atol=1e-3)


def test_levels_become_one(make_voices, render):
    corpus = corpus_of(make_voices())
    row = rows(corpus, intra=0.0, num_mixtures=1)[0]
    for utt in row["utts"]:
        mixture = {
            "speakers": [{"spkid": "a", "rir": None, "utts": [utt], "intervals": [0.0]}],
            "noise": None, "snr": None, "recid": "r", "band": [80.0, 7000.0],
        }  # fmt: skip
        wave = render(mixture).waveform
        assert 10 * np.log10(np.mean(wave**2)) == pytest.approx(-27, abs=0.05)


def test_band_pass_of_a_segment_is_the_cut_of_the_whole(tmp_path, render):
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal(2 * RATE).astype(np.float32)
    write_wav(tmp_path / "a.wav", wave, RATE)
    name = str(tmp_path / "a.wav")

    def heard(utt):
        row = {"spkid": "a", "rir": None, "utts": [utt], "intervals": [0.0]}
        mixture = {"speakers": [row], "noise": None, "snr": None, "recid": "r"}
        return render({**mixture, "band": [80, 7000]}).waveform

    whole = heard(name)
    np.testing.assert_allclose(heard([name, 0.5, 0.75]), whole[8000:12000], atol=1e-6)
    first = heard({"file": name, "start": 0, "end": 0.1})
    np.testing.assert_allclose(first, whole[:1600], atol=1e-6)
    power = np.abs(np.fft.rfft(whole)) ** 2
    frequency = np.fft.rfftfreq(len(whole), 1 / RATE)
    inside = power[(frequency > 200) & (frequency < 6500)].mean()
    assert power[frequency < 20].mean() < 1e-3 * inside
    assert power[frequency > 7300].mean() < 1e-4 * inside


def spoken(name: str, words: int, **more) -> Spoken:
    times = tuple(Word(0.4 * k, 0.4 * k + 0.3, f"w{k}") for k in range(words))
    return Spoken(name, f"{name}.wav", 0.0, 0.4 * words, True, "v", name[:2], times, **more)


def test_words_are_cut_in_the_middle_of_the_gaps():
    utt = spoken("en1", 4)
    assert cut_times(utt, 1, 3) == pytest.approx((0.35, 1.15))
    assert cut_times(utt, 0, 4) == (0.0, 1.6)


def test_mixed_sentences_keep_words_of_both():
    rng = np.random.default_rng(0)
    matrix, donors = spoken("en1", 9), [spoken("hi1", 5), spoken("hi2", 0)]
    lengths = []
    for _ in range(200):
        parts = mixed_sentence(matrix, donors, rng)
        own = [part for part in parts if part.of is matrix]
        foreign = [part for part in parts if part.of is not matrix]
        assert {part.of.id for part in foreign} == {"hi1"}
        assert len(foreign) in (1, 2)
        assert own
        assert all(part.seconds > 0.06 for part in parts)
        assert sum(part.seconds for part in own) >= 0.4 * matrix.seconds
        assert own == sorted(own, key=lambda part: part.start)
        lengths.append(len(parts))
    assert set(lengths) == {2, 3, 4, 5}
    assert mixed_sentence(spoken("en2", 1), donors, rng) == []
    assert mixed_sentence(matrix, donors[1:], rng) == []


def test_parallel_sentence_and_part_of_speech_are_preferred():
    rng = np.random.default_rng(1)
    matrix = spoken("en1", 3, tags=("D", "N", "V"), sentence="s7")
    donors = [
        spoken("hi1", 3, tags=("N", "V", "D")),
        spoken("hi2", 3, tags=("V", "D", "N"), sentence="s7"),
    ]
    tags = {}
    for _ in range(60):
        parts = mixed_sentence(matrix, donors, rng)
        assert {part.of.id for part in parts} == {"en1", "hi2"}
        place = next(k for k, part in enumerate(parts) if part.of is not matrix)
        done = parts[place - 1].end if place else 0.0
        first = round(done / 0.4 + 0.1)
        tags[matrix.tags[first]] = donors[1].tags[round(parts[place].start / 0.4 + 0.1)]
    assert tags == {"D": "D", "N": "N", "V": "V"}


def test_missing_language_or_word_times_are_errors(make_voices):
    data = make_voices()
    with pytest.raises(DiarizeError, match="no utterance in xx .*utt2lang has en, hi, sw"):
        rows(corpus_of(data), groups=(("en", "xx"),))
    with pytest.raises(DiarizeError, match="times of words must be known"):
        rows(load_corpus(data))
    assert rows(load_corpus(data), intra=0.0)
    with pytest.raises(DiarizeError, match="3 languages, but 4 are wanted"):
        rows(corpus_of(data), num_languages=4)
    lines = (data.path / "utt2lang").read_text().splitlines(keepends=True)
    (data.path / "utt2lang").write_text("".join(lines[:-1]))
    with pytest.raises(DiarizeError, match=r"wav.scp:\d+: cat-sw-3 is not in .*utt2lang"):
        load_corpus(DataDir.load(data.path))
    (data.path / "utt2lang").unlink()
    with pytest.raises(DiarizeError, match="no utt2lang"):
        load_corpus(DataDir.load(data.path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_mixtures": 0}, "num_mixtures"),
        ({"groups": (("en", "en"),)}, "different languages"),
        ({"groups": (("en",),)}, "groups of 2"),
        ({"seconds": (9, 3)}, "seconds"),
        ({"intra": 1.2}, "intra"),
        ({"voices": "many"}, "one of one, differ"),
        ({"prefix": "a b"}, "prefix"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(DiarizeError, match=message):
        replace(OPTIONS, **options)


def test_without_a_common_voice_it_warns_once_and_pastes(make_voices, caplog):
    corpus = corpus_of(make_voices(speaks={"ann": ("en",), "bob": ("hi",)}))
    found = rows(corpus)
    assert all({u.get("speaker", r["spkid"]) for u in r["utts"]} == {"ann", "bob"} for r in found)
    assert len(caplog.records) == 2  # en:hi and hi:en
    assert "voices will change with the language" in caplog.text


def test_conversion_gives_one_voice(make_voices, tmp_path, render):
    corpus = corpus_of(make_voices(speaks={"ann": ("en",), "bob": ("hi",)}))
    calls = []

    def convert(wav, reference, out):
        calls.append((Path(wav).stem, Path(reference).stem))
        write_wav(out, 0.5 * read_audio(wav), RATE)

    conversions = Conversions(corpus, tmp_path / "vc", convert)
    found = list(make_code_switch_manifest(corpus, OPTIONS, conversions=conversions))
    for _, mixture in found:
        row = mixture["speakers"][0]
        assert not any("speaker" in utt for utt in row["utts"])
        other = {"ann": "hi", "bob": "en"}[row["spkid"]]
        for utt in row["utts"]:
            folder = f"vc/{row['spkid']}" if utt["label"] == other else "voices"
            assert utt["file"].startswith(str(tmp_path / folder))
    assert len(calls) == len(set(calls)) == 8
    wave, segments = render(found[0][1])
    assert len(wave) / RATE == pytest.approx(segments[-1].end)
    converted = len(calls)
    list(make_code_switch_manifest(corpus, OPTIONS, conversions=conversions))
    assert len(calls) == converted


def test_conversion_by_command(make_voices, tmp_path):
    corpus = corpus_of(make_voices(speaks={"ann": ("en",), "bob": ("hi",)}))
    script = tmp_path / "my convert.py"
    script.write_text("import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[3])\n")
    convert = load_converter(f"{sys.executable} '{script}' {{wav}} {{reference}} {{out}}")
    utt = corpus.spoken["hi", "bob"][0]
    path = Conversions(corpus, tmp_path / "vc", convert).file(utt, "ann")
    np.testing.assert_array_equal(read_audio(path), read_audio(utt.file))
    script.write_text("raise SystemExit('no GPU')\n")
    with pytest.raises(DiarizeError, match="ended with 1: no GPU"):
        Conversions(corpus, tmp_path / "vc2", convert).file(utt, "ann")


def test_bad_conversions(make_voices, tmp_path):
    corpus = corpus_of(make_voices())
    utt = corpus.spoken["hi", "bob"][0]
    with pytest.raises(DiarizeError, match="{out} is missing"):
        load_converter("vc {wav} {reference}")
    with pytest.raises(DiarizeError, match="neither a command"):
        load_converter("no.such.module:convert")
    short = Conversions(corpus, tmp_path / "a", lambda w, r, out: write_wav(out, np.ones(99), RATE))
    with pytest.raises(DiarizeError, match="keeps the timing"):
        short.file(utt, "ann")
    with pytest.raises(DiarizeError, match="wrote no"):
        Conversions(corpus, tmp_path / "b", lambda w, r, out: None).file(utt, "ann")


def test_segments_of_longer_recordings(make_voices, tmp_path):
    """Utterances that are parts of recordings are mixed from just these parts."""
    folder = tmp_path / "long"
    folder.mkdir()
    waves = {lang: 0.1 * tone(lang, 3 * RATE) for lang in ("en", "hi")}
    write_wav(folder / "r.wav", np.concatenate(list(waves.values())), RATE)
    write_table(folder / "wav.scp", {"r": "r.wav"})
    write_table(folder / "segments", {"a-1": "r 0.5 2.5", "a-2": "r 3.5 5.5"})
    write_table(folder / "utt2spk", {"a-1": "a", "a-2": "a"})
    write_table(folder / "utt2lang", {"a-1": "en", "a-2": "hi"})
    times = {"one": 0.6, "two": 1.5, "ek": 3.6, "do": 4.6}
    (folder / "ctm").write_text("".join(f"r 1 {at} 0.8 {w}\n" for w, at in times.items()))
    data = DataDir.load(folder)
    words = read_utterance_words(folder / "ctm", data)
    assert words["a-2"] == [
        Word(pytest.approx(0.1), pytest.approx(0.9), "ek"),
        Word(pytest.approx(1.1), pytest.approx(1.9), "do"),
    ]
    for _, mixture in make_code_switch_manifest(load_corpus(data, words), OPTIONS):
        for utt in mixture["speakers"][0]["utts"]:
            low = 0.5 if utt["label"] == "en" else 3.5
            assert low <= utt["start"] < utt["end"] <= low + 2


def test_on_disk_is_the_reference(make_voices, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_voices()
    code = ["code-switch", "--data", "voices", "--num-mixtures", "6", "--seconds", "5-7"]
    assert main([*code, "--languages", "en:hi,sw:en", "--out", "m.scp"]) == 0
    assert "6 mixtures of 2 languages" in capsys.readouterr().err
    for job in ("1", "2"):
        assert main(["write", "--manifest", "m.scp", "--out", "out", "--job", job,
                     "--num-jobs", "2"]) == 0  # fmt: skip
    assert main(["finish", "--manifest", "m.scp", "--out", "out", "--num-jobs", "2"]) == 0
    data = DataDir.load("out")
    reference = data.reference("language")
    for name, mixture in Manifest("m.scp"):
        wave, segments = plain_mixture(mixture)
        written = read_audio(data.source(name))
        np.testing.assert_allclose(written, wave, atol=2 / 32768)
        assert [s.label for s in reference[name]] == [s.label for s in segments]
        times = [(s.start, s.end) for s in segments]
        np.testing.assert_allclose([(s.start, s.end) for s in reference[name]], times, atol=1e-3)
        assert read_table("out/reco2num_spk")[name] == "1"
    assert set(data.utt2lang.values()) == {"en", "hi", "sw"}
    assert set(data.utt2spk.values()) <= {"ann", "bob"}
    kinds = read_rttm("out/kinds.rttm")
    assert {kind.label for kind in kinds} == {"inter", "intra"}
    for kind in kinds:
        inside = {
            s.label
            for s in reference[kind.recording]
            if min(s.end, kind.end) - max(s.start, kind.start) > 0.01
        }
        assert len(inside) == (2 if kind.label == "intra" else 1)


def test_confound_on_disk_keeps_its_voices(make_voices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_voices()
    assert main(["code-switch", "--data", "voices", "--num-mixtures", "3", "--num-languages", "1",
                 "--voices", "differ", "--seconds", "5", "--out", "m.scp"]) == 0  # fmt: skip
    assert main(["write", "--manifest", "m.scp", "--out", "out"]) == 0
    assert main(["finish", "--manifest", "m.scp", "--out", "out"]) == 0
    assert set(read_table("out/reco2num_spk").values()) == {"2"}
    for found in DataDir.load("out").reference().values():
        assert len({segment.label for segment in found}) == 1
    assert {kind.label for kind in read_rttm("out/kinds.rttm")} == {"mono"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--languages", "en:zu"], "no utterance in zu"),
        (["--ctm", "late.ctm"], "late.ctm:1: .*word x ends at 99.500 s, but the audio is"),
        (["--units", "hi"], "LANG=MODEL"),
        (["--units", "hi=none.model"], "no such sentencepiece model"),
        (["--convert", "vc {wav}"], "missing"),
        (["--seconds", "0"], "seconds"),
    ],
)
def test_mistakes_are_one_line(make_voices, tmp_path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(tmp_path)
    make_voices()
    Path("late.ctm").write_text("ann-en-0 1 99 0.5 x\n")
    code = ["code-switch", "--data", "voices", "--num-mixtures", "2", "--out", "m.scp", *args]
    assert main(code) == 1
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert "Traceback" not in told
    assert not Path("m.scp").exists()


def test_manifest_with_unknown_keys_is_refused(tmp_path):
    row = {"spkid": "a", "rir": None, "intervals": [0.0]}
    mixture = {"noise": None, "snr": None, "recid": "m"}
    bad = [
        ({"file": "a.wav", "langage": "en"}, "unknown key 'langage'"),
        ({"file": ""}, "file cannot be ''"),
        ({"file": "a.wav", "start": 1.0}, "0 <= start < end"),
        ({"file": "a.wav", "label": "a b"}, "label cannot be"),
        ({"file": "a.wav", "gain": "loud"}, "gain cannot be"),
    ]
    for utt, message in bad:
        with pytest.raises(DiarizeError, match=message):
            check_mixture({**mixture, "speakers": [{**row, "utts": [utt]}]}, "m:1")
    good = {**mixture, "speakers": [{**row, "utts": ["a.wav"]}]}
    for key, value in (("band", [80]), ("band", [90, 80]), ("fade", -1)):
        with pytest.raises(DiarizeError, match=key):
            check_mixture({**good, key: value}, "m:1")
    path = tmp_path / "m.scp"
    assert write_manifest(path, [("m", good)]) == 1
    assert json.loads(path.read_text().split(" ", 1)[1]) == good


def test_part_knows_whether_it_is_whole():
    utt = spoken("en1", 2)
    assert Fragment(utt).whole
    assert Fragment(utt).seconds == pytest.approx(0.8)
    assert not Fragment(utt, 0.0, 0.8).whole
