"""Sections of RESULTS.md for language diarization, beside those that speakers have, too."""

from dataclasses import dataclass
from pathlib import Path

from diarize.report.language_scores import ScoredFiles, make_report
from diarize.report.tables import markdown_table, percent


@dataclass(frozen=True)
class LanguageReport:
    """Report of `make_report` for the set ``name`` and the output ``rttm``."""

    name: str
    rttm: Path
    report: dict

    @property
    def second(self) -> float | None:
        """The percentage of speech outside the main language; None for sets with several."""
        return self.report["second_language"] if self.report["languages"] == 1 else None

    def der(self, way: str, collar: str = "0.00") -> float | None:
        """Return the error of whole recordings in percent, ``way`` "mapped" or "named"."""
        return self.report["whole"][way][collar]["der"]


def report_set(name: str, data: Path, rttm: Path) -> LanguageReport:
    """Return the scores of ``rttm`` against ``data/rttm``, by kind where kinds.rttm exists."""
    kinds = data / "kinds.rttm"
    files = ScoredFiles(
        (data / "rttm",), (rttm,), (data / "uem",), kinds if kinds.is_file() else None
    )
    return LanguageReport(name, rttm, make_report(files))


def more_fields(found: LanguageReport) -> str:
    """Return the further fields of the RESULT line of a set, "na" where they do not apply."""
    return f"named_der={percent(found.der('named'))} second_language={percent(found.second)}"


def language_sections(sets: list[LanguageReport]) -> list[str]:
    """Return the sections on names, kinds of switch, windows and second languages as lines."""
    lines = ["## Names", "", "The same protocol (whole recordings, pooled, conventions of md-eval) "
             "without a mapping: a language is right only under its own name. Languages unknown to "
             "the model, called L1, L2, …, count as errors.", ""]  # fmt: skip
    rows = []
    for found in sets:
        for collar, whole in found.report["whole"]["named"].items():
            mapped = found.der("mapped", collar)
            rows.append((found.name, collar, percent(whole["der"]), percent(mapped)))
    lines += markdown_table(("set", "collar (s)", "error by name", "DER"), rows)
    if any(found.report["kinds"] for found in sets):
        lines += _kinds(sets)
    if any(found.second is not None for found in sets):
        lines += _second(sets)
    return lines + _windows(sets)


def _kinds(sets: list[LanguageReport]) -> list[str]:
    lines = ["## By kind of sentence", "",
              "DER, collar 0, mapped on whole recordings, inside sentences of one kind: with a "
              "switch inside (intra), of one language in a recording of two (inter), in recordings "
              "of one language (mono).", ""]  # fmt: skip
    rows = [
        (found.name, kind, *(percent(times[k]) for k in ("der", "miss", "fa", "conf")),
         f"{times['speech']:.0f}")
        for found in sets
        for kind, times in found.report["kinds"].items()
    ]  # fmt: skip
    head = ("set", "kind", "DER", "miss", "false alarm", "confusion", "speech (s)")
    return lines + markdown_table(head, rows)


def _second(sets: list[LanguageReport]) -> list[str]:
    lines = ["## Speech outside the main language", "",
              "Sets in which every recording has one language: the share of the speech outside the "
              "main language of its recording.", ""]  # fmt: skip
    rows = [(found.name, percent(found.second)) for found in sets if found.second is not None]
    return lines + markdown_table(("set", "speech outside the main language"), rows)


def _windows(sets: list[LanguageReport]) -> list[str]:
    seconds = sets[0].report["windows"]["mapped"]["seconds"]
    lines = [f"## Windows of {seconds:g} s", "",
             "Protocol of the SAGE-LD paper, not comparable with the tables above: the share of "
             "wrong frames among all frames including silence, with the best mapping for each "
             "window, averaged over windows.", ""]  # fmt: skip
    rows = []
    for found in sets:
        mapped, named = (found.report["windows"][way] for way in ("mapped", "named"))
        rows.append((
            found.name, str(mapped["windows"]), percent(mapped["mean"]),
            percent(mapped["pooled"]), percent(named["mean"]),
        ))  # fmt: skip
    head = ("set", "windows", "error, mean", "error, pooled", "mean by name")
    return lines + markdown_table(head, rows)

