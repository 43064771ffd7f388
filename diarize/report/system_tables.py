"""Table of several systems on one set: text, Markdown, LaTeX or CSV."""

from collections.abc import Mapping

from diarize.report.score_tables import percent
from diarize.report.scores import PARTS, Report
from diarize.report.tables import aligned, csv_lines, latex_table, markdown_table
from diarize.score.analysis import count_accuracy

FORMATS = ("text", "markdown", "latex", "csv")
_HEAD = ("system", "collar", "DER", "miss", "false alarm", "confusion", "JER", "count right")


def system_table(reports: Mapping[str, Report], form: str) -> str:
    """Return one row per system and collar; collar in seconds, all else in percent.

    JER and the share of recordings with the right number of speakers do not depend on the collar.
    ``form`` is one of `FORMATS`.
    """
    rows = []
    for name, report in reports.items():
        jer = f"{100 * report.jer.jer:.2f}" if report.jer.speakers else "-"
        right = f"{100 * count_accuracy(report.counts):.2f}"
        for collar, scores in report.scores.items():
            errors = [percent(scores.total, part) for part in PARTS]
            rows.append((name, f"{collar:.2f}", *errors, jer, right))
    lines = {
        "text": lambda: aligned([_HEAD, *rows]),
        "markdown": lambda: markdown_table(_HEAD, rows)[:-1],
        "latex": lambda: latex_table(_HEAD, rows),
        "csv": lambda: csv_lines(_HEAD, rows),
    }[form]()
    return "\n".join(lines) + "\n"
