"""Data directories as users have them, and Kaldi's own scripts where KALDI_UTILS names them."""

import os
import subprocess
import wave
from pathlib import Path

import pytest

from diarize.io.table import write_table

SPEAKERS = ("ann", "bob", "cat")


def write_wav(path: Path, seconds: float) -> None:
    """Write silence of 8 kHz."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        out.writeframes(b"\1\0" * int(8000 * seconds))


def fill(path: Path, prefix: str = "") -> Path:
    """Write a data directory with every table of Kaldi, and two that it does not know."""
    path.mkdir()
    recordings = [f"{prefix}rec{i}" for i in (1, 2, 3)]
    for name in recordings:
        write_wav(path / f"{name}.wav", 4.0)
    utts = {f"{prefix}{spk}-{rec[-1]}": (f"{prefix}{spk}", rec, 0.5 * i)
            for i, spk in enumerate(SPEAKERS) for rec in recordings}  # fmt: skip
    speakers = {spk: spk[len(prefix)] for spk, _, _ in utts.values()}
    columns = {
        "segments": lambda spk, rec, at: f"{rec} {at:.2f} {at + 1.5:.2f}",
        "utt2spk": lambda spk, rec, at: spk,
        "text": lambda spk, rec, at: f"word of {spk}",
        "utt2lang": lambda spk, rec, at: "en",
        "utt2uniq": lambda spk, rec, at: f"{spk}-{rec}",
        "utt2dur": lambda spk, rec, at: "1.50",
        "utt2num_frames": lambda spk, rec, at: "150",
        "utt2warp": lambda spk, rec, at: "1.1",
        "feats.scp": lambda spk, rec, at: f"/f/{rec}.ark:{int(100 * at)}",
        "vad.scp": lambda spk, rec, at: f"/v/{rec}.ark:{int(100 * at)}",
        "utt2snr": lambda spk, rec, at: f"{at:.1f}",
    }
    for name, value in columns.items():
        write_table(path / name, {utt: value(*row) for utt, row in utts.items()})
    write_table(path / "wav.scp", {rec: f"{path}/{rec}.wav" for rec in recordings})
    write_table(path / "reco2dur", dict.fromkeys(recordings, "4.000"))
    write_table(path / "reco2num_spk", dict.fromkeys(recordings, "3"))
    write_table(path / "reco2file_and_channel", {rec: f"file{rec[-1]} A" for rec in recordings})
    write_table(path / "cmvn.scp", {spk: f"/c/{spk}.ark:1" for spk in speakers})
    write_table(path / "spk2gender", dict.fromkeys(speakers, "f"))
    write_table(path / "spk2warp", dict.fromkeys(speakers, "0.9"))
    write_table(path / "spk2age", dict.fromkeys(speakers, "40"))
    spk2utt: dict[str, list[str]] = {}
    for utt, (spk, _, _) in sorted(utts.items()):
        spk2utt.setdefault(spk, []).append(utt)
    write_table(path / "spk2utt", {spk: " ".join(names) for spk, names in spk2utt.items()})
    turns = sorted((rec, at, spk) for spk, rec, at in utts.values())
    (path / "rttm").write_text("".join(
        f"SPEAKER {rec} 1 {at:.3f} 1.500 <NA> <NA> {spk} <NA> <NA>\n" for rec, at, spk in turns))
    (path / "stm").write_text(";; comment\n" + "".join(
        f"file{rec[-1]} A {spk} {at:.2f} {at + 1.5:.2f} <o> word\n" for rec, at, spk in turns))
    (path / "uem").write_text("".join(f"{rec} 1 0.000 4.000\n" for rec in recordings))
    (path / "frame_shift").write_text("0.01\n")
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    """Three recordings of three speakers, with all tables."""
    return fill(tmp_path / "data")


@pytest.fixture
def more(tmp_path) -> Path:
    """Other recordings of other speakers."""
    return fill(tmp_path / "more", "z")


@pytest.fixture
def script(repo_root, tmp_path):
    """Run one of the scripts of utils/ or, with ``kaldi``, one of Kaldi's: the finished process."""

    def run(name: str, *args: object, kaldi: Path | None = None):
        env = {**os.environ, "DIARIZE_ROOT": str(repo_root)}
        if kaldi is not None:
            (tmp_path / "utils").symlink_to(kaldi) if not (tmp_path / "utils").exists() else None
            env["PATH"] = f"{kaldi}{os.pathsep}{env['PATH']}"
        return subprocess.run(
            [str((kaldi or repo_root / "utils") / name), *map(str, args)],
            capture_output=True, text=True, cwd=tmp_path, env=env, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def kaldi() -> Path:
    """The folder egs/wsj/s5/utils of Kaldi."""
    folder = os.environ.get("KALDI_UTILS")
    if not folder:
        pytest.skip("KALDI_UTILS (Kaldi's egs/wsj/s5/utils) is not set")
    return Path(folder).resolve()
