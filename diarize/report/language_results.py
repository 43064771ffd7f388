"""What RESULTS.md of a language diarization has besides the scores that speakers have too."""

from dataclasses import dataclass
from pathlib import Path

from diarize.report.language_scores import ScoredFiles, make_report
from diarize.report.tables import markdown_table, percent


@dataclass(frozen=True)
class LanguageReport:
    """The report of `make_report` for the set ``name``, by ``rttm``."""

    name: str
    rttm: Path
    report: dict

    @property
    def second(self) -> float | None:
        """The percentage of speech given to a second language; None where there are several."""
        return self.report["second_language"] if self.report["languages"] == 1 else None

    def der(self, way: str, collar: str = "0.00") -> float | None:
        """Return the error of whole recordings in percent, ``way`` "mapped" or "named"."""
        return self.report["whole"][way][collar]["der"]


def report_set(name: str, data: Path, rttm: Path) -> LanguageReport:
    """Return the scores of ``rttm`` against ``data/rttm``, by kind if it has kinds.rttm."""
    kinds = data / "kinds.rttm"
    files = ScoredFiles(
        (data / "rttm",), (rttm,), (data / "uem",), kinds if kinds.is_file() else None
    )
    return LanguageReport(name, rttm, make_report(files))


def more_fields(found: LanguageReport) -> str:
    """Return what the RESULT line of a set says besides; "na" where it does not apply."""
    return f"named_der={percent(found.der('named'))} second_language={percent(found.second)}"


def language_sections(sets: list[LanguageReport]) -> list[str]:
    """Return the sections on names, kinds of switch, windows and second languages as lines."""
    lines = ["## Names", "", "The same protocol (whole recordings, pooled, md-eval's conventions) "
             "without a mapping: a language is right only under its own name. One that the model "
             "does not know, and so calls L1, L2, …, is wrong.", ""]  # fmt: skip
    rows = []
    for found in sets:
        for collar, whole in found.report["whole"]["named"].items():
            mapped = found.der("mapped", collar)
            rows.append((found.name, collar, percent(whole["der"]), percent(mapped)))
    lines += markdown_table(("set", "collar (s)", "error when names must be right", "DER"), rows)
    if any(found.report["kinds"] for found in sets):
        lines += _kinds(sets)
    if any(found.second is not None for found in sets):
        lines += _second(sets)
    return lines + _windows(sets)


def _kinds(sets: list[LanguageReport]) -> list[str]:
    lines = ["## By kind of sentence", "",
              "DER, collar 0, of whole recordings, inside the sentences of a kind: with a switch "
              "within them (intra), whole ones of one language where the recording has two "
              "(inter), of recordings of one language (mono).", ""]  # fmt: skip
    rows = [
        (found.name, kind, *(percent(times[k]) for k in ("der", "miss", "fa", "conf")),
         f"{times['speech']:.0f}")
        for found in sets
        for kind, times in found.report["kinds"].items()
    ]  # fmt: skip
    head = ("set", "kind", "DER", "miss", "false alarm", "confusion", "speech (s)")
    return lines + markdown_table(head, rows)


def _second(sets: list[LanguageReport]) -> list[str]:
    lines = ["## A second language where there is one", "",
              "Sets in which every recording has one language: the share of the speech that goes "
              "to other than the recording's main language.", ""]  # fmt: skip
    rows = [(found.name, percent(found.second)) for found in sets if found.second is not None]
    return lines + markdown_table(("set", "speech to a second language"), rows)


def _windows(sets: list[LanguageReport]) -> list[str]:
    seconds = sets[0].report["windows"]["mapped"]["seconds"]
    lines = [f"## Windows of {seconds:g} s", "",
             "The SAGE-LD paper's protocol, not to be compared with the tables above: wrong frames "
             "of all frames, silence too, with the best mapping for each window; mean over "
             "windows.", ""]  # fmt: skip
    rows = []
    for found in sets:
        mapped, named = (found.report["windows"][way] for way in ("mapped", "named"))
        rows.append((
            found.name, str(mapped["windows"]), percent(mapped["mean"]),
            percent(mapped["pooled"]), percent(named["mean"]),
        ))  # fmt: skip
    head = ("set", "windows", "error, mean", "error, pooled", "mean when names must be right")
    return lines + markdown_table(head, rows)

