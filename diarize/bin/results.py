"""diarize-results: RESULTS.md of an experiment, and the RESULT lines that scripts read.

    diarize-results --exp exp/m --sets "dev test" --valid dev --data-root data \\
        --out exp/m/RESULTS.md --command "./run.sh --stage 1" --started 1700000000

Read are ``<data-root>/<set>/{rttm,uem}``, ``<exp>/infer_<set>/rttm``, the thresholds in
``<exp>/best.yaml`` or ``<exp>/infer_<valid>/best.yaml``, and ``<exp>/train_log.jsonl``.
One line per set but the validation set is printed last:
``RESULT task=speaker set=test collar=0.00 der=… miss=… fa=… conf=… count_acc=… train_s=…
total_s=…`` (percent with 2 decimals, whole seconds; ``na`` where not known).  With
``--task language`` it goes on with ``named_der=… second_language=…``, the error when the names
must be right and the share of speech given to a second language where there is only one.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diarize.bin.common import run_command
from diarize.bin.language_results import (
    LanguageReport,
    language_sections,
    more_fields,
    report_set,
)
from diarize.bin.provenance import describe_run, preparation, training_seconds
from diarize.bin.tables import markdown_table, percent
from diarize.config import read_yaml
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table
from diarize.io.uem import Regions, read_uem
from diarize.score.der import ErrorTimes, ScoreOptions, score_recording
from diarize.score.jer import JaccardErrors, jer_recording
from diarize.segments import Segment, by_recording, clip_segments

PROG = "diarize-results"
COLLARS = (0.0, 0.25)


@dataclass(frozen=True)
class RecordingResult:
    """One recording: its numbers of speakers, errors by collar, and Jaccard errors."""

    recording: str
    found_speakers: int
    errors: dict[float, ErrorTimes]
    jaccard: JaccardErrors
    seconds: float

    @property
    def true_speakers(self) -> int:
        """The number of reference speakers who speak in the scored regions."""
        return self.jaccard.speakers


@dataclass(frozen=True)
class SetResult:
    """One test or validation set."""

    name: str
    rttm: Path
    recordings: list[RecordingResult]

    def errors(self, collar: float, speakers: int | None = None) -> ErrorTimes:
        """Return the pooled errors, of recordings with that many speakers if given."""
        return sum((r.errors[collar] for r in self.of(speakers)), ErrorTimes())

    def of(self, speakers: int | None) -> list[RecordingResult]:
        """Return the recordings with ``speakers`` true speakers; all for None."""
        return [r for r in self.recordings if speakers is None or r.true_speakers == speakers]

    def count_accuracy(self, speakers: int | None = None) -> float:
        """Return in how many percent of the recordings the number of speakers is right."""
        group = self.of(speakers)
        return 100 * sum(r.true_speakers == r.found_speakers for r in group) / len(group)

    def jer(self) -> float | None:
        """Return the mean Jaccard error over all reference speakers, in percent."""
        total = sum((r.jaccard for r in self.recordings), JaccardErrors())
        return 100 * total.jer if total.speakers else None


def score_set(name: str, data: Path, rttm: Path) -> SetResult:
    """Return the scores of ``rttm`` against the reference and UEM in ``data``."""
    if not rttm.is_file():
        raise DiarizeError(f"{rttm}: missing; run the stages of inference for the set {name}")
    reference = by_recording(read_rttm(data / "rttm"))
    found = by_recording(read_rttm(rttm))
    regions = _regions(data)
    recordings = sorted(regions)
    strangers = sorted(set(reference) - set(regions))
    if strangers:
        raise DiarizeError(f"{data}/uem: no line for recording {strangers[0]} of {data}/rttm")
    results = [
        score_one(recording, reference.get(recording, []), found.get(recording, []), spans)
        for recording, spans in ((r, regions[r]) for r in recordings)
    ]
    if not results:
        raise DiarizeError(f"{data}/uem: no recording")
    return SetResult(name, rttm, results)


def score_one(
    recording: str, reference: list[Segment], found: list[Segment], regions: Regions
) -> RecordingResult:
    """Return the scores of one recording; speakers who never speak in ``regions`` do not count."""
    inside = {s.label for a, b in regions for s in clip_segments(found, a, b)}
    return RecordingResult(
        recording,
        len(inside),
        {c: score_recording(reference, found, regions, ScoreOptions(collar=c)) for c in COLLARS},
        jer_recording(reference, found, regions),
        sum(b - a for a, b in regions),
    )


def percents(times: ErrorTimes) -> dict[str, float | None]:
    """Return der, miss, fa and conf in percent of the scored speech; None where there is none."""
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
    """Return RESULTS.md as text; ``languages`` are the further scores where labels are that."""
    what = "speakers" if languages is None else "languages"
    lines = [f"# Results of {title}", "", "Generated by diarize-results; not edited by hand.", ""]
    lines += markdown_table(("", ""), list(about.items()))
    lines += ["## Scores", "", f"{_PROTOCOL[what]}; all figures in percent.", ""]
    rows = []
    for result in sets:
        for collar in COLLARS:
            figures = percents(result.errors(collar))
            rows.append((
                result.name, f"{len(result.recordings)}", f"{_hours(result):.2f}", f"{collar:.2f}",
                *(percent(figures[k]) for k in ("der", "miss", "fa", "conf")),
                percent(result.jer()), percent(result.count_accuracy()), f"`{result.rttm}`",
            ))  # fmt: skip
    head = ("set", "recordings", "hours", "collar (s)", "DER", "miss", "false alarm", "confusion",
            "JER", "count right", "RTTM")  # fmt: skip
    lines += markdown_table(head, rows)
    if languages is not None:
        lines += language_sections(languages)
    for result in sets:
        lines += [f"## {result.name} by number of {what}", ""]
        lines += _speaker_table(result, what)
        lines += [f"{what.capitalize()} found in {result.name} (rows: true number, columns: found)"]
        lines += [""]
        lines += _confusion_table(result)
    lines += ["## Thresholds", "", *_threshold_lines(best)]
    return "\n".join(lines).rstrip() + "\n"


_PROTOCOL = {
    "speakers": "Overlap is scored",
    "languages": "Whole recordings, pooled, by md-eval's conventions as in the DISPLACE challenges",
}


def result_line(task: str, result: SetResult, train: float | None, total: float | None) -> str:
    """Return the line of ``result`` that scripts read (collar 0)."""
    figures = percents(result.errors(0.0))
    scores = " ".join(f"{k}={percent(v)}" for k, v in figures.items())
    return (
        f"RESULT task={task} set={result.name} collar=0.00 {scores} "
        f"count_acc={result.count_accuracy():.2f} train_s={_whole(train)} total_s={_whole(total)}"
    )


def find_best(exp: Path, valid: str | None) -> tuple[Path, dict[str, Any]] | None:
    """Return path and content of the tuned thresholds of ``exp``, or None."""
    places = [exp / "best.yaml"]
    places += [exp / f"infer_{valid}" / "best.yaml"] if valid else []
    places += sorted(exp.glob("infer_*/best.yaml"))
    path = next((p for p in places if p.is_file()), None)
    return (path, read_yaml(path)) if path else None


def run(args: argparse.Namespace) -> int:
    """Write the page and print the RESULT lines; returns 0."""
    exp, root = Path(args.exp), Path(args.data_root)
    if not exp.is_dir():
        raise DiarizeError(f"{exp}: no such directory")
    names = args.sets.replace(",", " ").split()
    if not names:
        raise DiarizeError("--sets names no set")
    sets = [score_set(name, root / name, exp / f"infer_{name}" / "rttm") for name in names]
    train = training_seconds(exp / "train_log.jsonl")
    total = None if args.started is None else max(0.0, time.time() - args.started)
    about = describe_run(args.command, train, total) | preparation(root, names)
    languages = None
    if args.task == "language":
        languages = [report_set(r.name, root / r.name, r.rttm) for r in sets]
    best = find_best(exp, args.valid)
    page = results_page(str(args.title or exp), sets, about, best, languages)
    with atomic_write(args.out) as handle:
        handle.write(page)
    print(f"{args.out} written")
    more = {found.name: f" {more_fields(found)}" for found in languages or []}
    shown = [result for result in sets if result.name != args.valid] or sets
    for result in shown:
        print(result_line(args.task, result, train, total) + more.get(result.name, ""))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", required=True, help="experiment directory, exp/<tag>")
    parser.add_argument("--sets", required=True, help='names of the sets, such as "dev test"')
    parser.add_argument("--valid", help="the validation set, for which no RESULT is printed")
    parser.add_argument("--data-root", required=True, help="directory with <set>/{rttm,uem}")
    parser.add_argument("--out", required=True, help="RESULTS.md to write")
    parser.add_argument("--command", default="", help="the command that made the experiment")
    parser.add_argument("--started", type=float, metavar="EPOCH", help="when it was started")
    parser.add_argument("--task", default="speaker", help="task= of the RESULT line")
    parser.add_argument("--title", help="instead of the experiment directory")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args), PROG)


def _regions(data: Path) -> dict[str, Regions]:
    if (data / "uem").is_file():
        return read_uem(data / "uem")
    if not (data / "reco2dur").is_file():
        raise DiarizeError(f"{data}: neither uem nor reco2dur, so the scored time is not known")
    regions = {}
    for recording, text in read_table(data / "reco2dur", fields=2).items():
        try:
            regions[recording] = [(0.0, float(text))]
        except ValueError as err:
            raise DiarizeError(f"{data}/reco2dur: {recording}: '{text}' is no number") from err
    return regions


def _speaker_table(result: SetResult, what: str) -> list[str]:
    rows = []
    for speakers in sorted({r.true_speakers for r in result.recordings}):
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
    found = sorted({n for r in result.recordings for n in (r.true_speakers, r.found_speakers)})
    rows = []
    for speakers in sorted({r.true_speakers for r in result.recordings}):
        counts = [r.found_speakers for r in result.of(speakers)]
        rows.append((f"**{speakers}**", *(f"{counts.count(n) or ''}" for n in found)))
    return markdown_table(("true", *(str(n) for n in found)), rows)


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
            f"collar 0, number of speakers by {chosen.get('speakers', 'theta')}).",
            "",
        ]
    section = content.get("postprocess") or {}
    return lines + markdown_table(
        ("option", "value"), [(k, "–" if v is None else str(v)) for k, v in section.items()]
    )


def _hours(result: SetResult) -> float:
    return sum(r.seconds for r in result.recordings) / 3600


def _whole(seconds: float | None) -> str:
    return "na" if seconds is None else str(round(seconds))


if __name__ == "__main__":
    sys.exit(main())
