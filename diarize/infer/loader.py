"""A saved model as a callable for the predictor."""

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from diarize.errors import DiarizeError
from diarize.infer.config import InferenceConfig, NetworkOptions, load_inference_config
from diarize.infer.memory import Sizes
from diarize.infer.predictor import Predictor
from diarize.nn.pieces import CPU_PIECE, GPU_PIECE
from diarize.nn.precision import uses_bf16
from diarize.timebase import FrameGrid

_LARGEST = 8 << 30  # bytes of a member of a packed model


def pick_device(name: str) -> torch.device:
    """Return the torch device ``name``; ``auto`` is cuda if available, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as err:
        raise DiarizeError(f"unknown device '{name}': use auto, cpu, cuda or cuda:N") from err
    if device.type not in ("cpu", "cuda"):
        raise DiarizeError(f"unknown device '{name}': use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DiarizeError(f"device {name} was asked for, but torch sees no GPU; use cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DiarizeError(f"device {name}: this machine has {torch.cuda.device_count()} GPU(s)")
    return device


def make_predictor(model: nn.Module, grid: FrameGrid, options: NetworkOptions) -> Predictor:
    """Return a predictor of ``model`` (evaluation mode) on the device of ``options``."""
    device = pick_device(options.device)
    bf16 = uses_bf16(options.precision, device)
    sizes = Sizes(
        features=model.features.output_dim,
        kept=model.features.keeps_features,
        factor=model.factor,
        dim=model.decoder.class_head.in_features,
        ff_dim=_widest(model),
        queries=len(model.decoder.queries),
        piece=GPU_PIECE if device.type == "cuda" else CPU_PIECE,
    )
    fixed = getattr(model, "fixed_queries", 0)
    return Predictor(model.eval().to(device), grid, device, bf16, sizes, options, fixed)


def _widest(model: nn.Module) -> int:
    """Return the greatest number of features between two layers of ``model``."""
    return max(m.out_features for m in model.modules() if isinstance(m, nn.Linear))


@contextmanager
def model_files(path: str | os.PathLike) -> Iterator[tuple[Path, Path | None]]:
    """Yield the paths of the weights and of the tuned post-processing (None without one).

    ``path`` is a model file, a directory (an experiment or a packed model) with ``final.pth``, or
    the ``.tar.gz`` that the packing stage writes, which is unpacked until the end of the block.
    Thresholds are read from ``best.yaml`` in the same directory, or from the
    ``infer_*/best.yaml`` of the validation set.  Raises DiarizeError, naming ``path``.
    """
    path = Path(path)
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz", ".tar")):
        with tempfile.TemporaryDirectory(prefix="diarize-model-") as folder:
            _unpack(path, Path(folder))
            try:
                yield _find(Path(folder))
            except DiarizeError as err:
                raise DiarizeError(str(err).replace(folder, str(path))) from err
    else:
        yield _find(path)


def tuned_options(path: str | os.PathLike) -> InferenceConfig:
    """Return the inference configuration of the model at ``path``; defaults if it has none."""
    with model_files(path) as (_, tuned):
        return load_inference_config(tuned)


def _find(path: Path) -> tuple[Path, Path | None]:
    if path.is_dir():
        if not (path / "final.pth").is_file():
            raise DiarizeError(f"{path}: no final.pth in it; run the averaging stage first")
        path = path / "final.pth"
    if not path.is_file():
        raise DiarizeError(f"no model at {path}")
    tuned = [path.parent / "best.yaml", *sorted(path.parent.glob("infer_*/best.yaml"))]
    return path, next((p for p in tuned if p.is_file()), None)


def _unpack(archive: Path, folder: Path) -> None:
    """Copy ``final.pth`` and ``best.yaml`` of a packed model into ``folder``."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in ("final.pth", "best.yaml"):
                    if member.size > _LARGEST:
                        raise DiarizeError(f"{archive}: {name} has {member.size} bytes")
                    with tar.extractfile(member) as source, open(folder / name, "wb") as target:
                        shutil.copyfileobj(source, target)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as err:
        raise DiarizeError(f"{archive}: not a packed model, or damaged: {err}") from err
    if not (folder / "final.pth").exists():
        raise DiarizeError(f"{archive}: no final.pth in it; it is not a packed model")
