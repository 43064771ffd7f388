"""RESULTS.md of an experiment, and the RESULT lines for scripts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diarize.config import read_yaml
from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm_with_confidence, read_turns
from diarize.report.inputs import data_regions, read_durations
from diarize.report.language_results import LanguageReport, language_sections
from diarize.report.tables import markdown_table, percent
from diarize.score.analysis import count_accuracy, speaker_counts
from diarize.score.columns import problem_from_turns
from diarize.score.der import Evaluation
from diarize.score.jer import JaccardErrors, jaccard_errors
from diarize.score.reliability import Bin, calibration_error, reliability, score_turns
from diarize.score.sanity_checks import require_inside, require_speech
from diarize.score.significance import ConfidenceInterval, bootstrap
from diarize.score.times import ErrorTimes, Scores, note_on_silence

COLLARS = (0.0, 0.25)
MIN_RECORDINGS = 5  # of a bootstrap over recordings


@dataclass(frozen=True)
class SetResult:
    """One test or validation set: ``scores`` by collar, ``counts`` (true, found) of speakers."""

    name: str
    rttm: Path
    scores: dict[float, Scores]
    jaccard: JaccardErrors
    counts: dict[str, tuple[int, int]]
    seconds: float
    reliability: list[Bin] = field(default_factory=list)

    def of(self, speakers: int | None = None) -> dict[str, tuple[int, int]]:
        """Return the counts of the recordings with ``speakers`` true speakers; all for None."""
        return {k: v for k, v in self.counts.items() if speakers in (None, v[0])}

    def errors(self, collar: float, speakers: int | None = None) -> ErrorTimes:
        """Return the pooled errors, optionally of recordings with ``speakers`` speakers."""
        return self.scores[collar].only(self.of(speakers)).total

    def count_accuracy(self, speakers: int | None = None) -> float:
        """Return the percentage of recordings with the right number of speakers."""
        return 100 * count_accuracy(self.of(speakers))

    def interval(self, collar: float) -> ConfidenceInterval | None:
        """Return the 95 % interval of the DER over recordings; None for fewer than five."""
        scores = self.scores[collar]
        spoken = [name for name, times in scores if times.scored_speech > 0]
        return bootstrap(scores) if len(spoken) >= MIN_RECORDINGS else None

    def basis(self) -> str | None:
        """Return a note on a figure that rests on too few recordings for an interval, or None."""
        if self.interval(COLLARS[0]) is not None:
            return None
        return (
            f"{len(self.counts)} recording{'s' if len(self.counts) > 1 else ''}, "
            f"{self.seconds / 60:.1f} min: too few for an interval (from {MIN_RECORDINGS} "
            "recordings with speech on); the DER is a poor estimate for other recordings"
        )

    def jer(self) -> float | None:
        """Return the mean Jaccard error over all reference speakers, in percent."""
        return 100 * self.jaccard.jer if self.jaccard.speakers else None


def score_set(name: str, data: Path, rttm: Path) -> SetResult:
    """Return the scores of ``rttm`` against the reference and UEM in ``data``."""
    if not rttm.is_file():
        raise DiarizeError(f"{rttm}: missing; run inference (stages 6 and 7) for the set {name}")
    reference, found, regions = read_turns(data / "rttm"), read_turns(rttm), data_regions(data)
    strangers = sorted(set(reference.recording) - set(regions))
    if strangers:
        raise DiarizeError(f"{data}/uem: no line for recording {strangers[0]} of {data}/rttm")
    if not regions:
        raise DiarizeError(f"{data}/uem: no recording")
    evaluation = Evaluation(problem_from_turns(reference, found, regions))
    scores = {collar: evaluation.scores(collar) for collar in COLLARS}
    if (data / "reco2dur").is_file():
        require_inside(reference, read_durations(data / "reco2dur"), f"{data}/rttm")
    require_speech(scores[COLLARS[0]], f"{data}/rttm")
    return SetResult(
        name,
        rttm,
        scores,
        sum(jaccard_errors(evaluation).values(), JaccardErrors()),
        speaker_counts(evaluation),
        sum(b - a for spans in regions.values() for a, b in spans),
        reliability(score_turns(reference.segments(), read_rttm_with_confidence(rttm), regions)),
    )


def percents(times: ErrorTimes) -> dict[str, float | None]:
    """Return der, miss, fa and conf in percent of the scored speech; None without any."""
    parts = {"der": times.error, "miss": times.miss}
    parts |= {"fa": times.false_alarm, "conf": times.confusion}
    known = times.scored_speech > 0
    return {k: 100 * v / times.scored_speech if known else None for k, v in parts.items()}


def results_page(
    title: str,
    sets: list[SetResult],
    about: dict[str, str],
    best: tuple[Path, dict] | None,
    languages: list[LanguageReport] | None = None,
) -> str:
    """Return RESULTS.md as text; ``languages`` are further scores, for language diarization."""
    what = "speakers" if languages is None else "languages"
    lines = [f"# Results of {title}", "", "Generated by diarize-results. Do not edit.", ""]
    lines += markdown_table(("", ""), list(about.items()))
    lines += ["## Scores", "", f"{_PROTOCOL[what]}; all figures in percent.", ""]
    rows = []
    for result in sets:
        for collar in COLLARS:
            figures = percents(result.errors(collar))
            rows.append((
                result.name, f"{len(result.counts)}", f"{result.seconds / 3600:.2f}",
                f"{collar:.2f}",
                percent(figures["der"]), _range(result.interval(collar)),
                *(percent(figures[k]) for k in ("miss", "fa", "conf")),
                percent(result.jer()), percent(result.count_accuracy()), f"`{result.rttm}`",
            ))  # fmt: skip
    head = ("set", "recordings", "hours", "collar (s)", "DER", "95 % interval", "miss",
            "false alarm", "confusion", "JER", "count right", "RTTM")  # fmt: skip
    lines += markdown_table(head, rows)
    lines += ["The interval is that of the DER over recordings (percentile bootstrap).", ""]
    for result in sets:
        for note in filter(None, (result.basis(), note_on_silence(result.scores))):
            lines += [f"{result.name}: {note}.", ""]
    if languages is not None:
        lines += language_sections(languages)
    for result in sets:
        lines += [f"## {result.name} by number of {what}", ""]
        lines += _speaker_table(result, what)
        lines += [f"{what.capitalize()} found in {result.name} (rows: true number, columns: found)"]
        lines += [""]
        lines += _confusion_table(result)
        lines += reliability_lines(result)
    lines += ["## Thresholds", "", *_threshold_lines(best)]
    return "\n".join(lines).rstrip() + "\n"


_PROTOCOL = {
    "speakers": "Overlap is scored",
    "languages": "Whole recordings, pooled, as in the DISPLACE challenges",
}


def result_line(task: str, result: SetResult, train: float | None, total: float | None) -> str:
    """Return the RESULT line of a set (collar 0), with the basis of its figures."""
    figures = percents(result.errors(0.0))
    scores = " ".join(f"{k}={percent(v)}" for k, v in figures.items())
    return (
        f"RESULT task={task} set={result.name} collar=0.00 {scores} "
        f"count_acc={result.count_accuracy():.2f} train_s={_whole(train)} total_s={_whole(total)} "
        f"recordings={len(result.counts)} minutes={result.seconds / 60:.1f} "
        f"der_95={_range(result.interval(0.0))}"
    )


def _range(interval: ConfidenceInterval | None) -> str:
    """Return an interval in percent as ``low-high``, ``na`` for None."""
    if interval is None:
        return "na"
    return f"{100 * interval.low:.2f}-{100 * interval.high:.2f}"


def find_best(exp: Path, valid: str | None) -> tuple[Path, dict[str, Any]] | None:
    """Return the path and content of the tuned thresholds of ``exp``, or None."""
    places = [exp / "best.yaml"]
    places += [exp / f"infer_{valid}" / "best.yaml"] if valid else []
    places += sorted(exp.glob("infer_*/best.yaml"))
    path = next((p for p in places if p.is_file()), None)
    return (path, read_yaml(path)) if path else None


def _speaker_table(result: SetResult, what: str) -> list[str]:
    rows = []
    for speakers in sorted({true for true, _ in result.counts.values()}):
        figures = percents(result.errors(0.0, speakers))
        rows.append((
            f"{speakers}", f"{len(result.of(speakers))}",
            *(percent(figures[k]) for k in ("der", "miss", "fa", "conf")),
            percent(percents(result.errors(0.25, speakers))["der"]),
            percent(result.count_accuracy(speakers)),
        ))  # fmt: skip
    head = (what, "recordings", "DER", "miss", "false alarm", "confusion",
            "DER (collar 0.25)", "count right")  # fmt: skip
    return markdown_table(head, rows)


def _confusion_table(result: SetResult) -> list[str]:
    found = sorted({n for pair in result.counts.values() for n in pair})
    rows = []
    for speakers in sorted({true for true, _ in result.counts.values()}):
        counts = [number for _, number in result.of(speakers).values()]
        rows.append((f"**{speakers}**", *(f"{counts.count(n) or ''}" for n in found)))
    return markdown_table(("true", *(str(n) for n in found)), rows)


def reliability_lines(result: SetResult) -> list[str]:
    """Return the table of confidences of the turns; nothing without confidences."""
    if not result.reliability:
        return []
    error = 100 * calibration_error(result.reliability)
    lines = [
        f"Confidence of the turns in {result.name}, with the share of their time in which the "
        f"label is right (mean difference {error:.1f} %)",
        "",
    ]
    rows = [
        (f"{b.low:.2f} to {b.high:.2f}", f"{b.turns}", f"{b.seconds:.0f}",
         f"{100 * b.confidence:.1f}", f"{100 * b.share:.1f}")
        for b in result.reliability
    ]  # fmt: skip
    head = ("confidence", "turns", "seconds", "mean confidence (%)", "right (%)")
    return lines + markdown_table(head, rows)


def _threshold_lines(best: tuple[Path, dict[str, Any]] | None) -> list[str]:
    if best is None:
        return ["No best.yaml: thresholds were not tuned.", ""]
    path, content = best
    chosen = content.get("chosen") or {}
    lines = [f"From `{path}`", ""]
    where = [chosen.get(k) for k in ("posteriors", "reference")]
    if all(where):
        lines = [
            f"From `{path}`, chosen on `{where[0]}` against `{where[1]}` "
            f"({chosen.get('recordings', '?')} recordings, DER {chosen.get('der', '?')} %, "
            f"collar 0, number of speakers by {chosen.get('speakers', 'query threshold')}).",
            "",
        ]
    section = content.get("postprocess") or {}
    return lines + markdown_table(
        ("option", "value"), [(k, "–" if v is None else str(v)) for k, v in section.items()]
    )


def _whole(seconds: float | None) -> str:
    return "na" if seconds is None else str(round(seconds))
