"""Mixtures on disk: the same bytes whatever the jobs and kills, and clear messages."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from diarize.bin.simulate import main
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio, write_wav
from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir
from diarize.segments import merge_segments
from diarize.simulate.disk import WriteOptions, finish, write_job
from diarize.simulate.draw.common import audio_files
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.manifest import Manifest, write_manifest

sys.path.insert(0, str(Path(__file__).parent))
from reference import plain_mixture, window_of

TABLES = ["reco2dur", "reco2num_spk", "rttm", "segments", "spk2utt", "uem", "utt2spk", "wav.scp"]


@pytest.fixture
def manifest(make_corpus, tmp_path, monkeypatch):
    """30 short mixtures with rooms and noise; the current directory is a fresh one."""
    monkeypatch.chdir(tmp_path)
    return draw(make_corpus(num_speakers=12), make_corpus("noise", 2, 1))


def draw(data, noises=None, count=30):
    options = MixtureOptions(count, 2, 0.3, min_utts=2, max_utts=5, seed=1)
    files = audio_files(noises and noises.path)
    write_manifest("mixture.scp", make_manifest(data, options, files, files))
    return Manifest("mixture.scp")


def write_all(manifest, out, num_jobs, **options):
    for job in range(1, num_jobs + 1):
        write_job(manifest, out, job, num_jobs, WriteOptions(**options))
    return finish(manifest, out, num_jobs)


def content(folder):
    """Return {relative path: digest} of all files, the parts of the jobs left out."""
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "parts" not in path.parts
    }


def test_directory_is_valid_and_equals_the_reference(manifest):
    assert write_all(manifest, "out", 2) == 30
    assert sorted(path.name for path in Path("out").iterdir() if path.is_file()) == TABLES
    data = DataDir.load("out", need_reference=True)
    assert len(data.recordings) == 30
    assert list(data.utt2spk) == sorted(data.utt2spk)
    assert list(data.utt2spk.values()) == sorted(data.utt2spk.values())
    assert all(key.startswith(speaker) for key, speaker in data.utt2spk.items())
    reference = data.reference()
    regions = data.evaluated()
    for name, mixture in manifest:
        wave, segments = plain_mixture(mixture)
        path = data.wav_scp[name]
        assert path == f"out/wav/00/00/{name}.wav"
        assert np.max(np.abs(read_audio(path) - wave)) <= 0.51 / 32768
        assert float(data.reco2dur[name]) == pytest.approx(len(wave) / 16000, abs=1e-6)
        assert data.reco2num_spk[name] == "2"
        assert regions[name] == [(0.0, pytest.approx(len(wave) / 16000, abs=6e-4))]
        assert len(reference[name]) == len(segments)
        for found, wanted in zip(reference[name], segments, strict=True):
            assert found.label == wanted.label
            assert found[1:3] == pytest.approx(wanted[1:3], abs=6e-4)
        of_segments = [utt for utt in data.utterances if utt.recording == name]
        assert sorted((u.start, u.end, u.speaker) for u in of_segments) == [
            (pytest.approx(s.start, abs=1e-6), pytest.approx(s.end, abs=1e-6), s.label)
            for s in segments
        ]


def test_number_of_jobs_changes_nothing(manifest, tmp_path, monkeypatch):
    found = []
    for num_jobs in (1, 3, 40):  # more jobs than mixtures: some have none
        folder = tmp_path / f"jobs{num_jobs}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        write_all(manifest_at(tmp_path), "out", num_jobs)
        found.append(content("out"))
    assert len(found[0]) == 30 + len(TABLES) + 1
    assert found[0] == found[1] == found[2]


def manifest_at(folder):
    return Manifest(folder / "mixture.scp")


def test_many_mixtures_are_spread_over_directories(make_corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = draw(make_corpus(num_speakers=3), count=101)
    write_all(manifest, "out", 1, max_duration=2)
    paths = list(read_table("out/wav.scp").values())
    assert paths[99:] == ["out/wav/00/00/mix_0000100.wav", "out/wav/00/01/mix_0000101.wav"]


def test_cut_to_a_duration(manifest):
    write_all(manifest, "out", 1, max_duration=1.25)
    data = DataDir.load("out")
    assert max(float(value) for value in data.reco2dur.values()) == 1.25
    for name, mixture in manifest:
        wave, segments = plain_mixture(mixture)
        wave, segments = wave[:20000], window_of(segments, 0, 20000, 16000)
        assert np.max(np.abs(read_audio(data.wav_scp[name]) - wave)) <= 0.51 / 32768
        assert data.reco2num_spk[name] == str(len({s.label for s in segments}))
        assert len(data.reference()[name]) == len(merge_segments(segments))
    with pytest.raises(DiarizeError, match=r"no speech in the first 0\.001 s"):
        write_all(manifest, "other", 1, max_duration=0.001)


def test_loud_mixtures_are_turned_down_not_clipped(make_corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = draw(make_corpus(level=0.3), count=3)
    write_all(manifest, "out", 1)
    for name, mixture in manifest:
        wave = plain_mixture(mixture)[0]
        peak = np.max(np.abs(wave))
        assert peak > 1
        found = read_audio(f"out/wav/00/00/{name}.wav")
        assert np.max(np.abs(found)) == pytest.approx(32767 / 32768, abs=1e-4)
        assert np.max(np.abs(found - wave * (32767 / 32768 / peak))) < 1 / 32768


def test_finished_mixtures_are_not_made_again(manifest):
    write_job(manifest, "out", 1, 2, WriteOptions())
    first = content("out")
    half = Path("out/wav/00/00/mix_0000003.wav")
    stamps = {path: path.stat().st_mtime_ns for path in Path("out/wav").rglob("*.wav")}
    half.write_bytes(half.read_bytes()[:1000])  # not by us, yet not to be taken for whole
    skipped = []
    write_job(manifest, "out", 1, 2, WriteOptions(), lambda seconds: skipped.append(seconds == 0))
    assert skipped == [True, True, False] + [True] * 12
    assert content("out") == first
    for path, stamp in stamps.items():
        assert (path.stat().st_mtime_ns == stamp) == (path != half)


def test_kill_at_random_moments_leaves_the_same_bytes(make_corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(make_corpus(num_speakers=12), make_corpus("noise", 2, 1), count=150)
    (tmp_path / "calm").mkdir()
    (tmp_path / "stormy").mkdir()
    monkeypatch.chdir("calm")
    write_all(manifest_at(tmp_path), "out", 1)
    monkeypatch.chdir("../stormy")
    command = [sys.executable, "-m", "diarize.bin.simulate", "write"]
    command += ["--manifest", str(tmp_path / "mixture.scp"), "--out", "out"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    rng = random.Random(7)
    kills = 0
    for wanted in (1, 40, 90):
        job = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
        while job.poll() is None and len(list(Path("out").rglob("*.wav"))) < wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.01))
        job.send_signal(signal.SIGKILL)
        kills += job.wait() == -signal.SIGKILL
        job.stderr.close()
        for path in Path("out").rglob("*.wav"):  # whatever is in place is whole
            assert path.stat().st_size == 44 + 2 * len(read_audio(path))
    assert kills == 3
    assert not Path("out/.simulate/parts/1/1").exists()
    subprocess.run(command, env=env, check=True, stderr=subprocess.DEVNULL)
    finish(manifest_at(tmp_path), "out", 1)
    assert content("out") == content("../calm/out")


def test_leftovers_of_kills_are_removed(manifest, monkeypatch):
    write_job(manifest, "out", 1, 1, WriteOptions())
    Path("out/wav/00/00/mix_0000002.wav").unlink()
    Path("out/wav/00/00/.mix_0000002.wav.x1.diarize.tmp").write_bytes(b"half")
    Path("out/.simulate/parts/1/.1.new").mkdir()
    Path("out/.segments.x1.diarize.tmp").write_bytes(b"half")
    monkeypatch.setattr("diarize.io.atomic._cleaned", set())  # as in the process of the next run
    write_all(manifest, "out", 1)
    left = [path.name for path in Path("out").rglob(".*")]
    assert left == [".simulate"]


def test_missing_part_mixture_or_file(manifest, make_corpus):
    write_job(manifest, "out", 2, 3, WriteOptions())
    with pytest.raises(DiarizeError, match="2 of 3 jobs have not finished: 1, 3;"):
        finish(manifest, "out", 3)
    write_all(manifest, "out", 3)
    wav = Path("out/wav/00/00/mix_0000007.wav")
    wav.unlink()
    with pytest.raises(DiarizeError, match=r"1 of 30 mixtures .* missing: .*mix_0000007\.wav"):
        finish(manifest, "out", 3)
    write_job(manifest, "out", 1, 3, WriteOptions())
    longer = draw(DataDir.load("data"), count=31)
    with pytest.raises(DiarizeError, match=r"1 of 31 mixtures .* missing: mix_0000031"):
        finish(longer, "out", 3)
    shorter = draw(DataDir.load("data"), count=29)
    with pytest.raises(DiarizeError, match="mix_0000030"):
        finish(shorter, "out", 3)


def test_output_of_another_manifest_is_refused(manifest):
    write_job(manifest, "out", 1, 1, WriteOptions())
    with pytest.raises(DiarizeError, match="another manifest, rate or length"):
        write_job(manifest, "out", 1, 1, WriteOptions(sample_rate=8000))
    other = draw(DataDir.load("data"), count=29)
    with pytest.raises(DiarizeError, match="another manifest, rate or length"):
        write_job(other, "out", 1, 1, WriteOptions())


def test_speakers_whose_names_begin_alike_keep_one_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    names = ["en", "en-gb", "en-us", "en1", "en10", "en_x"]
    for name in names:
        write_wav(f"data/{name}.wav", np.full(4000, 0.1, np.float32), 16000)
    rows = sorted(names)
    Path("data/wav.scp").write_text("".join(f"{name} data/{name}.wav\n" for name in rows))
    Path("data/utt2spk").write_text("".join(f"{name} {name}\n" for name in rows))
    write_all(draw(DataDir.load("data"), count=20), "out", 2)
    speakers = list(read_table("out/utt2spk").values())
    assert speakers == sorted(speakers)
    assert set(speakers) == set(names)


def test_unreadable_recording(manifest, capsys):
    mixture = manifest[0][1]
    broken = Path(mixture["speakers"][0]["utts"][0])
    broken.write_bytes(broken.read_bytes()[:600])
    assert main(["write", "--manifest", "mixture.scp", "--out", "out"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1  # before anything is decoded
    assert str(broken) in message
    assert "cut short" in message
    assert not Path("out/wav").exists()


def test_no_space_left(manifest, monkeypatch, capsys):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_job(manifest, "out", 1, 30, WriteOptions())
    monkeypatch.setattr("diarize.io.atomic.os.fsync", full)
    arguments = ["write", "--manifest", "mixture.scp", "--out", "out", "--num-jobs", "30"]
    assert main([*arguments, "--job", "2"]) == 1
    assert "mix_0000002.wav: No space left on device" in capsys.readouterr().err
    assert [path.name for path in Path("out/wav/00/00").iterdir()] == ["mix_0000001.wav"]


def test_unwritable_output(manifest, capsys):
    Path("file").write_text("")
    assert main(["write", "--manifest", "mixture.scp", "--out", "file/out"]) == 1
    assert "cannot make directory file/out" in capsys.readouterr().err
    arguments = ["--data", "data", "--num-mixtures", "1", "--num-speakers", "1", "--beta", "1"]
    assert main(["manifest", *arguments, "--out", "file/mixture.scp"]) == 1
    assert "cannot write file/mixture.scp" in capsys.readouterr().err


def test_commands_from_data_to_directory(manifest, capsys):
    arguments = ["--data", "data", "--noise-data", "noise", "--rir-data", "noise", "--beta", "0.2"]
    arguments += ["--num-mixtures", "6", "--num-speakers", "3", "--min-utts", "1"]
    arguments += ["--max-utts", "2", "--snrs", "0,30", "--prefix", "sim-", "--seed", "5"]
    assert main(["manifest", *arguments, "--out", "a.scp"]) == 0
    assert {mixture["snr"] for _, mixture in Manifest("a.scp")} == {0.0, 30.0}
    for job in ("1", "2"):
        arguments = ["--manifest", "a.scp", "--out", "out", "--job", job, "--num-jobs", "2"]
        assert main(["write", *arguments, "--sample-rate", "8000"]) == 0
    assert "3/3 mixtures" in capsys.readouterr().err
    assert main(["finish", "--manifest", "a.scp", "--out", "out", "--num-jobs", "2"]) == 0
    data = DataDir.load("out")
    assert data.recordings[0] == "sim-0000001"
    assert data.source("sim-0000001").info().sample_rate == 8000
    assert main(["write", "--manifest", "a.scp", "--out", "out", "--job", "3"]) == 1
    assert "job must be from 1 to the number of jobs (1)" in capsys.readouterr().err


def test_mixtures_of_real_speech(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = DataDir.load(shared_data / "speechocean762_train")
    options = MixtureOptions(2, 4, 9.0, min_utts=2, max_utts=3)
    write_manifest("m.scp", make_manifest(data, options))
    assert write_all(Manifest("m.scp"), "out", 1) == 2
    reference = DataDir.load("out").reference()
    assert {len({s.label for s in found}) for found in reference.values()} == {4}
