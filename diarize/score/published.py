"""A table of published figures, with ours beside them where there is an output to score.

A figure is kept as the text that was printed, so that its digits stay; in parentheses, after the
EEND-M2F paper's Table 1, it was scored with a collar of 0.25 s, else with none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_turns
from diarize.io.uem import read_uem
from diarize.score.columns import problem_from_turns
from diarize.score.der import Evaluation
from diarize.score.times import Scores

COLLARS = (0.0, 0.25)
MISSING = "–"
_FIGURE = re.compile(r"(\d+\.(\d+))")


@dataclass(frozen=True)
class Row:
    """One system: its figures by column as printed, and where they come from."""

    name: str
    figures: dict[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Output:
    """Output that a system's authors published: files of a directory, and the cell they give."""

    row: str
    column: str
    reference: str
    uem: str
    system: str


@dataclass(frozen=True)
class Table:
    """Published figures: ``columns`` maps the name of a column to its set's data directory."""

    title: str
    source: str
    columns: dict[str, str]
    rows: list[Row]
    note: str = ""
    outputs: list[Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        for row in self.rows:
            for column, text in row.figures.items():
                if column not in self.columns:
                    raise ValueError(f"row '{row.name}': there is no column '{column}'")
                if not _FIGURE.search(text):
                    raise ValueError(f"row '{row.name}', {column}: '{text}' holds no figure")
        for output in self.outputs:
            if output.column not in self.row(output.row).figures:
                raise ValueError(f"row '{output.row}' has no figure for {output.column}")

    def row(self, name: str) -> Row:
        """Return the first row called ``name``; ValueError where there is none."""
        found = next((row for row in self.rows if row.name == name), None)
        if found is None:
            raise ValueError(f"there is no row '{name}'")
        return found


@dataclass(frozen=True)
class Reproduced:
    """A published figure, and what its output gives here: ``scored`` in as many digits."""

    output: Output
    published: str
    collar: float
    scored: str
    others: dict[float, str]

    @property
    def same(self) -> bool:
        """Whether all printed digits agree."""
        return parse_figure(self.published)[0] == self.scored


def parse_figure(text: str) -> tuple[str, float]:
    """Return the digits of a printed figure, and the collar it was scored with.

    >>> parse_figure("(22.10)"), parse_figure("28.4†")
    (('22.10', 0.25), ('28.4', 0.0))
    """
    found = _FIGURE.search(text)
    if found is None:
        raise ValueError(f"'{text}' holds no figure")
    return found[1], COLLARS[text.lstrip().startswith("(")]


def score_output(reference: Path, system: Path, uem: Path) -> dict[float, Scores]:
    """Return the scores of one output by collar, overlap scored.

    Raises DiarizeError where output is of other recordings only, or nothing can be scored.
    """
    ref, sys, regions = read_turns(reference), read_turns(system), read_uem(uem)
    found = set(sys.recording)  # an output without speech has none: all is missed
    if found and not found & regions.keys():
        raise DiarizeError(f"{system}: none of its recordings is in {uem}")
    missing = sorted(set(ref.recording) - regions.keys())
    if missing:
        raise DiarizeError(f"{uem}: no line for recording {missing[0]} of {reference}")
    evaluation = Evaluation(problem_from_turns(ref, sys, regions))
    scores = {collar: evaluation.scores(collar) for collar in COLLARS}
    if not scores[0.0].total.scored_speech > 0:
        raise DiarizeError(f"{reference}: no speech in the regions of {uem}: nothing to score")
    return scores


def pooled_der(scores: Mapping[float, Scores]) -> dict[float, float]:
    """Return the pooled DER in percent by collar."""
    return {collar: 100 * one.total.der for collar, one in scores.items()}


def reproduce(table: Table, folder: Path) -> list[Reproduced]:
    """Return every published output of ``table`` that lies in ``folder``, scored here."""
    out = []
    for output in table.outputs:
        published = table.row(output.row).figures[output.column]
        digits, collar = parse_figure(published)
        names = (output.reference, output.system, output.uem)
        found = pooled_der(score_output(*(folder / name for name in names)))
        places = len(digits.partition(".")[2])
        scored = {c: f"{value:.{places}f}" for c, value in found.items()}
        others = {c: text for c, text in scored.items() if c != collar}
        out.append(Reproduced(output, published, collar, scored[collar], others))
    return out


def our_rows(name: str, figures: Mapping[str, Mapping[float, float]]) -> list[Row]:
    """Return the two rows of a system scored here: without a collar, and with one."""
    return [
        Row(name, {c: f"{found[0.0]:.2f}" for c, found in figures.items()}),
        Row("&nbsp; +0.25 s collar", {c: f"({found[0.25]:.2f})" for c, found in figures.items()}),
    ]


def table_lines(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return a Markdown table, with a dash where a row has no figure."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for row in rows:
        cells = [row.figures.get(column, MISSING) for column in columns]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def reproduction_lines(found: Sequence[Reproduced]) -> list[str]:
    """Return a Markdown table of published figures beside those scored here."""
    lines = [
        "| published output | set | collar (s) | published | scored here | | at the other collar |",
        "|---|---|---:|---:|---:|---|---:|",
    ]
    for one in found:
        verdict = "same digits" if one.same else "**differs**"
        other = ", ".join(f"{text} ({collar:g} s)" for collar, text in one.others.items())
        lines.append(
            f"| {one.output.row} | {one.output.column} | {one.collar:g} | "
            f"{parse_figure(one.published)[0]} | {one.scored} | {verdict} | {other} |"
        )
    return lines
