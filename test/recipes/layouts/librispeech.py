"""LibriSpeech, with MUSAN and RIRS_NOISES, which its mixtures need: parts of a few speakers."""

from pathlib import Path

import numpy as np
import soundfile

from diarize.prepare.energy_sad import energy_sad

RATE = 16000
SPEAKERS = {
    "train-clean-100": range(100, 120),
    "train-clean-360": range(200, 202),
    "train-other-500": range(300, 302),
    "dev-clean": range(400, 404),
    "test-clean": range(500, 504),
}
SPEECH = (0.3, 1.1)  # seconds, of files of 1.4 s
NOISES = (0, 2)  # background noises, of four
SIZES = ("small", "medium", "large")


def make(root: Path) -> dict[str, str]:
    """Two utterances for each speaker, in chapters of their own, and SPEAKERS.TXT."""
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for part, speakers in SPEAKERS.items():
        for speaker in speakers:
            lines.append(f"{speaker:<4} | {'FM'[speaker % 2]} | {part:<16} | 25.1  | A Reader")
            for chapter in (1, 2):
                utterance(root, part, speaker, chapter)
    (root / "LibriSpeech/SPEAKERS.TXT").write_text("\n".join(lines) + "\n")
    make_musan(root / "musan")
    make_rirs(root / "RIRS_NOISES")
    return {"LIBRISPEECH": str(root), "MUSAN": str(root), "RIRS_NOISES": str(root)}


def utterance(root: Path, part: str, speaker: int, chapter: int, name: str = "") -> Path:
    """Write a file of noise between silences; return it."""
    place = root / "LibriSpeech" / part / str(speaker) / str(chapter)
    path = place / (name or f"{speaker}-{chapter}-0000.flac")
    rng = np.random.default_rng(speaker + chapter)
    wave = 3e-4 * rng.standard_normal(round(1.4 * RATE))
    first, last = (round(time * RATE) for time in SPEECH)
    wave[first:last] += 0.1 * rng.standard_normal(last - first)
    assert energy_sad(wave, RATE)
    write(path, wave)
    return path


def make_musan(root: Path) -> None:
    """Four noises of which two are background, and one of the other source."""
    folder = root / "noise/free-sound"
    rng = np.random.default_rng(0)
    for number in range(4):
        write(folder / f"noise-free-sound-{number:04d}.wav", 0.01 * rng.standard_normal(RATE))
    write(root / "noise/sound-bible/noise-sound-bible-0000.wav", 0.01 * rng.standard_normal(RATE))
    ids = "".join(f"noise-free-sound-{number:04d}\n" for number in NOISES)
    (folder / "ANNOTATIONS").write_text("Background noises\n" + ids)


def make_rirs(root: Path) -> None:
    """Two rooms of each size, with two responses each, whose names repeat."""
    for size in SIZES:
        folder = root / f"simulated_rirs/{size}room"
        lines = []
        for room in ("Room001", "Room002"):
            for number in (1, 2):
                response = np.zeros(800)
                response[[0, 400]] = 0.5, 0.1 * number
                write(folder / room / f"{room}-{number:05d}.wav", response)
                place = f"RIRS_NOISES/simulated_rirs/{size}room/{room}/{room}-{number:05d}.wav"
                lines.append(f"--rir-id {size}-{room}-{number} --room-id {size}-{room} {place}\n")
        (folder / "rir_list").write_text("".join(lines))


def write(path: Path, wave: np.ndarray) -> None:
    """Write 16-bit audio in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE, subtype="PCM_16")
