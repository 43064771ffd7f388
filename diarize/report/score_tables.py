"""Scores of one system on one set, as text."""

from collections.abc import Mapping

from diarize.report.scores import CONVENTION, PARTS, Report
from diarize.report.tables import aligned
from diarize.score.analysis import count_accuracy, count_confusion
from diarize.score.jer import JaccardErrors
from diarize.score.times import ErrorTimes


def percent(times: ErrorTimes, part: str) -> str:
    """Return a part of the error in percent of the scored speech, ``-`` without any."""
    if times.scored_speech <= 0:
        return "-"
    seconds = times.error if part == "der" else getattr(times, part)
    return f"{100 * seconds / times.scored_speech:.2f}"


def text_report(report: Report) -> str:
    """Return the report as text.

    The overall result is the last line; with further tables, it precedes them.
    """
    out = [f"# {key}: {value}" for key, value in {**report.files, **report.options}.items()]
    out += [f"# convention: {CONVENTION}", *_statements(report), ""]
    collars = list(report.scores)
    head = ["recording", "speech s"]
    for collar in collars:
        head += [f"DER@{collar:g}", "Miss", "FA", "Conf"]
    rows = [[*head, "JER", "spk", "sys"]]
    for name in report.jaccard:
        times = {collar: report.scores[collar].recordings[name] for collar in collars}
        rows.append(_row(name, times, report.jaccard[name], report.counts[name]))
    totals = {collar: report.scores[collar].total for collar in collars}
    rows.append(_row("OVERALL", totals, report.jer, report.total_counts))
    lines = aligned(rows)
    details = _details(report)
    if details:
        lines = [lines[0], lines[-1], *details, "By recording:", *lines[:-1]]
    else:
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
        cells += [percent(one, part) for part in PARTS]
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
            cells = [percent(times, part) for part in PARTS]
            rows.append([str(size), str(number), f"{times.scored_speech:.2f}", *cells])
        out += ["", "By number of reference speakers:", *aligned(rows)]
        rows = [["active", "scored s", "miss s", "false alarm s", "confusion s"]]
        for level, times in report.active.items():
            seconds = (times.scored_time, times.miss, times.false_alarm, times.confusion)
            rows.append([str(level), *(f"{value:.2f}" for value in seconds)])
        out += ["", "By number of simultaneous reference speakers:", *aligned(rows)]
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
            cells = [percent(times, part) for part in PARTS]
            rows.append([before, after, f"{times.scored_speech:.2f}", *cells])
        out += ["", "Around switches, by type:", *aligned(rows)]
    return [*out, ""] if out else out
