"""AliMeeting: eight-channel far recordings with a tier per speaker, headsets with one each.

Names are of the real archives: of the near ones, the training files have the sex of the speaker.
"""

import shutil
from pathlib import Path

from layouts.common import audio, text, textgrid

# Folder, session, array, headsets.  The audio of R1021_M1947 is shorter than its TextGrid; the
# headsets of the two training sessions are real but for the last of each.
SESSIONS = (
    ("Train_Ali", "R0003_M0046", "MS002", ("F_SPK0093", "M_SPK0094")),
    ("Train_Ali", "R1021_M1947", "MS116", ("M_SPK1021", "F_SPK1022")),
    ("Eval_Ali/Eval_Ali", "R8001_M8004", "MS801", ()),
    ("Test_Ali/Test_Ali", "R8002_M8002", "MS802", ()),
)
IDS = Path(__file__).parent / "ids"


def headsets(session: str) -> list[str]:
    """The headsets of an evaluation or test session, in the list of the real archive."""
    part = "eval" if session.startswith("R8001") else "test"
    names = (IDS / f"alimeeting.{part}_near.txt").read_text().split()
    return [name.removeprefix(f"{session}_") for name in names if name.startswith(session)]


def make(root: Path) -> dict[str, str]:
    """Two speakers talk; a third has ``(sil)`` only, and a fourth an empty tier.

    R8002_M8002 is in short form, R0003_M0046 in UTF-16.
    """
    for place, session, array, training in SESSIONS:
        heads = list(training) or headsets(session)
        end = 4.5 if session == "R1021_M1947" else 2.8
        turns = {heads[0]: [(0.0, 0.2, "(sil)"), (0.2, 1.5, "嗯，好的"), (1.5, end, "")],
                 heads[1]: [(1.2, end, 'he said ""yes""')]}
        turns |= {name: [(0.0, 2.0, " (sil)")] for name in heads[2:3]}
        turns |= {name: [] for name in heads[3:]}
        far, near = root / f"{place}_far", root / f"{place}_near"
        audio(far / f"audio_dir/{session}_{array}.wav", 3, channels=8)
        coding = "utf-16" if session == "R0003_M0046" else "utf-8"
        textgrid(far / f"textgrid_dir/{session}.TextGrid", turns, end,
                 short=session == "R8002_M8002", encoding=coding)
        for head, intervals in turns.items():
            name = f"{session}_{head}"
            audio(near / f"audio_dir/{name}.wav", 3 if head == heads[0] else 2.9)
            textgrid(near / f"textgrid_dir/{name}.TextGrid", {head: intervals}, end)
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
    tiers = {"N_SPK8005": [], "N_SPK8006": [(0.0, 3.0, " ")], "N_SPK8007": [(0.0, 3.0, "(sil)")]}
    textgrid(place, tiers, 3.0)
    return place


def damage(root: Path) -> Path:
    """Cut a TextGrid off; return it."""
    place = a_file(root)
    return text(place, place.read_text(encoding="utf-16")[:-40])
