"""Convolutional layers of wav2vec 2.0-type models, with either of their two normalisations."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diarize.nn.precision import float32_precision

CHANNELS = 512
KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
HOP = 320
FIELD = 400
# Frames of the first layer per frame of the last one, and those of a single last one.
FIRST_HOP = HOP // STRIDES[0]
FIRST_FIELD = (FIELD - KERNELS[0]) // STRIDES[0] + 1
EPSILON = 1e-5

Norm = Literal["layer", "group"]


class Moments(NamedTuple):
    """Mean and variance (B, C, 1) of each channel of the first layer over a recording."""

    mean: Tensor
    variance: Tensor


class TimeNorm(nn.Module):
    """Group norm with a group for each channel: over the frames of a recording.

    The moments are an argument, since they are those of the recording without its padding, also
    where the recording is read in parts.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, moments: Moments) -> Tensor:
        """Return (B, C, T) float32 for ``x`` (B, C, T) with ``moments`` of its recordings."""
        scale = torch.rsqrt(moments.variance + EPSILON) * self.weight[:, None]
        return (x.float() - moments.mean) * scale + self.bias[:, None]


class ConvLayer(nn.Module):
    """Convolution without padding, a normalisation or none, GELU."""

    def __init__(
        self, in_channels: int, kernel: int, stride: int, norm: nn.Module | None, bias: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, CHANNELS, kernel, stride, bias=bias)
        self.layer_norm = norm

    def forward(self, x: Tensor, moments: Moments | None) -> Tensor:
        """Return (B, C, (T - kernel) // stride + 1) for ``x`` (B, C', T)."""
        x = self.conv(x)
        if isinstance(self.layer_norm, nn.LayerNorm):
            return F.gelu(self.layer_norm(x.transpose(1, 2))).transpose(1, 2)
        if self.layer_norm is not None:
            x = self.layer_norm(x, moments)
        return F.gelu(x)


def make_layers(norm: Norm, bias: bool) -> nn.ModuleList:
    """Return the seven layers; ``norm`` group: after the first one only, layer: after each."""
    layers = nn.ModuleList()
    for index, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
        if norm == "layer":
            module = nn.LayerNorm(CHANNELS)
        else:
            module = TimeNorm(CHANNELS) if index == 0 else None
        layers.append(ConvLayer(CHANNELS if index else 1, kernel, stride, module, bias))
    for layer in layers:
        nn.init.kaiming_normal_(layer.conv.weight)
    return layers


def first_frames(num_frames: Tensor) -> Tensor:
    """Return the frames of the first layer that ``num_frames`` of the last one depend on."""
    return (num_frames.clamp(min=1) - 1) * FIRST_HOP + FIRST_FIELD


def whole_moments(first: nn.Conv1d, waveforms: Tensor, valid: Tensor) -> Moments:
    """Return the moments of the first ``valid`` (B,) frames of the convolution ``first``.

    Differentiable; ``waveforms`` (B, n) are those that the layers receive.
    """
    with float32_precision(waveforms.device):
        x = first(waveforms[:, None].float())
        inside = (torch.arange(x.shape[2], device=x.device) < valid[:, None])[:, None]
        count = valid[:, None, None]
        mean = x.masked_fill(~inside, 0.0).sum(2, keepdim=True) / count
        centred = (x - mean).masked_fill(~inside, 0.0)
        return Moments(mean, centred.square().sum(2, keepdim=True) / count)


class RunningMoments:
    """Moments of recordings whose samples come in pieces, accumulated in float64."""

    def __init__(self, first: nn.Conv1d, valid: Tensor) -> None:
        self._first = first
        self._valid = valid
        self._sums: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    @torch.no_grad()
    def add(self, waveforms: Tensor, low: int, high: int, last: bool) -> None:
        """Add the samples (B, n) that the frames [low, high) of the last layer depend on."""
        with float32_precision(waveforms.device):
            x = self._first(waveforms[:, None].float()).double()
        if not last:  # the next piece repeats the frames that follow
            x = x[..., : (high - low) * FIRST_HOP]
        frames = low * FIRST_HOP + torch.arange(x.shape[2], device=x.device)
        x = x * (frames < self._valid[:, None])[:, None]
        self._sums = self._sums + x.sum(2, keepdim=True)
        self._squares = self._squares + x.square().sum(2, keepdim=True)

    def moments(self) -> Moments:
        """Return the moments of all that was added."""
        mean = self._sums / self._valid[:, None, None]
        variance = self._squares / self._valid[:, None, None] - mean.square()
        return Moments(mean.float(), variance.clamp(min=0.0).float())
