"""DISPLACE 2024: the audio of both tracks, and the label files of each."""

from pathlib import Path

from layouts.common import audio, text

AUDIO = "Displace2024_dev_audio_supervised/AUDIO_supervised/Track1_SD_Track2_LD"
LABELS = "Displace2024_dev_labels_supervised/Labels"
NAMES = tuple(f"B{number:03d}" for number in range(1, 36))


def make(root: Path, names: tuple[str, ...] = NAMES) -> dict[str, str]:
    """35 recordings of 2 s in two languages; the last one's labels go on after its audio."""
    for number, name in enumerate(names):
        audio(root / AUDIO / f"{name}.wav", 2)
        second = "L2" if number % 2 else "L3"
        spans = [(0.1, 0.9, "L1"), (1.0, 1.5 if name == NAMES[-1] else 0.75, second)]
        labels(root, name, spans)
        text(root / LABELS / f"Track1_SD/{name}_SPEAKER.rttm",
             f"SPEAKER {name} 1 0.100 1.000 <NA> <NA> S1 <NA> <NA>\n")  # fmt: skip
    return {"DISPLACE": str(root)}


def labels(root: Path, name: str, spans: list[tuple[float, float, str]]) -> Path:
    """Write the LANGUAGE lines (start, duration, label) of a recording; return the file."""
    return text(
        root / LABELS / f"Track2_LD/{name}_LANGUAGE.rttm",
        "".join(
            f"LANGUAGE {name} 1 {start:.3f} {length:.3f} <NA> <NA> {label} <NA> <NA>\n"
            for start, length, label in spans
        ),
    )


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / AUDIO / "B007.wav"


def duplicate(root: Path) -> str:
    """Add a recording twice; return its name."""
    (root / LABELS / "Track2_LD/B003.rttm").write_text(
        (root / LABELS / "Track2_LD/B003_LANGUAGE.rttm").read_text()
    )
    return "B003"
