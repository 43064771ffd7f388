"""Reference of a directory: recordings as speakers, turns beyond the audio, utterances of turns."""

import numpy as np
import pytest
import soundfile

from diarize.errors import DiarizeError
from diarize.io.table import read_table, write_table
from diarize.io.uem import read_uem
from diarize.kaldi.complete import write_segments
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.reference import Overshoot, turn_tables
from diarize.kaldi.validate import validate_data_dir
from diarize.segments import Segment

TURN = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n"


@pytest.fixture
def make(tmp_path):
    """A function that writes a data directory of two recordings of 10 s, and the given files."""

    def write(**files):
        path = tmp_path / "data"
        path.mkdir(exist_ok=True)
        for name in ("r1", "r2"):
            soundfile.write(path / f"{name}.wav", np.zeros(80000), 8000)
        (path / "wav.scp").write_text("r1 r1.wav\nr2 r2.wav\n")
        for name, text in files.items():
            (path / name.replace("_dot_", ".")).write_text(text)
        return path

    return write


def loose(path):
    return validate_data_dir(path, feats=False, text=False, spk_sort=False)


# Recordings as speakers


RECORDINGS_AS_SPEAKERS = {
    "segments": "r1-0 r1 0 2\nr1-1 r1 2 4\nr2-0 r2 1 2\n",
    "utt2spk": "r1-0 r1\nr1-1 r1\nr2-0 r2\n",
}


@pytest.mark.parametrize("counts", [{}, {"reco2num_spk": "r1 2\nr2 2\n"}])
def test_the_recording_as_speaker_is_refused(script, make, counts):
    """Stage 2 made an RTTM of one speaker per recording out of such a directory."""
    turn = TURN.format("r1", 0, 2, "A")
    path = make(**RECORDINGS_AS_SPEAKERS, **counts, rttm_dot_annotation=turn)
    done = script("datadir.sh", "prepare", "--reference", path)
    assert done.returncode == 1
    assert f"{path}/{'reco2num_spk:1' if counts else 'utt2spk'}: recording r1" in done.stderr
    assert "rttm.annotation" in done.stderr
    assert not (path / "rttm").exists()
    with pytest.raises(DiarizeError, match="2 such recordings"):
        DataDir.load(path, need_reference=True).reference()


def test_real_single_speakers_are_accepted(make):
    path = make(**RECORDINGS_AS_SPEAKERS, reco2num_spk="r1 1\nr2 1\n")
    assert DataDir.load(path).reference()["r2"] == [Segment("r2", 1.0, 2.0, "r2")]
    path = make(utt2spk="r1-0 ann\nr1-1 ann\nr2-0 bob\n")
    (path / "reco2num_spk").unlink()
    assert DataDir.load(path).reference()["r2"] == [Segment("r2", 1.0, 2.0, "bob")]


def test_one_speaker_where_several_are_counted_is_refused(make):
    """A part of the utterances of a recording is no reference of it either."""
    path = make(segments="a-1 r1 0 1\nb-2 r2 0 1\n", utt2spk="a-1 a\nb-2 b\n",
                reco2num_spk="r1 1\nr2 3\n")  # fmt: skip
    with pytest.raises(DiarizeError, match=r"reco2num_spk:2: recording r2.* says 3"):
        DataDir.load(path).reference()


def test_an_rttm_made_of_recordings_as_speakers_is_a_fault(make):
    turns = TURN.format("r1", 0, 4, "r1")
    path = make(rttm=turns, reco2num_spk="r1 2\nr2 0\n", utt2spk="r1 r1\nr2 r2\n",
                spk2utt="r1 r1\nr2 r2\n")  # fmt: skip
    assert any("reco2num_spk:1: recording r1" in fault for fault in loose(path))
    with pytest.raises(DiarizeError, match="reco2num_spk:1"):
        DataDir.load(path).reference()
    (path / "reco2num_spk").write_text("r1 1\nr2 0\n")
    assert loose(path) == []


# Turns beyond the audio


@pytest.mark.parametrize("reco2dur", ["r1 10.000\nr2 10.000\n", None])
@pytest.mark.parametrize(
    ("turn", "line"), [(("r1", 16000, 32000, "x"), 2), (("r1", 500, 3000, "x"), 2),
                       (("r2", 9, 1.6, "x"), 2), (("r1", -1, 3, "x"), 2)]
)  # fmt: skip
def test_turns_beyond_the_audio_are_refused(script, make, turn, line, reco2dur):
    """In samples, in milliseconds, of another audio; with and without reco2dur."""
    path = make(rttm=TURN.format("r1", 1, 2, "x") + TURN.format(*turn),
                utt2spk="r1 r1\nr2 r2\n", spk2utt="r1 r1\nr2 r2\n")  # fmt: skip
    if reco2dur:
        (path / "reco2dur").write_text(reco2dur)
    where = f"{path}/rttm:{line}: turn ["
    assert [fault for fault in loose(path) if fault.startswith(where)]
    with pytest.raises(DiarizeError, match=rf"rttm:{line}: turn .*\(1 of 2 turns are\)"):
        DataDir.load(path).reference()
    done = script("datadir.sh", "prepare", "--reference", path)
    assert done.returncode == 1
    assert where in done.stderr


def test_small_overshoots_are_cut_and_counted(script, make):
    path = make(rttm=TURN.format("r1", 9, 1.25, "x") + TURN.format("r2", 10.1, 0.3, "y")
                + TURN.format("r2", 1, 9.0004, "y"))  # fmt: skip
    done = script("datadir.sh", "prepare", "--reference", path)
    assert done.returncode == 0, done.stderr
    assert f"{path}/rttm: 1 turns cut and 1 dropped beyond the audio (0.550 s)" in done.stderr
    reference, overshoot = DataDir.load(path).reference_and_overshoot()
    assert reference == {"r1": [Segment("r1", 9, 10, "x")], "r2": [Segment("r2", 1, 10, "y")]}
    assert overshoot[:2] == Overshoot(1, 1)[:2]
    assert overshoot.seconds == pytest.approx(0.55)


@pytest.mark.parametrize("reco2dur", ["r1 10.000\nr2 10.000\n", None])
def test_segments_beyond_the_audio_are_refused(script, make, reco2dur):
    """In milliseconds: without reco2dur nobody spoke, and an RTTM was written."""
    path = make(segments="ann-1 r1 500 3500\nbob-1 r2 0 2\n", utt2spk="ann-1 ann\nbob-1 bob\n",
                spk2utt="ann ann-1\nbob bob-1\n")  # fmt: skip
    if reco2dur:
        (path / "reco2dur").write_text(reco2dur)
    where = f"{path}/segments:1: ann-1: [500, 3500) s"
    assert [fault for fault in loose(path) if fault.startswith(where)]
    with pytest.raises(DiarizeError, match=r"segments:1: ann-1: \[500, 3500\)"):
        DataDir.load(path).reference()
    for command in (("reference",), ("prepare", "--reference")):
        done = script("datadir.sh", *command, path)
        assert done.returncode == 1
        assert where in done.stderr
        assert not (path / "rttm").exists()


@pytest.mark.parametrize(("start", "fault"), [(9.7, False), (9.9, True)])
def test_annotation_mostly_in_the_tolerance_is_refused(make, start, fault):
    """Each turn would be cut or dropped with a notice, until nobody speaks."""
    turns = {"rttm": TURN.format("r1", start, 0.5, "A"), "utt2spk": "r1 r1\nr2 r2\n"}
    utts = {"segments": f"ann-1 r1 {start} {start + 0.5}\nbob-1 r2 0 2\n",
            "utt2spk": "ann-1 ann\nbob-1 bob\n"}  # fmt: skip
    for files in (turns, utts):
        path = make(**files)
        name = next(iter(files))
        found = [f for f in loose(path) if f.startswith(f"{path}/{name}: recording r1: 0.4 of 0.5")]
        assert len(found) == fault
        if fault:
            with pytest.raises(DiarizeError, match=rf"{name}: recording r1: .* audio of 10 s"):
                DataDir.load(path).reference()
        else:
            assert DataDir.load(path).reference()["r1"]
        (path / name).unlink()


def test_annotation_without_length_is_refused(make):
    path = make(rttm=TURN.format("r1", 3, 0, "A") + TURN.format("r2", 3, 1, "A"))
    with pytest.raises(DiarizeError, match="rttm: recording r1: .* no length"):
        DataDir.load(path).reference()
    assert any("recording r1" in fault for fault in loose(path))


def test_a_region_after_the_end_is_a_fault(make):
    path = make(uem="r1 1 0 10\nr2 1 12 13\n", reco2dur="r1 10\nr2 10\n",
                utt2spk="r1 r1\nr2 r2\n", spk2utt="r1 r1\nr2 r2\n")  # fmt: skip
    assert [fault.split(":")[1] for fault in loose(path)] == ["2"]


# Turns as utterances


TURNS = [("r1", 0.5, 2.0, "A"), ("r1", 2.0, 1.0, "B"), ("r2", 0.0, 1.0, "A"), ("r2", 0.5, 2, "A")]


def test_segments_are_made_from_the_rttm(script, make):
    path = make(rttm="".join(TURN.format(*turn) for turn in TURNS), utt2spk="r1 r1\nr2 r2\n")
    done = script("datadir.sh", "prepare", "--reference", path)
    assert done.returncode == 0, done.stderr
    assert read_table(path / "segments", check_sorted=True) == {
        "r1-A-00000500-00002500": "r1 0.500 2.500",
        "r1-B-00002000-00003000": "r1 2.000 3.000",
        "r2-A-00000000-00002500": "r2 0.000 2.500",
    }
    assert (path / "spk2utt").read_text().split()[::2] == ["r1-A", "r1-B", "r2-A"]
    assert read_uem(path / "uem") == {"r1": [(0.0, 10.0)], "r2": [(0.0, 10.0)]}
    assert validate_data_dir(path, feats=False, text=False) == []
    names = ("segments", "utt2spk", "spk2utt", "reco2dur")
    before = [(path / name).stat().st_mtime_ns for name in names]
    assert script("datadir.sh", "prepare", "--reference", path).returncode == 0
    assert [(path / name).stat().st_mtime_ns for name in names] == before
    (path / "rttm").write_text(TURN.format("r1", 0, 1, "C") + TURN.format("r2", 0, 1, "C"))
    assert script("datadir.sh", "prepare", "--reference", path).returncode == 0
    assert list(read_table(path / "segments")) == [
        "r1-C-00000000-00001000", "r2-C-00000000-00001000"
    ]  # fmt: skip


def test_segments_of_another_origin_stay(make):
    files = {"segments": "ann-1 r1 0 2\nbob-1 r2 0 2\n", "utt2spk": "ann-1 ann\nbob-1 bob\n"}
    path = make(rttm=TURN.format("r1", 1, 2, "x"), **files)
    assert write_segments(path) == []
    assert {name: (path / name).read_text() for name in files} == files
    (path / "segments").unlink()
    (path / "utt2spk").write_text("r1 ann\nr2 bob\n")
    assert write_segments(path) == []
    assert not (path / "segments").exists()


def test_languages_get_utt2lang(make):
    path = make(rttm=TURN.format("r1", 0, 1, "hi") + TURN.format("r2", 0, 1, "en"))
    write_segments(path, "language")
    assert set(read_table(path / "utt2lang").values()) == {"hi", "en"}
    assert DataDir.load(path).reference("language")["r1"] == [Segment("r1", 0, 1, "hi")]


def test_recordings_without_speech_are_said_and_valid(script, make):
    path = make(rttm=TURN.format("r1", 0, 1, "A"))
    done = script("datadir.sh", "prepare", "--reference", path)
    assert done.returncode == 0, done.stderr
    assert "1 recordings without speech, such as r2" in done.stderr
    assert loose(path) == []
    (path / "uem").unlink()
    assert loose(path) == [f"{path}/wav.scp:2: r2 has no line in segments"]


def test_an_interrupted_stage_2_is_completed(make):
    """The tables are written one after the other; each state in between can be gone on from."""
    path = make(rttm="".join(TURN.format(*turn) for turn in TURNS))
    write_segments(path)
    (path / "utt2spk").unlink()
    (path / "spk2utt").unlink()
    write_segments(path)
    assert validate_data_dir(path, feats=False, text=False) == []


@pytest.mark.parametrize("labels", [("a", "a-b", "a.b"), ("a", "a#", "a+"), ("a", "a-0", "a-1-2")])
def test_utterances_are_sorted_by_speaker(labels, tmp_path):
    """Kaldi sorts by utterance and by speaker, and both have to agree."""
    turns = [Segment(reco, i, i + 0.5, label)
             for reco in ("r", "r-a", "r0") for i, label in enumerate(labels)]  # fmt: skip
    for name, table in turn_tables(turns).items():
        write_table(tmp_path / name, table)
    lines = (tmp_path / "utt2spk").read_text().splitlines()
    assert len(lines) == 9
    assert [line.split()[1] for line in lines] == sorted(line.split()[1] for line in lines)


def test_kaldi_validates_the_segments(script, kaldi, make):
    path = make(rttm="".join(TURN.format(*turn) for turn in TURNS))
    assert script("datadir.sh", "prepare", "--reference", path).returncode == 0
    done = script("validate_data_dir.sh", "--no-feats", "--no-text", path, kaldi=kaldi)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Successfully validated" in done.stdout
