"""Own data: a folder of audio and a folder of RTTM, good and bad."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diarize.bin.prepare import main
from diarize.io.audio import read_audio, write_wav
from diarize.io.rttm import read_rttm
from diarize.kaldi.datadir import DataDir
from diarize.prepare.groups import groups_of, split_groups
from diarize.prepare.splits import read_split

ROOT = Path(__file__).parents[2]
SPEAKERS = {"m1": "ann bob", "m2": "bob cid", "m3": "dan", "m4": "eve", "m5": "fay gus"}


def line(recording, start, duration, speaker):
    return f"SPEAKER {recording} 1 {start} {duration} <NA> <NA> {speaker} <NA> <NA>\n"


@pytest.fixture
def folders(tmp_path):
    """Audio and RTTM of five recordings, of which m1 and m2 share a speaker."""
    audio, rttm = tmp_path / "audio" / "day1", tmp_path / "rttm"
    audio.mkdir(parents=True)
    rttm.mkdir()
    for name, speakers in SPEAKERS.items():
        write_wav(audio / f"{name}.wav", np.zeros(32000, np.float32), 16000)
        lines = [line(name, 0.2 * i, 1, who) for i, who in enumerate(speakers.split())]
        (rttm / f"{name}.rttm").write_text("".join(lines))
    return tmp_path


def prepare(folders, *more):
    where = ["--audio", str(folders / "audio"), "--rttm", str(folders / "rttm")]
    return main(["folders", "--out", str(folders / "data"), *where, *more])


def sets(folders):
    names = ("train", "dev", "test")
    return {n: DataDir.load(folders / "data" / n).recordings for n in names
            if (folders / "data" / n).exists()}


def test_no_recording_and_no_speaker_is_in_two_sets(folders):
    assert prepare(folders, "--dev-share", "0.2", "--test-share", "0.2") == 0
    found = sets(folders)
    assert sorted(name for names in found.values() for name in names) == sorted(SPEAKERS)
    assert [len(found[name]) for name in ("train", "dev", "test")] == [3, 1, 1]
    assert any({"m1", "m2"} <= set(names) for names in found.values())
    assert (folders / "data/train/uem").read_text().splitlines()[0].endswith("1 0.000 2.000")


def test_twice_is_the_same_and_the_list_can_be_given(folders):
    assert prepare(folders, "--dev-share", "0.2") == 0
    first = (folders / "data/split.list").read_bytes()
    times = (folders / "data/train/rttm").stat().st_mtime_ns
    assert prepare(folders, "--dev-share", "0.2") == 0
    assert (folders / "data/split.list").read_bytes() == first
    assert (folders / "data/train/rttm").stat().st_mtime_ns == times
    kept = folders / "mine.list"
    kept.write_bytes(first)
    before = sets(folders)
    assert prepare(folders, "--seed", "7", "--split", str(kept)) == 0
    assert sets(folders) == before
    assert read_split(folders / "data/split.list") == read_split(kept)


def test_groups_of_a_list_stay_together(folders):
    groups = folders / "groups"
    groups.write_text("m1 a\nm2 b\nm3 c\nm4 c\nm5 c\n")
    same = ("--groups", str(groups), "--dev-share", "0.3", "--test-share", "0")
    assert prepare(folders, *same) == 0
    assert sorted(map(sorted, sets(folders).values())) == [["m1", "m2"], ["m3", "m4", "m5"]]
    groups.write_text("m1 a\n")
    assert prepare(folders, *same) == 1


def test_list_that_tears_a_speaker_apart(folders, capsys):
    listed = folders / "list"
    listed.write_text("m1 train\nm2 test\n")
    assert prepare(folders, "--split", str(listed)) == 1
    assert "m2 (test) and m1 (train) share a speaker" in capsys.readouterr().err
    assert not (folders / "data").exists() or not sets(folders)
    assert prepare(folders, "--split", str(listed), "--speakers", "local") == 0
    assert "1 labels are in more than one set, such as bob" in capsys.readouterr().err
    assert "m1" in sets(folders)["train"]
    assert "m2" in sets(folders)["test"]


def test_labels_that_say_nothing(folders, capsys):
    for name in SPEAKERS:
        (folders / "rttm" / f"{name}.rttm").write_text(line(name, 0, 1, "spk1"))
    assert prepare(folders) == 1
    err = capsys.readouterr().err
    assert "cannot provide dev, test, train one each" in err
    assert "--speakers local" in err
    assert prepare(folders, "--speakers", "local") == 0


def audio_too_much(folders):
    write_wav(folders / "audio" / "m9.wav", np.zeros(16000, np.float32), 16000)


def rttm_too_much(folders):
    (folders / "rttm/m9.rttm").write_text(line("m9", 0, 1, "zoe"))


def other_name(folders):
    (folders / "rttm/m3.rttm").write_text(line("meeting-3", 0, 1, "dan"))


def twice(folders):
    write_wav(folders / "audio" / "m1.wav", np.zeros(16000, np.float32), 16000)


def labelled_twice(folders):
    (folders / "rttm/again.rttm").write_text(line("m1", 0, 1, "ann"))


def blank(folders):
    write_wav(folders / "audio" / "my meeting.wav", np.zeros(16000, np.float32), 16000)


def bad_line(folders):
    (folders / "rttm/m3.rttm").write_text("SPEAKER m3 1 0 x <NA> <NA> dan <NA> <NA>\n")


def no_audio_file(folders):
    (folders / "audio/day1/m3.wav").write_text("not audio")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (audio_too_much, "recording m9: audio ("),
        (rttm_too_much, "recording m9: an RTTM ("),
        (other_name, "there is audio of the file's name, m3: --names files"),
        (twice, "recording m1 occurs twice"),
        (labelled_twice, "recording m1 is labelled twice"),
        (blank, "must not have blanks"),
        (bad_line, "m3.rttm:1"),
        (no_audio_file, "m3"),
    ],
)
def test_what_is_wrong_is_named(folders, capsys, spoil, message):
    spoil(folders)
    assert prepare(folders) == 1
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_what_is_incomplete_can_be_skipped(folders, capsys):
    audio_too_much(folders)
    rttm_too_much(folders)
    (folders / "rttm/m9.rttm").rename(folders / "rttm/m8.rttm")
    (folders / "rttm/m8.rttm").write_text(line("m8", 0, 1, "zoe"))
    assert prepare(folders, "--incomplete", "skip") == 0
    assert "left out, no RTTM: recording m9" in capsys.readouterr().err
    assert sorted(name for names in sets(folders).values() for name in names) == sorted(SPEAKERS)


def test_names_of_files_and_an_empty_rttm(folders):
    other_name(folders)
    (folders / "rttm/m4.rttm").write_text("")
    assert prepare(folders, "--names", "files") == 0
    own = next(p for p in (folders / "data").iterdir() if p.is_dir()
               and "m3" in DataDir.load(p).recordings)
    assert line("m3", "0.000", "1.000", "dan") in (own / "rttm").read_text()


def test_uem_is_kept_and_checked(folders, capsys):
    (folders / "all.uem").write_text("m3 1 0.5 1.5\n")
    assert prepare(folders, "--uem", str(folders / "all.uem"), "--speakers", "local") == 0
    text = "".join(p.read_text() for p in (folders / "data").glob("*/uem"))
    assert "m3 1 0.500 1.500\n" in text
    assert "m1 1 0.000 2.000\n" in text
    (folders / "all.uem").write_text("m9 1 0.5 1.5\n")
    assert prepare(folders, "--uem", str(folders / "all.uem")) == 1
    assert "regions of m9, but there is no audio" in capsys.readouterr().err


def test_turns_beyond_the_audio_are_cut(folders, capsys):
    (folders / "rttm/m3.rttm").write_text(line("m3", 0.5, 2.5, "dan"))
    assert prepare(folders) == 0
    assert "m3: 1 turns cut" in capsys.readouterr().err
    text = "".join(p.read_text() for p in (folders / "data").glob("*/rttm"))
    assert line("m3", "0.500", "1.500", "dan") in text


def test_no_such_folder(tmp_path, capsys):
    assert prepare(tmp_path) == 1
    assert "no such file or directory of audio" in capsys.readouterr().err


def test_groups_through_others():
    links = [("a", "x"), ("c", "x"), ("c", "y"), ("d", "y")]
    assert groups_of("abcd", links) == [["a", "c", "d"], ["b"]]


def test_shares_are_of_the_audio():
    seconds = {f"r{i}": 10.0 for i in range(10)}
    groups = [[name] for name in sorted(seconds)]
    split = split_groups(groups, seconds, {"dev": 0.2, "test": 0.3}, 1)
    assert [list(split.values()).count(n) for n in ("train", "dev", "test")] == [5, 2, 3]
    assert split_groups(groups, seconds, {"dev": 0.2, "test": 0.3}, 1) == split
    assert split_groups(groups, seconds, {"dev": 0.2, "test": 0.3}, 2) != split


def test_a_group_too_long_for_its_share_is_passed_over():
    seconds = {"long": 100.0, "a": 10.0, "b": 10.0}
    for seed in range(5):
        split = split_groups([["a"], ["b"], ["long"]], seconds, {"dev": 0.1}, seed)
        assert split["long"] == "train"
        assert sorted(split.values()) == ["dev", "train", "train"]


def test_data_sh_of_a_recipe_takes_lists(folders):
    rttm = ",".join(str(folders / "rttm" / f"{name}.rttm") for name in SPEAKERS)
    done = subprocess.run(
        ["local/data.sh", "--audio", str(folders / "audio"), "--rttm", rttm, "--test-share", "0",
         "--data", str(folders / "data")],
        cwd=ROOT / "egs/ami_excerpts/diar1", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(sets(folders)) == ["dev", "train"]
    done = subprocess.run(
        ["local/data.sh"], cwd=ROOT / "egs/ami_excerpts/diar1", capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--audio and --rttm are needed" in done.stderr


def test_links_are_followed_and_suffixes_have_any_case(folders, caplog):
    """Half of the recordings vanished without a notice."""
    day1 = folders / "audio" / "day1"
    day2 = folders / "elsewhere"
    day2.mkdir()
    (day1 / "m3.wav").rename(day2 / "m3.WAV")
    (folders / "audio/day2").symlink_to(day2)
    (folders / "audio/again").symlink_to(day2)
    (folders / "moved").mkdir()
    (folders / "rttm/m4.rttm").rename(folders / "moved/m4.RTTM")
    (folders / "rttm/more").symlink_to(folders / "moved")
    assert prepare(folders) == 0
    assert sorted(name for names in sets(folders).values() for name in names) == sorted(SPEAKERS)
    assert f"{folders / 'audio/day2'}: left out" in caplog.text


def test_audio_of_all_suffixes_is_found(folders):
    day1 = folders / "audio" / "day1"
    for name, suffix in zip(SPEAKERS, ("aiff", "w64", "caf", "au", "snd"), strict=True):
        (day1 / f"{name}.wav").unlink()
        form = {"snd": "AU"}.get(suffix)
        soundfile.write(day1 / f"{name}.{suffix}", np.zeros(32000), 16000, format=form)
    assert prepare(folders) == 0
    assert sorted(name for names in sets(folders).values() for name in names) == sorted(SPEAKERS)


def test_audio_that_requires_ffmpeg_is_found(folders, capsys, monkeypatch):
    day1 = folders / "audio" / "day1"
    command = ["ffmpeg", "-v", "error", "-i", day1 / "m3.wav", day1 / "m3.m4a"]
    if shutil.which("ffmpeg") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no ffmpeg with an encoder of AAC")
    assert prepare(folders) == 0  # beside a WAV of the same name
    assert "m3.m4a: left out, in favour of" in capsys.readouterr().err
    (day1 / "m3.wav").unlink()
    assert prepare(folders) == 0
    assert any("m3" in names for names in sets(folders).values())
    monkeypatch.setenv("PATH", "")
    assert prepare(folders) == 1
    err = capsys.readouterr().err
    assert "m3.m4a" in err
    assert "requires ffmpeg: install" in err


def stereo(folders):
    """Make m3 a telephone call of one speaker per channel."""
    time = np.arange(32000) / 16000
    both = np.stack([0.1 * np.sin(3000 * time), 0.2 * np.sin(5000 * time)], 1)
    soundfile.write(folders / "audio/day1/m3.wav", both, 16000)
    lines = line("m3", 0, 1, "dan") + line("m3", 1, 0.5, "dora").replace("m3 1", "m3 2")
    (folders / "rttm/m3.rttm").write_text(lines)
    return both


def test_each_channel_is_a_recording(folders, capsys):
    both = stereo(folders)
    assert prepare(folders, "--channel", "each") == 0
    own = [p for p in (folders / "data").iterdir() if p.name != "wav" and p.is_dir()
           and "m3_ch1" in DataDir.load(p).recordings]  # fmt: skip
    data = DataDir.load(own[0])
    assert "m3_ch2" in data.recordings
    for number, label in ((1, "dan"), (2, "dora")):
        key = f"m3_ch{number}"
        samples = read_audio(data.source(key))
        np.testing.assert_allclose(samples, both[:, number - 1], atol=1e-4)
        assert {s.label for s in read_rttm(own[0] / "rttm") if s.recording == key} == {label}
    (folders / "rttm/m3.rttm").write_text(line("m3", 0, 1, "dan").replace("m3 1", "m3 3"))
    assert prepare(folders, "--channel", "each") == 1
    assert "m3_ch3" in capsys.readouterr().err


def test_one_channel_of_all_files(folders, capsys):
    both = stereo(folders)
    assert prepare(folders, "--channel", "1") == 0
    place = folders / "data/wav/ch1/m3.wav"
    np.testing.assert_allclose(read_audio(place), both[:, 0], atol=1e-4)
    for choice in ("2", "0", "left"):
        assert prepare(folders, "--channel", choice) == 1
        assert choice in capsys.readouterr().err
