"""Markdown tables and how their figures are written."""


def markdown_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table and an empty line; ``|`` inside a cell is escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    rule = "|" + "|".join(["---"] * len(head)) + "|"
    return [lines[0], rule, *lines[1:], ""]


def percent(value: float | None) -> str:
    """Return a percentage with two decimals, ``na`` for one that is not known."""
    return "na" if value is None else f"{value:.2f}"
