#!/usr/bin/env python3
"""Speed of a training, and the table and figure of trainings of several models.

    compare_models.py speed exp/NAME/train_log.jsonl
    compare_models.py table --data data/test --out TABLE.md --figure FIGURE.svg exp/NAME ...
"""

import argparse
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diarize.bin.common import run_command
from diarize.config import read_yaml
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.report.plots.curves import read_entries
from diarize.report.plots.figure import figure_format, save_figure
from diarize.report.provenance import describe_run
from diarize.report.results import SetResult, score_set
from diarize.report.tables import markdown_table
from diarize.train.checkpoint import load_model

_NAME = re.compile(r"compare_(?P<config>.+)_(?P<minutes>[\d.]+)min_seed(?P<seed>\d+)")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


@dataclass(frozen=True)
class Run:
    """One training: its configuration, budget in minutes, seed, and what came out.

    ``curve`` are processor minutes and DER in percent of the validations.
    """

    model: str
    minutes: float
    seed: int
    result: SetResult
    parameters: int
    cpu_seconds: float
    audio_seconds: float
    curve: list[tuple[float, float]]

    def der(self, speakers: int | None = None) -> float:
        """Return the DER in percent, of the recordings with ``speakers`` speakers if given."""
        return 100 * self.result.errors(0.0, speakers).der


def speed(log: Path) -> float:
    """Return the steps per minute of processor time, without the first logged steps."""
    lines = [e for e in read_entries(log) if e.get("kind") == "train"]
    if len(lines) < 2:
        raise DiarizeError(f"{log}: two lines of training are required for its speed")
    first, last = lines[0], lines[-1]
    return 60 * (last["step"] - first["step"]) / (last["cpu_elapsed"] - first["cpu_elapsed"])


def read_run(directory: Path, data: Path) -> Run:
    """Return the training in ``directory`` with its scores on ``data``."""
    named = _NAME.fullmatch(directory.name)
    if named is None:
        raise DiarizeError(f"{directory}: no name of compare_models.sh")
    state, _ = load_model(directory / "final.pth")
    config = read_yaml(directory / "config.yaml")
    spent, steps, curve = 0.0, 0, []
    for entry in read_entries(directory / "train_log.jsonl"):
        if entry["kind"] == "train":
            spent, steps = entry["cpu_elapsed"], entry["step"]
        elif entry["kind"] == "valid":
            curve.append((entry["step"], entry["der"]))
    if not spent:
        raise DiarizeError(f"{directory}/train_log.jsonl: no line of a training step")
    # Validations are seldom at logged steps.
    curve = [(step * spent / steps / 60, der) for step, der in curve]
    seen = steps * config["train"]["batch_size"] * config["data"]["crop_seconds"]
    return Run(
        f"{config['model']['name']} ({named['config']})", float(named["minutes"]),
        int(named["seed"]), score_set("test", data, directory / "infer_test/rttm"),
        sum(value.numel() for value in state.values()), spent, seen, curve,
    )  # fmt: skip


def figures(values: Sequence[float]) -> str:
    """Return the mean, with the standard deviation if there are several values.

    >>> figures([1.0, 3.0]), figures([2.5])
    ('2.00 ± 1.41', '2.50')
    """
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of the table: one row for each model and budget."""
    counts = sorted({true for run in runs for true, _ in run.result.counts.values()})
    head = ("minutes", "model", "parameters", "seeds", "DER",
            *(f"{n} speaker{'s' if n > 1 else ''}" for n in counts),
            "count right", "CPU seconds", "audio / CPU s")  # fmt: skip
    rows = []
    for minutes, model in sorted({(run.minutes, run.model) for run in runs}):
        own = [run for run in runs if (run.minutes, run.model) == (minutes, model)]
        rows.append((
            f"{minutes:g}", model, f"{own[0].parameters}", f"{len(own)}",
            figures([run.der() for run in own]),
            *(figures([run.der(n) for run in own]) for n in counts),
            figures([run.result.count_accuracy() for run in own]),
            f"{statistics.fmean(run.cpu_seconds for run in own):.0f}",
            f"{statistics.fmean(run.audio_seconds / run.cpu_seconds for run in own):.0f}",
        ))  # fmt: skip
    return markdown_table(head, rows)


def draw(runs: Sequence[Run], path: Path) -> None:
    """Write the DER over processor minutes: test as points, validation in training as lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure_format(path)
    fig = Figure(figsize=(8, 4.5), dpi=130, layout="constrained")
    FigureCanvasAgg(fig)
    axis = fig.subplots()
    for model, colour in zip(dict.fromkeys(run.model for run in runs), _COLOURS, strict=False):
        own = [run for run in runs if run.model == model]
        for run in own:
            axis.plot(*zip(*run.curve, strict=True), color=colour, linewidth=0.8, alpha=0.6)
        spent = [run.cpu_seconds / 60 for run in own]
        axis.plot(spent, [run.der() for run in own], "o", color=colour, label=model)
    axis.set_xlabel("processor time of training (minutes)")
    axis.set_ylabel("DER (%): test as points, dev in training as lines")
    axis.set_ylim(bottom=0)
    axis.grid(color="#E4E4E4", linewidth=0.7)
    axis.legend(frameon=False)
    save_figure(fig, path)


def page(runs: Sequence[Run], command: str) -> str:
    """Return the page of the comparison."""
    lines = ["# Models at equal processor time", "", "Generated by local/compare_models.sh.", ""]
    lines += markdown_table(("", ""), list(describe_run(command).items()))
    lines += ["DER on the test set in percent, collar 0, overlap scored, thresholds from the "
              "validation set; mean and standard deviation over seeds.", ""]  # fmt: skip
    return "\n".join([*lines, *table(runs)]).rstrip() + "\n"


def main() -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("speed").add_argument("log", type=Path)
    add = commands.add_parser("table").add_argument
    add("runs", type=Path, nargs="+", metavar="DIR")
    add("--data", type=Path, required=True)
    add("--command", default="")
    add("--out", type=Path, required=True)
    add("--figure", type=Path, required=True)
    args = parser.parse_args()
    if args.what == "speed":
        print(f"{speed(args.log):.2f}")
        return 0
    runs = [read_run(path, args.data) for path in args.runs]
    draw(runs, args.figure)
    with atomic_write(args.out) as handle:
        handle.write(page(runs, args.command))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, "compare_models.py"))
