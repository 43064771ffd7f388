"""Optimiser, learning rate as a function of the step, and the seeds of a step.

The only state is that of the optimiser: learning rate and random numbers are functions of the
step, so that they need not be saved.
"""

import hashlib
import math
from typing import Any

import torch
from torch import nn

from diarize.errors import DiarizeError
from diarize.train.muon import Muon
from diarize.train.options import OptimizerOptions, ScheduleOptions, TrainOptions


def make_optimizer(
    model: nn.Module, options: OptimizerOptions, device: torch.device
) -> torch.optim.Optimizer:
    """Return AdamW over the trainable parameters, in one fused kernel, or Muon.

    With a ``pretrained_ratio`` other than 1 the parameters of the modules that have a true
    attribute ``pretrained`` form a group of their own, always AdamW's.
    """
    if not any(p.requires_grad for p in model.parameters()):
        raise DiarizeError("the model has no trainable parameter: nothing to train")
    if options.name == "muon":
        return MuonAdamW(model, options, device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    slow, own = _pretrained(model, options)
    if not own:
        return _adamw(parameters, options, device)
    optimizer = _adamw(own, options, device)
    others = [p for p in parameters if id(p) not in slow]
    if others:
        optimizer.add_param_group({"params": others})
    optimizer.param_groups[0]["lr_ratio"] = options.pretrained_ratio
    return optimizer


def _pretrained(
    model: nn.Module, options: OptimizerOptions
) -> tuple[set[int], list[nn.Parameter]]:
    """Return the ids, and the parameters, that ``pretrained_ratio`` concerns."""
    if options.pretrained_ratio == 1:
        return set(), []
    modules = [m for m in model.modules() if getattr(m, "pretrained", False)]
    found = {id(p): p for m in modules for p in m.parameters() if p.requires_grad}
    return set(found), list(found.values())


def _adamw(
    parameters: list[nn.Parameter], options: OptimizerOptions, device: torch.device
) -> torch.optim.AdamW:
    fused = {"fused": True} if device.type in ("cuda", "cpu") else {}
    return torch.optim.AdamW(
        parameters, lr=options.lr, betas=tuple(options.betas),
        weight_decay=options.weight_decay, eps=options.eps, **fused,
    )


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the matrices of linear layers, AdamW for all other parameters.

    The learning rate of Muon is that of AdamW times ``muon_ratio``.  A linear layer with a
    single output, such as the class head, is a vector and is updated by AdamW.
    """

    found_inf: torch.Tensor | None = None

    def __init__(self, model: nn.Module, options: OptimizerOptions, device: torch.device) -> None:
        trainable = [p for p in model.parameters() if p.requires_grad]
        linear = {
            id(m.weight) for m in model.modules()
            if isinstance(m, nn.Linear) and m.out_features > 1
        }
        slow, own = _pretrained(model, options)
        matrices = [p for p in trainable if id(p) in linear - slow]
        others = [p for p in trainable if id(p) not in linear | slow]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(Muon(matrices, lr=options.lr, weight_decay=options.weight_decay))
            self._parts[0].param_groups[0]["lr_ratio"] = options.muon_ratio
        if others:
            self._parts.append(_adamw(others, options, device))
        if own:
            self._parts.append(_adamw(own, options, device))
            self._parts[-1].param_groups[0]["lr_ratio"] = options.pretrained_ratio
        super().__init__([part.param_groups[0] for part in self._parts], {})
        self._share()

    def _share(self) -> None:
        """Share groups and state with the two optimisers."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state returned by ``state_dict``."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: None = None) -> None:
        """Run one step of both; no step if ``found_inf`` is set to 1."""
        for part in self._parts:
            part.found_inf = self.found_inf
            part.step()


def learning_rate(options: TrainOptions, step: int) -> float:
    """Return the learning rate of step ``step`` (0 is the first) of ``options.steps``."""
    plan, peak, total = options.schedule, options.optimizer.lr, options.steps
    if plan.name == "constant":
        return peak * min(1.0, (step + 1) / plan.warmup_steps) if plan.warmup_steps else peak
    if plan.name == "noam":
        # Vaswani 2017, eq. (3), with the highest rate as its scale.
        done = (step + 1) / plan.warmup_steps
        return peak * min(done, done**-0.5)
    if plan.name == "threephase":
        return _threephase(plan, peak, step, total)
    return _onecycle(plan, peak, step, total)


def _onecycle(plan: ScheduleOptions, peak: float, step: int, total: int) -> float:
    """1-cycle (Smith and Topin, 2018) with cosine phases, numbered as torch's OneCycleLR."""
    low = peak / plan.div_factor
    final = low / plan.final_div_factor
    top, end = plan.pct_start * total - 1, total - 1
    if step <= top:
        return _cosine(low, peak, step / top if top > 0 else 1.0)
    return _cosine(peak, final, min(1.0, (step - top) / (end - top)) if end > top else 1.0)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def _threephase(plan: ScheduleOptions, peak: float, step: int, total: int) -> float:
    """Linear increase, constant phase, linear decrease; the last step has ``end_lr``."""
    part = step / (total - 1) if total > 1 else 1.0
    down = plan.warmup_part + plan.hold_part
    if part < plan.warmup_part:
        return plan.start_lr + (peak - plan.start_lr) * part / plan.warmup_part
    if part <= down or down >= 1:
        return peak
    return peak + (plan.end_lr - peak) * (part - down) / (1 - down)


def seed_torch(*numbers: int | str) -> None:
    """Seed torch's generators (CPU and GPU) from the numbers, the same on every machine."""
    text = " ".join(map(str, numbers)).encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "little") >> 1)
