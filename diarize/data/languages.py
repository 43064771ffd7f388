"""Labels of language diarization: one slot for speech, then one for each language."""

import numpy as np

from diarize.data.crops import make_example
from diarize.data.examples import Example
from diarize.segments import Regions, Segment
from diarize.timebase import FrameGrid

VAD = "<speech>"


def make_language_example(
    name: str,
    waveform: np.ndarray,
    segments: list[Segment],
    grid: FrameGrid,
    evaluated: Regions | None = None,
) -> Example:
    """Return the example of ``waveform``, whose ``segments`` are labelled by language.

    Column 0 is speech (VAD), column 1 the matrix language, which is the language with the most
    speech; the embedded languages follow in order of decreasing speech, ties by name.  A frame
    has one language: of several labels, that of the language with the most speech.
    """
    found = make_example(name, waveform, segments, grid, evaluated)
    activity = found.activity
    order = np.argsort(-activity.sum(0), kind="stable")  # columns are sorted by name
    ranked = activity[:, order]
    alone = ranked & (np.cumsum(ranked, axis=1) == 1)
    # Languages that have lost all their frames are dropped.
    kept = alone.any(0)
    alone = alone[:, kept]
    speech = alone.any(1, keepdims=True)
    labels = tuple(found.labels[i] for i in order[kept])
    activity = np.hstack([speech, alone])
    return Example(name, found.waveform, activity, (VAD, *labels), found.evaluated)
