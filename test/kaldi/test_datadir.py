"""Data directories: what the tables say, and each disagreement named by file and line."""

import numpy as np
import pytest
import soundfile

from diarize.bin import datadir
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.io.table import line_numbers, write_table
from diarize.kaldi import tables, validate
from diarize.kaldi.datadir import DataDir, Utterance
from diarize.segments import Segment

TABLES = {
    "wav.scp": "rec1 wav/rec1.wav\nrec2 wav/rec2.wav\n",
    "segments": "ann-rec1-0 rec1 0.5 1.25\nbob-rec1-0 rec1 1.0 2.0\nbob-rec2-0 rec2 0.0 1.5\n",
    "utt2spk": "ann-rec1-0 ann\nbob-rec1-0 bob\nbob-rec2-0 bob\n",
    "spk2utt": "ann ann-rec1-0\nbob bob-rec1-0 bob-rec2-0\n",
    "utt2lang": "ann-rec1-0 en\nbob-rec1-0 cy\nbob-rec2-0 en\n",
    "text": "ann-rec1-0 hello there\nbob-rec1-0\nbob-rec2-0 ok\n",
    "utt2dur": "ann-rec1-0 0.75\nbob-rec1-0 1.0\nbob-rec2-0 1.5\n",
    "reco2dur": "rec1 2.0\nrec2 1.5\n",
    "reco2num_spk": "rec1 2\nrec2 1\n",
}


@pytest.fixture
def make(tmp_path):
    """A function that writes the tables above, some replaced or (None) left out."""

    def write(audio=False, **changes):
        changes = {name.replace("_scp", ".scp"): text for name, text in changes.items()}
        for name, text in (TABLES | changes).items():
            if text is not None:
                (tmp_path / name).write_text(text)
        if audio:
            (tmp_path / "wav").mkdir()
            for name, seconds in (("rec1", 2), ("rec2", 1.5)):
                samples = np.full(int(8000 * seconds), 0.25)
                soundfile.write(tmp_path / "wav" / f"{name}.wav", samples, 8000)
        return tmp_path

    return write


def test_tables_and_utterances(make):
    data = DataDir.load(make())
    assert data.recordings == ["rec1", "rec2"]
    assert data.wav_scp == {"rec1": "wav/rec1.wav", "rec2": "wav/rec2.wav"}
    assert data.utterances == [
        Utterance("ann-rec1-0", "rec1", 0.5, 1.25, "ann"),
        Utterance("bob-rec1-0", "rec1", 1.0, 2.0, "bob"),
        Utterance("bob-rec2-0", "rec2", 0.0, 1.5, "bob"),
    ]
    assert data.text["bob-rec1-0"] == ""
    assert data.utt2lang["bob-rec1-0"] == "cy"
    assert data.spk2utt["bob"] == "bob-rec1-0 bob-rec2-0"
    assert (data.reco2num_spk["rec1"], data.utt2dur["ann-rec1-0"]) == ("2", "0.75")
    assert (data.rttm, data.uem, data.evaluated()) == (None, None, None)


def test_without_segments_an_utterance_is_a_recording(tmp_path):
    write_table(tmp_path / "wav.scp", {"a1": "a1.wav", "b1": "b1.wav"})
    assert DataDir.load(tmp_path).utterances == [
        Utterance("a1", "a1", 0.0, None, ""),
        Utterance("b1", "b1", 0.0, None, ""),
    ]
    write_table(tmp_path / "utt2spk", {"a1": "a", "b1": "b"})
    assert [utt.speaker for utt in DataDir.load(tmp_path).utterances] == ["a", "b"]


def test_audio_is_found_beside_the_tables_and_named_by_recording(make, monkeypatch):
    path = make(audio=True)
    data = DataDir.load(path)
    assert data.source("rec1").info().num_samples == 16000
    assert len(read_audio(data.source("rec1"))) == 32000
    monkeypatch.chdir(path.parent)
    assert len(read_audio(DataDir.load(path.name).source("rec1"), 0, 100)) == 100
    (path / "wav" / "rec2.wav").unlink()
    with pytest.raises(DiarizeError, match=r"^recording rec2: wav/rec2\.wav: cannot open it"):
        read_audio(data.source("rec2"))
    with pytest.raises(DiarizeError, match=r"wav\.scp: no recording rec3"):
        data.source("rec3")


def test_pipes_only_where_allowed(make, tmp_path):
    command = f"cat {tmp_path}/wav/rec1.wav |"
    path = make(audio=True, wav_scp=f"rec1 {command}\nrec2 wav/rec2.wav\n")
    assert len(read_audio(DataDir.load(path, allow_pipes=True).source("rec1"))) == 32000
    with pytest.raises(DiarizeError, match=r"recording rec1: .*not run unless allowed"):
        read_audio(DataDir.load(path).source("rec1"))


def test_duration_from_the_table_else_from_the_header(make):
    assert DataDir.load(make(audio=True, reco2dur="rec1 2.1\nrec2 1.6\n")).duration("rec2") == 1.6
    path = make()
    (path / "reco2dur").unlink()
    assert DataDir.load(path).duration("rec2") == 1.5


# The reference


def test_reference_from_segments(make):
    data = DataDir.load(make(), need_reference=True)
    assert data.reference() == {
        "rec1": [Segment("rec1", 0.5, 1.25, "ann"), Segment("rec1", 1.0, 2.0, "bob")],
        "rec2": [Segment("rec2", 0.0, 1.5, "bob")],
    }


def test_reference_joins_what_overlaps_of_one_label(make):
    data = DataDir.load(make(utt2lang="ann-rec1-0 en\nbob-rec1-0 en\nbob-rec2-0 cy\n"))
    assert data.reference("language") == {
        "rec1": [Segment("rec1", 0.5, 2.0, "en")],
        "rec2": [Segment("rec2", 0.0, 1.5, "cy")],
    }


def test_reference_from_rttm_goes_before_segments(make):
    path = make(rttm="SPEAKER rec1 1 0.250 1.000 <NA> <NA> eve <NA> <NA>\n", uem="rec1 1 0 2\n")
    data = DataDir.load(path, need_reference=True)
    assert data.reference() == {"rec1": [Segment("rec1", 0.25, 1.25, "eve")], "rec2": []}
    assert data.evaluated() == {"rec1": [(0.0, 2.0)]}


def test_reference_of_an_unknown_recording(make):
    path = make(rttm="SPEAKER rec9 1 0.250 1.000 <NA> <NA> eve <NA> <NA>\n")
    with pytest.raises(DiarizeError, match="rttm:1: recording rec9 is not in"):
        DataDir.load(path).reference()


@pytest.mark.parametrize("missing", ["segments", "utt2spk"])
def test_no_reference(tmp_path, missing):
    for name in {"wav.scp", "segments", "utt2spk"} - {missing}:
        (tmp_path / name).write_text(TABLES[name])
    if missing == "segments":
        (tmp_path / "utt2spk").write_text("rec1 ann\nrec2 bob\n")
    assert DataDir.load(tmp_path).recordings == ["rec1", "rec2"]
    with pytest.raises(DiarizeError, match="neither rttm nor segments with utt2spk"):
        DataDir.load(tmp_path, need_reference=True)
    with pytest.raises(DiarizeError, match="no reference"):
        DataDir.load(tmp_path).reference()


# Faults


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"wav_scp": "rec2 a\nrec1 b\n"}, "wav.scp:2", "not sorted"),
        ({"wav_scp": "rec1 a\nrec1 b\n"}, "wav.scp:2", "already on line 1"),
        ({"wav_scp": "rec1 a\nrec2\n"}, "wav.scp:2", "no value"),
        ({"wav_scp": ""}, "wav.scp", "is empty"),
        ({"text": ""}, "text", "is empty"),
        ({"utt2spk": "ann-rec1-0 ann b\n"}, "utt2spk:1", "3 fields instead of 2"),
        ({"segments": "a rec1 0\n"}, "segments:1", "3 fields instead of 4"),
        ({"segments": "a rec1 1 1\n"}, "segments:1", "start .* end"),
        ({"segments": "a rec1 0 1\nb rec1 2.0 1.5\n"}, "segments:2", "start .* end"),
        ({"segments": "a rec1 -1 1\n"}, "segments:1", "start .* end"),
        ({"segments": "a rec1 0 x\n"}, "segments:1", "start .* end"),
        ({"segments": "a rec1 nan 1\n"}, "segments:1", "start .* end"),
        ({"segments": "a rec1 0 inf\n"}, "segments:1", "start .* end"),
        ({"segments": "a rec1 0 1\nb rec9 0 1\n"}, "segments:2", "recording rec9 is not in"),
        ({"segments": "a rec1 0 2.6\n"}, "segments:1", "2.6.* beyond the end of rec1"),
        ({"reco2dur": "rec1 2\n"}, "wav.scp:2", "rec2 is not in .*reco2dur"),
        ({"reco2dur": "rec1 2\nrec2 2\nrec3 2\n"}, "reco2dur:3", r"rec3 is not in wav\.scp"),
        ({"reco2dur": "rec1 2\nrec2 -2\n"}, "reco2dur:2", "-2.* is not a positive number"),
        ({"reco2num_spk": "rec1 two\nrec2 1\n"}, "reco2num_spk:1", "two.* is not a number of"),
        ({"utt2spk": "ann-rec1-0 ann\nbob-rec1-0 bob\n"}, "segments:3", "is not in .*utt2spk"),
        ({"utt2lang": TABLES["utt2lang"] + "eve en\n"}, "utt2lang:4", "eve is not in .*segments"),
        ({"spk2utt": "ann ann-rec1-0 bob-rec1-0\nbob bob-rec2-0\n"}, "spk2utt:1", "not of this"),
        ({"spk2utt": "ann ann-rec1-0\nbob bob-rec1-0\n"}, "utt2spk:3", "not in spk2utt"),
        ({"text": "ann-rec1-0 hello"}, "text:1", "cut short"),
    ],
)
def test_faults_name_file_and_line(make, changes, where, reason):
    path = make(**changes)
    with pytest.raises(DiarizeError, match=reason) as caught:
        DataDir.load(path)
    assert str(caught.value).startswith(f"{path}/{where}: ")


def test_segments_may_end_half_a_second_late_as_in_kaldi(make):
    text = TABLES["segments"].replace("1.0 2.0", "1.0 2.5")
    assert DataDir.load(make(segments=text)).utterances[1].end == 2.5


def test_not_a_data_directory(tmp_path):
    with pytest.raises(DiarizeError, match="none: no such data directory"):
        DataDir.load(tmp_path / "none")
    with pytest.raises(DiarizeError, match=r"not a data directory: it has no wav\.scp"):
        DataDir.load(tmp_path)


def test_a_hundred_thousand_utterances_load(tmp_path):
    number = 100_000
    ids = [f"spk{i // 20:05d}-{i:07d}" for i in range(number)]
    rows = {f"r{i:05d}": f"/audio/r{i:05d}.wav" for i in range(number // 10)}
    write_table(tmp_path / "wav.scp", rows)
    write_table(tmp_path / "utt2spk", {utt: utt[:8] for utt in ids})
    times = [f"r{i // 10:05d} {i % 10}.25 {i % 10}.75" for i in range(number)]
    write_table(tmp_path / "segments", dict(zip(ids, times, strict=True)))
    data = DataDir.load(tmp_path, need_reference=True)
    assert len(data.utterances) == number
    assert data.utterances[-1] == Utterance(ids[-1], "r09999", 9.25, 9.75, "spk04999")
    assert sum(map(len, data.reference().values())) == number


def test_many_faults_take_one_more_reading_of_a_table(tmp_path, monkeypatch):
    """A search for the line of each fault would be quadratic at 100,000 lines."""
    number = 3000
    write_table(tmp_path / "wav.scp", {"r": "x.wav"})
    utts = [f"s-{i:05d}" for i in range(number)]
    write_table(tmp_path / "utt2spk", dict.fromkeys(utts, "s"))
    write_table(tmp_path / "segments", {utt: f"r 0 {i}.5" for i, utt in enumerate(utts)})
    write_table(tmp_path / "text", {f"x-{i:05d}": "word" for i in range(number)})
    read: list[str] = []

    def counted(path):
        read.append(path.name)
        return line_numbers(path)

    monkeypatch.setattr(tables, "line_numbers", counted)
    faults = validate.validate_data_dir(tmp_path, feats=False)
    assert len([fault for fault in faults if "is not in" in fault]) == 2 * number
    assert f"{tmp_path}/text:3000: x-02999 is not in segments; utils/fix" in faults[number]
    assert len(read) == len(set(read))


def test_the_end_minus_one_is_the_end_of_the_recording(make):
    """As Kaldi's extract-segments reads it; it was an error."""
    path = make(segments=TABLES["segments"].replace("1.0 2.0", "1.0 -1"))
    assert DataDir.load(path).utterances[1].end == 2.0
    assert DataDir.load(path).reference()["rec1"][1] == Segment("rec1", 1.0, 2.0, "bob")


# Real directories


@pytest.mark.parametrize(
    ("folder", "recordings", "speakers"),
    [
        ("speechocean762_train", 2500, 125),
        ("fsdd_train", 2000, 4),
        ("libri_small/data_train_clean_100", 252, 251),
        ("ami_excerpts/dev", 2, 2),
    ],
)
def test_shared_directories_load(shared_data, folder, recordings, speakers, monkeypatch):
    monkeypatch.chdir(shared_data / folder.split("/")[0])
    data = DataDir.load(shared_data / folder)
    assert len(data.recordings) == recordings
    assert len({utt.speaker for utt in data.utterances}) == speakers
    name = data.recordings[-1]
    assert data.source(name).info().duration == pytest.approx(data.duration(name), abs=0.011)


def test_ami_reference_agrees_with_its_segments(shared_data):
    data = DataDir.load(shared_data / "ami_excerpts" / "dev", need_reference=True)
    from_rttm = data.reference()
    assert set(from_rttm) == {"dev00", "dev01"}
    utterances = {(u.recording, u.start, u.end, u.speaker) for u in data.utterances}
    assert from_rttm["dev00"][0] == Segment("dev00", 1.44, 13.312, "MEE009")
    assert ("dev00", 1.44, 13.312, "MEE009") in utterances
    assert data.evaluated() == {"dev00": [(0.0, 30.0)], "dev01": [(0.0, 30.0)]}


TURN = "SPEAKER r 1 0 1 <NA> <NA> ann <NA> <NA>\n"
SEGMENTS = {"segments": "x-1 r 0 1\n", "utt2spk": "x-1 ann\n"}
KALDI_FILES = ("feats.scp", "text", "spk2utt")


@pytest.mark.parametrize(("files", "missing"), [
    ({}, {"train": ["no reference"], "infer": [], "kaldi": [*KALDI_FILES, "utt2spk"]}),
    ({"rttm": TURN}, {"train": [], "infer": [], "kaldi": [*KALDI_FILES, "utt2spk"]}),
    (SEGMENTS, {"train": [], "infer": [], "kaldi": [*KALDI_FILES, "no prefix"]}),
])  # fmt: skip
def test_each_purpose_has_its_requirements(tmp_path, capsys, files, missing):
    """feats.scp, text and spk2utt were required of directories that all commands accept."""
    soundfile.write(tmp_path / "r.wav", np.zeros(16000), 8000)
    for name, text in {"wav.scp": f"r {tmp_path}/r.wav\n", **files}.items():
        (tmp_path / name).write_text(text)
    for purpose, keys in missing.items():
        options = [] if purpose == "train" else ["--for", purpose]
        status = datadir.main(["validate", *options, str(tmp_path)])
        lines = capsys.readouterr().err.splitlines()[:-1]
        assert status == bool(keys)
        assert len(lines) == len(keys)
        assert all(any(key in line for line in lines) for key in keys)
    if files:
        DataDir.load(tmp_path, need_reference=True).reference()


def test_a_table_that_exists_is_checked_for_every_purpose(tmp_path, capsys):
    soundfile.write(tmp_path / "r.wav", np.zeros(16000), 8000)
    for name, text in {"wav.scp": f"r {tmp_path}/r.wav\n", "rttm": TURN, "text": "q hello\n",
                       "feats.scp": "r a.ark:1\n"}.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    for purpose in validate.PURPOSES:
        assert datadir.main(["validate", "--for", purpose, str(tmp_path)]) == 1
        assert f"{tmp_path}/text:1: q is not in wav.scp" in capsys.readouterr().err


def test_the_script_with_the_name_of_kaldi_has_its_rule(script, tmp_path):
    soundfile.write(tmp_path / "r.wav", np.zeros(16000), 8000)
    for name, text in {"wav.scp": f"r {tmp_path}/r.wav\n", "rttm": TURN}.items():
        (tmp_path / name).write_text(text)
    done = script("validate_data_dir.sh", "--no-text", tmp_path)
    assert done.returncode == 1
    assert "feats.scp" in done.stderr
    assert script("validate_data_dir.sh", "--for", "train", tmp_path).returncode == 0
