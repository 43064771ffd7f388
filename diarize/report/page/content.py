"""Content of the page of a recording: rows, errors, tables, from segments and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from diarize.errors import DiarizeError
from diarize.report.colours import EXTRA_COLOURS, SPEAKER_COLOURS
from diarize.report.page.heat import Heat, Posteriors, make_heat
from diarize.report.page.sound import Sound
from diarize.report.plots.errors import ErrorSpan, error_spans, scored_spans
from diarize.report.plots.timeline import Picture, picture_rows
from diarize.score.analysis import SpeakerResult, by_speaker
from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.score.language import NamedEvaluation
from diarize.score.times import ErrorTimes
from diarize.segments import Regions, Segment, Turn, merge_segments

COLLARS = (0.0, 0.25)


@dataclass(frozen=True)
class LabelKind:
    """Kind of labels: a noun, and whether equal labels of two recordings mean the same."""

    noun: str = "speaker"
    named: bool = False


@dataclass(frozen=True)
class RecordingInput:
    """Output, reference and posteriors of a recording.

    reference: its segments; None: no reference, and nothing is scored
    regions: the evaluated (start, end) seconds; None: the extent of the reference
    labels: their kind; with ``named`` they are scored by name, too
    """

    recording: str
    output: Sequence[Turn]
    reference: Sequence[Segment] | None = None
    regions: Regions | None = None
    posteriors: Posteriors | None = None
    labels: LabelKind = LabelKind()


@dataclass(frozen=True)
class SpeakerRow:
    """Turns of a label on one side, sorted by start, and their sums.

    side: reference or output
    colour: name of a CSS variable
    partner: the label of the other side that is mapped to it, if any
    seconds: time in which the label is active
    confidence: mean confidence, weighted by duration; None where it is unknown
    """

    side: str
    label: str
    colour: str
    turns: Sequence[Turn]
    partner: str | None
    seconds: float
    confidence: float | None


@dataclass(frozen=True)
class ScoreRow:
    """Error times at a collar (seconds); ``named``: a label is right only under its own name."""

    collar: float
    times: ErrorTimes
    named: bool = False


@dataclass(frozen=True)
class PageContent:
    """Content of the page of a recording; times in seconds.

    collar: that of ``errors`` and ``regions``; regions: the scored time, None without reference
    """

    recording: str
    noun: str
    seconds: float
    rows: list[SpeakerRow]
    heat: Heat | None = None
    collar: float = 0.0
    errors: list[ErrorSpan] | None = None
    regions: list[tuple[float, float]] | None = None
    scores: list[ScoreRow] = field(default_factory=list)
    speakers: list[SpeakerResult] = field(default_factory=list)

    def of_side(self, side: str) -> list[SpeakerRow]:
        """Return the rows of the reference or of the output."""
        return [row for row in self.rows if row.side == side]


def make_content(data: RecordingInput, sound: Sound | None, collar: float = 0.0) -> PageContent:
    """Return the content of the page of a recording; errors are scored at ``collar`` seconds.

    Raises DiarizeError, naming the recording, where nothing is known of it, and where a
    reference is to be scored that has neither a segment nor a region.
    """
    ends = [segment.end for segment in (*data.output, *(data.reference or ()))]
    ends += [end for _, end in data.regions or ()]
    seconds = sound.seconds if sound else 0.0
    seconds = max([seconds, *ends])
    if not seconds > 0:
        raise DiarizeError(f"recording {data.recording}: no audio and no segment to show")
    evaluation = None if data.reference is None else _evaluation(data)
    mapping = _mapping(evaluation) if evaluation else {}
    heat = make_heat(data.posteriors, data.output, seconds) if data.posteriors else None
    rows = _rows(data, mapping, seconds)
    if evaluation is None:
        return PageContent(data.recording, data.labels.noun, seconds, rows, heat)
    return PageContent(
        data.recording, data.labels.noun, seconds, rows, heat, collar,
        error_spans(evaluation, collar), scored_spans(evaluation, collar),
        _scores(evaluation, data.labels.named, collar), by_speaker(evaluation),
    )  # fmt: skip


def _evaluation(data: RecordingInput) -> Evaluation:
    """Return the evaluation of the recording, that of diarize-score for the same files."""
    if not data.reference and data.regions is None:
        raise DiarizeError(
            f"recording {data.recording}: the reference has no segment of it; "
            "check the recording id, or add a UEM"
        )
    uem = None if data.regions is None else {data.recording: data.regions}
    output = [turn.segment for turn in data.output]
    return Evaluation(problem_from_segments(list(data.reference), output, uem))


def _mapping(evaluation: Evaluation) -> dict[str, str]:
    """Return the reference label of each mapped output label."""
    ref, sys = evaluation.problem.ref.speakers, evaluation.problem.sys.speakers
    pairs = enumerate(evaluation.mapping.tolist())
    return {sys[partner]: ref[number] for number, partner in pairs if partner >= 0}


def _scores(evaluation: Evaluation, named: bool, collar: float) -> list[ScoreRow]:
    ways = [(False, evaluation)]
    if named:
        ways.append((True, NamedEvaluation(evaluation.problem)))
    collars = sorted({*COLLARS, collar})
    return [ScoreRow(c, way.scores(c).total, named) for named, way in ways for c in collars]


def _rows(data: RecordingInput, mapping: Mapping[str, str], seconds: float) -> list[SpeakerRow]:
    """Return the rows in the order and with the colours of the static picture."""
    reference = list(data.reference or ())
    output = [turn.segment for turn in data.output]
    picture = Picture(0.0, seconds, reference, output, mapping)
    found = {label: hyp for hyp, label in mapping.items()}
    rows = []
    for row in picture_rows(picture):
        is_reference = row.side == "reference"
        turns = (
            [Turn(*segment) for segment in reference if segment.label == row.label]
            if is_reference
            else [turn for turn in data.output if turn.label == row.label]
        )
        partner = (found if is_reference else mapping).get(row.label)
        merged = merge_segments(turn.segment for turn in turns)
        rows.append(SpeakerRow(
            "reference" if is_reference else "output", row.label, _variable(row.colour),
            sorted(turns, key=lambda turn: (turn.start, turn.end)), partner,
            sum(segment.duration for segment in merged), _mean_confidence(turns),
        ))  # fmt: skip
    return rows


def _variable(colour: str) -> str:
    """Return the name of the CSS variable of a colour of a speaker."""
    if colour in SPEAKER_COLOURS:
        return f"speaker-{SPEAKER_COLOURS.index(colour)}"
    return f"extra-{EXTRA_COLOURS.index(colour)}"


def _mean_confidence(turns: Sequence[Turn]) -> float | None:
    known = [(turn.confidence, turn.duration) for turn in turns if turn.confidence is not None]
    weight = sum(duration for _, duration in known)
    return sum(value * duration for value, duration in known) / weight if weight else None
