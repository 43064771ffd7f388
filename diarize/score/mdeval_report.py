"""The report of md-eval, line by line, and its shorter dialect that dscore reads."""

from collections.abc import Iterator, Sequence

from diarize.score.der import pieces_of
from diarize.score.mdeval import MISS, GroupResult, Setting, TypeMatrix, WordCounts
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
    """Return what md-eval prints after its command line; options as they were given."""
    # The lines that end in blanks carry a mark, so that no editor takes the blanks away.
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
        total = [0.0] * len(TIME_FIELDS)
        self.words = WordCounts()
        self.speakers, self.seconds = TypeMatrix(), TypeMatrix()
        # From the last to the first: see Scores.total.
        for result in reversed(results):
            total = [a + b for a, b in zip(total, result.sums, strict=True)]
            self.words += result.words
            self.speakers.add(result.speakers)
            self.seconds.add(result.seconds)
        self.times = dict(zip(TIME_FIELDS, total, strict=True))

    @property
    def der(self) -> float:
        """The error in percent; 0 or inf where no speech is scored, on which md-eval dies."""
        t = self.times
        return percent(t["miss"] + t["false_alarm"] + t["confusion"], t["scored_speech"])


def percent(part: float, whole: float) -> float:
    """Return 100 * part / whole; where ``whole`` is 0, 0 for 0 and else inf.

    >>> percent(1, 4), percent(0, 0)
    (25.0, 0.0)
    """
    if whole > 0:
        return 100 * part / whole
    return float("inf") if part > 0 else 0.0


def _word_percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0


def block_lines(block: Block) -> list[str]:
    """Return the lines of one condition, as md-eval prints them."""
    t, w = block.times, block.words

    def seconds(label: str, value: float, base: str | None = None, of: str = "") -> str:
        line = f"{label} ={value:10.2f} secs"
        return f"{line} ({percent(value, t[base]):5.1f} percent of {of})" if base else line

    def words(label: str, value: int, base: int | None = None, of: str = "") -> str:
        line = f"{label} ={value:7d}        "
        return (
            line
            if base is None
            else (f"{line} ({_word_percent(value, base):5.1f} percent of {of})")
        )

    speaker = "scored speaker time"
    return [
        f"*** Performance analysis for Speaker Diarization for {block.condition} ***",
        "",
        seconds("    EVAL TIME", t["evaluated_time"]),
        seconds("  EVAL SPEECH", t["evaluated_speech_time"], "evaluated_time", "evaluated time"),
        seconds("  SCORED TIME", t["scored_time"], "evaluated_time", "evaluated time"),
        seconds("SCORED SPEECH", t["scored_speech_time"], "scored_time", "scored time"),
        words("   EVAL WORDS", w.evaluated),
        words(" SCORED WORDS", w.scored, w.evaluated, "evaluated words"),
        RULE,
        seconds("MISSED SPEECH", t["missed_speech_time"], "scored_time", "scored time"),
        seconds("FALARM SPEECH", t["false_alarm_speech_time"], "scored_time", "scored time"),
        words(" MISSED WORDS", w.missed, w.scored, "scored words"),
        RULE,
        seconds("SCORED SPEAKER TIME", t["scored_speech"], "scored_speech_time", "scored speech"),
        seconds("MISSED SPEAKER TIME", t["miss"], "scored_speech", speaker),
        seconds("FALARM SPEAKER TIME", t["false_alarm"], "scored_speech", speaker),
        seconds(" SPEAKER ERROR TIME", t["confusion"], "scored_speech", speaker),
        words("SPEAKER ERROR WORDS", w.error, w.scored, "scored speaker words"),
        RULE,
        _overall(block),
        RULE,
        *_matrix(block.speakers, "speaker weighted", "count", "d", None),
        RULE,
        *_matrix(block.seconds, "time weighted", "seconds", ".2f", t["scored_speech"]),
        RULE,
    ]


def _overall(block: Block) -> str:
    return (
        f" OVERALL SPEAKER DIARIZATION ERROR = {block.der:.2f} percent of scored speaker time"
        f"  `({block.condition})"
    )


def _matrix(matrix: TypeMatrix, title: str, unit: str, form: str, total: float | None) -> list[str]:
    rows = sorted({ref for ref, _ in matrix.cells})
    columns = sorted({sys for _, sys in matrix.cells} - {MISS} | set(matrix.false_alarm))
    if total is None:
        total = sum(matrix.cells.values())

    def cell(value: float) -> str:
        number = int(value) if form == "d" else value
        return f"{number:11{form}} / {min(percent(value, total), 999.9):5.1f}%"

    head = "".join(f"{name:<20}" for name in [*columns, "  MISS"])
    out = [
        f" Speaker type confusion matrix -- {title}",
        f"{f'  REF{chr(92)}SYS ({unit})':<23}{head}",
    ]
    for ref in rows:
        cells = "".join(cell(matrix.cells.get((ref, sys), 0)) for sys in [*columns, MISS])
        out.append(f"{ref:<16}{cells}")
    cells = "".join(cell(matrix.false_alarm.get(sys, 0)) for sys in columns)
    out.append(f"{'  FALSE ALARM':<16}{cells}")
    return out


def dscore_lines(block: Block) -> list[str]:
    """Return the lines of one condition for dscore's readers: six decimals, no padding."""
    t = block.times

    def seconds(label: str, value: float, base: str, of: str) -> str:
        return f"{label} ={value:f} secs ({percent(value, t[base]):5.1f} percent of {of})"

    speaker = "scored speaker time"
    return [
        f"*** Performance analysis for Speaker Diarization for {block.condition} ***",
        "",
        f"    EVAL TIME ={t['evaluated_time']:f} secs",
        seconds("  EVAL SPEECH", t["evaluated_speech_time"], "evaluated_time", "evaluated time"),
        seconds("  SCORED TIME", t["scored_time"], "evaluated_time", "evaluated time"),
        seconds("SCORED SPEECH", t["scored_speech_time"], "scored_time", "scored time"),
        RULE,
        seconds("MISSED SPEECH", t["missed_speech_time"], "scored_time", "scored time"),
        seconds("FALARM SPEECH", t["false_alarm_speech_time"], "scored_time", "scored time"),
        RULE,
        seconds("SCORED SPEAKER TIME", t["scored_speech"], "scored_speech_time", "scored speech"),
        seconds("MISSED SPEAKER TIME", t["miss"], "scored_speech", speaker),
        seconds("FALARM SPEAKER TIME", t["false_alarm"], "scored_speech", speaker),
        seconds(" SPEAKER ERROR TIME", t["confusion"], "scored_speech", speaker),
        RULE,
        _overall(block),
        RULE,
    ]


def _pairs(setting: Setting) -> Iterator[tuple[int, int, int, float]]:
    """Yield (group, reference, system speaker, seconds in common) sorted by all three."""
    common, ref, sys = setting.evaluation.common
    group = setting.evaluation.problem.ref.speaker_group[ref]
    yield from zip(group.tolist(), ref.tolist(), sys.tolist(), common.tolist(), strict=True)


def mapping_lines(setting: Setting) -> dict[int, list[str]]:
    """Return the ``-m`` lines of each group: whom each reference speaker is mapped to."""
    problem, mapping = setting.evaluation.problem, setting.evaluation.mapping
    out: dict[int, list[str]] = {}
    last = -1
    for group, ref, sys, seconds in _pairs(setting):
        lines = out.setdefault(group, [])
        if ref != last:
            last = ref
            mate = int(mapping[ref])
            who = f"'{_text(problem.sys.speakers[mate])}'" if mate >= 0 else "<nil>"
            lines.append(f"'{_text(problem.ref.speakers[ref])}' => {who}")
        lines.append(f"{seconds:9.2f} secs matched to '{_text(problem.sys.speakers[sys])}'")
    return out


def mapping_csv(setting: Setting) -> str:
    """Return the ``-M`` file: every pair of speakers with time in common."""
    problem, mapping = setting.evaluation.problem, setting.evaluation.mapping
    out = ["File,Channel,RefSpeaker,SysSpeaker,isMapped,timeOverlap"]
    for group, ref, sys, seconds in _pairs(setting):
        name, channel = problem.groups[group]
        names = (name, channel, problem.ref.speakers[ref], problem.sys.speakers[sys])
        state = "mapped" if mapping[ref] == sys else "notmapped"
        out.append(",".join([*map(_text, names), state, f"{seconds:.4f}"]))
    return "\n".join(out) + "\n"


def piece_lines(setting: Setting, collar: float, skip_overlap: bool) -> dict[int, list[str]]:
    """Return the ``-v`` lines of each group: every scored piece and who speaks in it."""
    evaluation = setting.evaluation
    problem = evaluation.problem
    line = evaluation.scored_line(collar, skip_overlap)
    part = pieces_of(line)
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
    """Return a name as text that is written as the same bytes again."""
    return raw.decode("utf-8", "surrogateescape")
