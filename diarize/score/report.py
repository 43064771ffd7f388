"""Results as text tables, JSON and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from diarize.score.analysis import SpeakerResult, count_accuracy, count_confusion
from diarize.score.jer import JaccardErrors
from diarize.score.significance import Comparison, Interval
from diarize.score.times import ErrorTimes, Scores

CONVENTION = "md-eval 22 (NIST SCTK); JER: DIHARD II"
_PARTS = ("der", "miss", "false_alarm", "confusion")


@dataclass
class Report:
    """Everything that `diarize-score` says about one system.

    ``scores`` and ``interval`` are per collar; ``comparison`` per collar, with system B;
    ``note`` is that of `note_on_silence`.
    """

    files: dict[str, str]
    options: dict[str, object]
    scores: dict[float, Scores]
    jaccard: dict[str, JaccardErrors]
    counts: dict[str, tuple[int, int]]
    purity: float
    coverage: float
    warnings: list[str]
    note: str | None = None
    interval: dict[float, Interval] = field(default_factory=dict)
    comparison: dict[float, Comparison] = field(default_factory=dict)
    sizes: dict[int, tuple[int, ErrorTimes]] = field(default_factory=dict)
    active: dict[int, ErrorTimes] = field(default_factory=dict)
    speakers: list[SpeakerResult] = field(default_factory=list)
    switches: dict[tuple[str, str], ErrorTimes] = field(default_factory=dict)

    @property
    def jer(self) -> JaccardErrors:
        """The Jaccard errors of all recordings."""
        return sum(self.jaccard.values(), JaccardErrors())


def percent(times: ErrorTimes, part: str) -> str:
    """Return a part of the error in percent of the scored speech, ``-`` where there is none."""
    if times.scored_speech <= 0:
        return "-"
    seconds = times.error if part == "der" else getattr(times, part)
    return f"{100 * seconds / times.scored_speech:.2f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines; the first column goes left, all others right.

    >>> aligned([["a", "1"], ["bb", "10"]])
    ['a    1', 'bb  10']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def text_report(report: Report) -> str:
    """Return the report for people; its last line holds the overall result."""
    out = [f"# {key}: {value}" for key, value in {**report.files, **report.options}.items()]
    out += [f"# convention: {CONVENTION}", *_details(report), *_statements(report), ""]
    collars = list(report.scores)
    head = ["recording", "speech s"]
    for collar in collars:
        head += [f"DER@{collar:g}", "Miss", "FA", "Conf"]
    rows = [[*head, "JER", "spk", "sys"]]
    for name in report.jaccard:
        times = {collar: report.scores[collar].recordings[name] for collar in collars}
        rows.append(_row(name, times, report.jaccard[name], report.counts[name]))
    totals = {collar: report.scores[collar].total for collar in collars}
    counts = [sum(column) for column in zip(*report.counts.values(), strict=True)] or [0, 0]
    rows.append(_row("OVERALL", totals, report.jer, (counts[0], counts[1])))
    lines = aligned(rows)
    lines.insert(-1, "-" * max(map(len, lines)))
    return "\n".join(out + lines) + "\n"


def _row(
    name: str,
    times: Mapping[float, ErrorTimes],
    jaccard: JaccardErrors,
    counts: tuple[int, int],
) -> list[str]:
    first = next(iter(times.values()))
    cells = [name, f"{first.scored_speech:.2f}"]
    for one in times.values():
        cells += [percent(one, part) for part in _PARTS]
    jer = f"{100 * jaccard.jer:.2f}" if jaccard.speakers else "-"
    return [*cells, jer, str(counts[0]), str(counts[1])]


def _statements(report: Report) -> list[str]:
    out = [
        f"Number of speakers right: {100 * count_accuracy(report.counts):.2f} % of "
        f"{len(report.counts)} recordings; purity {100 * report.purity:.2f} %, "
        f"coverage {100 * report.coverage:.2f} %"
    ]
    out += [f"Note: {report.note}"] if report.note else []
    for collar, interval in report.interval.items():
        out.append(
            f"DER@{collar:g}: {100 * interval.level:g} % confidence interval "
            f"{100 * interval.low:.2f} to {100 * interval.high:.2f} (bootstrap over recordings, "
            f"{interval.rounds} rounds, seed {interval.seed})"
        )
    for collar, found in report.comparison.items():
        out.append(
            f"DER@{collar:g} A - B: {100 * found.difference:+.2f} "
            f"[{100 * found.interval.low:+.2f}, {100 * found.interval.high:+.2f}], "
            f"p = {found.p_value:.4g} (paired randomisation); "
            f"A is better on {found.better}, worse on {found.worse} recordings"
        )
    return out


def _details(report: Report) -> list[str]:
    out = []
    parts = ["DER", "Miss", "FA", "Conf"]
    if report.sizes:
        rows = [["speakers", "recordings", "speech s", *parts]]
        for size, (number, times) in report.sizes.items():
            cells = [percent(times, part) for part in _PARTS]
            rows.append([str(size), str(number), f"{times.scored_speech:.2f}", *cells])
        out += ["", "By the reference's number of speakers:", *aligned(rows)]
        rows = [["talking", "scored s", "miss s", "false alarm s", "confusion s"]]
        for level, times in report.active.items():
            seconds = (times.scored_time, times.miss, times.false_alarm, times.confusion)
            rows.append([str(level), *(f"{value:.2f}" for value in seconds)])
        out += ["", "By how many reference speakers talk at a time:", *aligned(rows)]
        rows = [["speakers", "found", "recordings"]]
        for (ref, sys), number in count_confusion(report.counts).items():
            rows.append([str(ref), str(sys), str(number)])
        out += ["", "Number of speakers, reference against system:", *aligned(rows)]
    if report.speakers:
        rows = [["recording", "speaker", "mapped to", "speech s", "found s", "JER"]]
        for one in report.speakers:
            numbers = (one.speech, one.found, 100 * one.jaccard_error)
            cells = [f"{value:.2f}" for value in numbers]
            rows.append([one.recording, one.speaker, one.mapped_to or "-", *cells])
        out += ["", "By speaker:", *aligned(rows)]
    if report.switches:
        rows = [["from", "to", "speech s", *parts]]
        for (before, after), times in report.switches.items():
            cells = [percent(times, part) for part in _PARTS]
            rows.append([before, after, f"{times.scored_speech:.2f}", *cells])
        out += ["", "Around switches, by type:", *aligned(rows)]
    return [*out, ""] if out else out


def _times(times: ErrorTimes) -> dict[str, float | None]:
    der = times.der if times.scored_speech > 0 else None
    return {**asdict(times), "der": der}


def json_report(report: Report) -> dict:
    """Return the report as plain data; times in seconds, rates as fractions."""
    recordings = {}
    for name, jaccard in report.jaccard.items():
        recordings[name] = {
            "collar": {f"{c:g}": _times(s.recordings[name]) for c, s in report.scores.items()},
            "jer": jaccard.jer if jaccard.speakers else None,
            "speakers": report.counts[name][0],
            "system_speakers": report.counts[name][1],
        }
    return {
        "convention": CONVENTION,
        **report.files,
        "options": report.options,
        "overall": {
            "collar": {f"{c:g}": _times(s.total) for c, s in report.scores.items()},
            "jer": report.jer.jer if report.jer.speakers else None,
            "speaker_count_accuracy": count_accuracy(report.counts),
            "purity": report.purity,
            "coverage": report.coverage,
        },
        "confidence": {f"{c:g}": asdict(x) for c, x in report.interval.items()},
        "comparison": {f"{c:g}": asdict(x) for c, x in report.comparison.items()},
        "speaker_count_confusion": [
            {"reference": ref, "system": sys, "recordings": number}
            for (ref, sys), number in count_confusion(report.counts).items()
        ],
        "by_number_of_speakers": {
            str(size): {"recordings": number, **_times(times)}
            for size, (number, times) in report.sizes.items()
        },
        "by_active_speakers": {str(n): _times(times) for n, times in report.active.items()},
        "by_speaker": [asdict(one) for one in report.speakers],
        "by_switch": [
            {"from": before, "to": after, **_times(times)}
            for (before, after), times in report.switches.items()
        ],
        "warnings": report.warnings,
        "note": report.note,
        "without_reference": list(next(iter(report.scores.values())).without_reference),
        "recordings": recordings,
    }


def csv_report(report: Report) -> str:
    """Return one line per recording and collar, and of the sums (recording ``OVERALL``)."""
    handle = io.StringIO()
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(
        ["recording", "collar", "scored_speech", *_PARTS[1:], "der", "jer", "speakers", "found"]
    )
    for collar, scores in report.scores.items():
        rows = [(n, t, report.jaccard[n], report.counts[n]) for n, t in scores]
        counts = [sum(column) for column in zip(*report.counts.values(), strict=True)] or [0, 0]
        for name, times, jaccard, count in [*rows, ("OVERALL", scores.total, report.jer, counts)]:
            seconds = [f"{getattr(times, part):.6f}" for part in ("scored_speech", *_PARTS[1:])]
            der = f"{times.der:.6f}" if times.scored_speech > 0 else ""
            jer = f"{jaccard.jer:.6f}" if jaccard.speakers else ""
            writer.writerow([name, f"{collar:g}", *seconds, der, jer, *count])
    return handle.getvalue()
