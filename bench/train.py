"""Where a training step's time goes, and how much of the machine's arithmetic it uses.

    python bench/train.py [--device cpu|cuda] [--configs mini paper] [--steps 6]
    python bench/train.py --count
    python bench/train.py --peers torchaudio loop torch.optim.Muon

For each configuration: simulation with rooms and noise, features, network, cost, matching,
backward, optimiser, in milliseconds and as shares of the step; seconds of audio trained on per
second; model FLOPs (counted by torch) per second against what a large matrix product of the same
type reaches in the same run (MFU).  --peers instead races parts of a step against others' (see
train_peers.py).  Last comes one line per figure, ``BENCH name=… value=… unit=… ratio=… against=…``.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent))
import train_peers
from simulate_corpus import make_corpus

from diarize.config import read_yaml
from diarize.models.eend_m2f import EendM2f, EendM2fOptions
from diarize.tasks.base import QueryTask
from diarize.tasks.registry import build_task, parse_config
from diarize.train.distributed import Group
from diarize.train.step import Stepper

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = {
    "mini": ROOT / "egs/mini/diar1/conf/train.yaml",
    "paper": ROOT / "egs/TEMPLATE/conf/pretrain.yaml",
    "finetune": ROOT / "egs/TEMPLATE/conf/finetune.yaml",
}
# Crops in a step where the configuration's batch is for several GPUs.
CROPS = {"cpu": {"mini": 8, "paper": 1, "finetune": 1}, "cuda": {"mini": 64, "paper": 128,
                                                                "finetune": 8}}  # fmt: skip
# The mini recipe has neither rooms nor noise.
MANIFESTS = {"mini": "dry.scp", "paper": "mixture.scp", "finetune": "mixture.scp"}
# A product forward is two backward.  torch's own count of the backward pass takes a depthwise
# convolution for a full one.
WITH_BACKWARD = 3
# Dense, from the makers' data sheets.
PEAKS = {"H100 SXM": 989.4e12, "RTX A6000": 154.8e12}
PARTS = ("data", "features", "network", "cost", "matching", "terms", "backward", "optimiser")


class Watch:
    """Seconds by part; inner parts are subtracted from outer ones.

    On one thread of a CPU they are seconds of CPU: others on the machine do not count.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        alone = device.type == "cpu" and torch.get_num_threads() == 1
        self.clock = time.process_time if alone else time.perf_counter
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def wrap(self, name: str, function: Callable) -> Callable:
        def timed(*args: Any, **options: Any) -> Any:
            self.wait()
            begin = self.clock()
            self._inner.append(0.0)
            try:
                return function(*args, **options)
            finally:
                self.wait()
                spent = self.clock() - begin
                own = spent - self._inner.pop()
                self._inner[-1] += spent
                self.seconds[name] = self.seconds.get(name, 0.0) + own

        return timed

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def batches(task: QueryTask, crops: int, number: int) -> Any:
    """Return batch ``number`` of ``crops`` crops."""
    first = number * crops
    return task.collate([task.example(i) for i in range(first, first + crops)])


def make_stepper(name: str, manifest: Path, args: argparse.Namespace) -> tuple[QueryTask, Stepper]:
    """Return a task on ``manifest`` and its stepper."""
    config = parse_config(read_yaml(CONFIGS[name]), name)
    data = replace(config.options.data, store_dir=str(manifest.parent / "store"))
    train = replace(config.train, device=args.device, precision=args.precision,
                    compile=args.compile, batch_size=args.crops, accumulation=1)  # fmt: skip
    task = build_task(replace(config, options=replace(config.options, data=data)))
    task.load_data([str(manifest)], None)
    return task, Stepper(task, train, Group(0, 1, torch.device(args.device)))


def parts_of(task: QueryTask, stepper: Stepper, steps: int, crops: int) -> dict[str, float]:
    """Return seconds per step by part, each part waited for."""
    watch = Watch(stepper.group.device)
    model, criterion = task.model, task.criterion
    forward = stepper.forward
    stepper.forward = watch.wrap("network", stepper.in_precision(model.forward))
    model.features.forward = watch.wrap("features", model.features.forward)
    criterion.cost = watch.wrap("cost", criterion.cost)
    criterion.assign = watch.wrap("matching", criterion.assign)
    criterion.loss = watch.wrap("terms", criterion.loss)
    for name in ("_gradient_norm", "_update"):
        setattr(stepper, name, watch.wrap("optimiser", getattr(stepper, name)))
    run = watch.wrap("backward", stepper.run)  # all of the step that is nothing else
    get = watch.wrap("data", batches)
    for step in range(steps):
        run(step, [get(task, crops, step)])
    for place, name in ((model.features, "forward"), (criterion, "cost"), (criterion, "assign"),
                        (criterion, "loss"), (stepper, "_gradient_norm"), (stepper, "_update")):
        delattr(place, name)
    stepper.forward = forward
    return {part: watch.seconds[part] / steps for part in PARTS}


def whole_steps(task: QueryTask, stepper: Stepper, steps: int, crops: int) -> float:
    """Return the median seconds of a step, data made already, nothing waited for inside."""
    held = [batches(task, crops, step) for step in range(steps)]
    watch = Watch(stepper.group.device)
    times = []
    for step, batch in enumerate(held):
        watch.wait()
        begin = watch.clock()
        stepper.run(step, [batch])
        watch.wait()
        times.append(watch.clock() - begin)
    return statistics.median(times)


def data_seconds(task: QueryTask, args: argparse.Namespace) -> float:
    """Return the seconds of a step's data on a first visit, and look at all that is measured.

    A mixture's level of noise, and of voices in rooms, is found once and then kept.
    """
    watch = Watch(torch.device(args.device))
    begin = watch.clock()
    for step in range(args.steps):
        batches(task, args.crops, step)
    return (watch.clock() - begin) / args.steps


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return FLOPs per second of a large matrix product."""
    size = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    watch, best = Watch(device), 0.0
    for _ in range(8):
        watch.wait()
        begin = watch.clock()
        a @ b
        watch.wait()
        best = max(best, 2 * size**3 / (watch.clock() - begin))
    return best


def measure(name: str, manifest: Path, args: argparse.Namespace) -> list[str]:
    """Print the table of one configuration and return its BENCH lines."""
    device = torch.device(args.device)
    args.crops = args.batch or CROPS[device.type][name]
    task, stepper = make_stepper(name, manifest, args)
    batch = batches(task, args.crops, 0)
    for step in range(2 if device.type == "cpu" else 5):
        stepper.run(step, [batch])
    moved = batch.to(device)
    counter = FlopCounterMode(display=False)
    with counter:
        task.model(moved.waveforms, moved.num_samples).mask_logits()
    flops = WITH_BACKWARD * counter.get_total_flops()
    first = data_seconds(task, args)
    seconds = parts_of(task, stepper, args.steps, args.crops)
    step = whole_steps(task, stepper, args.steps, args.crops)
    half = stepper.bf16
    peak = matmul_peak(device, torch.bfloat16 if half else torch.float32)
    total, audio = sum(seconds.values()), batch.seconds
    kind = "bf16" if half else "fp32"
    print(f"== {name}: {args.crops} crops, {audio:.0f} s of audio a step, {args.device}, {kind}")
    for part, value in seconds.items():
        print(f"{part:12}{1000 * value:12.2f} ms{100 * value / total:9.2f} %")
    utilised = flops / step / peak
    print(f"step without data {1000 * step:.1f} ms; {flops / audio / 1e9:.2f} GFLOP per second of "
          f"audio; matrix product {peak / 1e9:.0f} GFLOP/s; MFU {100 * utilised:.1f} %")
    print(f"data on a first visit of its mixtures {1000 * first:.1f} ms")
    if device.type == "cuda":
        print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    print()
    data, matching = seconds["data"] / total, seconds["matching"] / total
    rate = audio / max(step, seconds["data"] if args.workers_hide_data else step + seconds["data"])
    head = f"BENCH name=train_{name}_{args.device}"
    return [
        f"{head}_rate value={rate:.1f} unit=x_real_time ratio={utilised:.3f} "
        "against=matmul_roofline",
        f"{head}_data_share value={100 * data:.2f} unit=percent ratio={data / 0.05:.3f} "
        "against=5_percent",
        f"{head}_matching_share value={100 * matching:.2f} unit=percent "
        f"ratio={matching / 0.02:.3f} against=2_percent",
    ]


def count(seconds: float = 50.0) -> None:
    """Print the FLOPs of the paper's model per second of audio, module by module."""
    model = EendM2f(EendM2fOptions())
    counter = FlopCounterMode(display=False, depth=2)
    with counter:
        predictions = model(torch.zeros(1, round(16000 * seconds)))
        predictions.mask_logits()
    forward = counter.get_total_flops()
    for name, found in counter.get_flop_counts().items():
        if name.count(".") == 2 or name == "EendM2f.decoder":
            print(f"{name:36}{sum(found.values()) / seconds / 1e6:9.1f} MFLOP/s of audio")
    per_second = WITH_BACKWARD * forward / seconds
    print(f"forward {forward / seconds / 1e6:.1f}, training {per_second / 1e6:.1f} MFLOP/s")
    for name, peak in PEAKS.items():
        print(f"{name}: {peak / 1e12:.0f} TFLOP/s in bf16: at most {peak / per_second:,.0f} x")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = out.add_argument
    add("--configs", nargs="+", choices=sorted(CONFIGS), default=["mini", "paper"])
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    add("--compile", action="store_true", help="torch.compile, as train.compile")
    add("--steps", type=int, default=6)
    add("--batch", type=int, help="crops per step (default: what one device of its kind takes)")
    add("--threads", type=int, default=1)
    add("--mixtures", type=int, default=80)
    add("--corpus", type=Path, help="keep the corpus here, to measure again on the same")
    add("--count", action="store_true", help="count the model's FLOPs only, on a CPU")
    add("--peers", nargs="+", choices=train_peers.PEERS, help="race parts of a step with these")
    add("--workers-hide-data", action="store_true", help="count the longer of step and data")
    return out


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the benchmark."""
    args = parser().parse_args(argv)
    if args.count:
        count()
        return 0
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: not measured are its step, MFU, memory and matching share")
        return 0
    torch.set_num_threads(args.threads)
    if args.peers:
        watch = Watch(torch.device(args.device))
        train_peers.compare(args.peers, watch.device, args.steps, watch.clock, watch.wait)
        return 0
    place = nullcontext(args.corpus) if args.corpus else tempfile.TemporaryDirectory()
    with place as folder:
        root = Path(folder)
        root.mkdir(exist_ok=True)
        if not (root / "dry.scp").exists():
            make_corpus(root, args.mixtures)
        lines = []
        for name in args.configs:
            lines += measure(name, root / MANIFESTS[name], args)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
