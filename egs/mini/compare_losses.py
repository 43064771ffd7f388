"""Compares the losses of the trainings below two directories, step by step.

    compare_losses.py REFERENCE OTHER [--tolerance 0.02]

Prints the largest relative difference of each training; the exit status is 1 where it exceeds the
tolerance, or where a training or one of its steps is missing.
"""

import argparse
import json
import math
import sys
from pathlib import Path


def losses(directory: Path) -> dict[int, float]:
    """Return the loss by step in a training's log."""
    lines = (directory / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    records = map(json.loads, lines)
    return {r["step"]: r["loss"] for r in records if r["kind"] == "train"}


def worst(reference: dict[int, float], other: dict[int, float]) -> tuple[float, int]:
    """Return the largest relative difference and its step; infinite where steps are missing.

    >>> worst({1: 10.0, 2: 5.0}, {1: 10.1, 2: 5.0})
    (0.01, 1)
    >>> worst({1: 10.0}, {2: 10.0})
    (inf, 0)
    """
    if not reference or reference.keys() != other.keys():
        return math.inf, 0
    found = {step: abs(other[step] / value - 1) for step, value in reference.items()}
    # A loss that is not a number compares with nothing.
    step = max(found, key=lambda s: found[s] if math.isfinite(found[s]) else math.inf)
    return round(found[step], 6), step


def main() -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.02,
        help="largest relative difference; bfloat16 rounds to 0.4 %% (8 bits), and four to "
        "eight steps from a fresh model carry that on (measured: 0.65 %% at most)")
    args = parser.parse_args()
    trainings = sorted(path.parent.name for path in args.reference.glob("*/train_log.jsonl"))
    if not trainings:
        print(f"{args.reference}: no training in it", file=sys.stderr)
        return 1
    good = True
    for name in trainings:
        difference, step = worst(losses(args.reference / name), losses(args.other / name))
        good = good and difference <= args.tolerance
        print(f"{args.other / name}: the losses differ by at most {100 * difference:.3f} % "
              f"(step {step}), allowed {100 * args.tolerance:g} %")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
