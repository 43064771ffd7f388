"""Optimiser step: global normalisation, accumulation, clipping, and detection of NaN."""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from diarize.errors import DiarizeError
from diarize.nn.precision import uses_bf16, with_precision
from diarize.train.distributed import Group
from diarize.train.feed import micro_batches
from diarize.train.optim import learning_rate, make_optimizer, seed_torch
from diarize.train.options import TrainOptions


class Stepper:
    """Model, optimiser and running sums of one process.

    On a GPU only `check` and `take` wait for the device.  A step whose gradient is not finite
    and all later steps are skipped on the device; `check` raises the error later, with the
    weights as they were before that step.
    """

    def __init__(self, task: Any, options: TrainOptions, group: Group) -> None:
        self.task, self.options, self.group = task, options, group
        self.model: nn.Module = task.model.to(group.device)
        self.model.train()
        for module in self.model.modules():
            if hasattr(module, "checkpointing"):
                module.checkpointing = options.gradient_checkpointing
        self.optimizer = make_optimizer(self.model, options.optimizer, group.device)
        self.bf16 = uses_bf16(options.precision, group.device)
        plain = torch.compile(self.model) if options.compile else self.model
        self._wrapped = self._wrap(plain)
        self.forward = self.in_precision(self._wrapped)
        self.updating = False  # an error in between leaves neither the old weights nor the new
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=group.device)
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._seconds = 0.0

    def _wrap(self, model: nn.Module) -> nn.Module:
        if self.group.world == 1:
            return model
        device = self.group.device
        # Gradients of depthwise convolutions differ in the stride of a dimension of size 1.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return DistributedDataParallel(
            model,
            device_ids=[device.index] if device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            find_unused_parameters=self.options.find_unused_parameters,
        )

    def in_precision(self, model: nn.Module) -> Callable[..., Any]:
        """Return ``model`` as a function that computes in the chosen precision."""
        return with_precision(model, self.group.device, self.bf16)

    def run(self, step: int, batches: list[Any]) -> None:
        """Run optimiser step ``step`` (from 0) on this rank's micro-batches.

        The denominators of the loss are first summed over all micro-batches and ranks, and
        DDP's average over ranks is undone, so that the gradient is that of the whole batch for
        any number of micro-batches and ranks.
        """
        group, options = self.group, self.options
        normalizers = sum(self.task.normalizers(batch) for batch in batches)
        normalizers = group.sum_on_host_(normalizers).to(group.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=group.device)
        for number, batch in enumerate(batches):
            self._seconds += float(getattr(batch, "seconds", 0.0))
            moved = batch.to(group.device, non_blocking=True)
            self._seed(step, number)
            with self._syncing(number == len(batches) - 1):
                loss, stats = self._loss(self.forward, step, moved, normalizers)
                (loss * group.world).backward()
            total += loss.detach()
            for key, value in stats.items():
                self._add(key, value.detach())
        norm = self._gradient_norm()
        self._add("loss", total)
        self._add("grad_norm", norm)
        self._steps += 1
        bad = ~(torch.isfinite(norm) & torch.isfinite(total))
        self._bad_step = torch.where((self._bad_step < 0) & bad, step, self._bad_step)
        self._update(learning_rate(options, step), step)

    def _seed(self, step: int, number: int) -> None:
        part = self.group.rank * self.options.parts + number
        seed_torch(self.options.seed, step, part)

    def _syncing(self, last: bool) -> contextlib.AbstractContextManager:
        if last or self.group.world == 1:
            return contextlib.nullcontext()
        return self._wrapped.no_sync()

    def _loss(
        self, forward: Any, step: int, batch: Any, normalizers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            return self.task.loss(forward, batch, normalizers)
        except DiarizeError as err:
            raise DiarizeError(f"training step {step + 1}: {err}") from err

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.options.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(
                self.model.parameters(), self.options.clip_norm, norm
            )
        return norm

    def _update(self, rate: float, step: int) -> None:
        for params in self.optimizer.param_groups:
            params["lr"] = rate * params.get("lr_ratio", 1.0)
        if self.group.device.type == "cuda":
            # The optimiser changes nothing if found_inf is 1.
            self.optimizer.found_inf = (self._bad_step >= 0).float()
        else:
            self.check()
        self.updating = True
        self.optimizer.step()
        self.updating = False

    def first_bad_step(self) -> int:
        """Return the first step of this rank that was not finite; -1 if there is none."""
        return int(self._bad_step)

    def check(self) -> None:
        """Raise DiarizeError, with the recordings, if any step so far was not finite.

        All ranks must call it at the same step.
        """
        step = self.group.maximum(self.first_bad_step())
        if step >= 0:
            raise DiarizeError(self._diagnosis(step))

    def _diagnosis(self, step: int) -> str:
        """Return the message for a loss or gradient that is not finite at ``step``."""
        names: list[str] = []
        guilty: list[str] = []
        for number, part in enumerate(micro_batches(self.options, self.group, step)):
            for index in part:
                batch = self.task.collate([self.task.example(index)])
                names += batch.names
                self._seed(step, number)
                if not self._is_finite(batch):
                    guilty += batch.names
        names = [name for share in self.group.gather(names) for name in share]
        guilty = [name for share in self.group.gather(guilty) for name in share]
        head = f"training step {step + 1}: the loss or its gradient is not finite"
        if guilty:
            return (f"{head} for {', '.join(guilty)}; the weights before this step are kept; "
                    "look at that audio, or lower optimizer.lr")
        return (f"{head} for the batch of {', '.join(names)}, though it is for each alone; "
                "the weights before this step are kept; lower optimizer.lr or set clip_norm")

    def _is_finite(self, batch: Any) -> bool:
        self.optimizer.zero_grad(set_to_none=True)
        device = self.group.device
        normalizers = self.task.normalizers(batch).to(device)
        try:
            forward = self.in_precision(self.model)
            loss, _ = self.task.loss(forward, batch.to(device), normalizers)
            loss.backward()
        except DiarizeError:
            return False
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        return bool(torch.isfinite(loss) & torch.isfinite(norm))

    def rehearse(self, examples: int) -> None:
        """Run forward and backward pass of the task's largest batch of ``examples`` examples.

        Weights are unchanged; gradients are discarded.
        """
        try:
            self._is_finite(self.task.largest(examples))
        finally:
            self.optimizer.zero_grad(set_to_none=True)

    def bytes_to_come(self) -> int:
        """Return the bytes that steps will allocate besides forward and backward pass.

        These are the optimiser's moments, and the gradient buckets of several processes.
        """
        trainable = sum(p.nbytes for p in self.model.parameters() if p.requires_grad)
        moments = 0 if self.optimizer.state else 2 * trainable
        return moments + (trainable if self.group.world > 1 else 0)

    def _add(self, key: str, value: Tensor) -> None:
        self._sums[key] = self._sums[key] + value if key in self._sums else value

    def take(self) -> tuple[dict[str, float], float]:
        """Return the means per step since the last call, and the seconds of audio processed.

        The terms of the task are added over micro-batches and ranks.  A pair ``x_num``,
        ``x_den`` becomes the ratio ``x`` of its sums.  All ranks must call it.
        """
        if not self._steps:
            return {}, 0.0
        keys = sorted(self._sums)
        device = self.group.device
        values = torch.stack([self._sums[key].to(device, torch.float64) for key in keys])
        values = self.group.sum_(values).tolist()
        seconds = sum(self.group.gather(self._seconds))
        means = dict(zip(keys, values, strict=True))
        # Every rank has the norm of the averaged gradient.
        means["grad_norm"] /= self.group.world
        out = {}
        for key, value in means.items():
            if key.endswith("_num") and f"{key[:-4]}_den" in means:
                below = means[f"{key[:-4]}_den"]
                out[key[:-4]] = value / below if below else 0.0
            elif not (key.endswith("_den") and f"{key[:-4]}_num" in means):
                out[key] = value / self._steps
        self._sums, self._steps, self._seconds = {}, 0, 0.0
        return out, seconds

    def validate(self, step: int, stop: Callable[[], int]) -> dict[str, float] | None:
        """Return the task's validation summary, over the shares of all ranks.

        It is None if ``stop`` returned other than 0 on any rank, which then computes no further
        batch.
        """
        seed_torch(self.options.seed, step, "validation")
        self.model.eval()
        try:
            # The lengths of recordings differ: torch.compile would compile for each length.
            forward = _until(stop, self.in_precision(self.model))
            with torch.no_grad():
                sums = self.task.validate(
                    forward, self.group.device, self.group.rank, self.group.world
                )
        except _Stopped:
            sums = {}
        finally:
            self.model.train()
        if self.group.maximum(int(not sums)):
            return None
        return self.task.summarize(self.group.add(sums))


class _Stopped(Exception):
    """End of a validation by a signal."""


def _until(stop: Callable[[], int], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``forward``, which raises _Stopped once ``stop`` returns other than 0."""

    def wrapped(*args: Any) -> Any:
        if stop():
            raise _Stopped
        return forward(*args)

    return wrapped
