"""Scores of one system on one set, as data, JSON and CSV."""

import csv
import io
from dataclasses import asdict, dataclass, field

from diarize.checks import non_negative
from diarize.score import analysis
from diarize.score.analysis import SpeakerResult, count_accuracy, count_confusion
from diarize.score.der import Evaluation, ScoreOptions
from diarize.score.jer import JaccardErrors, jaccard_errors
from diarize.score.significance import Comparison, ConfidenceInterval, bootstrap
from diarize.score.times import ErrorTimes, Scores, note_on_silence

CONVENTION = "md-eval 22 (NIST SCTK); JER: DIHARD II"
PARTS = ("der", "miss", "false_alarm", "confusion")


@dataclass(frozen=True)
class ReportOptions:
    """Contents of a report: collars (seconds), and which analyses are made.

    ``bootstrap``: rounds of the confidence interval, 0 for none.
    """

    collars: tuple[float, ...] = (0.0, 0.25)
    skip_overlap: bool = False
    bootstrap: int = 0
    seed: int = 0
    breakdown: bool = False
    speakers: bool = False
    switches: bool = False

    def __post_init__(self) -> None:
        for collar in self.collars:
            ScoreOptions(collar)  # checks the value
        non_negative(bootstrap=self.bootstrap)


@dataclass
class Report:
    """Scores of one system on one set.

    ``scores`` and ``interval`` are per collar; ``comparison`` per collar, with system B;
    ``counts`` are (reference, system) speakers; ``note`` is that of `note_on_silence`.
    """

    scores: dict[float, Scores]
    jaccard: dict[str, JaccardErrors]
    counts: dict[str, tuple[int, int]]
    purity: float
    coverage: float
    note: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    interval: dict[float, ConfidenceInterval] = field(default_factory=dict)
    comparison: dict[float, Comparison] = field(default_factory=dict)
    sizes: dict[int, tuple[int, ErrorTimes]] = field(default_factory=dict)
    active: dict[int, ErrorTimes] = field(default_factory=dict)
    speakers: list[SpeakerResult] = field(default_factory=list)
    switches: dict[tuple[str, str], ErrorTimes] = field(default_factory=dict)

    @property
    def jer(self) -> JaccardErrors:
        """The Jaccard errors of all recordings."""
        return sum(self.jaccard.values(), JaccardErrors())

    @property
    def total_counts(self) -> tuple[int, int]:
        """The sums over recordings of the (reference, system) numbers of speakers."""
        ref, sys = zip(*self.counts.values(), strict=True) if self.counts else ((), ())
        return sum(ref), sum(sys)


def make_report(evaluation: Evaluation, options: ReportOptions) -> Report:
    """Return the report of one evaluation, without files, warnings and comparison."""
    skip, first = options.skip_overlap, options.collars[0]
    scores = {collar: evaluation.scores(collar, skip) for collar in options.collars}
    counts = analysis.speaker_counts(evaluation)
    purity, coverage = analysis.purity_coverage(evaluation)
    report = Report(
        scores, jaccard_errors(evaluation), counts, purity, coverage, note_on_silence(scores)
    )
    if options.bootstrap:
        report.interval = {
            collar: bootstrap(one, options.bootstrap, options.seed)
            for collar, one in scores.items()
        }
    if options.breakdown:
        report.sizes = analysis.by_recording_size(scores[first], counts)
        report.active = analysis.by_active_speakers(evaluation, first, skip)
    if options.speakers:
        report.speakers = analysis.by_speaker(evaluation)
    if options.switches:
        report.switches = analysis.by_switch(evaluation)
    return report


def _times(times: ErrorTimes) -> dict[str, float | None]:
    der = times.der if times.scored_speech > 0 else None
    return {**asdict(times), "der": der}


def json_report(report: Report) -> dict:
    """Return the report as plain data; times in seconds, rates as fractions."""
    recordings = {}
    for name, jaccard in report.jaccard.items():
        recordings[name] = {
            "collar": {f"{c:g}": _times(s.recordings[name]) for c, s in report.scores.items()},
            "jer": jaccard.jer if jaccard.speakers else None,
            "speakers": report.counts[name][0],
            "system_speakers": report.counts[name][1],
        }
    return {
        "convention": CONVENTION,
        **report.files,
        "options": report.options,
        "overall": {
            "collar": {f"{c:g}": _times(s.total) for c, s in report.scores.items()},
            "jer": report.jer.jer if report.jer.speakers else None,
            "speaker_count_accuracy": count_accuracy(report.counts),
            "purity": report.purity,
            "coverage": report.coverage,
        },
        "confidence": {f"{c:g}": asdict(x) for c, x in report.interval.items()},
        "comparison": {f"{c:g}": asdict(x) for c, x in report.comparison.items()},
        "speaker_count_confusion": [
            {"reference": ref, "system": sys, "recordings": number}
            for (ref, sys), number in count_confusion(report.counts).items()
        ],
        "by_number_of_speakers": {
            str(size): {"recordings": number, **_times(times)}
            for size, (number, times) in report.sizes.items()
        },
        "by_active_speakers": {str(n): _times(times) for n, times in report.active.items()},
        "by_speaker": [asdict(one) for one in report.speakers],
        "by_switch": [
            {"from": before, "to": after, **_times(times)}
            for (before, after), times in report.switches.items()
        ],
        "warnings": report.warnings,
        "note": report.note,
        "without_reference": list(next(iter(report.scores.values())).without_reference),
        "recordings": recordings,
    }


def csv_report(report: Report) -> str:
    """Return one line per recording and collar, and of the sums (recording ``OVERALL``)."""
    handle = io.StringIO()
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(
        ["recording", "collar", "scored_speech", *PARTS[1:], "der", "jer", "speakers", "found"]
    )
    for collar, scores in report.scores.items():
        rows = [(n, t, report.jaccard[n], report.counts[n]) for n, t in scores]
        rows.append(("OVERALL", scores.total, report.jer, report.total_counts))
        for name, times, jaccard, count in rows:
            seconds = [f"{getattr(times, part):.6f}" for part in ("scored_speech", *PARTS[1:])]
            der = f"{times.der:.6f}" if times.scored_speech > 0 else ""
            jer = f"{jaccard.jer:.6f}" if jaccard.speakers else ""
            writer.writerow([name, f"{collar:g}", *seconds, der, jer, *count])
    return handle.getvalue()
