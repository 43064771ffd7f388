"""Memory and time of whole training steps at the sizes of the shipped configurations.

    PYTHONPATH=. python bench/memory.py [--stages pretrain finetune adapt] [--device cuda]

For each stage: the micro-batch that train.accumulation auto finds on this device, then whole
steps of the largest crops, made of noise.  One line of JSON per stage: crops at once, number of
micro-batches, foreseen and highest memory in GB, seconds of a step, hours of the whole stage.
"""

import argparse
import json
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from diarize.config import apply_overrides, read_yaml
from diarize.errors import DiarizeError
from diarize.tasks.registry import build_task, parse_config
from diarize.train.distributed import Group
from diarize.train.memory import GB, LiveBytes, Probe, find_accumulation
from diarize.train.step import Stepper

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("pretrain", "finetune", "adapt")


def measure(name: str, args: argparse.Namespace) -> dict[str, object]:
    """Return the figures of a stage."""
    mapping = read_yaml(ROOT / f"egs/TEMPLATE/conf/{name}.yaml")
    config = parse_config(apply_overrides(mapping, args.overrides), name)
    device = torch.device(args.device)
    group, options = Group(0, 1, device), replace(config.train, device=device.type)
    task = build_task(config)
    stepper = Stepper(task, options, group)
    probe = Probe(stepper.rehearse, device, stepper.bytes_to_come(), options.max_memory)
    number = find_accumulation(options, group, probe)
    size = -(-options.batch_size // number)
    foreseen = probe.bytes
    stepper.options = replace(options, accumulation=number)
    batch = task.largest(size)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = []
    for step in range(args.steps):
        begin = time.perf_counter()
        with LiveBytes() if device.type == "cpu" else nullcontext() as live:
            stepper.run(step, [batch] * number)
            stepper.check()  # waits for the device
        times.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else live.peak
    return {
        "stage": name, "device": args.device, "batch_size": options.batch_size,
        "crop_seconds": config.options.data.crop_seconds, "crops_at_once": size,
        "micro_batches": number, "foreseen_gb": round(foreseen / GB, 3),
        "peak_gb": round(peak / GB, 3), "limit_gb": round(probe.limit / GB, 3),
        "step_seconds": round(min(times), 3),
        "stage_hours": round(min(times) * options.steps / 3600, 1),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 1 where a stage could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    add("--device", choices=("cpu", "cuda"), default="cuda")
    add("--steps", type=int, default=2)
    add("--set", nargs="+", default=[], dest="overrides", metavar="KEY=VALUE")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("bench/memory.py: error: torch sees no GPU; use --device cpu", file=sys.stderr)
        return 1
    code = 0
    for name in args.stages:
        try:
            print(json.dumps(measure(name, args)), flush=True)
        except (DiarizeError, torch.OutOfMemoryError) as err:
            print(json.dumps({"stage": name, "error": str(err).splitlines()[0]}), flush=True)
            code = 1
        if args.device == "cuda":
            torch.cuda.empty_cache()
    return code


if __name__ == "__main__":
    sys.exit(main())
