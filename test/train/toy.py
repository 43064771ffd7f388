"""A task small enough for a training to take no time; also a script that trains it."""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from diarize.bin.common import run_command
from diarize.config import from_dict
from diarize.errors import DiarizeError
from diarize.train.options import TrainOptions
from diarize.train.trainer import Trainer


@dataclass
class ToyBatch:
    names: list
    x: torch.Tensor
    y: torch.Tensor
    seconds: float

    def to(self, device, non_blocking=False):
        return ToyBatch(self.names, self.x.to(device), self.y.to(device), self.seconds)


class ToyTask:
    """Regression on frames; recordings differ in length, so the normaliser matters."""

    name = "toy"

    def __init__(self, dropout=0.0, delay=0.0, bad=None, width=8, nan=None):
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(4, width), nn.Dropout(dropout), nn.Linear(width, 1))
        self.delay, self.bad, self.nan = delay, bad, nan
        self.calls = 0

    def example(self, index):
        time.sleep(self.delay)
        if index == self.bad:
            raise DiarizeError(f"recording rec{index}: the file is truncated")
        rng = torch.Generator().manual_seed(index)
        x = torch.randn(3 + index % 5, 4, generator=rng)
        if index == self.nan:
            x[0, 0] = float("nan")
        return f"rec{index}", x, x.sum(1, keepdim=True).sin()

    def collate(self, examples):
        names, xs, ys = zip(*examples, strict=True)
        return ToyBatch(list(names), torch.cat(xs), torch.cat(ys), float(len(names)))

    def normalizers(self, batch):
        return torch.tensor([len(batch.x)], dtype=torch.float64)

    def loss(self, forward, batch, normalizers):
        error = (forward(batch.x).float() - batch.y).square()
        loss = error.sum() / normalizers[0].float()
        wrong = (error > 0.1).sum()
        frames = torch.tensor(float(error.numel()))
        return loss, {"mse": loss.detach(), "der_num": wrong, "der_den": frames}

    def largest(self, examples):
        return self.collate([self.example(4)] * examples)

    def validate(self, forward, device, rank, world):
        sums = {"error": torch.zeros(2), "n": torch.zeros(())}
        for index in range(1_000_000 + rank, 1_000_008, world):
            _, x, y = ToyTask.example(_QUIET, index)
            error = (forward(x.to(device)).float() - y.to(device)).square().sum()
            sums["error"] += error.cpu()
            sums["n"] += len(x)
        return sums

    def summarize(self, sums):
        return {"der": 100 * float(sums["error"][0] / sums["n"])}


class _QUIET:
    delay, bad, nan = 0.0, None, None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--task", type=json.loads, default={})
    parser.add_argument("--die", type=json.loads, default=None,
                        help="[rank, step]: SIGKILL there; step 0: in the first validation")
    args = parser.parse_args()
    torch.set_num_threads(1)
    task = ToyTask(**args.task)
    if args.die and int(os.environ.get("RANK", "0")) == args.die[0]:
        _die_at(task, args.die[1])

    def body():
        options = from_dict(TrainOptions, {"tensorboard": False, **args.options}, "options")
        return Trainer(task, options, args.out).run()

    return run_command(body, "toy")


def _die_at(task, step):
    loss = task.loss
    if step == 0:
        task.validate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    def dying(*args):
        task.calls += 1
        if task.calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(*args)

    task.loss = dying


if __name__ == "__main__":
    sys.exit(main())
