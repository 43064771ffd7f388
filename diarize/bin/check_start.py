"""Checks before a training: configurations, initial weights, disk space, recordings.

    diarize-check-start --task speaker -- --config conf/train.yaml
    diarize-check-start --train data/train --valid data/dev --test data/test -- \
      --config conf/train.yaml

The same faults would otherwise be reported by a stage that runs hours later.  Without data the
checks last seconds.  With data every file is decoded once: training and validation sets into the
audio store that the training reads.  The options after ``--`` are those for diarize-train.
"""

import argparse
import shutil
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from diarize import checks
from diarize.bin.common import CommandParser, add_allow_pipes, command_parser, run_command
from diarize.errors import DiarizeError
from diarize.tasks.postprocessors import POSTPROCESSORS

if TYPE_CHECKING:
    from diarize.tasks.base import QueryTask

PROG = "diarize-check-start"
SECONDS = 120.0  # of a simulated mixture of unknown length
BYTES = 2 * 16000  # of a second of audio


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__.partition("\n")[0])
    add = out.add_argument
    add("--task", choices=tuple(POSTPROCESSORS), help="task that the configuration must have")
    add("--inference-config", type=Path, metavar="YAML", help="inference configuration")
    add("--gpus", action="store_true", help="print the number of GPUs of this machine")
    add("--mixtures", nargs="*", default=[], metavar="NUMBER:SECONDS",
        help="mixtures to be written to --datadir: fields 5 and 6 of simulate.conf")
    add("--datadir", type=Path, metavar="DIR", help="directory of the written mixtures")
    add("--train", nargs="+", default=[], action="extend", metavar="DATA",
        help="training sets whose recordings are decoded, and whose speakers are counted")
    add("--valid", metavar="DIR", help="validation set whose recordings are decoded")
    add("--test", nargs="+", default=[], action="extend", metavar="DIR",
        help="other data directories whose recordings are decoded")
    add("--skip-bad", type=checks.natural, default=0, metavar="N",
        help="unusable training recordings that are accepted, as for diarize-train")
    add_allow_pipes(out)
    return out


def training_parser() -> argparse.ArgumentParser:
    """Return a parser of the checked options of diarize-train; it ignores all others."""
    out = CommandParser(prog=PROG)
    add = out.add_argument
    add("--config", type=Path, required=True)
    add("--set", nargs="+", default=[], action="extend", dest="overrides")
    add("--init-model", type=Path)
    return out


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 1 for a fault, reported in one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, training = words, None
    if "--" in words:
        place = words.index("--")
        own, training = words[:place], training_parser().parse_known_args(words[place + 1 :])[0]
    args = make_parser().parse_args(own)
    return run_command(lambda: check(args, training), PROG)


def check(args: argparse.Namespace, training: argparse.Namespace | None) -> None:
    """Raise DiarizeError for the first fault; print the number of GPUs if requested."""
    if args.inference_config:
        from diarize.infer.config import load_inference_config

        load_inference_config(args.inference_config)
    task = check_training(training, args.task) if training else None
    if task is not None:
        check_training_data(args, task)
    for directory in args.test:
        check_decoding(directory, args.allow_pipes)
    if args.mixtures and args.datadir:
        warn_of_space(args.mixtures, args.datadir, args.task)
    if args.gpus:
        print(number_of_gpus())


def check_training_data(args: argparse.Namespace, task: "QueryTask") -> None:
    """Decode the recordings of training and validation and compare them with the model."""
    if args.train:
        for line in task.open_training(args.train, args.allow_pipes, args.skip_bad)[1]:
            print(line, file=sys.stderr)
    if args.valid:
        task.open_validation(args.valid, args.allow_pipes)


def check_decoding(directory: str, allow_pipes: bool) -> None:
    """Raise DiarizeError for recordings of a data directory that cannot be decoded."""
    from diarize.data.decoding import decode_all
    from diarize.data.sources import store_folder
    from diarize.kaldi.datadir import DataDir
    from diarize.simulate.mix.store import check_faults

    data = DataDir.load(directory, allow_pipes=allow_pipes)
    sources = {name: data.source(name) for name in data.recordings}
    check_faults(decode_all(sources, store_folder(directory), 16000)[1].values(), 0)


def check_training(args: argparse.Namespace, task_name: str | None) -> "QueryTask":
    """Return the task; raise DiarizeError unless its configuration and initial weights fit."""
    if args.init_model and not args.init_model.exists():
        raise DiarizeError(
            f"no initial weights {args.init_model}: train that model first, name another "
            "with --init-model, or start from random weights with --init-model ''"
        )
    from diarize.config import apply_overrides, read_yaml
    from diarize.infer.pretrained import model_files
    from diarize.tasks.initial import with_initial_model
    from diarize.tasks.registry import build_task
    from diarize.train.checkpoint import load_weights

    mapping = apply_overrides(read_yaml(args.config), args.overrides)
    with model_files(args.init_model) if args.init_model else nullcontext((None,)) as found:
        config, _ = with_initial_model(mapping, str(args.config), found[0])
    if task_name and config.task != task_name:
        raise DiarizeError(
            f"{args.config}: its task is {config.task}, but the recipe has --task {task_name}; "
            "correct one of them"
        )
    task = build_task(config)
    if args.init_model:
        with model_files(args.init_model) as (model, _):
            load_weights(model, task.model, config.init_modules or None)
    return task


def number_of_gpus() -> int:
    """Return the number of GPUs that PyTorch can use; DiarizeError without PyTorch."""
    try:
        import torch
    except ImportError as err:
        raise DiarizeError(f"{sys.executable} has no PyTorch: run 'make env'") from err
    return torch.cuda.device_count()


def warn_of_space(mixtures: Iterable[str], datadir: Path, task: str | None) -> None:
    """Warn if the disk may be too small for the audio of ``mixtures`` ("number:seconds").

    Without a length, or if ``task`` draws mixtures of any length, two minutes are assumed.
    """
    from diarize.tasks.registry import TASKS

    timed = task is None or any(make.timed_mixtures for _, make in TASKS[task].values())
    size = 0.0
    for entry in mixtures:
        number, _, seconds = entry.partition(":")
        try:
            longest = float(seconds.rpartition("-")[2]) if timed and seconds else SECONDS
            size += int(number) * longest * BYTES
        except ValueError:
            continue  # the simulation names the faulty line
    there = next(path for path in (datadir.absolute(), *datadir.absolute().parents)
                 if path.is_dir())  # fmt: skip
    free = shutil.disk_usage(there).free
    if size > free:
        sys.stderr.write(
            f"WARNING: {datadir}: the simulation writes about {size / 1e9:.0f} GB, "
            f"{free / 1e9:.0f} GB are free\n"
        )


if __name__ == "__main__":
    sys.exit(main())
