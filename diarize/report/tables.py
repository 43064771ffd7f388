"""Tables in Markdown, LaTeX, CSV and plain text, and the format of their figures."""

import csv
import io
from collections.abc import Sequence


def markdown_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table and an empty line; ``|`` inside a cell is escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    rule = "|" + "|".join(["---"] * len(head)) + "|"
    return [lines[0], rule, *lines[1:], ""]


def percent(value: float | None) -> str:
    """Return a percentage with two decimals, ``na`` for None."""
    return "na" if value is None else f"{value:.2f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines; the first column is left-aligned, the others right-aligned.

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


# Characters with a meaning in LaTeX, and their text.
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{char: "\\" + char for char in "&%$#_{}"},
})


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Return a LaTeX ``tabular`` with the rules of the package booktabs; all text is escaped.

    >>> latex_table(["a_b"], [["50 %"]])[2:4]
    ['a\\_b \\\\', '\\midrule']
    """
    cells = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in [head, *rows]]
    return [
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", cells[0], r"\midrule",
        *cells[1:], r"\bottomrule", r"\end{tabular}",
    ]


def csv_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a CSV file (RFC 4180, lines end with a line feed)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    return out.getvalue().splitlines()
