"""Speech bounds of data directories, by jobs and by utils/make_speech_segments.sh."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diarize.bin import sad
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.table import read_table, write_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.validate import validate_data_dir
from diarize.prepare.energy_sad import SadOptions
from diarize.prepare.speech_bounds import apply_speech, find_speech, write_lines

RATE = 16000
# Silence, speech, pause, speech, silence: the speech is [0.5, 1.5) and [2.2, 3.0).
BOUNDS = (0.5, 1.5, 2.2, 3.0)


def speech(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = 1e-4 * rng.standard_normal(int(3.5 * RATE))
    for start, end in zip(BOUNDS[::2], BOUNDS[1::2], strict=True):
        part = slice(int(start * RATE), int(end * RATE))
        wave[part] += 0.1 * rng.standard_normal(part.stop - part.start)
    return wave.astype(np.float32)


@pytest.fixture
def source(tmp_path) -> Path:
    """Four utterances of two speakers, one to a recording; paths relative to the directory."""
    folder = tmp_path / "src"
    folder.mkdir()
    names = [f"{speaker}-{n}" for speaker in ("ann", "bob") for n in (0, 1)]
    for number, name in enumerate(names):
        write_wav(folder / f"{name}.wav", speech(number), RATE)
    write_table(folder / "wav.scp", {name: f"{name}.wav" for name in names})
    write_table(folder / "utt2spk", {name: name[:3] for name in names})
    write_table(folder / "utt2lang", dict.fromkeys(names, "en"))
    return folder


def bounds(path: Path) -> dict[str, list]:
    return {
        key: [value.split()[0], *map(float, value.split()[1:])]
        for key, value in read_table(path / "segments").items()
    }


def run(source: Path, target: Path, split: bool = False) -> str:
    part = target.parent / "part"
    options = SadOptions(split_pause=0.4 if split else 0.0)
    write_lines(part, find_speech(DataDir.load(source), options))
    return apply_speech(source, [part], target, split)


def test_trimmed(source, tmp_path):
    message = run(source, tmp_path / "dst")
    assert "4 utterances" in message
    assert validate_data_dir(tmp_path / "dst", feats=False, text=False) == []
    found = bounds(tmp_path / "dst")
    assert list(found) == ["ann-0", "ann-1", "bob-0", "bob-1"]
    for key, (recording, start, end) in found.items():
        assert recording == key
        assert (start, end) == pytest.approx((0.45, 3.05), abs=0.02)
    assert set(read_table(tmp_path / "dst/reco2dur").values()) == {"3.500"}
    assert set(read_table(tmp_path / "dst/utt2lang").values()) == {"en"}


def test_cut_at_long_pauses(source, tmp_path):
    run(source, tmp_path / "dst", split=True)
    assert validate_data_dir(tmp_path / "dst", feats=False, text=False) == []
    found = bounds(tmp_path / "dst")
    assert len(found) == 8
    for key, (recording, start, end) in found.items():
        assert key == f"{recording}-{round(start * 1000):07d}-{round(end * 1000):07d}"
        assert read_table(tmp_path / "dst/utt2spk")[key] == recording[:3]
    starts = sorted(row[1] for row in found.values())
    assert starts == pytest.approx([0.45] * 4 + [2.15] * 4, abs=0.02)


def test_utterances_that_are_parts_of_recordings(source, tmp_path):
    """Times are those of the recording, and nothing outside of an utterance is taken."""
    write_wav(source / "long.wav", np.concatenate([speech(7), speech(8)]), RATE)
    (source / "utt2lang").unlink()
    write_table(source / "wav.scp", {"rec": "long.wav"})
    write_table(source / "segments", {"ann-0": "rec 1.0 3.4", "bob-0": "rec 3.5 7.0"})
    write_table(source / "utt2spk", {"ann-0": "ann", "bob-0": "bob"})
    run(source, tmp_path / "dst")
    found = bounds(tmp_path / "dst")
    assert found["ann-0"][1:] == pytest.approx([1.0, 3.05], abs=0.02)
    assert found["bob-0"][1:] == pytest.approx([3.95, 6.55], abs=0.02)
    assert not (tmp_path / "dst/reco2dur").exists()  # the length of the recording is not known


def test_silent_utterances_are_counted_or_refused(source, tmp_path):
    write_wav(source / "bob-1.wav", np.zeros(RATE, np.float32), RATE)
    part = tmp_path / "part"
    write_lines(part, find_speech(DataDir.load(source), SadOptions()))
    with pytest.raises(DiarizeError, match=r"1 of 4 utterances contain no speech \(bob-1\)"):
        apply_speech(source, [part], tmp_path / "dst")
    assert not (tmp_path / "dst").exists()
    message = apply_speech(source, [part], tmp_path / "dst", max_silent=0.25)
    assert "1 without speech left out" in message
    assert "bob-1" not in read_table(tmp_path / "dst/wav.scp")
    assert validate_data_dir(tmp_path / "dst", feats=False, text=False) == []


def test_a_missing_part_is_an_error(source, tmp_path):
    lines = find_speech(DataDir.load(source), SadOptions())
    write_lines(tmp_path / "part", dict(list(lines.items())[:3]))
    with pytest.raises(DiarizeError, match="missing for 1 utterances.*bob-1"):
        apply_speech(source, [tmp_path / "part"], tmp_path / "dst")
    write_lines(tmp_path / "more", dict(list(lines.items())[2:]))
    with pytest.raises(DiarizeError, match="more:1: bob-0: is in another part"):
        apply_speech(source, [tmp_path / "part", tmp_path / "more"], tmp_path / "dst")


def test_the_command_names_the_recording(source, tmp_path, capsys):
    (source / "ann-1.wav").write_bytes(b"no audio")
    status = sad.main(["detect", "--data", str(source), "--out", str(tmp_path / "part")])
    assert status == 1
    assert "diarize-sad: error: recording ann-1" in capsys.readouterr().err
    assert not (tmp_path / "part").exists()


def run_script(repo_root: Path, *args) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [repo_root / "utils/make_speech_segments.sh", *args],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_is_the_same_for_every_number_of_jobs(source, tmp_path, repo_root):
    for jobs in ("1", "3"):
        args = ("--nj", jobs, "--split-pause", "0.4", source, tmp_path / f"dst{jobs}")
        done = run_script(repo_root, *args)
        assert done.returncode == 0, done.stderr
    for name in ("segments", "utt2spk", "spk2utt", "wav.scp", "reco2dur", "utt2lang"):
        assert (tmp_path / "dst1" / name).read_text() == (tmp_path / "dst3" / name).read_text()
    assert len((tmp_path / "dst1/segments").read_text().splitlines()) == 8
    # Again: nothing is to be done, unless the source or an option is new.
    assert "is up to date" in run_script(repo_root, *args).stderr
    os.utime(source / "wav.scp")
    (source / "ann-1.wav").write_bytes(b"no audio")
    done = run_script(repo_root, *args)
    assert done.returncode == 1
    assert "diarize-sad: error: recording ann-1" in done.stderr


def test_the_script_runs_a_command_with_options(source, tmp_path, repo_root):
    """``train_cmd="slurm.py --mem 4G"``, as the README has it, was looked for as one word."""
    command = ("--cmd", "run.py --max-jobs-run 1", "--nj", "2")
    done = run_script(repo_root, *command, source, tmp_path / "dst")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dst/segments").is_file()
