"""Options of a training: plain frozen dataclasses, filled from a YAML section."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from diarize.checks import (
    at_least,
    fraction,
    inner_fraction,
    non_negative,
    one_of,
    positive,
    require,
)

OPTIMIZERS = ("adamw", "muon")
SCHEDULES = ("onecycle", "constant", "threephase", "noam")
PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("auto", "cpu", "cuda")

# A resumed run may change these: they affect only when files are written and how fast steps are
# computed.  `steps` is included so that a training can be extended, which stretches the schedules
# that depend on it.
_FREE_ON_RESUME = {
    "steps", "accumulation", "max_memory", "num_workers", "threads", "device", "max_seconds",
    "max_cpu_seconds", "tensorboard", "valid_interval", "save_interval", "log_interval",
    "keep_best", "find_unused_parameters", "gradient_checkpointing",
}


@dataclass(frozen=True)
class OptimizerOptions:
    """Optimiser."""

    name: str = "adamw"
    """adamw, as in the paper; muon: Muon for the matrices of linear layers and AdamW for all other
    parameters, see ``optim.MuonAdamW`` (slower because of its matrix products).
    """
    lr: float = 1e-4
    """Highest learning rate of the schedule."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's moments."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    eps: float = 1e-8
    """Term added to AdamW's denominator."""
    muon_ratio: float = 1.0
    """Learning rate of Muon's matrices relative to ``lr``."""
    pretrained_ratio: float = 1.0
    """Learning rate of a pretrained front-end that is finetuned, relative to ``lr``."""

    def __post_init__(self) -> None:
        one_of(OPTIMIZERS, name=self.name)
        positive(lr=self.lr, eps=self.eps, muon_ratio=self.muon_ratio)
        positive(pretrained_ratio=self.pretrained_ratio)
        non_negative(weight_decay=self.weight_decay)
        require(len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "betas", self.betas,
                "two numbers in [0, 1)")


@dataclass(frozen=True)
class ScheduleOptions:
    """Learning rate over the steps; see ``optim.learning_rate`` for the formulas."""

    name: str = "onecycle"
    """onecycle: two cosine phases; constant, after a linear warm-up; threephase: linear increase,
    constant, linear decrease (SAGE-LD's adaptation); noam: linear warm-up, then falling with the
    root of the step (EEND-EDA).
    """
    pct_start: float = 0.3
    """onecycle: share of the steps before the highest rate."""
    div_factor: float = 25.0
    """onecycle: highest rate divided by the initial rate."""
    final_div_factor: float = 1e4
    """onecycle: initial rate divided by the final rate."""
    warmup_steps: int = 0
    """constant and noam: steps of linear warm-up; 0: none, noam requires 1 or more."""
    start_lr: float = 5e-6
    """threephase: initial rate."""
    end_lr: float = 5e-6
    """threephase: final rate."""
    warmup_part: float = 0.1
    """threephase: share of the steps with an increasing rate."""
    hold_part: float = 0.6
    """threephase: share of the steps at ``lr``."""

    def __post_init__(self) -> None:
        one_of(SCHEDULES, name=self.name)
        inner_fraction(pct_start=self.pct_start)
        positive(div_factor=self.div_factor, final_div_factor=self.final_div_factor)
        non_negative(start_lr=self.start_lr, end_lr=self.end_lr, warmup_steps=self.warmup_steps)
        fraction(warmup_part=self.warmup_part, hold_part=self.hold_part)
        require(self.name != "noam" or self.warmup_steps >= 1, "warmup_steps", self.warmup_steps,
                "1 or more with noam")
        fraction(**{"warmup_part + hold_part": self.warmup_part + self.hold_part})


@dataclass(frozen=True)
class TrainOptions:
    """Options of the trainer; raises DiarizeError for invalid values."""

    steps: int = 1000
    """Number of optimiser steps."""
    batch_size: int = 32
    """Examples of an optimiser step, over all processes and micro-batches."""
    accumulation: int | Literal["auto"] = 1
    """Micro-batches of a step; auto: the number for which a micro-batch fits into
    ``max_memory``. The gradient is that of the whole batch for any number, see `find_accumulation`.
    """
    max_memory: float | None = None
    """Memory limit of auto in GB; null: 90 % of the GPU's free memory, without a GPU 80 % of the
    machine's.
    """
    seed: int = 0
    """Seed of initial weights, examples and dropout."""
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    """Optimiser."""
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    """Learning rate over the steps."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0: no clipping."""
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 if the GPU supports it."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if one is present."""
    valid_interval: int = 0
    """Steps between validations; 0: at the end only."""
    save_interval: int = 0
    """Steps between checkpoints; 0: before and after validation only."""
    log_interval: int = 10
    """Steps between lines of the log."""
    keep_best: int = 10
    """Number of checkpoints with the lowest validation DER that are kept for the average."""
    num_workers: int = 0
    """Processes that prepare examples; 0: the training process."""
    threads: int = 0
    """CPU threads of each process; 0: torch's default."""
    compile: bool = False
    """Compile the model with torch.compile."""
    max_seconds: float | None = None
    """Wall time (s) after which the training ends cleanly (validated and saved, exit status 0),
    counted over all resumed runs. The number of steps then depends on the machine: such a run is
    not reproducible bit by bit. null: no limit.
    """
    max_cpu_seconds: float | None = None
    """The same limit for the processor time (s) of the training steps, summed over the threads of
    the main process, without validation and without ``num_workers``: a budget that other load on
    the machine does not shorten. null: no limit.
    """
    find_unused_parameters: bool = False
    """Option of DistributedDataParallel, for models with unused parameters."""
    gradient_checkpointing: bool = False
    """Recompute the encoder's activations in the backward pass: less memory, more
    time, for crops of 600 s.
    """
    tensorboard: bool = True
    """Write TensorBoard logs."""

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, batch_size=self.batch_size, accumulation=self.parts)
        at_least(1, log_interval=self.log_interval, keep_best=self.keep_best)
        non_negative(clip_norm=self.clip_norm, valid_interval=self.valid_interval)
        non_negative(save_interval=self.save_interval, num_workers=self.num_workers)
        non_negative(threads=self.threads)
        positive(max_seconds=self.max_seconds, max_cpu_seconds=self.max_cpu_seconds)
        positive(max_memory=self.max_memory)
        one_of(PRECISIONS, precision=self.precision)
        one_of(DEVICES, device=self.device)
        require(self.batch_size >= self.parts, "batch_size", self.batch_size,
                f"accumulation ({self.parts}) or more")

    @property
    def parts(self) -> int:
        """Number of micro-batches; 1 as long as ``accumulation`` is auto."""
        return 1 if self.accumulation == "auto" else self.accumulation


def fingerprint(options: TrainOptions, identity: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the flat settings (dotted key -> JSON value) that a resumed run must share.

    ``identity`` contains the caller's settings of model, losses and data; nested mappings are
    flattened in the same way.
    """
    own = {k: v for k, v in dataclasses.asdict(options).items() if k not in _FREE_ON_RESUME}
    if options.optimizer.pretrained_ratio == 1:  # earlier trainings have no such option
        del own["optimizer"]["pretrained_ratio"]
    flat: dict[str, Any] = {}
    _flatten("train", own, flat)
    _flatten("", identity or {}, flat)
    return json.loads(json.dumps(flat, default=str))


def _flatten(prefix: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), inner, flat)
    else:
        flat[prefix] = value
