"""Checkpoints: model files, the resumable state of a training, the n best checkpoints.

Every file is a mapping that ``torch.load(weights_only=True)`` reads: ``format``, ``meta``
(plain values), ``model`` (name -> tensor), and in ``last.pth`` also ``training``.
"""

import fcntl
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from diarize import __version__
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.numbers import is_finite
from diarize.tensor_file import check_dense, check_plain, read_torch
from diarize.train.identity import check_data, check_settings

FORMAT = "diarize-model-1"
State = Mapping[str, torch.Tensor]


@dataclass
class TrainingProgress:
    """Progress of a training: the content of ``last.pth`` besides weights and optimiser.

    ``elapsed`` is wall time, ``cpu_elapsed`` the processor time of the steps, in seconds;
    ``parts`` is the number of micro-batches of a step, over all processes.
    """

    step: int = 0
    best: list[dict[str, float]] = field(default_factory=list)
    elapsed: float = 0.0
    cpu_elapsed: float = 0.0
    pending_validation: bool = False
    fingerprint: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    parts: int = 0

    def check(self) -> None:
        """Raise ValueError for a value of another type, as in a damaged file."""
        for name in ("step", "parts"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} is {value!r}")
        if not (is_finite(self.elapsed) and is_finite(self.cpu_elapsed)):
            raise ValueError("elapsed or cpu_elapsed")
        if not isinstance(self.pending_validation, bool):
            raise ValueError("pending_validation")
        if not isinstance(self.fingerprint, dict) or not isinstance(self.data, dict):
            raise ValueError("fingerprint or data")
        for entry in self.best:
            der = entry["der"]
            if not is_finite(entry["step"]) or not (is_finite(der) or der == math.inf):
                raise ValueError("best")


def save_model(path: str | os.PathLike, state: State, meta: Mapping[str, Any]) -> None:
    """Write the weights ``state`` and the plain mapping ``meta``, whole or not at all.

    The version of the package is added to ``meta``.  Raises DiarizeError if the file cannot be
    written (no space left, no permission); an older file is then unchanged.
    """
    _save(path, {"format": FORMAT, "meta": {"version": __version__, **meta}, "model": dict(state)})


def load_model(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the weights (on the CPU) and the ``meta`` of a model or training file."""
    payload = _load(path)
    return payload["model"], payload["meta"]


def load_weights(
    path: str | os.PathLike, model: nn.Module, modules: Sequence[str] | None = None
) -> None:
    """Copy the weights in ``path`` to ``model``, or to the submodules ``modules`` only.

    Raises DiarizeError, with the names and sizes, for weights that are missing, unexpected or
    of another size, and for a submodule that the model does not have.
    """
    state, _ = load_model(path)
    own = model.state_dict()
    if modules:
        check_modules(model, modules)
        heads = tuple(f"{name}." for name in modules)
        state = {k: v for k, v in state.items() if k.startswith(heads)}
        own = {k: v for k, v in own.items() if k.startswith(heads)}
    check_state(path, own, state)
    model.load_state_dict(state, strict=not modules)


def check_modules(model: nn.Module, names: Sequence[str]) -> None:
    """Raise DiarizeError for a name that is not a submodule of ``model``."""
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            top = ", ".join(n for n, _ in model.named_children())
            raise DiarizeError(f"init_modules: the model has no module '{name}'; it has {top}")


def check_state(path: str | os.PathLike, wanted: State, found: State) -> None:
    """Raise DiarizeError, with ``path`` and the first differences, unless both agree."""
    faults = [f"missing {k} {_size(v)}" for k, v in wanted.items() if k not in found]
    faults += [f"unexpected {k} {_size(v)}" for k, v in found.items() if k not in wanted]
    faults += [
        f"{k} is {_size(found[k])}, the model needs {_size(v)}"
        for k, v in wanted.items()
        if k in found and found[k].shape != v.shape
    ]
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise DiarizeError(
            f"{path} does not fit this model: {'; '.join(faults[:5])}{more} "
            "(it was trained with another configuration)"
        )


def _size(tensor: torch.Tensor) -> str:
    return "(" + ", ".join(map(str, tensor.shape)) + ")"


def save_training(
    path: str | os.PathLike,
    state: State,
    optimizer: torch.optim.Optimizer,
    progress: TrainingProgress,
    meta: Mapping[str, Any],
) -> None:
    """Write the complete state of a training, from which a killed training resumes exactly."""
    _save(path, {
        "format": FORMAT,
        "meta": {"version": __version__, **meta, "step": progress.step},
        "model": dict(state),
        "training": {"optimizer": optimizer.state_dict(), "progress": asdict(progress)},
    })


def load_training(
    path: str | os.PathLike,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
) -> TrainingProgress:
    """Load model and optimiser from ``last.pth``; return the progress of the training.

    Raises DiarizeError if the file is damaged or of other sizes, or if it was made with other
    settings than ``fingerprint`` or other data than ``data`` (see `identity.describe_run`);
    the message lists the differences.
    """
    payload = _load(path)
    if "training" not in payload:
        raise DiarizeError(f"{path} contains weights only; a training cannot be resumed from it")
    try:
        progress = TrainingProgress(**payload["training"]["progress"])
        moments = dict(payload["training"]["optimizer"])
        progress.check()
    except (KeyError, TypeError, ValueError) as err:
        raise DiarizeError(
            f"{path} is damaged: the progress of the training is incomplete or invalid ({err}): "
            "restore it, or remove it to start anew"
        ) from err
    check_settings(path, progress.fingerprint, fingerprint)
    check_data(path, progress.fingerprint, progress.data, data or {})
    check_state(path, model.state_dict(), payload["model"])
    model.load_state_dict(payload["model"])
    # The settings in param_groups are those of this run (fused depends on the device).
    moments["param_groups"] = optimizer.state_dict()["param_groups"]
    try:
        optimizer.load_state_dict(moments)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as err:
        raise DiarizeError(f"{path}: the optimiser's state does not fit: {err}") from err
    return progress


class BestList:
    """The ``keep`` checkpoints of lowest validation DER, in ``directory`` (``best/``).

    ``entries`` are {"step", "der"}, best first; of equal DERs the later step is better.
    """

    def __init__(self, directory: Path, keep: int, entries: Sequence[Mapping[str, float]]) -> None:
        self.directory, self.keep = directory, keep
        self.entries = [dict(e) for e in entries]

    def path(self, step: int) -> Path:
        """Return the file of the checkpoint at ``step``."""
        return self.directory / f"valid_step{step:08d}.pth"

    def add(self, step: int, der: float, state: State, meta: Mapping[str, Any]) -> bool:
        """Write the checkpoint if it is among the best; return whether it is."""
        rank = der if math.isfinite(der) else math.inf
        entries = [e for e in self.entries if e["step"] != step] + [{"step": step, "der": rank}]
        entries.sort(key=lambda e: (e["der"], -e["step"]))
        self.entries = entries[: self.keep]
        if all(e["step"] != step for e in self.entries):
            return False
        self.directory.mkdir(parents=True, exist_ok=True)
        save_model(self.path(step), state, {**meta, "step": step, "der": rank})
        return True

    def prune(self) -> None:
        """Remove the files that are not in the list; to be called after ``last.pth`` is saved."""
        kept = {self.path(int(e["step"])).name for e in self.entries}
        for path in self.directory.glob("*valid_step*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


@contextmanager
def lock_directory(directory: Path) -> Iterator[None]:
    """Make and lock ``directory``; the lock ends with the context or the process.

    Raises DiarizeError if it is not writable or another training runs there.
    """
    path = directory / ".lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as err:
        raise DiarizeError(f"cannot write {path}: {err.strerror}") from err
    try:
        try:
            # POSIX locks are not inherited: data workers that survive a kill hold no lock.
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DiarizeError(f"{directory}: another training is running there") from None
        yield
    finally:
        os.close(fd)


class _Writer:
    """File for torch.save that keeps the error of a failed write."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._handle.write(data)
        except OSError as err:
            self.error = err
            raise

    def flush(self) -> None:
        self._handle.flush()


def _save(path: str | os.PathLike, payload: dict[str, Any]) -> None:
    with atomic_write(path, "wb") as handle:
        writer = _Writer(handle)
        try:
            torch.save(payload, writer)
        except RuntimeError:
            # torch's archive writer hides the error, such as "no space left".
            if writer.error is not None:
                raise writer.error from None
            raise


def _load(path: str | os.PathLike) -> dict[str, Any]:
    last = os.path.basename(path) == "last.pth"
    remedy = f"restore it, or {'remove it to start anew' if last else 'use another file'}"
    payload = read_torch(path, remedy)
    keys = ("format", "meta", "model")
    if not isinstance(payload, dict) or any(key not in payload for key in keys):
        raise DiarizeError(f"{path} is no model file of this package")
    if payload["format"] != FORMAT:
        raise DiarizeError(f"{path}: unknown format {payload['format']!r}, expected {FORMAT!r}")
    check_dense(path, payload["model"])
    check_plain(path, {k: v for k, v in payload.items() if k != "model"}, [torch.Tensor])
    meta = payload["meta"]
    if not isinstance(meta, dict) or not isinstance(meta.get("config", {}), dict):
        raise DiarizeError(f"{path} is damaged: its meta data are no mapping: {remedy}")
    return payload
