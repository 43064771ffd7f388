"""Examples of each step, loaded by worker processes."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from diarize.errors import DiarizeError
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.signals import leave_signals_to_parent


class ExampleSource(Protocol):
    """Source of examples and batches: a part of the task."""

    def example(self, index: int) -> Any: ...
    def collate(self, examples: list) -> Any: ...


def check_batch(options: TrainOptions, group: Group) -> None:
    """Raise DiarizeError if a micro-batch of a process would be empty."""
    parts = group.world * options.parts
    if options.batch_size < parts:
        raise DiarizeError(
            f"train.batch_size {options.batch_size} is less than {group.world} processes times "
            f"train.accumulation {options.parts}: raise it, or start fewer processes"
        )


def micro_batches(options: TrainOptions, group: Group, step: int) -> list[range]:
    """Return the example numbers of each of this rank's micro-batches of ``step``.

    Step s has the batch_size examples from s * batch_size on, divided into world * accumulation
    parts of equal size (to 1), so that the step is the same for any number of processes.
    """
    parts = group.world * options.accumulation
    size, start = options.batch_size, step * options.batch_size
    first = group.rank * options.accumulation
    return [
        range(start + part * size // parts, start + (part + 1) * size // parts)
        for part in range(first, first + options.accumulation)
    ]


def feed(source: ExampleSource, options: TrainOptions, group: Group, start: int) -> Iterator[Any]:
    """Yield the micro-batches of this rank from step ``start`` to the last, in order.

    Raises DiarizeError for an unusable recording, with the worker's message, and if a worker
    is killed.
    """
    loader = DataLoader(
        _Examples(source),
        batch_sampler=_Sampler(options, group, start),
        collate_fn=_Collate(source),
        num_workers=options.num_workers,
        worker_init_fn=_StartWorker(os.getpid()) if options.num_workers else None,
        pin_memory=group.device.type == "cuda",
    )
    try:
        for batch in loader:
            if isinstance(batch, _Failure):
                raise DiarizeError(batch.message)
            yield batch
    except RuntimeError as err:
        if "DataLoader worker" not in str(err):
            raise
        raise DiarizeError(
            f"a data worker was killed ({str(err).splitlines()[0]}); "
            "if memory ran out, lower num_workers or the batch"
        ) from err


class _Sampler:
    """Lists of example numbers, made on demand."""

    def __init__(self, options: TrainOptions, group: Group, start: int) -> None:
        self.options, self.group, self.start = options, group, start

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.options.steps):
            for part in micro_batches(self.options, self.group, step):
                yield list(part)

    def __len__(self) -> int:
        return (self.options.steps - self.start) * self.options.accumulation


class _Failure:
    """Error of a worker, passed as a value: torch would hide its message in a traceback."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Examples(Dataset):
    def __init__(self, source: ExampleSource) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Any:
        try:
            return self.source.example(index)
        except DiarizeError as err:
            return _Failure(str(err))
        except OSError as err:
            where = f"{err.filename}: " if err.filename else f"training example {index}: "
            return _Failure(f"{where}{err.strerror or err}")


class _Collate:
    def __init__(self, source: ExampleSource) -> None:
        self.source = source

    def __call__(self, examples: list) -> Any:
        for example in examples:
            if isinstance(example, _Failure):
                return example
        try:
            return self.source.collate(examples)
        except DiarizeError as err:
            return _Failure(str(err))


class _StartWorker:
    """Initialisation of a worker: it ends with the trainer, even if the trainer is killed.

    torch's workers watch their parent.  If a fork server starts them (the default of Python
    3.14), the parent is not the trainer, and workers of a killed trainer would wait for ever.
    """

    def __init__(self, trainer: int) -> None:
        self.trainer = trainer

    def __call__(self, number: int) -> None:
        leave_signals_to_parent()
        torch.set_num_threads(1)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                os.kill(self.trainer, 0)
            except ProcessLookupError:
                os._exit(1)
            time.sleep(2)
