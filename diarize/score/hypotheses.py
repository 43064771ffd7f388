"""Scores of many hypotheses of one recording in one pass, for the tuning of thresholds."""

from collections.abc import Sequence

from diarize.score.der import score_files
from diarize.score.times import ErrorTimes
from diarize.segments import Regions, Segment


def score_hypotheses(
    reference: Sequence[Segment], hypotheses: Sequence[Sequence[Segment]], regions: Regions
) -> list[ErrorTimes]:
    """Return the errors of each hypothesis of one recording, without collar, overlap scored.

    They are scored as the recordings of one set.
    """
    names = [f"{i:06d}" for i in range(len(hypotheses))]
    scores = score_files(
        [seg._replace(recording=name) for name in names for seg in reference],
        [
            seg._replace(recording=name)
            for name, segments in zip(names, hypotheses, strict=True)
            for seg in segments
        ],
        dict.fromkeys(names, regions),
    )
    return [scores.recordings[name] for name in names]
