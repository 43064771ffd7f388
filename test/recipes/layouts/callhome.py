"""CALLHOME: all 500 calls as a quarter of a second of 8 kHz SPHERE, and the key of SLR 10."""

import itertools
from pathlib import Path

from layouts.common import audio, text

ROOT = Path(__file__).resolve().parents[3]
# Speakers in a recording -> recordings, as published.
TABLES = {
    "part1": {2: 155, 3: 61, 4: 23, 5: 5, 6: 3, 7: 2},
    "part2": {2: 148, 3: 74, 4: 20, 5: 5, 6: 3},
}


def make(root: Path) -> dict[str, str]:
    """Which call has how many speakers is not the truth, the table of them is."""
    lines = (ROOT / "egs/callhome/diar1/conf/parts.txt").read_text().splitlines()[1:]
    numbers = {
        part: itertools.chain.from_iterable([k] * n for k, n in table.items())
        for part, table in TABLES.items()
    }
    key = []
    for line in [*lines, "iaeu none"]:
        name, part = line.split()
        disc = root / f"LDC2001S97/r65_{1 + len(key) % 4}_1/nist/sid00cd1/eval/call/data"
        audio(disc / f"{name}.sph", 0.25, rate=8000)
        for speaker in range(next(numbers[part]) if part != "none" else 0):
            start = 0.02 * speaker
            label = "ABCDEFG"[speaker]
            key.append(f"SPEAKER {name} 0 {start:5.2f}   0.10 <NA> <NA> {label} <NA>\n")
    text(root / "sre2000-key/fullref.rttm", "".join(key))
    text(root / "sre2000-key/reco2num", "".join(f"{line.split()[0]} 2\n" for line in lines))
    return {"CALLHOME": str(root / "LDC2001S97"), "CALLHOME_KEY": str(root / "sre2000-key")}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return next(root.rglob("iaab.sph"))


def duplicate(root: Path) -> str:
    """Add a recording twice; return its name."""
    audio(root / "LDC2001S97/another/iaab.sph", 0.25, rate=8000)
    return "iaab"
