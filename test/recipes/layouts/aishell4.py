"""AISHELL-4: eight-channel FLAC with TextGrid and RTTM beside it."""

import shutil
from pathlib import Path

from layouts.common import audio, rttm, textgrid

PARTS = {
    "train_L": ("20200706_L_R001S01C01", "20200706_L_R001S02C01"),
    "train_M": ("20200622_M_R002S07C01", "20200710_M_R002S06C01", "20200616_M_R001S01C01"),
    "train_S": ("20200623_S_R001S01C01", "20200623_S_R001S02C01"),
    "test": ("L_R003S01C02", "M_R003S01C01"),
}


def make(root: Path) -> dict[str, str]:
    """The TextGrids of the first two of train_M are faulty in the archive; the RTTMs are read."""
    for part, names in PARTS.items():
        for name in names:
            audio(root / part / f"wav/{name}.flac", 3, channels=8)
            turns = [(0.1, 1.2, "001-M"), (1.0, 2.9, "002-F")]
            rttm(root / part / f"TextGrid/{name}.rttm", name, turns)
            textgrid(root / part / f"TextGrid/{name}.TextGrid",
                     {label: [(start, end, "x")] for start, end, label in turns}, 3)
    return {"AISHELL4": str(root)}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / "train_S/TextGrid/20200623_S_R001S02C01.rttm"


def duplicate(root: Path) -> str:
    """Add a recording twice; return its name."""
    name = PARTS["train_S"][0]
    for kind in (f"wav/{name}.flac", f"TextGrid/{name}.rttm"):
        shutil.copy(root / "train_S" / kind, root / "train_L" / kind)
    return name
