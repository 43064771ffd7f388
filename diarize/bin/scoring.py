"""Scores of many hypotheses of one recording, and the Jaccard error, for tuning and RESULTS.md."""

from collections.abc import Sequence

from diarize.plot.errors import shared_seconds
from diarize.score.der import ErrorTimes, score_files
from diarize.segments import Segment, clip_segments, merge_segments

Regions = Sequence[tuple[float, float]]


def score_hypotheses(
    reference: Sequence[Segment], hypotheses: Sequence[Sequence[Segment]], regions: Regions
) -> list[ErrorTimes]:
    """Return the errors of each hypothesis of one recording, without collar, overlap scored.

    All are scored in one pass, as if they were recordings.  Where the reference is empty
    all speech in ``regions`` is a false alarm (md-eval would leave the recording out).
    """
    # A turn of no length makes a recording known without adding speech to it.
    ref = list(reference) or [Segment("", regions[0][0], regions[0][0], "")]
    names = [f"{i:06d}" for i in range(len(hypotheses))]
    scores = score_files(
        [seg._replace(recording=name) for name in names for seg in ref],
        [
            seg._replace(recording=name)
            for name, segments in zip(names, hypotheses, strict=True)
            for seg in segments
        ],
        dict.fromkeys(names, regions),
    )
    return [scores.recordings[name] for name in names]


def jaccard_error(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], regions: Regions
) -> tuple[float, int]:
    """Return the Jaccard errors (0..1) summed over the reference speakers, and their number.

    A speaker's error is 1 less the time in common with the hypothesis speaker over the time
    of either, 1 where none is mapped; speakers are mapped so that the sum is least (DIHARD
    II evaluation plan).
    """
    ref, hyp = (_speech_by_label(segments, regions) for segments in (reference, hypothesis))
    if not ref or not hyp:
        return float(len(ref)), len(ref)
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    index = np.zeros((len(ref), len(hyp)))
    for i, one in enumerate(ref.values()):
        for j, other in enumerate(hyp.values()):
            both = shared_seconds(one, other)
            either = sum(b - a for a, b in one + other) - both
            index[i, j] = both / either
    return len(ref) - float(index[linear_sum_assignment(-index)].sum()), len(ref)


def _speech_by_label(
    segments: Sequence[Segment], regions: Regions
) -> dict[str, list[tuple[float, float]]]:
    out: dict[str, list[tuple[float, float]]] = {}
    for start, end in sorted(regions):
        for seg in merge_segments(clip_segments(segments, start, end)):
            out.setdefault(seg.label, []).append((seg.start, seg.end))
    return out
