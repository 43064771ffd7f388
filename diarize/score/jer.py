"""Jaccard error rate (Second DIHARD Challenge evaluation plan, 2019, section 4.2).

All reference speakers have equal weight.  The error of a speaker is 1 - intersection / union of
their time and that of the mapped system speaker, and 1 without a mapped speaker.  The mapping is
one to one and minimises the sum of errors.  No collar; overlapped speech is scored.
"""

from dataclasses import dataclass

import numpy as np

from diarize.score.der import Evaluation
from diarize.score.mapping import map_speakers
from diarize.score.timeline import Runs, Timeline


@dataclass(frozen=True)
class JaccardErrors:
    """Sum of the errors of ``speakers`` reference speakers; adds up over recordings."""

    error: float = 0.0
    speakers: int = 0

    def __add__(self, other: "JaccardErrors") -> "JaccardErrors":
        """Return the sums of both."""
        return JaccardErrors(self.error + other.error, self.speakers + other.speakers)

    @property
    def jer(self) -> float:
        """The mean error of a speaker, 0 to 1; 0 without speakers."""
        return self.error / self.speakers if self.speakers else 0.0


def speaking_times(line: Timeline, runs: Runs, num_speakers: int) -> np.ndarray:
    """Return the evaluated seconds of each speaker of one side, (num_speakers,)."""
    passed = np.concatenate(([0.0], np.cumsum(np.where(line.inside, line.duration, 0.0))))
    spans = passed[runs.last] - passed[runs.first]
    return np.bincount(runs.speaker, weights=spans, minlength=num_speakers)


def speaker_jaccard_errors(evaluation: Evaluation) -> np.ndarray:
    """Return the error of each reference speaker, (num_ref,), NaN without evaluated speech."""
    line, problem = evaluation.timeline, evaluation.problem
    common, ref, sys = evaluation.common
    ref_time = speaking_times(line, line.ref, len(problem.ref.speakers))
    sys_time = speaking_times(line, line.sys, len(problem.sys.speakers))
    index = common / (ref_time[ref] + sys_time[sys] - common)
    partner = map_speakers(index, ref, sys, problem.ref.speaker_group)
    errors = np.where(ref_time > 0, 1.0, np.nan)
    hit = partner[ref] == sys
    errors[ref[hit]] -= index[hit]
    return errors


def jaccard_errors(evaluation: Evaluation) -> dict[str, JaccardErrors]:
    """Return the errors of every recording of an evaluation, by name.

    >>> from diarize.score.columns import problem_from_segments
    >>> from diarize.segments import Segment
    >>> ref, sys = [Segment("r", 0, 8, "a")], [Segment("r", 2, 10, "x")]
    >>> jaccard_errors(Evaluation(problem_from_segments(ref, sys, {"r": [(0, 10)]})))["r"].jer
    0.4
    """
    errors = speaker_jaccard_errors(evaluation)
    real = np.flatnonzero(~np.isnan(errors))
    group = evaluation.problem.ref.speaker_group[real]
    num = evaluation.num_groups
    sums = np.bincount(group, weights=errors[real], minlength=num).tolist()
    counts = np.bincount(group, minlength=num).tolist()
    names = evaluation.problem.groups
    return {n: JaccardErrors(s, c) for n, s, c in zip(names, sums, counts, strict=True)}
