"""Table of published figures, with those of our output beside them.

A figure is the printed text, so that its digits are kept.  As in Table 1 of the EEND-M2F paper,
figures in parentheses were scored with a collar of 0.25 s and others without.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_turns
from diarize.io.uem import read_uem
from diarize.report.provenance import describe_run
from diarize.score.columns import problem_from_turns
from diarize.score.der import Evaluation
from diarize.score.times import Scores, note_on_silence

COLLARS = (0.0, 0.25)
MISSING = "–"
_FIGURE = re.compile(r"(\d+\.(\d+))")


@dataclass(frozen=True)
class Row:
    """One system: its printed figures by column, and their source."""

    name: str
    figures: dict[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Output:
    """Output published by the authors of a system: its files, and its cell in the table."""

    row: str
    column: str
    reference: str
    uem: str
    system: str


@dataclass(frozen=True)
class Table:
    """Published figures; ``columns`` maps the name of a column to the data directory of its set."""

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
                    raise DiarizeError(f"row '{row.name}': there is no column '{column}'")
                if not _FIGURE.search(text):
                    raise DiarizeError(f"row '{row.name}', {column}: '{text}' contains no figure")
        for output in self.outputs:
            if output.column not in self.row(output.row).figures:
                raise DiarizeError(f"row '{output.row}' has no figure for {output.column}")

    def row(self, name: str) -> Row:
        """Return the first row called ``name``; DiarizeError if there is none."""
        found = next((row for row in self.rows if row.name == name), None)
        if found is None:
            raise DiarizeError(f"there is no row '{name}'")
        return found


@dataclass(frozen=True)
class Reproduced:
    """A published figure and the score of its output here, ``scored`` with as many digits."""

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
    """Return the digits of a printed figure, and its collar in seconds.

    >>> parse_figure("(22.10)"), parse_figure("28.4†")
    (('22.10', 0.25), ('28.4', 0.0))
    """
    found = _FIGURE.search(text)
    if found is None:
        raise DiarizeError(f"'{text}' contains no figure")
    return found[1], COLLARS[text.lstrip().startswith("(")]


def score_output(reference: Path, system: Path, uem: Path) -> dict[float, Scores]:
    """Return the scores of one output by collar, overlap scored.

    Raises DiarizeError for output of other recordings only, and where no speech is scored.
    """
    ref, sys, regions = read_turns(reference), read_turns(system), read_uem(uem)
    found = set(sys.recording)  # empty for output without speech, which misses all
    if found and not found & regions.keys():
        raise DiarizeError(f"{system}: none of its recordings is in {uem}; check the recording ids")
    missing = sorted(set(ref.recording) - regions.keys())
    if missing:
        raise DiarizeError(f"{uem}: no line for recording {missing[0]} of {reference}")
    evaluation = Evaluation(problem_from_turns(ref, sys, regions))
    scores = {collar: evaluation.scores(collar) for collar in COLLARS}
    if not scores[0.0].total.scored_speech > 0:
        raise DiarizeError(f"{reference}: no speech in the regions of {uem}; check both files")
    return scores


def pooled_der(scores: Mapping[float, Scores]) -> dict[float, float]:
    """Return the pooled DER in percent by collar."""
    return {collar: 100 * one.total.der for collar, one in scores.items()}


def reproduce(table: Table, folder: Path) -> list[Reproduced]:
    """Return the scores of the published outputs of ``table``, whose files are in ``folder``."""
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


@dataclass(frozen=True)
class OurSystem:
    """A system scored here: its rows, and one line on the output behind each figure."""

    rows: list[Row]
    outputs: list[str]


def our_system(table: Table, entry: str, data_root: Path) -> OurSystem:
    """Return the rows of ``NAME=PATTERN``: without a collar, and with one.

    The pattern names an RTTM for each column, ``{set}`` in it the directory of the set and
    ``{corpus}`` that without ``_test``; columns without such a file are left out.
    """
    name, _, pattern = (part.strip() for part in entry.partition("="))
    if not name or not pattern:
        raise DiarizeError(f"--ours '{entry}': NAME=PATTERN is needed")
    plain, collared, outputs = {}, {}, []
    for column, directory in table.columns.items():
        corpus = directory.removesuffix("_test")
        rttm = Path(pattern.replace("{set}", directory).replace("{corpus}", corpus))
        if not rttm.is_file():
            continue
        data = data_root / directory
        scores = score_output(data / "rttm", rttm, data / "uem")
        found, note = pooled_der(scores), note_on_silence(scores)
        plain[column], collared[column] = f"{found[0.0]:.2f}", f"({found[0.25]:.2f})"
        outputs.append(
            f"* {name}, {column}: `{rttm}` against `{data}/rttm`" + (f"; {note}" if note else "")
        )
    return OurSystem([Row(name, plain), Row("&nbsp; +0.25 s collar", collared)], outputs)


def table_page(
    table: Table, ours: Sequence[OurSystem], found: Sequence[Reproduced], command: str
) -> str:
    """Return the page: the table, our outputs, published outputs scored here, and sources."""
    about = f"Published figures: {table.source}. {table.note}".rstrip()
    lines = [f"# {table.title}", "", about, ""]
    rows = [*table.rows, *(row for system in ours for row in system.rows)]
    lines += table_lines(list(table.columns), rows)
    if ours:
        outputs = [line for system in ours for line in system.outputs]
        lines += ["", "## Ours", "", *(outputs or ["No RTTM has been written yet."])]
    if found:
        lines += ["", "## Published output, scored here", "", *reproduction_lines(found)]
    lines += ["", "## Sources of the rows", ""]
    lines += [f"* {row.name}: {row.source}" for row in table.rows if row.source]
    lines += ["", "Made by", "", f"    {command}", ""]
    lines += [f"{name}: {value}  " for name, value in describe_run("").items() if value]
    return "\n".join(lines).rstrip() + "\n"


def table_lines(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return a Markdown table with a dash for missing figures."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for row in rows:
        cells = [row.figures.get(column, MISSING) for column in columns]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def reproduction_lines(found: Sequence[Reproduced]) -> list[str]:
    """Return a Markdown table of published figures and those scored here."""
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
