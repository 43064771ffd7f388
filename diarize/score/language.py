"""Errors of language diarization by its two protocols, which are not comparable.

* Whole recordings, as in the DISPLACE challenges: the DER of md-eval (`diarize.score.der`) with
  one mapping per recording, pooled.  This module adds scoring by name and by kind of switch.
* Windows of 10 s, as in the SAGE-LD paper (arXiv 2510.00582): the share of wrong frames among all
  frames including silence, with the best mapping for each window, averaged over windows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from diarize.errors import DiarizeError
from diarize.score.der import Evaluation
from diarize.score.mapping import match
from diarize.score.timeline import Spans
from diarize.score.times import ErrorTimes
from diarize.segments import Regions, Segment, by_recording, segments_to_mask
from diarize.timebase import FrameGrid

WINDOW = 10.0


class NamedEvaluation(Evaluation):
    """An evaluation in which a language of the system is right only under its own name."""

    @cached_property
    def mapping(self) -> np.ndarray:
        """The system language of each reference language of the same name, -1 for none."""
        ref, sys = self.problem.ref, self.problem.sys
        keys = zip(sys.speaker_group.tolist(), sys.speakers, strict=True)
        index = {key: i for i, key in enumerate(keys)}
        keys = zip(ref.speaker_group.tolist(), ref.speakers, strict=True)
        return np.array([index.get(key, -1) for key in keys], np.int64)


@dataclass(frozen=True)
class WindowErrors:
    """Numbers of wrong frames and of all frames, by window."""

    wrong: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def __add__(self, other: "WindowErrors") -> "WindowErrors":
        """Return the windows of both."""
        return WindowErrors(self.wrong + other.wrong, self.frames + other.frames)

    @property
    def mean(self) -> float:
        """The mean over windows of the share of wrong frames, 0 to 1; 0 without windows."""
        shares = [w / n for w, n in zip(self.wrong, self.frames, strict=True)]
        return sum(shares) / max(len(shares), 1)

    @property
    def pooled(self) -> float:
        """The share of wrong frames among all frames of all windows, 0 to 1."""
        return sum(self.wrong) / max(sum(self.frames), 1)


def score_windows(
    ref: Iterable[Segment],
    sys: Iterable[Segment],
    uem: Mapping[str, Regions],
    window: float = WINDOW,
    grid: FrameGrid | None = None,
    names: bool = False,
) -> WindowErrors:
    """Return the errors of every window of the regions of ``uem``, recordings in C order.

    Windows follow one another from the start of each region; the last one may be shorter.  A frame
    (of ``grid``, default 10 ms) is right where the mapped system languages equal those of the
    reference, including none.  With ``names``, languages are compared by name instead of mapped.
    Raises DiarizeError for windows shorter than a frame.
    """
    grid = grid or FrameGrid()
    size = grid.to_frame(window)
    if size < 1:
        raise DiarizeError(f"a window of {window} s is shorter than a frame")
    refs, syss = by_recording(ref), by_recording(sys)
    wrong, frames = [], []
    for recording in sorted(uem):
        for start, end in uem[recording]:
            count = grid.to_frame(end - start)
            masks = [
                _mask(side.get(recording, []), count, start, grid) for side in (refs, syss)
            ]
            for first in range(0, count, size):
                parts = [(labels, mask[first : first + size]) for labels, mask in masks]
                wrong.append(_wrong_frames(*parts, names))
                frames.append(min(size, count - first))
    return WindowErrors(tuple(wrong), tuple(frames))


def by_kind(
    evaluation: Evaluation, kinds: Iterable[Segment], collar: float = 0.0
) -> dict[str, ErrorTimes]:
    """Return the error times inside the segments of each label of ``kinds``.

    The labels are kinds of sentences, for example those with a switch inside.  Languages are mapped
    on whole recordings.
    """
    problem = evaluation.problem
    number = {name: i for i, name in enumerate(problem.groups)}
    spans: dict[str, list[Segment]] = {}
    for segment in kinds:
        if segment.recording in number:
            spans.setdefault(segment.label, []).append(segment)
    out = {}
    for kind in sorted(spans):
        outside = _outside(spans[kind], number, problem.regions)
        part = type(evaluation)(replace(problem, zones=problem.zones.joined(outside)))
        out[kind] = part.scores(collar).total
    return out


def second_language(
    ref: Iterable[Segment],
    sys: Iterable[Segment],
    uem: Mapping[str, Regions],
    grid: FrameGrid | None = None,
) -> tuple[float, float]:
    """Return the seconds of speech outside the main language of its recording, and of all speech.

    For recordings of one language: the main language is the longest one of the system within the
    reference speech.
    """
    grid = grid or FrameGrid()
    refs, syss = by_recording(ref), by_recording(sys)
    second = speech = 0
    for recording, regions in uem.items():
        found: dict[str, int] = {}
        for start, end in regions:
            count = grid.to_frame(end - start)
            spoken = _mask(refs.get(recording, []), count, start, grid)[1].any(1)
            speech += int(spoken.sum())
            labels, mask = _mask(syss.get(recording, []), count, start, grid)
            for label, active in zip(labels, (mask & spoken[:, None]).sum(0), strict=True):
                found[label] = found.get(label, 0) + int(active)
        second += sum(found.values()) - max(found.values(), default=0)
    return second * grid.frame_seconds, speech * grid.frame_seconds


def _mask(
    segments: Sequence[Segment], count: int, start: float, grid: FrameGrid
) -> tuple[list[str], np.ndarray]:
    """Return the labels and their activity (count, labels) from ``start`` seconds."""
    labels = sorted({segment.label for segment in segments})
    return labels, segments_to_mask(segments, labels, count, grid, start)


def _wrong_frames(
    ref: tuple[list[str], np.ndarray], sys: tuple[list[str], np.ndarray], names: bool
) -> int:
    labels, mask = ref
    found_labels, found = sys
    if names:
        pairs = [
            (labels.index(name), j) for j, name in enumerate(found_labels) if name in labels
        ]
    else:
        common = mask.T.astype(np.float64) @ found.astype(np.float64)
        pairs = match(common) if common.size and common.any() else []
    mapped = np.zeros_like(mask)
    unmapped = np.ones(len(found_labels), bool)
    for i, j in pairs:
        mapped[:, i] = found[:, j]
        unmapped[j] = False
    return int(((mapped != mask).any(1) | found[:, unmapped].any(1)).sum())


def _outside(inside: list[Segment], number: Mapping[str, int], regions: Spans) -> Spans:
    """Return the spans of all recordings outside the segments ``inside``."""
    rows: list[tuple[int, float, float]] = []
    by_group: dict[int, list[Segment]] = {}
    for segment in inside:
        by_group.setdefault(number[segment.recording], []).append(segment)
    for group in range(len(number)):
        own = regions.group == group
        if not own.any():
            continue
        at, end = float(regions.start[own].min()) - 1, float(regions.end[own].max()) + 1
        for segment in sorted(by_group.get(group, [])):
            if segment.start > at:
                rows.append((group, at, segment.start))
            at = max(at, segment.end)
        if end > at:
            rows.append((group, at, end))
    table = np.array(rows, float).reshape(-1, 3)
    return Spans(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])
