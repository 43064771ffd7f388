"""Processes of a training: ranks, sums over ranks, and errors for a lost rank."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from diarize.errors import DiarizeError
from diarize.train.signals import die_with_parent

_LOST = re.compile(r"gloo|nccl|connection|socket|timed out|peer", re.IGNORECASE)


@dataclass
class Group:
    """Process group: rank of this process, number of processes, device.

    ``control`` is a gloo group for small messages on the host, which do not wait for the GPU;
    None in a single process.
    """

    rank: int
    world: int
    device: torch.device
    control: Any = None

    @property
    def is_main(self) -> bool:
        """True in the process that writes and prints."""
        return self.rank == 0

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return ``tensor``, summed in place over all processes."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_on_host_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return ``tensor`` (on the CPU), summed in place over all processes."""
        if self.world > 1:
            dist.all_reduce(tensor, group=self.control)
        return tensor

    def maximum(self, value: int) -> int:
        """Return the largest ``value`` of all processes."""
        if self.world == 1:
            return value
        held = torch.tensor([value], dtype=torch.int64)
        dist.all_reduce(held, op=dist.ReduceOp.MAX, group=self.control)
        return int(held)

    def gather(self, value: Any) -> list[Any]:
        """Return the ``value`` of each process, in the order of ranks."""
        if self.world == 1:
            return [value]
        held: list[Any] = [None] * self.world
        dist.all_gather_object(held, value, group=self.control)
        return held

    def add(self, sums: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the sums over all processes for each key, float64 on the host.

        A missing key of a process counts as 0.
        """
        total: dict[str, torch.Tensor] = {}
        for share in self.gather({k: v.detach().double().cpu() for k, v in sums.items()}):
            for key, value in share.items():
                total[key] = total[key] + value if key in total else value
        return total


@contextmanager
def process_group(device: str = "auto") -> Iterator[Group]:
    """Yield the Group of this process from torchrun's environment; without it, a single process.

    The backend is NCCL on GPUs and gloo on CPUs.  The rank is added to a DiarizeError raised
    inside; the loss of another rank raises DiarizeError.
    """
    world, rank = _env("WORLD_SIZE", 1), _env("RANK", 0)
    where = _pick_device(device, _env("LOCAL_RANK", 0))
    if world == 1:
        yield Group(0, 1, where)
        return
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # Processes would survive a killed torchrun and keep the directory and the GPUs.
        die_with_parent()
    ours = not dist.is_initialized()
    try:
        if ours:
            dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
        yield Group(rank, world, where, dist.new_group(backend="gloo"))
    except DiarizeError as err:
        raise DiarizeError(f"rank {rank}: {err}") from err
    except RuntimeError as err:
        if not _LOST.search(str(err)):
            raise
        reason = str(err).splitlines()[0][:200]
        raise DiarizeError(
            f"rank {rank}: lost contact with another rank, whose message states the reason "
            f"({reason}); the same command resumes from the last checkpoint"
        ) from err
    finally:
        if ours and dist.is_initialized():
            dist.destroy_process_group()


def _env(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise DiarizeError(f"environment variable {name}: not a number: {text!r}") from None


def _pick_device(wanted: str, local_rank: int) -> torch.device:
    found = torch.cuda.is_available()
    if wanted == "cpu" or (wanted == "auto" and not found):
        return torch.device("cpu")
    if not found:
        raise DiarizeError("device cuda: torch sees no GPU; use device: cpu or auto")
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise DiarizeError(f"local rank {local_rank}: this machine has {count} GPU(s); "
                           "start fewer processes per node")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device
