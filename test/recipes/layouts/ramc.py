"""MagicData-RAMC: tables of the partition, WAV, and TXT with marks of G00000000."""

from pathlib import Path

from layouts.common import audio, text

IDS = {
    "train": ("CTS-CN-F2F-2019-11-15-1001", "CTS-CN-F2F-2019-11-15-1005"),
    "dev": ("CTS-CN-F2F-2019-11-15-1423",),
    "test": ("CTS-CN-F2F-2019-11-15-3",),
}
LINES = (
    "[0.000,0.350]\tG00000000\t无,无\t[+]\n"
    "[0.350,1.500]\tG00000571\t男,普通话\t爱数智慧语音采集\n"
    "[1.250,2.750]\tG00000577\t女,普通话\t嗯好的[LAUGHTER]\n"
    "[2.750,3.000]\tG00000000\t无,无\t[*]\n"
)


def make(root: Path) -> dict[str, str]:
    """All four conversations have the same turns."""
    for split, names in IDS.items():
        rows = "".join(f"{name}.wav\t96044\n" for name in names)
        text(root / f"DataPartition/{split}.tsv", f"MDT2021S003/WAV\t\n{rows}")
        for name in names:
            audio(root / f"MDT2021S003/WAV/{name}.wav", 3)
            text(root / f"MDT2021S003/TXT/{name}.txt", LINES, encoding="utf-8-sig")
    return {"RAMC": str(root)}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / f"MDT2021S003/TXT/{IDS['dev'][0]}.txt"


def duplicate(root: Path) -> str:
    """Add a recording twice; return its name."""
    table = root / "DataPartition/train.tsv"
    table.write_text(table.read_text() + f"{IDS['train'][0]}.wav\t96044\n")
    return IDS["train"][0]
