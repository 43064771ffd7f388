"""Tables in Markdown and plain text, and the format of their figures."""

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
