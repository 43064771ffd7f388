"""Tables of a page as HTML: scores, speakers of the output, speakers of the reference."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from diarize.report.page.content import PageContent
from diarize.score.times import ErrorTimes


class Cell(NamedTuple):
    """Cell of a table: ``html`` as it is, right-aligned for a number, or heading its row."""

    html: str
    is_number: bool = False
    is_head: bool = False


def number(text: str) -> Cell:
    """Return a right-aligned cell."""
    return Cell(escape(text), is_number=True)


def label(text: str, colour: str | None = None) -> str:
    """Return a label as HTML, isolated from the direction of the text around it.

    >>> label("<b>", "speaker-0")
    '<span class="swatch" style="background:var(--speaker-0)"></span><bdi>&lt;b&gt;</bdi>'
    """
    swatch = f'<span class="swatch" style="background:var(--{colour})"></span>' if colour else ""
    return f"{swatch}<bdi>{escape(text)}</bdi>"


def table(
    title: str,
    note: str,
    head: Sequence[Cell],
    rows: Sequence[Sequence[Cell]],
    is_wide: bool = False,
) -> str:
    """Return a section with a heading and a table; ``title`` and ``note`` are plain text."""
    begin = '<section class="wide">' if is_wide else "<section>"
    lines = [f"{begin}<h2>{escape(title)}</h2>", '<div class="scroll"><table>']
    if note:
        lines.append(f"<caption>{escape(note)}</caption>")
    lines.append("<thead><tr>" + "".join(_cell(cell, "col") for cell in head) + "</tr></thead>")
    lines.append("<tbody>")
    lines += ["<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows]
    lines.append("</tbody></table></div></section>")
    return "\n".join(lines)


def _cell(cell: Cell, scope: str = "") -> str:
    name = "th" if scope or cell.is_head else "td"
    attributes = f' scope="{scope or "row"}"' if name == "th" else ""
    attributes += ' class="number"' if cell.is_number else ""
    return f"<{name}{attributes}>{cell.html}</{name}>"


def page_tables(content: PageContent) -> str:
    """Return the tables of a recording."""
    parts = [_score_table(content)] if content.scores else []
    parts.append(_output_table(content))
    if content.of_side("reference"):
        parts.append(_reference_table(content))
    return "\n".join(parts)


def _score_table(content: PageContent) -> str:
    head = [Cell("collar"), number("DER"), number("missed"), number("false alarm"),
            number("confusion"), number("scored speech")]  # fmt: skip
    by_name = any(row.named for row in content.scores)
    if by_name:
        head.insert(1, Cell("labels"))
    rows = []
    for row in content.scores:
        times = row.times
        cells = [Cell(f"{row.collar:.2f} s", is_head=True), number(rate(times, times.error))]
        cells += [
            number(f"{seconds:.2f} s ({rate(times, seconds)})")
            for seconds in (times.miss, times.false_alarm, times.confusion)
        ]
        cells.append(number(f"{times.scored_speech:.2f} s"))
        if by_name:
            cells.insert(1, Cell("by name" if row.named else "best mapping"))
        rows.append(cells)
    note = "As diarize-score computes them; overlapped speech is scored."
    return table("Scores", note, head, rows, is_wide=True)


def rate(times: ErrorTimes, seconds: float) -> str:
    """Return seconds of error in percent of the scored speech, a dash without scored speech."""
    return f"{100 * seconds / times.scored_speech:.2f} %" if times.scored_speech > 0 else "–"


def _output_table(content: PageContent) -> str:
    rows = content.of_side("output")
    head = [Cell(content.noun), number("time"), number("share"), number("turns")]
    known = any(row.confidence is not None for row in rows)
    if known:
        head.append(number("confidence"))
    if content.errors is not None:
        head.insert(1, Cell("mapped to"))
    total = sum(row.seconds for row in rows)
    lines = []
    for row in rows:
        cells = [
            Cell(label(row.label, row.colour), is_head=True),
            number(f"{row.seconds:.2f} s"),
            number(f"{100 * row.seconds / total:.1f} %" if total else "–"),
            number(f"{len(row.turns)}"),
        ]
        if known:
            cells.append(number("–" if row.confidence is None else f"{row.confidence:.2f}"))
        if content.errors is not None:
            cells.insert(1, Cell(label(row.partner) if row.partner else "–"))
        lines.append(cells)
    note = f"Shares are of the time of all {content.noun}s."
    if known:
        note += " Confidence: mean of the turns, weighted by their duration."
    return table(f"{content.noun.capitalize()}s of the output", note, head, lines)


def _reference_table(content: PageContent) -> str:
    head = [Cell(content.noun), Cell("found as"), number("speech"), number("found"), number("JER")]
    results = {result.speaker: result for result in content.speakers}
    lines = []
    for row in content.of_side("reference"):
        if row.label not in results:  # no evaluated speech
            continue
        result = results[row.label]
        share = f" ({100 * result.found / result.speech:.1f} %)" if result.speech else ""
        lines.append([
            Cell(label(row.label, row.colour), is_head=True),
            Cell(label(result.mapped_to) if result.mapped_to else "–"),
            number(f"{result.speech:.2f} s"),
            number(f"{result.found:.2f} s{share}"),
            number(f"{100 * result.jaccard_error:.1f} %"),
        ])  # fmt: skip
    note = "Found: time in common with the mapped label. JER: Jaccard error of the DIHARD plan."
    return table(f"{content.noun.capitalize()}s of the reference", note, head, lines)
