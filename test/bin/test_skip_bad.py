"""Unusable recordings: found before the first step, and left out by --skip-bad."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from diarize.bin import check_start, train
from diarize.io.audio import write_wav
from diarize.train.checkpoint import load_model


@pytest.fixture
def data(world, tmp_path):
    """The three recordings of `world`, with a damaged FLAC and one of six speakers (5 queries)."""
    folder = tmp_path / "train"
    shutil.copytree(world / "data", folder, ignore=shutil.ignore_patterns("store"))
    wave = 0.1 * np.random.default_rng(1).standard_normal(16000 * 12)
    soundfile.write(tmp_path / "cut.flac", wave, 16000, subtype="PCM_16")
    held = bytearray((tmp_path / "cut.flac").read_bytes())
    held[len(held) // 2 :] = b"\0" * (len(held) - len(held) // 2)
    (tmp_path / "cut.flac").write_bytes(held)
    write_wav(tmp_path / "many.wav", wave[: 16000 * 2], 16000)
    names = {"cut": ("cut.flac", 12, "A"), "many": ("many.wav", 2, "ABCDEF")}
    for name, (file, seconds, speakers) in sorted(names.items()):
        add(folder / "wav.scp", f"{name} {tmp_path}/{file}")
        add(folder / "uem", f"{name} 1 0.0 {seconds}")
        for i, speaker in enumerate(speakers):
            add(folder / "rttm", f"SPEAKER {name} 1 {0.2 * i} 0.5 <NA> <NA> {speaker} <NA> <NA>")
    for table in ("wav.scp", "uem"):
        lines = sorted((folder / table).read_text().splitlines(True))
        (folder / table).write_text("".join(lines))
    return folder


def add(path, line):
    path.write_text(path.read_text() + line + "\n")


def run(world, data, out, *more, steps=3):
    words = ["--config", str(world / "train.yaml"), "--train", str(data), "--valid",
             str(world / "data"), "--out", str(out), *more]
    return train.main([*words, "--set", f"train.steps={steps}", "train.schedule.name=constant"])


@pytest.mark.parametrize("store", ["true", "false"])
def test_bad_recordings_are_found_before_the_first_step(world, data, tmp_path, capfd, store):
    """A training died of them at some later step, and its rerun died there again."""
    assert run(world, data, tmp_path / "exp", "--set", f"data.store={store}") == 1
    said = capfd.readouterr().err.strip().splitlines()
    assert "recording cut: " in said[-1]
    assert "cut.flac" in said[-1]
    assert "--skip-bad 1" in said[-1]
    assert not any(line.startswith("step ") for line in said)
    shutil.copy(tmp_path / "many.wav", tmp_path / "cut.flac")
    assert run(world, data, tmp_path / "exp", "--set", f"data.store={store}") == 1
    said = capfd.readouterr().err.strip().splitlines()
    assert "recording many: 6 speakers in the 1.5 s from" in said[-1]
    assert "model.decoder.queries" in said[-1]
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize("store", ["true", "false"])
def test_skip_bad_lists_what_is_left_out_and_trains(world, data, tmp_path, capfd, store):
    settings = ["--set", f"data.store={store}", "train.save_interval=1"]
    assert run(world, data, tmp_path / "exp", "--skip-bad", "1", *settings) == 1
    said = capfd.readouterr().err
    assert "recording cut: " in said
    assert "recording many: " in said
    assert said.strip().endswith("--skip-bad 2")
    assert run(world, data, tmp_path / "exp", "--skip-bad", "2", *settings) == 0
    said = capfd.readouterr().err
    assert said.count("LEFT OUT of the training data") == 2
    # The same list is asked of a resumed training.
    assert run(world, data, tmp_path / "exp", "--skip-bad", "5", *settings, steps=4) == 0
    assert "going on from step 3" in capfd.readouterr().err
    shutil.copy(tmp_path / "many.wav", tmp_path / "cut.flac")
    assert run(world, data, tmp_path / "exp", "--skip-bad", "2", *settings, steps=5) == 1
    assert "left out by --skip-bad: 2 (cut, many), now 1 (many)" in capfd.readouterr().err
    assert load_model(tmp_path / "exp/last.pth")[1]["step"] == 4


def test_a_bad_validation_recording_is_never_left_out(world, data, tmp_path, capfd):
    words = ["--config", str(world / "train.yaml"), "--train", str(world / "data"),
             "--valid", str(data), "--out", str(tmp_path / "exp"), "--skip-bad", "9"]
    assert train.main(words) == 1
    assert "recording cut: " in capfd.readouterr().err


def test_mixtures_of_a_bad_file_are_left_out(world, tmp_path, capfd):
    rng = np.random.default_rng(0)
    lines = []
    for i in range(4):
        write_wav(tmp_path / f"u{i}.wav", 0.1 * rng.standard_normal(24000), 16000)
        voice = {"spkid": f"s{i}", "rir": None, "utts": [f"{tmp_path}/u{i}.wav"],
                 "intervals": [0.1]}
        mixture = {"speakers": [voice], "noise": None, "snr": None, "recid": f"m{i}"}
        lines.append(f"m{i} {json.dumps(mixture)}\n")
    (tmp_path / "mixture.scp").write_text("".join(lines))
    (tmp_path / "u2.wav").write_bytes((tmp_path / "u2.wav").read_bytes()[:9000])
    manifest = tmp_path / "mixture.scp"
    assert run(world, manifest, tmp_path / "exp") == 1
    assert "u2.wav" in capfd.readouterr().err
    assert run(world, manifest, tmp_path / "exp", "--skip-bad", "1") == 0
    said = capfd.readouterr().err
    assert said.count("LEFT OUT") == 1
    assert "recording m2: " in said
    # A repaired file is in again.
    write_wav(tmp_path / "u2.wav", 0.1 * rng.standard_normal(24000), 16000)
    assert run(world, manifest, tmp_path / "again", "--skip-bad", "1") == 0
    assert "LEFT OUT" not in capfd.readouterr().err


def test_check_start_decodes_each_file_once(world, data, tmp_path, capfd, monkeypatch):
    from diarize.data import decoding

    words = ["--test", str(data)]
    assert check_start.main(words) == 1
    assert "recording cut: " in capfd.readouterr().err
    read = []
    real = decoding.read_blocks
    monkeypatch.setattr(
        decoding, "read_blocks", lambda *a: (read.append(a[0].recording), real(*a))[1]
    )
    assert check_start.main(words) == 1
    assert read == ["cut"]  # the others are known by size and time
    write_wav(tmp_path / "cut.flac", np.zeros(16000 * 12), 16000)
    assert check_start.main(words) == 0
    assert read == ["cut", "cut"]
    assert check_start.main(words) == 0
    assert read == ["cut", "cut"]


def test_check_start_builds_the_store_of_the_training(world, data, capfd):
    words = ["--task", "speaker", "--train", str(data), "--valid", str(world / "data")]
    training = ["--", "--config", str(world / "train.yaml")]
    assert check_start.main([*words, *training]) == 1
    assert "--skip-bad 1" in capfd.readouterr().err
    assert check_start.main([*words, "--skip-bad", "2", *training]) == 0
    said = capfd.readouterr().err
    assert said.count("LEFT OUT of the training data") == 2
    assert list((data / "store").glob("int16-*.json"))
