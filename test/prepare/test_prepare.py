"""Parts of corpora, their counts and splits, and data directories written whole."""

import hashlib
import json

import numpy as np
import pytest
import soundfile

from diarize.bin.prepare import main
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.kaldi.validate import validate_data_dir
from diarize.prepare.counts import (
    Counts,
    Expected,
    allowed_counts,
    check_counts,
    differences,
)
from diarize.prepare.mixdown import write_mono
from diarize.prepare.part import Clamp, CorpusRecording, join_parts, make_part
from diarize.prepare.recipe import check_parts
from diarize.prepare.splits import read_split, seeded_split, split_ids, write_split
from diarize.prepare.writer import Spoken, write_part, write_utterances
from diarize.segments import Segment


@pytest.fixture
def wavs(tmp_path):
    """Two recordings of a second."""
    for name in "ab":
        write_wav(tmp_path / f"{name}.wav", np.zeros(16000, np.float32), 16000)
    return [CorpusRecording(name, str(tmp_path / f"{name}.wav")) for name in "ba"]


def test_a_part_is_sorted_and_lies_inside_of_the_audio(wavs):
    segments = [Segment("b", 0.5, 1.25, "x"), Segment("a", 1.5, 2.0, "y"),
                Segment("a", -0.1, 0.4, "y"), Segment("a", 0.2, 0.2, "y"),
                Segment("a", 0.5, 1.0004, "z")]
    part = make_part("p", wavs, segments)
    assert [(r.id, r.duration) for r in part.recordings] == [("a", 1.0), ("b", 1.0)]
    assert part.segments == (Segment("a", 0.0, 0.4, "y"), Segment("a", 0.5, 1.0, "z"),
                             Segment("b", 0.5, 1.0, "x"))
    assert part.clamps == {"a": Clamp(1, 1, 0.6), "b": Clamp(1, 0, 0.25)}
    counts = part.counts()
    assert (counts.recordings, counts.speakers, counts.by_speakers) == (2, 3, {1: 1, 2: 1})
    assert counts.hours == pytest.approx(2 / 3600)
    # As annotated, since that is what was published.
    assert counts.reference_seconds == pytest.approx(0.75 + 0.5 + 0.5 + 0.5, abs=1e-3)
    assert part.subset(["b"], "q").clamps == {"b": Clamp(1, 0, 0.25)}


def test_overlapping_turns_of_a_speaker_count_twice(wavs):
    turns = [Segment("a", 0.0, 0.5, "x"), Segment("a", 0.25, 0.75, "x")]
    assert make_part("p", wavs, turns).counts().reference_seconds == 1.0


def test_parts_with_faults(wavs):
    with pytest.raises(DiarizeError, match="recording a occurs twice"):
        make_part("p", [*wavs, wavs[1]], [])
    with pytest.raises(DiarizeError, match="the reference of c has no audio"):
        make_part("p", wavs, [Segment("c", 0, 1, "x")])
    with pytest.raises(DiarizeError, match="ends .* before it begins"):
        make_part("p", wavs, [Segment("a", 1, 0.5, "x")])
    with pytest.raises(DiarizeError, match="recording c: /none.wav: cannot open"):
        make_part("p", [CorpusRecording("c", "/none.wav")], [])
    with pytest.raises(DiarizeError, match="recording a occurs twice"):
        join_parts("p", [make_part("1", wavs, []), make_part("2", wavs, [])])


def test_what_is_known_to_be_broken_is_not_opened(wavs):
    segments = [Segment("c", 0, 1, "x"), Segment("a", 0, 1, "x")]
    recordings = [*wavs, CorpusRecording("c", "/none.wav")]
    part = make_part("p", recordings, segments, {"c": "no", "d": "no"})
    assert part.left_out == {"c": "no"}
    assert part.ids == ["a", "b"]
    assert part.counts().left_out == 1


def test_counts_that_differ_are_named():
    counts = Counts(3, 0, speakers=4, hours=2.0, reference_seconds=100.0, by_speakers={2: 3})
    assert differences(counts, Expected(3, 4, 2, 2.015, 100.04, {2: 3, 7: 0})) == []
    assert differences(counts, Expected(4, 5, 3, 2.1, 100.1, {2: 2, 3: 1})) == [
        ("recordings", "recordings: got 3, expected 4"),
        ("speakers", "speakers: got 4, expected 5"),
        ("speakers-per-recording", "most speakers in a recording: got 2, expected 3"),
        ("hours", "hours: got 2.000, expected 2.1 (±0.021)"),
        ("reference-seconds", "reference seconds: got 100.0, expected 100.1 (±0.06)"),
        ("speakers-per-recording", "recordings by number of speakers: got 2:3, expected 2:2 3:1"),
    ]


def test_one_of_several_published_totals_or_readings_must_agree():
    counts = Counts(reference_seconds=100.0, other_readings={"with marks": 103.0})
    assert differences(counts, Expected(reference_seconds=(90.0, 100.0))) == []
    assert differences(counts, Expected(reference_seconds=103.0)) == []
    ((check, text),) = differences(counts, Expected(reference_seconds=(90.0, 110.0)))
    assert check == "reference-seconds"
    for number in ("100.0", "103.0 with marks", "90.0 or 110.0"):
        assert number in text


def test_other_counts_are_an_error_or_a_loud_warning(capsys):
    with pytest.raises(DiarizeError, match="X dev: .*recordings: got 0, expected 1.*allow-counts"):
        check_counts("X dev", Counts(), Expected(recordings=1))
    allowed = allowed_counts("recordings")
    assert check_counts("X dev", Counts(), Expected(recordings=1), allowed) == [
        "X dev: recordings: got 0, expected 1"]
    assert capsys.readouterr().err.startswith("WARNING: X dev: ")


def test_only_named_checks_may_fail():
    """One switch for all checks accepted a corpus of the wrong length beside a missing file."""
    counts, expected = Counts(recordings=9, hours=1.0), Expected(recordings=10, hours=2.0)
    with pytest.raises(DiarizeError) as caught:
        check_counts("X dev", counts, expected, allowed_counts("recordings"))
    said = str(caught.value)
    assert "hours: got 1.000" in said
    assert "recordings: got" not in said
    assert said.endswith("--allow-counts hours")
    with pytest.raises(DiarizeError, match="--allow-counts recordings,hours$"):
        check_counts("X dev", counts, expected)


@pytest.mark.parametrize("text", ["true", "hours,length", "any"])
def test_an_unknown_check_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(["ramc", "--out", "none", "--allow-counts", text])
    said = capsys.readouterr().err
    assert f"unknown check '{text.rpartition(',')[2]}'" in said
    assert "reference-seconds" in said


def test_differences_of_all_parts_are_one_error():
    part = make_part("p", [], [])
    wanted = Expected(recordings=5)
    with pytest.raises(DiarizeError, match="X: not .*train: recordings: .*; dev: recordings"):
        check_parts("X", {"train": (part, wanted), "dev": (part, wanted)}, ())


def test_a_split_follows_from_the_rule_alone(tmp_path):
    ids = [f"r{number:03d}" for number in range(50)]
    split = seeded_split(reversed(ids))
    order = sorted(ids, key=lambda name: hashlib.sha256(f"1:{name}".encode()).hexdigest())
    assert [name for name in ids if split[name] == "dev"] == sorted(order[:10])
    assert split != seeded_split(ids, seed=2)
    write_split(tmp_path / "s.txt", split, "rule")
    assert read_split(tmp_path / "s.txt") == split
    assert split_ids(ids, tmp_path / "s.txt") == split
    with pytest.raises(DiarizeError, match="r001 occurs twice"):
        seeded_split([*ids, "r001"])


def test_a_list_that_was_changed_or_does_not_fit_is_an_error(tmp_path):
    path = tmp_path / "s.txt"
    write_split(path, {"a": "train", "b": "dev"}, "rule")
    with pytest.raises(DiarizeError, match="1 recordings not listed, like c"):
        split_ids(["a", "b", "c"], path)
    with pytest.raises(DiarizeError, match="1 recordings are not there, like b"):
        split_ids(["a"], path)
    assert split_ids(["a"], path, partial=True) == {"a": "train"}
    path.write_text(path.read_text().replace("a train", "a dev"))
    with pytest.raises(DiarizeError, match="checksum"):
        read_split(path)
    path.write_text("a train\n")
    with pytest.raises(DiarizeError, match="s.txt:1: not the head"):
        read_split(path)


def files(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_a_directory_is_written_once_and_replaced_where_it_differs(wavs, tmp_path, capsys):
    out = tmp_path / "data/x"
    part = make_part("p", wavs, [Segment("a", 0.5, 1.5, "s")])
    write_part(out, part, {"mic": "mix"})
    assert validate_data_dir(out, feats=False, text=False) == []
    assert (out / "rttm").read_text() == "SPEAKER a 1 0.500 0.500 <NA> <NA> s <NA> <NA>\n"
    assert (out / "uem").read_text() == "a 1 0.000 1.000\nb 1 0.000 1.000\n"
    report = json.loads((out / "prepare.json").read_text())
    assert report["beyond_the_audio"] == {
        "turns_cut": 1, "turns_dropped": 0, "seconds": 0.5, "recordings": ["a"]}
    before = files(out)
    (out / "log").mkdir()
    write_part(out, part, {"mic": "mix"})
    (out / "log").rmdir()
    assert files(out) == before
    assert (out / "segments").read_text() == "a-s-00000500-00001000 a 0.500 1.000\n"
    assert (out / "spk2utt").read_text() == "a-s a-s-00000500-00001000\n"
    (out / "text").write_text("a a word\n")  # of another preparation
    write_part(out, part, {"mic": "mix"})
    assert not (out / "text").exists()
    write_part(out, part, {"mic": "sdm"})
    assert json.loads((out / "prepare.json").read_text())["options"] == {"mic": "sdm"}
    assert sorted(p.name for p in out.parent.iterdir()) == ["x"]
    assert "a: 1 turns cut and 0 dropped that reach beyond the audio (0.500 s)" in (
        capsys.readouterr().err)


def test_an_annotation_mostly_outside_the_audio_is_refused(wavs):
    """Times in milliseconds or samples: all turns were dropped, with exit status 0."""
    far = Segment("a", 9, 12, "s")
    for turns in ([Segment("a", 500, 3500, "s")], [Segment("a", 0.5, 1, "s"), far]):
        with pytest.raises(DiarizeError, match=r"recording a: 3.* outside the audio of 1 s"):
            make_part("p", wavs, turns)


def test_a_directory_that_somebody_else_made_stays(wavs, tmp_path):
    out = tmp_path / "x"
    out.mkdir()
    (out / "wav.scp").write_text("mine\n")
    with pytest.raises(DiarizeError, match="no preparation made it"):
        write_part(out, make_part("p", wavs, []), {})
    assert (out / "wav.scp").read_text() == "mine\n"


def test_an_invalid_directory_is_not_put_in_place(tmp_path):
    recordings = [CorpusRecording("a", str(tmp_path / "gone.wav"), 1.0)]
    with pytest.raises(DiarizeError, match="x/wav.scp:1: a: no such audio file"):
        write_part(tmp_path / "x", make_part("p", recordings, []), {})
    assert list(tmp_path.iterdir()) == []


def test_utterances_with_segments_and_without(wavs, tmp_path):
    spoken = [Spoken("s-a", "s", "a", 0.25, 1.5, "hi", "eng"),
              Spoken("t-b", "t", "b", 0.0, 0.5, "x", "deu")]
    known = [recording._replace(duration=1.0) for recording in wavs]
    counts = write_utterances(tmp_path / "u", known, spoken, {})
    assert counts.reference_seconds == 1.25
    assert (tmp_path / "u/segments").read_text() == "s-a a 0.250 1.000\nt-b b 0.000 0.500\n"
    assert (tmp_path / "u/utt2lang").read_text() == "s-a eng\nt-b deu\n"
    write_utterances(tmp_path / "v", wavs, [Spoken("a", "a", "a"), Spoken("b", "b", "b")], {})
    names = {p.name for p in (tmp_path / "v").iterdir()}
    assert names == {"wav.scp", "utt2spk", "spk2utt", "prepare.json"}
    with pytest.raises(DiarizeError, match="t-b has no text, though others have"):
        write_utterances(tmp_path / "w", known, [spoken[0], spoken[1]._replace(text="")], {})
    with pytest.raises(DiarizeError, match="s-a occurs twice"):
        write_utterances(tmp_path / "w", known, [spoken[0], spoken[0]], {})


def test_channels_and_files_become_one(tmp_path):
    left, right = np.full(9, 0.5), np.full(9, -0.25)
    soundfile.write(tmp_path / "s.wav", np.stack([left, right], 1), 8000)
    soundfile.write(tmp_path / "t.wav", np.full(4, 0.75), 8000)
    sources = [tmp_path / "s.wav", tmp_path / "t.wav"]
    assert write_mono(tmp_path / "mean.wav", sources, "mean") == 1.0
    mean, _ = soundfile.read(tmp_path / "mean.wav")
    np.testing.assert_allclose(mean, [1 / 3] * 4 + [0.25 / 3] * 5, atol=1 / 32768)
    loud = [tmp_path / "t.wav"] * 2
    assert write_mono(tmp_path / "sum.wav", loud, "sum") == pytest.approx(1 / 1.5, rel=1e-4)
    assert soundfile.read(tmp_path / "sum.wav")[0].max() < 1
    write_mono(tmp_path / "one.wav", [tmp_path / "s.wav"], "1")
    np.testing.assert_allclose(soundfile.read(tmp_path / "one.wav")[0], right)
    with pytest.raises(DiarizeError, match="no channel 2: it has 2, from 0"):
        write_mono(tmp_path / "two.wav", [tmp_path / "s.wav"], "2")
    soundfile.write(tmp_path / "u.wav", left, 16000)
    with pytest.raises(DiarizeError, match="8000, 16000"):
        write_mono(tmp_path / "bad.wav", [tmp_path / "s.wav", tmp_path / "u.wav"], "sum")
