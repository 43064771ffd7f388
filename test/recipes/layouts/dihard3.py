"""DIHARD III: two releases of FLAC, RTTM, UEM and SAD."""

from pathlib import Path

from layouts.common import audio, rttm, text

IDS = {"dev": [f"DH_DEV_{n:04d}" for n in range(1, 6)], "eval": ["DH_EVAL_0001", "DH_EVAL_0002"]}


def make(root: Path) -> dict[str, str]:
    """The full regions of DH_EVAL_0002 leave out its first half second; core has one recording."""
    for kind, names in IDS.items():
        place = root / f"third_dihard_challenge_{kind}"
        rows = []
        for name in names:
            audio(place / f"data/flac/{name}.flac", 3)
            rttm(place / f"data/rttm/{name}.rttm", name, [(0.6, 1.4, "A"), (1.3, 2.9, "B")])
            start = 0.5 if name == "DH_EVAL_0002" else 0
            rows.append(f"{name} 1 {start:.3f} 3.000\n")
            text(place / f"data/uem/{name}.uem", f"{name} 1 0.000 3.000\n")
            text(place / f"data/sad/{name}.lab", "0.6 2.9 speech\n")
        scoring = place / "data/uem_scoring"
        text(scoring / "full/all.uem", "".join(rows))
        text(scoring / "full/court.uem", rows[0])
        text(scoring / "core/all.uem", "".join(rows[:2]))
        table = "".join(f"{name}\tcourt\n" for name in ("uri", *names))
        text(place / "docs/recordings.tbl", table)
    return {"DIHARD3_DEV": str(root / "third_dihard_challenge_dev"),
            "DIHARD3_EVAL": str(root / "third_dihard_challenge_eval")}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / "third_dihard_challenge_dev/data/flac/DH_DEV_0003.flac"


def duplicate(root: Path) -> str:
    """Name another recording in a reference, which is then there twice; return the name."""
    place = root / "third_dihard_challenge_eval/data/rttm/DH_EVAL_0002.rttm"
    place.write_text(place.read_text().replace("EVAL_0002", "EVAL_0001"))
    return "DH_EVAL_0001"
