"""diarize-train: train a model; an interrupted training is resumed automatically."""

import argparse
import itertools
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, run_command

if TYPE_CHECKING:
    from diarize.tasks.base import QueryTask
    from diarize.tasks.registry import Config


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(
        "diarize-train",
        "Train a model.  The same command resumes a training after any interruption.  "
        "Under torchrun it uses all processes.",
    )
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="YAML", help="training configuration")
    add("--train", nargs="+", default=[], metavar="DATA",
        help="data directories, or manifests of mixtures (mixed on the fly); PATH:WEIGHT, for "
        "all of them, sets the shares of examples, such as real:0.7 sim/mixture.scp:0.3")
    add("--valid", metavar="DIR", help="validation set: data directory with a reference")
    add("-o", "--out", type=Path, metavar="DIR", help="directory of the experiment")
    add("--init-model", type=Path, metavar="MODEL", help="model of the initial "
        "weights (all, or the modules in init_modules); keys of model and criterion that the "
        "configuration lacks are those of this model")
    add("--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE", dest="overrides",
        help="override the configuration, e.g. train.steps=100 model.decoder.queries=25")
    add_allow_pipes(parser)
    add("--skip-bad", type=checks.natural, default=0, metavar="N",
        help="train without the recordings that cannot be decoded, or that have more speakers in "
        "a crop than the model has queries for, if there are at most N; they are listed "
        "(default: 0)")
    add("--print-config", action="store_true",
        help="print the whole configuration with defaults and descriptions, train nothing")
    add("--dry-run", action="store_true",
        help="print shapes and parameter counts, train nothing, write nothing")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    training = not (args.dry_run or args.print_config)
    if training and not (args.train and args.valid and args.out):
        parser.error("--train, --valid and --out are required, except with --dry-run and "
                     "--print-config")

    def body() -> int:
        from diarize.config import apply_overrides, read_yaml
        from diarize.infer.pretrained import model_files
        from diarize.tasks.initial import with_initial_model

        mapping = apply_overrides(read_yaml(args.config), args.overrides)
        with model_files(args.init_model) if args.init_model else nullcontext((None,)) as found:
            config, notices = with_initial_model(mapping, str(args.config), found[0])
        if int(os.environ.get("RANK", "0")) == 0:
            print(*notices, sep="\n", end="\n" if notices else "", file=sys.stderr)
        if args.print_config:
            print(full_config(config), end="")
            return 0
        return dry_run(config, args) if args.dry_run else train(config, args)

    return run_command(body, parser.prog)


def full_config(config: "Config") -> str:
    """Return all keys of the configuration as YAML, with their descriptions as comments."""
    from diarize.config_help import commented_yaml
    from diarize.tasks.registry import Shared

    shared = Shared(config.train, config.init_modules)
    return (
        f"# speaker or language.\ntask: {config.task}\n"
        + commented_yaml(config.options) + commented_yaml(shared)
    )  # fmt: skip


def dry_run(config: "Config", args: argparse.Namespace) -> int:
    """Print modules, shapes and parameters of the model; the last line is ``parameters: N``."""
    import torch

    from diarize.nn.summary import count_parameters, summarize_model
    from diarize.tasks.registry import build_task

    task = build_task(config)
    if args.init_model:
        from diarize.infer.pretrained import model_files
        from diarize.train.checkpoint import load_weights

        with model_files(args.init_model) as (model, _):
            load_weights(model, task.model, config.init_modules or None)
    rate = task.grid.sample_rate
    samples = round(config.options.data.crop_seconds * rate)
    with torch.no_grad():
        task.model.eval()
        waveform = torch.zeros(1, samples)
        table = summarize_model(task.model, waveform, torch.tensor([samples]))
    print(f"one crop of {samples / rate:g} s: {samples} samples")
    print(table)
    print(f"parameters: {count_parameters(task.model)}")
    return 0


def train(config: "Config", args: argparse.Namespace) -> int:
    """Train, and return the trainer's exit status."""
    from diarize.data.crops import parse_weights
    from diarize.tasks.registry import build_task, config_mapping
    from diarize.train.trainer import Trainer

    mapping = config_mapping(config)
    task = build_task(config)
    args.train, weights = parse_weights(args.train)
    task.load_data(args.train, args.valid, args.allow_pipes, weights, args.skip_bad)
    if int(os.environ.get("RANK", "0")) == 0:
        for line in task.notices:
            print(line, file=sys.stderr)
    data = initial_data(config, args, task)
    identity = {key: mapping[key] for key in mapping if key != "train"}
    # Options of the implementation, which do not change the mixtures.
    how = ["store", "store_dir"]
    # Earlier trainings have none of these keys, and drew crops by recording.
    how += [key for key in ("bucket", "channel") if not mapping["data"][key]]
    how += ["sampling"] if mapping["data"]["sampling"] == "recording" else []
    identity["data"] = {key: x for key, x in mapping["data"].items() if key not in how}
    later = ["name"] if config.options.model.name in ("eend_m2f", "sage_ld") else []
    if config.options.model.name == "eend_m2f" and config.options.model.front_end == "log_mel":
        later += ["front_end", "ssl_conv", "ssl_full"]
    # Earlier trainings have none of these keys.
    identity["model"] = {key: x for key, x in mapping["model"].items() if key not in later}
    identity |= {"train_weights": weights} if weights else {}
    meta = {"config": mapping, "domain": domain_of(task)}
    return Trainer(task, config.train, args.out, meta=meta, identity=identity, data=data).run()


def domain_of(task: "QueryTask") -> dict[str, list[float]]:
    """Return level, noise and bandwidth of the first training crops."""
    from diarize.infer.domain import learn_domain, measure_crops

    waves = (task.example(index).waveform for index in itertools.count())
    return learn_domain(measure_crops(waves, task.grid.sample_rate))


def initial_data(config: "Config", args: argparse.Namespace, task: "QueryTask") -> dict[str, Any]:
    """Load the initial weights, and return their identity and that of the data, for resumption."""
    from diarize.infer.pretrained import model_files
    from diarize.kaldi.contents import describe_data
    from diarize.train.checkpoint import load_model, load_weights
    from diarize.train.identity import describe_run, digest_weights

    weights = ""
    if args.init_model:
        modules = config.init_modules
        with model_files(args.init_model) as (model, _):
            load_weights(model, task.model, modules or None)
            state = load_model(model)[0]
        heads = tuple(f"{name}." for name in modules) or ("",)
        weights = digest_weights({k: v for k, v in state.items() if k.startswith(heads)})
    train = [describe_data(path, task.labels) for path in args.train]
    valid = describe_data(args.valid, task.labels)
    return describe_run(train, valid, args.init_model, weights, task.left_out)


if __name__ == "__main__":
    sys.exit(main())
