"""Labelled stretches of time, and their conversion to and from masks."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from diarize.timebase import FrameGrid

# Stretches of one recording, such as the evaluated ones, as (start, end) seconds.
Regions = Sequence[tuple[float, float]]


class Segment(NamedTuple):
    """``label`` (a speaker or a language) is active in ``recording`` in [start, end) seconds."""

    recording: str
    start: float
    end: float
    label: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


class Turn(NamedTuple):
    """A `Segment` of system output, with the confidence of its label and its audio channel.

    ``confidence`` lies in 0..1, or is None where it is unknown; ``channel`` is the field of
    RTTM, "1" for the first channel and for a mix of all channels.
    """

    recording: str
    start: float
    end: float
    label: str
    confidence: float | None = None
    channel: str = "1"

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    @property
    def segment(self) -> Segment:
        """The turn without confidence and channel."""
        return Segment(*self[:4])


def as_turn(segment: Segment | Turn) -> Turn:
    """Return ``segment`` as a turn; the confidence of a plain segment is None."""
    return segment if isinstance(segment, Turn) else Turn(*segment)


def in_order(segments: Iterable[Segment | Turn]) -> list[Turn]:
    """Return the segments as turns, sorted by recording, start, end and label."""
    return sorted(map(as_turn, segments), key=lambda turn: turn[:4])


def by_recording(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    """Return the segments of each recording, in input order."""
    out: dict[str, list[Segment]] = {}
    for segment in segments:
        out.setdefault(segment.recording, []).append(segment)
    return out


def merge_segments(segments: Iterable[Segment], gap: float = 0.0) -> list[Segment]:
    """Return the segments, joining those of one label that overlap or are at most ``gap`` s apart.

    >>> merge_segments([Segment("r", 0, 1, "a"), Segment("r", 1, 2, "a")])
    [Segment(recording='r', start=0, end=2, label='a')]
    """
    last: dict[tuple[str, str], Segment] = {}
    out = []
    for seg in sorted(segments):
        key = (seg.recording, seg.label)
        prev = last.get(key)
        if prev is not None and seg.start <= prev.end + gap:
            last[key] = prev._replace(end=max(prev.end, seg.end))
            continue
        if prev is not None:
            out.append(prev)
        last[key] = seg
    return sorted(out + list(last.values()))


def clip_segments(segments: Iterable[Segment], start: float, end: float) -> list[Segment]:
    """Return the parts of the segments inside [start, end) seconds, in recording time."""
    out = []
    for seg in segments:
        lo, hi = max(seg.start, start), min(seg.end, end)
        if hi > lo:
            out.append(seg._replace(start=lo, end=hi))
    return out


def annotation_fault(
    recording: str, total: float, outside: float, length: float | None
) -> str | None:
    """Return the fault of an annotation without length, or mostly outside of its audio.

    ``total`` seconds are annotated, ``outside`` of them outside of the audio, which is ``length``
    seconds long.  More than half outside: the annotation is that of another recording, or its
    times are in milliseconds or samples.
    """
    if total < 0.001:
        return (
            f"recording {recording}: the annotation has no length ({total:g} s in total); correct "
            "the durations, or remove the lines if nobody speaks"
        )
    if outside > total / 2:
        return (
            f"recording {recording}: {outside:.1f} of {total:.1f} s of annotation lie outside the "
            f"audio of {length:g} s; times must be in seconds, of this audio"
        )
    return None


def segments_to_mask(
    segments: Iterable[Segment],
    labels: Sequence[str],
    num_frames: int,
    grid: FrameGrid,
    offset: float = 0.0,
) -> np.ndarray:
    """Return the activity of each label, bool of shape (num_frames, len(labels)).

    Frame 0 begins ``offset`` seconds into the recording.  Start and end are rounded to the
    nearest frame boundary by one rule, so adjacent segments remain adjacent.
    """
    column = {label: i for i, label in enumerate(labels)}
    mask = np.zeros((num_frames, len(labels)), dtype=bool)
    for seg in segments:
        lo = max(0, grid.to_frame(seg.start - offset))
        hi = max(0, grid.to_frame(seg.end - offset))
        mask[lo:hi, column[seg.label]] = True
    return mask
