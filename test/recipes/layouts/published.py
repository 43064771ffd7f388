"""Corpora with the names, numbers and lengths of the published archives.

The names of ``ids/`` are those of the real archives.  Audio has real lengths and no content: WAV
files are sparse, FLAC files end after their first block.  A test that reads samples cannot use
them, and they must not be copied.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from layouts.common import rttm, text, textgrid

IDS = Path(__file__).parent / "ids"
HOURS = {
    "alimeeting.train_far": 111 + 21 / 60,
    "alimeeting.eval_far": 4 + 12 / 60,
    "alimeeting.test_far": 10 + 46 / 60,
    "aishell.train": 104 + 46 / 60,
    "aishell.test": 12 + 34 / 60,
    "ramc.train": 149.65,
    "ramc.dev": 9.89,
    "ramc.test": 20.64,
}
ALIMEETING_SECONDS, AISHELL_SECONDS = 44840.8, 43565.4
RAMC_SECONDS, RAMC_OVERLAP = 61398.6, (62374.2 - 61398.6) / 2


def ids(name: str) -> list[str]:
    """The recordings of a part of a corpus, as listed in ``ids/<name>.txt``."""
    return (IDS / f"{name}.txt").read_text().split()


def seconds_each(name: str, total: float | None = None) -> float:
    """Return the mean length of a recording, or its part of ``total`` seconds."""
    return (HOURS[name] * 3600 if total is None else total) / len(ids(name))


def wav(path: Path, seconds: float, channels: int) -> None:
    """Write a sparse WAV of 16 kHz: a header, and a hole for the samples."""
    size = round(seconds * 16000) * 2 * channels
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        out.write(struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, 16000,
            32000 * channels, 2 * channels, 16, b"data", size))
        out.truncate(44 + size)
    assert os.stat(path).st_blocks * 512 < 1 << 20, "the file system has no sparse files"


def flac(path: Path, seconds: float, channels: int) -> None:
    """Write the first block of a FLAC file of 16 kHz, which has its length."""
    packed = 16000 << 44 | (channels - 1) << 41 | 15 << 36 | round(seconds * 16000)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"fLaC\x80\0\0\x22" + b"\x10\0\x10\0" + bytes(6) + packed.to_bytes(8, "big")
                     + bytes(16))


def alimeeting(root: Path) -> dict[str, str]:
    """AliMeeting far: 237 recordings of eight channels, one speaker each."""
    places = {"train": "Train_Ali_far", "eval": "Eval_Ali/Eval_Ali_far",
              "test": "Test_Ali/Test_Ali_far"}
    for part, place in places.items():
        name = f"alimeeting.{part}_far"
        length = seconds_each(name)
        spoken = seconds_each(name, ALIMEETING_SECONDS) if part == "test" else 600.0
        # Two speakers, so that the speech of the test set fits into its recordings.
        tiers = {f"N_SPK{n}": [(0.0, spoken / 2, "好"), (spoken / 2, length, "")] for n in (1, 2)}
        for recording in ids(name):
            wav(root / place / f"audio_dir/{recording}.wav", length, 8)
            session = recording.rpartition("_")[0]
            textgrid(root / place / f"textgrid_dir/{session}.TextGrid", tiers, length)
    return {"ALIMEETING": str(root)}


def aishell4(root: Path) -> dict[str, str]:
    """AISHELL-4: 191 and 20 recordings of eight channels; the room's size is in the name."""
    for part, total in (("train", None), ("test", AISHELL_SECONDS)):
        name = f"aishell.{part}"
        length = seconds_each(name)
        spoken = 600.0 if total is None else seconds_each(name, total)
        for recording in ids(name):
            size = recording.split("_")[1]
            place = root / (f"train_{size}" if part == "train" else "test")
            flac(place / f"wav/{recording}.flac", length, 8)
            rttm(place / f"TextGrid/{recording}.rttm", recording, [(0.0, spoken, "001-M")])
    # The hundredths of an RTTM: what rounding lost is in the last turn.
    lost = AISHELL_SECONDS - round(seconds_each("aishell.test", AISHELL_SECONDS), 2) * 20
    assert abs(lost) < 0.2
    return {"AISHELL4": str(root)}


def ramc(root: Path) -> dict[str, str]:
    """RAMC: 351 conversations, with marks of G00000000 in the test set."""
    for part in ("train", "dev", "test"):
        name = f"ramc.{part}"
        length = seconds_each(name)
        spoken = seconds_each(name, RAMC_SECONDS) if part == "test" else 600.0
        mark = seconds_each(name, RAMC_OVERLAP) if part == "test" else 1.0
        lines = turns([(0.0, spoken / 2, "G00000571", "嗯"),
                       (spoken / 2, spoken, "G00000577", "好"),
                       (spoken, spoken + mark, "G00000000", "[+]"),
                       (spoken + mark, spoken + mark + 2, "G00000000", "[*]")])
        rows = "".join(f"{recording}.wav\t96044\n" for recording in ids(name))
        text(root / f"DataPartition/{part}.tsv", f"MDT2021S003/WAV\t\n{rows}")
        for recording in ids(name):
            wav(root / f"MDT2021S003/WAV/{recording}.wav", length, 1)
            text(root / f"MDT2021S003/TXT/{recording}.txt", lines, encoding="utf-8-sig")
    return {"RAMC": str(root)}


def turns(lines: Sequence[tuple[float, float, str, str]]) -> str:
    """Return the lines of a TXT file of RAMC: start, end, speaker, text."""
    return "".join(f"[{start:.3f},{end:.3f}]\t{speaker}\t女,普通话\t{said}\n"
                   for start, end, speaker, said in lines)
