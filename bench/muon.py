"""Muon of this project against torch's, on the matrices of a recipe's model.

    python bench/muon.py [--config egs/speechocean762/diar1/conf/train.yaml] [--device cpu]

Both take the same steps in turn; on one thread of a CPU seconds of CPU are counted, medians are
printed.  Last comes one line ``BENCH name=… value=… unit=… ratio=… against=…``.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from diarize.config import read_yaml
from diarize.tasks.registry import build_task, parse_config
from diarize.train.muon import Muon
from diarize.train.optim import make_optimizer

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT / "egs/speechocean762/diar1/conf/train.yaml"


def matrices(path: Path, device: torch.device) -> list[torch.Tensor]:
    """Return the weights that Muon has in the configuration ``path``."""
    config = parse_config(read_yaml(path), str(path))
    model = build_task(config).model.to(device)
    chosen = make_optimizer(model, config.train.optimizer, device).param_groups[0]["params"]
    return [weight.detach() for weight in chosen]


def timed_step(optimizer: torch.optim.Optimizer, seed: int) -> float:
    """Return the seconds of one step with random gradients."""
    device = optimizer.param_groups[0]["params"][0].device
    torch.manual_seed(seed)
    for weight in optimizer.param_groups[0]["params"]:
        weight.grad = torch.randn_like(weight)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize()
    begin = clock()
    optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - begin


def main() -> int:
    """Return the exit status of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=DEFAULT, help="with optimizer.name muon")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    weights = matrices(args.config, torch.device(args.device))
    ways = {}
    for name, kind, options in (
        ("ours", Muon, {}),
        ("torch", torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"}),
    ):
        own = [torch.nn.Parameter(weight.clone()) for weight in weights]
        ways[name] = kind(own, lr=1e-3, weight_decay=0.0, **options)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for step in range(args.steps + 2):
        for name, optimizer in ways.items():
            seconds[name].append(timed_step(optimizer, step))
    took = {name: 1000 * statistics.median(values[2:]) for name, values in seconds.items()}
    parts = [way.param_groups[0]["params"] for way in ways.values()]
    apart = max((a - b).abs().max().item() for a, b in zip(*parts, strict=True))
    print(f"{len(weights)} matrices, {sum(w.numel() for w in weights)} weights, {args.device}")
    for name, value in took.items():
        print(f"{name:8}{value:10.2f} ms a step")
    print(f"after {args.steps + 2} steps no weight differs by more than {apart:.1e}")
    print(f"BENCH name=muon_{args.device} value={took['ours']:.2f} unit=ms_per_step "
          f"ratio={took['torch'] / took['ours']:.2f} against=torch.optim.Muon")
    return 0


if __name__ == "__main__":
    sys.exit(main())
