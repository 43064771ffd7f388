"""A saved model as a callable for the predictor."""

import torch
from torch import nn

from diarize.errors import DiarizeError
from diarize.infer.config import NetworkOptions
from diarize.infer.memory import Sizes
from diarize.infer.predictor import Predictor
from diarize.nn.pieces import CPU_PIECE, GPU_PIECE
from diarize.nn.precision import uses_bf16
from diarize.timebase import FrameGrid


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
        dim=model.dim,
        ff_dim=_widest(model),
        queries=model.num_queries,
        piece=GPU_PIECE if device.type == "cuda" else CPU_PIECE,
    )
    fixed = getattr(model, "fixed_queries", 0)
    return Predictor(model.eval().to(device), grid, device, bf16, sizes, options, fixed)


def _widest(model: nn.Module) -> int:
    """Return the greatest number of features between two layers of ``model``."""
    return max(m.out_features for m in model.modules() if isinstance(m, nn.Linear))
