"""AliMeeting: eight-channel far recordings with a tier per speaker, headsets with one each."""

import shutil
from pathlib import Path

from layouts.common import audio, text, textgrid

# Folder, session, array; the second of training is longer in its TextGrid than it is.
SESSIONS = (
    ("Train_Ali", "R0003_M0046", "MS002"),
    ("Train_Ali", "R1021_M1947", "MS116"),
    ("Eval_Ali/Eval_Ali", "R8001_M8004", "MS801"),
    ("Test_Ali/Test_Ali", "R8002_M8002", "MS802"),
)


def make(root: Path) -> dict[str, str]:
    """In R8001_M8004 the third tier is empty; R8002_M8002 is in short form, R0003_M0046 UTF-16."""
    for place, session, array in SESSIONS:
        number = session[-4:]
        speakers = [f"SPK{number}", f"SPK9{number[1:]}"]
        end = 4.5 if session == "R1021_M1947" else 2.8
        turns = {speakers[0]: [(0.0, 0.2, ""), (0.2, 1.5, "嗯，好的"), (1.5, end, "")],
                 speakers[1]: [(1.2, end, 'he said ""yes""')]}
        tiers = dict(turns) | ({"SPK7777": []} if session == "R8001_M8004" else {})
        far, near = root / f"{place}_far", root / f"{place}_near"
        audio(far / f"audio_dir/{session}_{array}.wav", 3, channels=8)
        coding = "utf-16" if session == "R0003_M0046" else "utf-8"
        textgrid(far / f"textgrid_dir/{session}.TextGrid", tiers, end,
                 short=session == "R8002_M8002", encoding=coding)
        for speaker, intervals in turns.items():
            name = f"{session}_N_{speaker}"
            audio(near / f"audio_dir/{name}.wav", 3 if speaker == speakers[0] else 2.9)
            textgrid(near / f"textgrid_dir/{name}.TextGrid", {speaker: intervals}, end)
    return {"ALIMEETING": str(root)}


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / "Train_Ali_far/textgrid_dir/R0003_M0046.TextGrid"


def duplicate(root: Path) -> str:
    """Add a recording twice; return its name."""
    place = root / "Eval_Ali/Eval_Ali_far/audio_dir"
    shutil.copy(place / "R8001_M8004_MS801.wav", place / "R8001_M8004_MS802.wav")
    return "R8001_M8004"


def empty_tiers(root: Path) -> Path:
    """Make a TextGrid in which nobody speaks; return it."""
    place = root / "Test_Ali/Test_Ali_far/textgrid_dir/R8002_M8002.TextGrid"
    textgrid(place, {"SPK8002": [], "SPK9002": [(0.0, 3.0, " ")]}, 3.0)
    return place


def damage(root: Path) -> Path:
    """Cut a TextGrid off; return it."""
    place = a_file(root)
    return text(place, place.read_text(encoding="utf-16")[:-40])
