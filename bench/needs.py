"""Needs of each training stage: memory, micro-batch, hours and disk.

    PYTHONPATH=. python bench/needs.py > doc/needs.md
    python bench/needs.py --stages adapt --mfu 0.1
    python bench/needs.py --check 4

The stages are those of egs/TEMPLATE/conf.  Nothing is trained: forward and backward pass run on
fake tensors, of which only sizes are known, and the bytes that are live at once are counted
(`diarize.train.memory.LiveBytes`), as are the FLOPs of the forward pass.  --check N instead runs N
crops of pretraining for real on the CPU, and prints the count beside the growth of the process.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diarize.config import read_yaml
from diarize.data.examples import Batch
from diarize.nn.attention import MultiHeadAttention
from diarize.nn.precision import with_precision
from diarize.tasks.base import QueryTask
from diarize.tasks.registry import Config, build_task, parse_config
from diarize.train.distributed import Group
from diarize.train.memory import GB, LiveBytes, find_accumulation

ROOT = Path(__file__).resolve().parent.parent
STAGES = {
    "pretrain": "pretrain.yaml",
    "finetune": "finetune.yaml",
    "adapt": "adapt.yaml",
    "language_pretrain": "language_pretrain.yaml",
    "language_adapt": "language_adapt.yaml",
}
# Memory in GB, a card that has it, and its dense peak in bfloat16 of the maker's data sheet.
CARDS = ((24, "RTX 4090", 165.2e12), (48, "RTX A6000", 154.8e12), (80, "A100", 312e12))
NUMBERS = (1, 2, 4)
CONTEXT = 0.6  # GB of CUDA's own
SHARE = 0.9  # of the free memory, as for train.accumulation: auto
WITH_BACKWARD = 3  # a product forward is two backward
# 10,000 x real time on the RTX A6000 (doc/performance.md): 845 MFLOP per second of audio.
MFU = 0.055
STORE = 16000 * 2 * 3600 / GB  # of an hour of audio, decoded

PAGE = """# Needs of a training

Made by `PYTHONPATH=. python bench/needs.py > doc/needs.md`: computed, not measured on a GPU.

Cells with slashes are for 1 / 2 / 4 GPUs of one machine. Memory is that of one process: live
tensors of forward and backward pass in bfloat16, weights, gradients and moments. It must fit into
{share:.0f} % of the card without {context} GB of CUDA itself. Crops at once are what
`train.accumulation: auto` would find; a dash: not even one fits. Hours are the FLOPs over the peak
of the named card, times an assumed utilisation (MFU) of {mfu:.1f} %, that of 10,000 x real time on
an RTX A6000; `gradient_checkpointing` adds up to a third, which they leave out. Decoded audio takes
{store:.3f} GB an hour, once.
The count is that of real tensors (`test/train/test_needs.py`); with 4 crops of pretraining a
process on a CPU grew by 1.06 times of it in float32 and 0.89 in bfloat16, where it reused memory
of a first crop (`bench/needs.py --check 4`). On a GPU
`bench/memory.py` measures it; none was at hand.
"""


@dataclass(frozen=True)
class Needs:
    """Bytes and FLOPs of one stage; ``fixed`` and ``each`` by precision, for a micro-batch."""

    fixed: dict[str, int]
    each: dict[str, int]
    flops: int  # of one crop, forward
    weights: int

    def memory(self, crops: int, kind: str = "bf16") -> float:
        """Return GB with ``crops`` crops at once."""
        return (self.fixed[kind] + crops * self.each[kind]) / GB


def load(name: str, checkpointing: bool) -> tuple[Config, QueryTask]:
    """Return configuration and task of a stage; a pretrained front-end is frozen, but random.

    Attention is without dropout here: with it the CPU's kernel would keep T x T weights, which
    those of a GPU do not keep in either case.
    """
    mapping = read_yaml(ROOT / "egs/TEMPLATE/conf" / STAGES[name])
    if "ssl_conv" in mapping.get("model", {}):
        mapping["model"]["ssl_conv"] = {"weights": "init"}
    config = parse_config(mapping, name)
    task = build_task(config)
    task.model.train()
    for module in task.model.modules():
        if hasattr(module, "checkpointing"):
            module.checkpointing = checkpointing
        if isinstance(module, MultiHeadAttention):
            module.dropout = 0.0
    return config, task


def step(task: QueryTask, batch: Batch, kind: str) -> None:
    """Do forward and backward pass of ``batch``."""

    forward = with_precision(task.model, torch.device("cpu"), kind == "bf16")
    loss, _ = task.loss(forward, batch, task.normalizers(batch))
    loss.backward()


def make_fake(task: QueryTask, mode: FakeTensorMode) -> None:
    """Turn weights into fake tensors, and stub the parts that depend on values.

    These are the matching, and the check that a pretrained front-end has weights.
    """
    task.check_filled = lambda: None
    for module in task.model.modules():
        for table in (module._parameters, module._buffers):
            for name, held in table.items():
                if held is not None:
                    fake = mode.from_tensor(held.detach())
                    kept = isinstance(held, nn.Parameter)
                    table[name] = nn.Parameter(fake, held.requires_grad) if kept else fake
    task.criterion.assign = lambda cost, *_: torch.zeros(
        cost.shape[0], cost.shape[1], cost.shape[3], dtype=torch.int64
    )


def measure(name: str, checkpointing: bool = False) -> Needs:
    """Return the needs of a stage, counted on fake tensors."""
    fixed, each = {}, {}
    for kind in ("bf16", "fp32"):
        peaks = []
        for crops in (1, 2):
            _, task = load(name, checkpointing)
            batch = task.largest(crops)
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                make_fake(task, mode)
                fake = fake_batch(batch, mode)
                with LiveBytes() as live:
                    step(task, fake, kind)
            peaks.append(live.peak)
        weights = sum(p.nbytes for p in task.model.parameters())
        trainable = sum(p.nbytes for p in task.model.parameters() if p.requires_grad)
        each[kind] = peaks[1] - peaks[0]
        # Gradients are in the peak; weights and the moments of AdamW are not.
        fixed[kind] = peaks[0] - each[kind] + weights + 2 * trainable
    return Needs(fixed, each, count_flops(name), weights)


def fake_batch(batch: Batch, mode: FakeTensorMode) -> Batch:
    """Return the batch with fake tensors."""
    changed = {k: mode.from_tensor(v) for k, v in vars(batch).items()
               if isinstance(v, torch.Tensor)}  # fmt: skip
    return replace(batch, **changed)


def count_flops(name: str) -> int:
    """Return the FLOPs of the forward pass of one crop, attention by its plain formula: fused
    kernels are not counted on a CPU.
    """
    _, task = load(name, False)
    batch = task.largest(1)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        make_fake(task, mode)
        fake = fake_batch(batch, mode)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            task.model(fake.waveforms, fake.num_samples).mask_logits()
    return counter.get_total_flops()


def micro_batch(config: Config, needs: Needs, gpus: int, gigabytes: float) -> str:
    """Return the crops at once that accumulation auto would find, '–' where not one fits."""
    options, group = config.train, Group(0, gpus, torch.device("cpu"))
    group.maximum = lambda value: value
    limit = SHARE * (gigabytes - CONTEXT)
    if needs.memory(1) > limit:
        return "–"
    number = find_accumulation(options, group, lambda size: needs.memory(size) <= limit)
    return str(-(-options.batch_size // (gpus * number)))


def row(name: str, mfu: float, checkpointing: bool) -> str:
    """Return the row of a stage."""
    config, _ = load(name, checkpointing)
    needs, train = measure(name, checkpointing), config.train
    crop = config.options.data.crop_seconds
    label = name + (", `gradient_checkpointing`" if checkpointing else "")
    flops = train.steps * train.batch_size * WITH_BACKWARD * needs.flops
    cells = [label, f"{train.batch_size} x {crop:g} s", f"{needs.memory(1):.2f}",
             f"{needs.memory(train.batch_size):.0f} / {needs.memory(train.batch_size, 'fp32'):.0f}"]
    for gigabytes, _, peak in CARDS:
        sizes = [micro_batch(config, needs, gpus, gigabytes) for gpus in NUMBERS]
        cells.append(" / ".join(sizes))
        hours = [flops / (gpus * peak * mfu) / 3600 for gpus in NUMBERS]
        cells.append(" / ".join(f"{h:.0f}" if h >= 10 else f"{h:.1f}" for h in hours))
    # last.pth with two moments, the best ones, their average.
    disk = needs.weights * (3 + train.keep_best + 1) / GB
    cells.append(f"{disk:.1f}")
    return "| " + " | ".join(cells) + " |"


def table(stages: list[str], mfu: float) -> str:
    """Return the page."""
    head = ["stage", "a step", "one crop, GB", "whole step at once, GB, bf16 / fp32"]
    for gigabytes, card, peak in CARDS:
        head += [f"{gigabytes} GB: crops at once", f"hours, {card}, {peak / 1e12:.0f} TFLOP/s"]
    head.append("checkpoints, GB")
    lines = [PAGE.format(share=100 * SHARE, context=CONTEXT, mfu=100 * mfu, store=STORE),
             "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in stages:
        lines.append(row(name, mfu, False))
        if not name.startswith("language"):
            lines.append(row(name, mfu, True))
    return "\n".join(lines) + "\n"


def check(crops: int, kind: str) -> None:
    """Print the live bytes of real passes beside those of fake ones and the process's growth."""
    needs = measure("pretrain")
    _, task = load("pretrain", False)
    trainable = sum(p.nbytes for p in task.model.parameters())
    predicted = needs.memory(crops, kind) - 3 * trainable / GB
    step(task, task.largest(1), kind)  # memory of libraries at their first use
    task.model.zero_grad()
    batch = task.largest(crops)
    before = status("VmRSS")
    with LiveBytes() as live:
        step(task, batch, kind)
    grown = (status("VmHWM") - before) / GB
    print(f"{crops} crops, {kind}: foreseen {predicted:.3f} GB, live {live.peak / GB:.3f} GB, "
          f"process grew by {grown:.3f} GB, ratio {grown / predicted:.2f}")


def status(key: str) -> int:
    """Return the bytes that /proc reports for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(key)) * 1024


def main(argv: list[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--mfu", type=float, default=MFU)
    parser.add_argument("--check", type=int, metavar="CROPS", help="compare with a real pass")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32", help="of --check")
    args = parser.parse_args(argv)
    if args.check:
        check(args.check, args.precision)
    else:
        print(table(args.stages, args.mfu), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
