"""AMI: the mirror of the corpus, and a clone of AMI-diarization-setup."""

from pathlib import Path

from layouts.common import audio, rttm, text

MEETINGS = {"train": ("ES2002a", "IS1003b", "IS1007d"), "dev": ("ES2011a",), "test": ("ES2004a",)}


def make(root: Path) -> dict[str, str]:
    """Two of training have no array; the reference of ES2004a begins beyond the audio's end."""
    setup = root / "AMI-diarization-setup"
    for split, meetings in MEETINGS.items():
        text(setup / f"lists/{split}.meetings.txt", "".join(f"{m}\n" for m in meetings))
        text(setup / f"lists/{split}.speakers.txt", "FEE001\nMEE002\n")
        for meeting in meetings:
            where = root / "amicorpus" / meeting / "audio"
            audio(where / f"{meeting}.Mix-Headset.wav", 3)
            if meeting not in ("IS1003b", "IS1007d"):
                audio(where / f"{meeting}.Array1-01.wav", 2.5)
            turns = [(0.2, 1.5, "FEE001"), (1.2, 2.25, "MEE002"), (2.0, 2.75, "FEE001")]
            for flavour in ("only_words", "word_and_vocalsounds"):
                rttm(setup / f"{flavour}/rttms/{split}/{meeting}.rttm", meeting, turns)
            text(setup / f"uems/{split}/{meeting}.uem", f"{meeting} 1 0.000 3.000000\n")
    return {"AMI": str(root / "amicorpus"), "AMI_SETUP": str(setup)}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / "amicorpus/ES2011a/audio/ES2011a.Mix-Headset.wav"


def duplicate(root: Path) -> str:
    """Add a recording twice; return its name."""
    place = root / "AMI-diarization-setup/lists/test.meetings.txt"
    place.write_text(place.read_text() + "ES2004a\n")
    return "ES2004a"


