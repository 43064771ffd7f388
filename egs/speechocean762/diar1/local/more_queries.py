"""Model file with more queries, as the initial model of a training: those of a model come first.

The further queries and their positions are drawn from a normal distribution with the mean and
deviation, for each dimension, of the model's own.
"""

import argparse
import sys
from pathlib import Path

import torch

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.train.checkpoint import load_model, save_model


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="model file of a speaker model")
    parser.add_argument("out", type=Path, help="model file to write")
    parser.add_argument("--queries", type=int, required=True, help="number of queries in all")
    parser.add_argument("--seed", type=int, default=0, help="(default %(default)s)")
    return parser


def more_queries(args: argparse.Namespace) -> None:
    """Write the model with more queries."""
    state, meta = load_model(args.model)
    names = [n for n in ("decoder.queries", "decoder.position") if n in state]
    if len(names) < 2:
        raise DiarizeError(f"{args.model}: no queries in it: not a model of this package")
    have = len(state[names[0]])
    if args.queries < have:
        raise DiarizeError(f"--queries {args.queries}: {args.model} has {have} already")
    generator = torch.Generator().manual_seed(args.seed)
    for name in names:
        own = state[name]
        shape = (args.queries - have, own.shape[1])
        further = own.mean(0) + own.std(0) * torch.randn(shape, generator=generator)
        state[name] = torch.cat([own, further])
    meta["config"]["model"]["decoder"]["queries"] = args.queries
    save_model(args.out, state, meta)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: more_queries(args), "more_queries.py")


if __name__ == "__main__":
    sys.exit(main())
