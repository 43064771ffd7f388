"""Report of md-eval, line by line, and the shorter dialect that dscore reads."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import add

from diarize.score.der import Evaluation, intervals_of
from diarize.score.mdeval.results import MISS, GroupResult, TypeMatrix, WordCounts
from diarize.score.times import TIME_FIELDS

RULE = "-" * 45

HEADER = """
Time-based metadata alignment

Metadata evaluation parameters:
    time-optimized metadata mapping
        max gap between matching metadata events = {gap} sec
        max extent to match for SU's = 0.5 sec

Speaker Diarization evaluation parameters:
    The max time to extend no-score zones for NON-LEX exclusions is 0.5 sec
    The no-score collar at SPEAKER boundaries is {collar} sec

Exclusion zones for evaluation and scoring are:
                             -----MetaData-----        -----SpkrData-----
     exclusion set name:     DEFAULT    DEFAULT        DEFAULT    DEFAULT
     token type/subtype      no-eval   no-score        no-eval   no-score
             (UEM)              X                         X
         LEXEME/un-lex                    X                          {end}
        NON-LEX/breath                                              X
        NON-LEX/cough                                               X
        NON-LEX/laugh                                               X
        NON-LEX/lipsmack                                            X
        NON-LEX/other                                               X
        NON-LEX/sneeze                                              X
        NOSCORE/<na>            X         X               X         X
 NO_RT_METADATA/<na>            X                                    {end}
             SU/unannotated               X                          {end}"""


def header(collar: str, gap: str) -> str:
    """Return the header after the command line; options are printed as they were given."""
    # Lines that end in blanks carry a mark, so that editors keep the blanks.
    return HEADER.format(collar=collar, gap=gap, end="").rstrip("\n")


def blocks(
    results: Sequence[GroupResult], by_file: bool, by_channel: bool
) -> Iterator[tuple[str, list[GroupResult]]]:
    """Yield (condition, its results) in the order of md-eval: sorted, ``ALL`` last."""
    if not results:
        return
    found: dict[bytes, list[GroupResult]] = {}
    if by_file or by_channel:
        for result in results:
            name, channel = result.group
            parts = [b"c=" + channel] * by_channel + [b"f=" + name] * by_file
            found.setdefault(b" ".join(parts), []).append(result)
    for condition in sorted(found):
        yield condition.decode("utf-8", "surrogateescape"), found[condition]
    yield "ALL", list(results)


class Block:
    """The sums of the results under one condition."""

    def __init__(self, condition: str, results: Sequence[GroupResult]) -> None:
        self.condition = condition
        if len(results) == 1:
            (only,) = results
            total, self.words = only.sums, only.words
            self.speakers, self.seconds = only.speakers, only.seconds
        else:
            total = [0.0] * len(TIME_FIELDS)
            self.words = WordCounts()
            self.speakers, self.seconds = TypeMatrix(), TypeMatrix()
            # From the last to the first, as in Scores.total.
            for result in reversed(results):
                total = list(map(add, total, result.sums))
                if result.words.evaluated:
                    self.words += result.words
                self.speakers.add(result.speakers)
                self.seconds.add(result.seconds)
        self.times = dict(zip(TIME_FIELDS, total, strict=True))


def percent(part: float, whole: float) -> float:
    """Return 100 * part / whole; for a ``whole`` of 0, 0 or inf.

    >>> percent(1, 4), percent(0, 0)
    (25.0, 0.0)
    """
    if whole > 0:
        return 100 * part / whole
    return float("inf") if part > 0 else 0.0


# The lines with numbers: label, key, key of the base of the percentage, and name of that base.
# Keys are fields of ErrorTimes, or of WordCounts after "words "; None is a rule.
_SPEAKER = "scored speaker time"
_ROWS: tuple[tuple[str, str, str, str] | None, ...] = (
    ("    EVAL TIME", "evaluated_time", "", ""),
    ("  EVAL SPEECH", "evaluated_speech_time", "evaluated_time", "evaluated time"),
    ("  SCORED TIME", "scored_time", "evaluated_time", "evaluated time"),
    ("SCORED SPEECH", "scored_speech_time", "scored_time", "scored time"),
    ("   EVAL WORDS", "words evaluated", "", ""),
    (" SCORED WORDS", "words scored", "words evaluated", "evaluated words"),
    None,
    ("MISSED SPEECH", "missed_speech_time", "scored_time", "scored time"),
    ("FALARM SPEECH", "false_alarm_speech_time", "scored_time", "scored time"),
    (" MISSED WORDS", "words missed", "words scored", "scored words"),
    None,
    ("SCORED SPEAKER TIME", "scored_speech", "scored_speech_time", "scored speech"),
    ("MISSED SPEAKER TIME", "miss", "scored_speech", _SPEAKER),
    ("FALARM SPEAKER TIME", "false_alarm", "scored_speech", _SPEAKER),
    (" SPEAKER ERROR TIME", "confusion", "scored_speech", _SPEAKER),
    ("SPEAKER ERROR WORDS", "words error", "words scored", "scored speaker words"),
    None,
)


def _template(seconds: str, with_words: bool) -> str:
    """Return the lines of a block with ``%(key)`` for a value and ``%(key%)`` for a percentage.

    A block is formatted in one step: otherwise the report of thousands of files would take longer
    than scoring.
    """
    lines = ["*** Performance analysis for Speaker Diarization for %(condition)s ***", ""]
    for row in _ROWS:
        if row is None:
            lines.append(RULE)
            continue
        label, key, base, of = row
        share = f" (%({key}%)5.1f percent of {of})" if base else ""
        if not key.startswith("words"):
            lines.append(f"{label} =%({key}){seconds} secs{share}")
        elif with_words:
            lines.append(f"{label} =%({key})7d        {share}")
    lines += [
        " OVERALL SPEAKER DIARIZATION ERROR = %(der).2f percent of scored speaker time"
        "  `(%(condition)s)",
        RULE,
    ]
    return "\n".join(lines)


_MD_EVAL, _DSCORE = _template("10.2f", True), _template("f", False)
_SHARES = [(f"{row[1]}%", row[1], row[2]) for row in _ROWS if row and row[2]]
_TIME_SHARES = [row for row in _SHARES if not row[1].startswith("words")]
_WORD_SHARES = [row for row in _SHARES if row[1].startswith("words")]


def _values(block: Block) -> dict[str, str | float]:
    """Return the values of the template of a block."""
    times, words = block.times, block.words
    out = {
        **times,
        "condition": block.condition,
        "words evaluated": words.evaluated,
        "words scored": words.scored,
        "words missed": words.missed,
        "words error": words.error,
    }
    for key, part, whole in _TIME_SHARES:
        out[key] = percent(times[part], times[whole])
    for key, part, whole in _WORD_SHARES:
        out[key] = 100 * out[part] / out[whole] if out[whole] else 100.0
    # 0 or inf where no speech is scored; md-eval divides by zero there.
    error = times["miss"] + times["false_alarm"] + times["confusion"]
    out["der"] = percent(error, times["scored_speech"])
    return out


def block_text(block: Block) -> str:
    """Return the lines of one condition, as md-eval prints them."""
    lines = [
        _MD_EVAL % _values(block),
        _count_matrix(
            tuple(block.speakers.cells.items()), tuple(block.speakers.false_alarm.items())
        ),
        RULE,
        _matrix(block.seconds, "time weighted", "seconds", "11.2f", block.times["scored_speech"]),
        RULE,
    ]
    return "\n".join(lines)


def _matrix(matrix: TypeMatrix, title: str, unit: str, form: str, total: float) -> str:
    cells, alarms = matrix.cells, matrix.false_alarm
    keys, columns, text = _matrix_plan(tuple(cells), tuple(alarms), title, unit, form)
    values = [cells.get(key, 0) for key in keys]
    values += [alarms.get(sys, 0) for sys in columns]
    row: list[float] = []
    for value in values:
        row += (value, min(percent(value, total), 999.9))
    return text % tuple(row)


@lru_cache(maxsize=1 << 12)
def _count_matrix(cells: tuple, alarms: tuple) -> str:
    """Return the matrix of speakers; cached, because many files have equal ones."""
    matrix = TypeMatrix(dict(cells), dict(alarms))
    return _matrix(matrix, "speaker weighted", "count", "11d", sum(matrix.cells.values()))


@lru_cache
def _matrix_plan(
    cells: tuple[tuple[str, str], ...], alarms: tuple[str, ...], title: str, unit: str, form: str
) -> tuple[list[tuple[str, str]], list[str], str]:
    """Return the ordered keys of the cells, the columns, and the format of the matrix."""
    rows = sorted({ref for ref, _ in cells})
    columns = sorted({sys for _, sys in cells} - {MISS} | set(alarms))
    keys = [(ref, sys) for ref in rows for sys in (*columns, MISS)]
    return keys, columns, _matrix_form(rows, columns, title, unit, form)


def _matrix_form(rows: list[str], columns: list[str], title: str, unit: str, form: str) -> str:
    cell = f"%{form} / %5.1f%%"
    return "\n".join(
        [
            f" Speaker type confusion matrix -- {title}",
            f"{f'  REF{chr(92)}SYS ({unit})':<23}"
            + "".join(f"{name:<20}" for name in [*columns, "  MISS"]),
            *(f"{ref:<16}" + cell * (len(columns) + 1) for ref in rows),
            f"{'  FALSE ALARM':<16}" + cell * len(columns),
        ]
    )


def dscore_text(block: Block) -> str:
    """Return the lines of one condition in the dialect of dscore: six decimals, no padding."""
    return _DSCORE % _values(block)


def _pairs(evaluation: Evaluation) -> Iterator[tuple[int, int, int, float]]:
    """Yield (group, reference, system speaker, seconds in common) sorted by all three."""
    common, ref, sys = evaluation.common
    group = evaluation.problem.ref.speaker_group[ref]
    yield from zip(group.tolist(), ref.tolist(), sys.tolist(), common.tolist(), strict=True)


def mapping_lines(evaluation: Evaluation) -> dict[int, list[str]]:
    """Return the ``-m`` lines of each group: the mapping of its reference speakers."""
    problem, mapping = evaluation.problem, evaluation.mapping
    out: dict[int, list[str]] = {}
    last = -1
    for group, ref, sys, seconds in _pairs(evaluation):
        lines = out.setdefault(group, [])
        if ref != last:
            last = ref
            mate = int(mapping[ref])
            who = f"'{_text(problem.sys.speakers[mate])}'" if mate >= 0 else "<nil>"
            lines.append(f"'{_text(problem.ref.speakers[ref])}' => {who}")
        lines.append(f"{seconds:9.2f} secs matched to '{_text(problem.sys.speakers[sys])}'")
    return out


def mapping_csv(evaluation: Evaluation) -> str:
    """Return the ``-M`` file: every pair of speakers with time in common."""
    problem, mapping = evaluation.problem, evaluation.mapping
    out = ["File,Channel,RefSpeaker,SysSpeaker,isMapped,timeOverlap"]
    for group, ref, sys, seconds in _pairs(evaluation):
        name, channel = problem.groups[group]
        names = (name, channel, problem.ref.speakers[ref], problem.sys.speakers[sys])
        state = "mapped" if mapping[ref] == sys else "notmapped"
        out.append(",".join([*map(_text, names), state, f"{seconds:.4f}"]))
    return "\n".join(out) + "\n"


def interval_lines(
    evaluation: Evaluation, collar: float, skip_overlap: bool
) -> dict[int, list[str]]:
    """Return the ``-v`` lines of each group: the scored intervals and their speakers."""
    problem = evaluation.problem
    line = evaluation.scored_timeline(collar, skip_overlap)
    part = intervals_of(line)
    names: list[list[list[str]]] = []
    for runs, side in ((line.ref, problem.ref), (line.sys, problem.sys)):
        active: list[list[str]] = [[] for _ in part.index]
        first = part.index.searchsorted(runs.first)
        last = part.index.searchsorted(runs.last)
        for speaker, a, b in zip(runs.speaker.tolist(), first, last, strict=True):
            for k in range(a, b):
                active[k].append(_text(side.speakers[speaker]))
        names.append(active)
    out: dict[int, list[str]] = {}
    for k, (group, duration) in enumerate(zip(part.group.tolist(), part.duration, strict=True)):
        start, end = line.start[part.index[k]], line.start[part.index[k] + 1]
        file, channel = map(_text, problem.groups[group])
        out.setdefault(group, []).append(
            f"beg/dur/end = {start:7.3f}/{duration:7.3f}/{end:7.3f};"
            f" REF = ({', '.join(names[0][k])}); SYS = ({', '.join(names[1][k])});"
            f" file = {file}; chnl = {channel}"
        )
    return out


def _text(raw: bytes) -> str:
    """Return a name as text that is encoded to the same bytes."""
    return raw.decode("utf-8", "surrogateescape")
