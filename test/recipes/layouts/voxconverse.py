"""VoxConverse: audio of two archives, and a clone of joonson/voxconverse."""

from pathlib import Path

from layouts.common import audio, rttm

IDS = {"dev": ("abjxc", "afjiv", "akthc", "aufkn", "bauzd"), "test": ("aepyx", "aggyz")}
FOLDERS = {"dev": "audio", "test": "voxconverse_test_wav"}


def make(root: Path) -> dict[str, str]:
    """The reference of aggyz ends two seconds after its audio."""
    for split, names in IDS.items():
        for name in names:
            audio(root / "wav" / FOLDERS[split] / f"{name}.wav", 3)
            last = 5.0 if name == "aggyz" else 2.9
            turns = [(0.4, 1.2, "spk00"), (1.2, 2.0, "spk01"), (2.0, last, "spk00")]
            rttm(root / "voxconverse" / split / f"{name}.rttm", name, turns)
    return {"VOXCONVERSE": str(root / "wav"),
            "VOXCONVERSE_REFERENCES": str(root / "voxconverse")}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / "wav/audio/akthc.wav"


def duplicate(root: Path) -> str:
    """Name another recording in a reference, which is then there twice; return the name."""
    place = root / "voxconverse/test/aggyz.rttm"
    place.write_text(place.read_text().replace("aggyz", "aepyx"))
    return "aepyx"
