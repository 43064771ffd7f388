"""Scores of language diarization by both protocols, as data and as text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm
from diarize.report.inputs import read_turn_files, read_uem_files
from diarize.score import language
from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.score.sanity_checks import require_speech
from diarize.score.times import ErrorTimes, note_on_silence


@dataclass(frozen=True)
class ScoredFiles:
    """Files of one set: RTTM, RTTM, UEM, and an RTTM with the kinds of its sentences."""

    reference: tuple[str | Path, ...]
    system: tuple[str | Path, ...]
    uem: tuple[str | Path, ...]
    kinds: str | Path | None = None


def make_report(
    files: ScoredFiles,
    collars: Sequence[float] = (0.0, 0.25),
    window: float = language.WINDOW,
) -> dict:
    """Return the scores of one set as ``--json`` writes them; errors in percent.

    ``whole`` and ``windows`` hold the two protocols, each ``mapped`` and ``named``; ``kinds``
    those of sentences, collar 0; ``second_language`` the share of speech outside the main
    language of its recording; ``languages`` the largest number of languages in a recording of the
    reference; ``note`` that of `note_on_silence`.
    Raises DiarizeError for a reference without a label or a recording without a line in the UEM.
    """
    ref, sys = (read_turn_files(side).segments() for side in (files.reference, files.system))
    uem = read_uem_files(files.uem)
    names = {key: ", ".join(map(str, getattr(files, key))) for key in ("reference", "system")}
    if not ref:
        where = names["reference"]
        raise DiarizeError(f"{where}: no SPEAKER or LANGUAGE line, so nothing can be scored")
    missing = sorted({segment.recording for segment in ref} - uem.keys())
    if missing:
        where = ", ".join(map(str, files.uem))
        raise DiarizeError(f"{where}: no line for recording {missing[0]} of {names['reference']}")
    problem = problem_from_segments(ref, sys, uem)
    report: dict = {**names, "whole": {}, "windows": {}}
    for way, evaluation in (
        ("mapped", Evaluation(problem)),
        ("named", language.NamedEvaluation(problem)),
    ):
        scores = {collar: evaluation.scores(collar) for collar in collars}
        require_speech(next(iter(scores.values())), names["reference"])
        report["whole"][way] = {f"{c:.2f}": rates(one.total) for c, one in scores.items()}
        report["windows"][way] = window_rates(
            language.score_windows(ref, sys, uem, window, names=way == "named"), window
        )
        if way == "mapped":
            report["note"] = note_on_silence(scores)
            found = language.by_kind(evaluation, read_rttm(files.kinds) if files.kinds else [])
            report["kinds"] = {kind: rates(times) for kind, times in found.items()}
    second, speech = language.second_language(ref, sys, uem)
    report["second_language"] = round(100 * second / speech, 4) if speech else 0.0
    labels = {(segment.recording, segment.label) for segment in ref}
    report["languages"] = max(Counter(recording for recording, _ in labels).values())
    return report


def rates(times: ErrorTimes) -> dict[str, float | None]:
    """Return DER and its parts in percent of scored speech, and the scored speech in seconds.

    The rates are None without scored speech.
    """
    out: dict[str, float | None] = {"speech": round(times.scored_speech, 3)}
    for name, seconds in (
        ("der", times.error),
        ("miss", times.miss),
        ("fa", times.false_alarm),
        ("conf", times.confusion),
    ):
        out[name] = round(100 * times.rate(seconds), 4) if times.scored_speech > 0 else None
    return out


def window_rates(errors: language.WindowErrors, seconds: float) -> dict[str, float | int]:
    """Return the mean over windows and the pooled frame error in percent, and their number."""
    return {
        "seconds": seconds,
        "windows": len(errors),
        "mean": round(100 * errors.mean, 4),
        "pooled": round(100 * errors.pooled, 4),
    }


def text_report(report: dict) -> str:
    """Return the report as lines of text."""
    lines = ["whole recordings, pooled (md-eval; DISPLACE)      DER   miss     FA   conf  speech s"]
    for way, title in (("mapped", "best mapping"), ("named", "by name")):
        for collar, found in report["whole"][way].items():
            lines.append(_row(f"  {title}, collar {collar}", found))
    lines += [_row(f"  {kind} sentences, collar 0", x) for kind, x in report["kinds"].items()]
    windows = report["windows"]
    lines.append(
        f"windows of {windows['mapped']['seconds']:g} s ({windows['mapped']['windows']}), wrong "
        "frames of all frames (SAGE-LD), not comparable with the above"
    )
    for way, title in (("mapped", "best mapping"), ("named", "by name")):
        found = windows[way]
        lines.append(f"  {title:<42} mean {found['mean']:6.2f}  pooled {found['pooled']:6.2f}")
    lines.append(f"speech outside the main language: {report['second_language']:.2f} %")
    lines += [f"note: {report['note']}"] if report["note"] else []
    return "\n".join(lines) + "\n"


def _row(title: str, found: dict) -> str:
    cells = [found[name] for name in ("der", "miss", "fa", "conf")]
    shown = " ".join("    na" if x is None else f"{x:6.2f}" for x in cells)
    return f"{title:<46} {shown} {found['speech']:9.2f}"
