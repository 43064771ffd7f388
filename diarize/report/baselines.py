"""Trivial baselines: output without a model.

The first baseline is one speaker over all evaluated regions.  The others are oracles, which use the
speech of the reference: all speech as one speaker, and all speech as k simultaneous speakers, with
the k that is best for the set.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from diarize.report.tables import markdown_table
from diarize.score.der import ScoreOptions, score_files
from diarize.score.sanity_checks import require_speech
from diarize.score.times import Scores, note_on_silence
from diarize.segments import Regions, Segment, by_recording, merge_segments


class Baseline(NamedTuple):
    """Name, number of speakers and output of a baseline."""

    name: str
    speakers: int
    segments: list[Segment]


def one_speaker(uem: Mapping[str, Regions]) -> list[Segment]:
    """Return one speaker over all evaluated regions.

    >>> one_speaker({"r": [(0.0, 3.0)]})
    [Segment(recording='r', start=0.0, end=3.0, label='1')]
    """
    return [Segment(name, a, b, "1") for name in sorted(uem) for a, b in uem[name]]


def speech_as(reference: Iterable[Segment], speakers: int) -> list[Segment]:
    """Return ``speakers`` speakers who are all active wherever ``reference`` has speech.

    >>> speech_as([Segment("r", 0, 2, "a"), Segment("r", 1, 3, "b")], 1)
    [Segment(recording='r', start=0, end=3, label='1')]
    """
    speech = merge_segments(seg._replace(label="") for seg in reference)
    return [seg._replace(label=str(k + 1)) for seg in speech for k in range(speakers)]


def best_constant(
    reference: list[Segment], uem: Mapping[str, Regions], options: ScoreOptions
) -> Baseline:
    """Return the `speech_as` with the number of speakers of least error; the smallest of equals.

    Numbers up to the largest number of speakers in a recording are tried: more only add false
    alarm.
    """
    most = max((len({s.label for s in own}) for own in by_recording(reference).values()), default=1)
    tried = [
        Baseline(_speech_name(k), k, speech_as(reference, k)) for k in range(1, max(most, 1) + 1)
    ]
    errors = [score_files(reference, one.segments, uem, options).total.error for one in tried]
    return tried[errors.index(min(errors))]


def baselines(
    reference: list[Segment], uem: Mapping[str, Regions], collar: float = 0.0
) -> list[tuple[Baseline, Scores]]:
    """Return the three trivial baselines of a set and their scores at ``collar`` seconds.

    ``uem`` lists the evaluated regions of all recordings.
    """
    options = ScoreOptions(collar)
    best = best_constant(reference, uem, options)
    rows = [
        Baseline("one speaker all the time", 1, one_speaker(uem)),
        Baseline(_speech_name(1), 1, speech_as(reference, 1)),
        best._replace(name=f"best constant number, {best.name}"),
    ]
    return [(row, score_files(reference, row.segments, uem, options)) for row in rows]


def comparison_lines(
    name: str,
    reference: list[Segment],
    uem: Mapping[str, Regions],
    systems: Mapping[str, list[Segment]],
    collar: float,
) -> list[str]:
    """Return a Markdown table: baselines, then systems, against the reference ``name``.

    DER and its parts are in percent of the scored speech.
    """
    rows = [(one.name, scores) for one, scores in baselines(reference, uem, collar)]
    options = ScoreOptions(collar)
    rows += [(key, score_files(reference, out, uem, options)) for key, out in systems.items()]
    require_speech(rows[0][1], name)
    speech = rows[0][1].total.scored_speech
    lines = [
        f"Against `{name}`, collar {collar:.2f} s: {len(uem)} recordings, {speech:.1f} s of "
        "speech scored.",
        "",
    ]
    cells = []
    for key, scores in rows:
        times = scores.total
        parts = (times.error, times.miss, times.false_alarm, times.confusion)
        cells.append((key, *(f"{100 * times.rate(part):.2f}" for part in parts)))
    lines += markdown_table(("output", "DER", "miss", "false alarm", "confusion"), cells)
    notes = {key: note_on_silence({collar: scores}) for key, scores in rows}
    lines += [f"{key}: {note}  " for key, note in notes.items() if note]
    return [*lines, ""] if any(notes.values()) else lines


def _speech_name(speakers: int) -> str:
    return f"oracle speech as {speakers} speaker{'s' * (speakers > 1)}"
