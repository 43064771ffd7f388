"""Memory of a training step, and the number of micro-batches that fits (``accumulation: auto``)."""

import os
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diarize.errors import DiarizeError
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions

GB = 1e9
# Share of the free memory; the rest is for fragmentation, communication and the next batch.
_SHARE = {"cuda": 0.9, "cpu": 0.8}


class LiveBytes(TorchDispatchMode):
    """Counter of the bytes of tensors made inside the context: ``now`` and at the ``peak``.

    Fake tensors count as real ones, so that the memory of a step is known without computing it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size


class Probe:
    """Test of whether a micro-batch fits: one forward and backward pass of it.

    ``rehearse`` runs the pass for a number of examples of the largest size and leaves weights
    and gradients unchanged.  ``reserved`` are the bytes that a training requires besides
    (optimiser moments that do not exist yet).  On a GPU the pass runs, and the micro-batch does
    not fit if it runs out of memory.  On a CPU passes of one and two examples are measured; the
    increase bounds that of every further example.  After a call ``bytes`` is the measured or
    computed peak, None after out of memory.
    """

    def __init__(
        self, rehearse: Callable[[int], None], device: torch.device, reserved: int,
        max_memory: float | None = None,
    ) -> None:
        self.rehearse, self.device, self.reserved = rehearse, device, reserved
        self.limit = memory_limit(device) if max_memory is None else int(max_memory * GB)
        self.bytes: int | None = None
        self._line: tuple[int, int] | None = None

    def __call__(self, examples: int) -> bool:
        """Return whether ``examples`` examples at once stay within ``limit``."""
        measure = self._on_gpu if self.device.type == "cuda" else self._on_cpu
        try:
            self.bytes = measure(examples) + self.reserved
        except torch.OutOfMemoryError:
            self.bytes = None
        # Outside the except clause, whose traceback refers to the tensors of the pass.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.bytes is not None and self.bytes <= self.limit

    def _on_gpu(self, examples: int) -> int:
        torch.cuda.reset_peak_memory_stats(self.device)
        self.rehearse(examples)
        return torch.cuda.max_memory_allocated(self.device)

    def _on_cpu(self, examples: int) -> int:
        if self._line is None:
            one, two = self._measure(1), self._measure(2)
            self._line = one, max(0, two - one)
        one, each = self._line
        return one + (examples - 1) * each

    def _measure(self, examples: int) -> int:
        with LiveBytes() as live:
            self.rehearse(examples)
        return live.peak


def memory_limit(device: torch.device) -> int:
    """Return the bytes that a process may use.

    On a GPU these are 90 % of the free memory and the memory reserved by the process together;
    on a CPU 80 % of the machine's available memory, divided among its processes.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        return int(_SHARE["cuda"] * free)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return int(_SHARE["cpu"] * _available_bytes() / processes)


def _available_bytes() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as handle:
            return next(int(x.split()[1]) for x in handle if x.startswith("MemAvailable:")) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def find_accumulation(
    options: TrainOptions, group: Group, fits: Callable[[int], bool], parts: int = 0
) -> int:
    """Return the smallest tested number of micro-batches that ``fits`` on all ranks.

    The first tested micro-batch is a rank's whole share of ``batch_size``, or, if a training
    began with ``parts`` micro-batches over all ranks, one of these; each further one has half as
    many examples.  All ranks must call it.  Raises DiarizeError if the smallest does not fit.
    """
    most = options.batch_size // group.world
    number = min(most, max(1, -(-parts // group.world)))
    while True:
        size = _size(options, group, number)
        if not group.maximum(int(not fits(size))):
            return number
        if number == most:
            raise DiarizeError(
                f"train.accumulation auto: out of memory with {size} example(s) at once: set "
                "train.gradient_checkpointing=true, or a shorter data.crop_seconds, or use a "
                "device with more memory (train.max_memory is the limit in GB)"
            )
        half = -(-size // 2)
        number = next(n for n in range(number + 1, most + 1)
                      if n == most or _size(options, group, n) <= half)


def _size(options: TrainOptions, group: Group, accumulation: int) -> int:
    """Return the number of examples of the largest micro-batch."""
    return -(-options.batch_size // (group.world * accumulation))
