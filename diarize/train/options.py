"""Options of a training: plain frozen dataclasses, filled from a YAML section."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

OPTIMIZERS = ("adamw", "muon")
SCHEDULES = ("onecycle", "constant", "threephase")
PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("auto", "cpu", "cuda")

# A resumed run may change these: they affect only when files are written and how fast steps are
# computed.  `steps` is included so that a training can be extended, which stretches the schedules
# that depend on it.
_FREE_ON_RESUME = {
    "steps", "accumulation", "max_memory", "num_workers", "threads", "device", "max_seconds",
    "tensorboard", "valid_interval", "save_interval", "log_interval", "keep_best",
    "find_unused_parameters", "gradient_checkpointing",
}


@dataclass(frozen=True)
class OptimizerOptions:
    """Optimiser; ``lr`` is the highest learning rate of the schedule.

    adamw: as in the paper.
    muon:  Muon for the matrices of linear layers, with ``muon_ratio`` times the learning rate,
           and AdamW for all other parameters; see ``optim.MuonAdamW``.  Slower than AdamW
           because of its matrix products.
    """

    name: str = "adamw"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    eps: float = 1e-8
    muon_ratio: float = 1.0


@dataclass(frozen=True)
class ScheduleOptions:
    """Learning rate over the steps; see ``optim.learning_rate`` for the formulas.

    onecycle:   pct_start, div_factor, final_div_factor (two cosine phases).
    constant:   after ``warmup_steps`` of linear warm-up (0: none).
    threephase: start_lr up to lr within warmup_part of the steps, lr for hold_part, then
                linear decrease to end_lr.
    """

    name: str = "onecycle"
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    warmup_steps: int = 0
    start_lr: float = 5e-6
    end_lr: float = 5e-6
    warmup_part: float = 0.1
    hold_part: float = 0.6


@dataclass(frozen=True)
class TrainOptions:
    """Options of the trainer; raises ValueError for invalid values.

    ``batch_size`` is the number of examples of one optimiser step over all processes and
    all ``accumulation`` micro-batches; auto finds the number for which a micro-batch fits into
    ``max_memory`` GB (null: 90 % of the GPU's free memory, without a GPU 80 % of the
    machine's).  The gradient is that of the whole batch for any number; see `find_accumulation`.
    ``clip_norm`` 0 is no clipping, ``threads`` 0 is torch's default, ``valid_interval`` 0
    validates at the end only, ``save_interval`` 0 saves only before and after validation.
    ``precision`` auto is bf16 if the GPU supports it, else fp32.

    ``gradient_checkpointing`` trades time for memory in the encoder, for crops of 600 s.

    ``max_seconds`` ends the training cleanly (validated and saved, exit status 0) after this
    wall time, counted over all resumed runs.  The number of steps then depends on the machine:
    such a run is not reproducible bit by bit.  None: no limit.
    """

    steps: int = 1000
    batch_size: int = 32
    accumulation: int | Literal["auto"] = 1
    max_memory: float | None = None
    seed: int = 0
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    clip_norm: float = 0.0
    precision: str = "auto"
    device: str = "auto"
    valid_interval: int = 0
    save_interval: int = 0
    log_interval: int = 10
    keep_best: int = 10
    num_workers: int = 0
    threads: int = 0
    compile: bool = False
    max_seconds: float | None = None
    find_unused_parameters: bool = False
    gradient_checkpointing: bool = False
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_interval", "keep_best"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(self.parts >= 1, "accumulation", self.accumulation, "auto, or at least 1")
        for name in ("clip_norm", "valid_interval", "save_interval", "num_workers", "threads"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("max_seconds", "max_memory"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "null or above 0")
        _require(self.precision in PRECISIONS, "precision", self.precision, _one_of(PRECISIONS))
        _require(self.device in DEVICES, "device", self.device, _one_of(DEVICES))
        _require(self.batch_size >= self.parts, "batch_size", self.batch_size,
                 f"at least accumulation ({self.parts})")
        self._check_optimizer()
        self._check_schedule()

    @property
    def parts(self) -> int:
        """Number of micro-batches; 1 as long as ``accumulation`` is auto."""
        return 1 if self.accumulation == "auto" else self.accumulation

    def _check_optimizer(self) -> None:
        opt = self.optimizer
        _require(opt.name in OPTIMIZERS, "optimizer.name", opt.name, _one_of(OPTIMIZERS))
        _require(opt.lr > 0, "optimizer.lr", opt.lr, "above 0")
        _require(len(opt.betas) == 2 and all(0 <= b < 1 for b in opt.betas), "optimizer.betas",
                 opt.betas, "two numbers in [0, 1)")
        _require(opt.weight_decay >= 0, "optimizer.weight_decay", opt.weight_decay, "0 or more")
        _require(opt.eps > 0, "optimizer.eps", opt.eps, "above 0")
        _require(opt.muon_ratio > 0, "optimizer.muon_ratio", opt.muon_ratio, "above 0")

    def _check_schedule(self) -> None:
        plan = self.schedule
        _require(plan.name in SCHEDULES, "schedule.name", plan.name, _one_of(SCHEDULES))
        _require(0 < plan.pct_start < 1, "schedule.pct_start", plan.pct_start, "within (0, 1)")
        for name in ("div_factor", "final_div_factor"):
            _require(getattr(plan, name) > 0, f"schedule.{name}", getattr(plan, name), "above 0")
        for name in ("start_lr", "end_lr", "warmup_steps", "warmup_part", "hold_part"):
            value = getattr(plan, name)
            _require(value >= 0, f"schedule.{name}", value, "0 or more")
        parts = plan.warmup_part + plan.hold_part
        _require(parts <= 1, "schedule.warmup_part + hold_part", parts, "at most 1")


def _one_of(choices: tuple[str, ...]) -> str:
    return "one of " + ", ".join(choices)


def _require(good: bool, name: str, value: Any, wanted: str) -> None:
    if not good:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def fingerprint(options: TrainOptions, identity: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the flat settings (dotted key -> JSON value) that a resumed run must share.

    ``identity`` contains the caller's settings of model, losses and data; nested mappings are
    flattened in the same way.
    """
    own = {k: v for k, v in dataclasses.asdict(options).items() if k not in _FREE_ON_RESUME}
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
