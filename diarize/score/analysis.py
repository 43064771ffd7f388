"""Error analysis: by speaker, by number of speakers, around switches of label."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diarize.score.der import Evaluation, intervals_of
from diarize.score.jer import speaker_jaccard_errors, speaking_times
from diarize.score.times import ErrorTimes, Scores

# A label that follows another within this many seconds is a switch (see `by_switch`).
SWITCH_GAP = 2.0
SWITCH_WINDOW = 1.0


def speaker_counts(evaluation: Evaluation) -> dict[str, tuple[int, int]]:
    """Return the numbers of (reference, system) speakers with evaluated time, by recording."""
    line, problem = evaluation.timeline, evaluation.problem
    counts = []
    for side, runs in ((problem.ref, line.ref), (problem.sys, line.sys)):
        time = speaking_times(line, runs, len(side.speakers))
        counts.append(np.bincount(side.speaker_group[time > 0], minlength=len(problem.groups)))
    pairs = zip(counts[0].tolist(), counts[1].tolist(), strict=True)
    return dict(zip(problem.groups, pairs, strict=True))


def count_accuracy(counts: Mapping[str, tuple[int, int]]) -> float:
    """Return the share of recordings with the right number of speakers; 0 without recordings."""
    return sum(ref == sys for ref, sys in counts.values()) / max(len(counts), 1)


def count_confusion(counts: Mapping[str, tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Return the number of recordings by (reference, system) number of speakers, sorted."""
    return dict(sorted(Counter(counts.values()).items()))


def by_recording_size(
    scores: Scores, counts: Mapping[str, tuple[int, int]]
) -> dict[int, tuple[int, ErrorTimes]]:
    """Return (recordings, error times) by the reference's number of speakers."""
    out: dict[int, tuple[int, ErrorTimes]] = {}
    for name, times in scores:
        number, total = out.get(counts[name][0], (0, ErrorTimes()))
        out[counts[name][0]] = (number + 1, total + times)
    return dict(sorted(out.items()))


def by_active_speakers(
    evaluation: Evaluation, collar: float = 0.0, skip_overlap: bool = False
) -> dict[int, ErrorTimes]:
    """Return the error times by the number of simultaneous reference speakers (0: silence)."""
    part = intervals_of(evaluation.scored_timeline(collar, skip_overlap), evaluation.mapping)
    num = int(part.ref.max(initial=0)) + 1

    def add(weight: np.ndarray) -> list[float]:
        return np.bincount(part.ref, part.duration * weight, minlength=num).tolist()

    columns = (
        add(part.ref),
        add(np.maximum(part.ref - part.sys, 0)),
        add(np.maximum(part.sys - part.ref, 0)),
        add(np.minimum(part.ref, part.sys) - part.mapped),
        add(np.ones_like(part.ref)),
    )
    return {
        level: ErrorTimes(speech, miss, alarm, confusion, evaluated_time=time, scored_time=time)
        for level, (speech, miss, alarm, confusion, time) in enumerate(zip(*columns, strict=True))
        if time > 0
    }


@dataclass(frozen=True)
class SpeakerResult:
    """Result of one reference speaker: ``speech`` and ``found`` in seconds, mapped speaker, JER."""

    recording: str
    speaker: str
    mapped_to: str | None
    speech: float
    found: float
    jaccard_error: float


def by_speaker(evaluation: Evaluation) -> list[SpeakerResult]:
    """Return the result of every evaluated reference speaker without collar, sorted by name."""
    problem = evaluation.problem
    errors = speaker_jaccard_errors(evaluation)
    speech = speaking_times(evaluation.timeline, evaluation.timeline.ref, len(problem.ref.speakers))
    common, ref, sys = evaluation.common
    found = np.zeros(len(speech))
    hit = evaluation.mapping[ref] == sys
    found[ref[hit]] = common[hit]
    out = []
    for i in np.flatnonzero(~np.isnan(errors)).tolist():
        partner = int(evaluation.mapping[i])
        out.append(
            SpeakerResult(
                problem.groups[int(problem.ref.speaker_group[i])],
                problem.ref.speakers[i],
                problem.sys.speakers[partner] if partner >= 0 else None,
                float(speech[i]),
                float(found[i]),
                float(errors[i]),
            )
        )
    return out


def purity_coverage(evaluation: Evaluation) -> tuple[float, float]:
    """Return the purity of the system's speakers and the coverage of the reference's, 0 to 1.

    Purity is the share of the common time that lies in the largest reference speaker of each system
    speaker; coverage exchanges the sides (H. Bredin, "pyannote.metrics", Interspeech 2017).  Both
    are 1 without common time.
    """
    common, ref, sys = evaluation.common
    total = float(common.sum())
    if not total:
        return 1.0, 1.0
    shares = []
    for index in (sys, ref):
        best = np.zeros(int(index.max()) + 1)
        np.maximum.at(best, index, common)
        shares.append(float(best.sum()) / total)
    return shares[0], shares[1]


def by_switch(
    evaluation: Evaluation, gap: float = SWITCH_GAP, window: float = SWITCH_WINDOW
) -> dict[tuple[str, str], ErrorTimes]:
    """Return the error times around switches, by (label before, label after).

    At a switch, a reference turn follows one of another label within ``gap`` seconds.  Errors
    within ``window`` seconds of the start of the later turn belong to the switch; where windows
    overlap, to the first one.  For languages this is the error by type of switch.
    """
    problem = evaluation.problem
    turns = problem.ref.turns
    order = np.lexsort((turns.end, turns.start, turns.group))
    group, speaker = turns.group[order], turns.speaker[order]
    start, end = turns.start[order], turns.end[order]
    later = (
        np.flatnonzero(
            (group[1:] == group[:-1])
            & (speaker[1:] != speaker[:-1])
            & (start[1:] - end[:-1] <= gap)
        )
        + 1
    )
    part = intervals_of(evaluation.timeline, evaluation.mapping)
    begin = evaluation.timeline.start[part.index]
    finish = begin + part.duration
    # The intervals of a group lie in [first, last) and ascend in time.
    bounds = np.searchsorted(part.group, np.arange(len(problem.groups) + 1))
    taken = np.full(len(problem.groups), -np.inf)
    out: dict[tuple[str, str], ErrorTimes] = {}
    for i in later.tolist():
        g = int(group[i])
        low = max(float(start[i]) - window, float(taken[g]))
        high = float(start[i]) + window
        taken[g] = high
        a, b = int(bounds[g]), int(bounds[g + 1])
        a, b = (
            a + int(np.searchsorted(finish[a:b], low)),
            a + int(np.searchsorted(begin[a:b], high)),
        )
        inside = np.minimum(finish[a:b], high) - np.maximum(begin[a:b], low)
        seconds = np.maximum(inside, 0.0)
        ref, sys, mapped = part.ref[a:b], part.sys[a:b], part.mapped[a:b]
        times = ErrorTimes(
            float(seconds @ ref),
            float(seconds @ np.maximum(ref - sys, 0)),
            float(seconds @ np.maximum(sys - ref, 0)),
            float(seconds @ (np.minimum(ref, sys) - mapped)),
            evaluated_time=float(seconds.sum()),
            scored_time=float(seconds.sum()),
        )
        names = problem.ref.speakers
        key = (names[int(speaker[i - 1])], names[int(speaker[i])])
        out[key] = out.get(key, ErrorTimes()) + times
    return dict(sorted(out.items()))
