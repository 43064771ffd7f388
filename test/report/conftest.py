"""A short recording with difficult labels, as files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from diarize.io.ark import ArkWriter
from diarize.io.audio import write_wav
from diarize.io.rttm import write_rttm
from diarize.segments import Turn

sys.path.insert(0, str(Path(__file__).parent))  # for meeting_files.py
from meeting_files import LABELS, RATE, SECONDS, Meeting, turns


@pytest.fixture(scope="session")
def meeting(tmp_path_factory) -> Meeting:
    """The files of a meeting of five speakers, with output that has all kinds of errors."""
    folder = tmp_path_factory.mktemp("meeting page")  # with a blank, for links
    reference = turns(1)
    rng = np.random.default_rng(2)
    output = []
    for segment in reference:
        if rng.random() < 0.15:
            continue
        index = LABELS.index(segment.label) if rng.random() < 0.85 else int(rng.integers(5))
        start = max(0.0, segment.start + rng.normal(0, 0.2))
        end = max(start + 0.05, segment.end + rng.normal(0, 0.2))
        output.append(Turn("meeting", start, end, f"spk{index}", float(rng.uniform(0.5, 1))))
    output.append(Turn("meeting", 5.0, 6.5, "spk7", 0.25))
    write_rttm(folder / "ref.rttm", reference)
    write_rttm(folder / "hyp.rttm", output)
    (folder / "uem").write_text("meeting 1 2.000 18.500\nmeeting 1 20.000 39.000\n")
    wave = 0.01 * rng.standard_normal(RATE * SECONDS)
    for segment in reference:
        wave[int(segment.start * RATE) : int(segment.end * RATE)] *= 8
    write_wav(folder / "meeting.wav", wave.astype(np.float32), RATE)
    masks = np.full((100 * SECONDS, 8), 0.02, np.float32)
    for turn in output:
        query = int(turn.label[3:])
        masks[int(100 * turn.start) : int(100 * turn.end), query] = 0.8
    with ArkWriter(folder / "post", "posteriors") as writer:
        writer.write("meeting", masks)
    with ArkWriter(folder / "post", "activities") as writer:
        writer.write("meeting", np.array([0.9, 0.8, 0.99, 0.7, 0.6, 0.3, 0.01, 0.5]))
    names = ("meeting.wav", "ref.rttm", "hyp.rttm", "uem", "post")
    return Meeting(folder, *(folder / name for name in names))
