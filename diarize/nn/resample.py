"""Changes of the frame rate: ConvDown and ConvUp (EEND-M2F, eq. 1) and the mask's Downsample.

All three use a fixed grid: low-rate frame j represents the high-rate frames
[j * factor, (j + 1) * factor), for any length of the batch, so that the output for a
recording does not depend on padding.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diarize.nn.attention import length_mask


def ceil_div(value: Tensor, divisor: int) -> Tensor:
    """Return ceil(value / divisor) for integers."""
    return torch.div(value + divisor - 1, divisor, rounding_mode="floor")


class ConvDown(nn.Module):
    """Depthwise separable convolution of hop ``factor``, LN, dropout: T -> ceil(T / factor)."""

    def __init__(self, in_dim: int, dim: int, factor: int, kernel: int, dropout: float) -> None:
        super().__init__()
        if kernel < factor:
            raise ValueError(f"a kernel of {kernel} skips frames at a hop of {factor}")
        self.factor = factor
        self.kernel = kernel
        self.depthwise = nn.Conv1d(in_dim, in_dim, kernel, stride=factor, groups=in_dim)
        self.pointwise = nn.Linear(in_dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return (B, ceil(T / factor), D) and its lengths (B,) for ``x`` (B, T, D').

        Without ``lengths`` every frame is valid.
        """
        num_frames = x.shape[1]
        out_frames = -(-num_frames // self.factor)
        if lengths is not None:
            x = x.masked_fill(~length_mask(lengths, num_frames)[..., None], 0.0)
        # The window is centred on the span of frames that its output represents.
        left = (self.kernel - self.factor) // 2
        right = (out_frames - 1) * self.factor + self.kernel - left - num_frames
        x = F.pad(x.transpose(1, 2), (left, right))
        x = self.pointwise(self.depthwise(x).transpose(1, 2))
        low_lengths = None if lengths is None else ceil_div(lengths, self.factor)
        return self.dropout(self.norm(x)), low_lengths


class ConvUp(nn.Module):
    """(Transposed convolution, LN, GELU) per stride: T' -> T' * product of the strides."""

    def __init__(self, dim: int, kernels: list[int], strides: list[int]) -> None:
        super().__init__()
        if len(kernels) != len(strides):
            raise ValueError(f"{len(kernels)} kernels but {len(strides)} strides")
        self.strides = list(strides)
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in strides)
        for kernel, stride in zip(kernels, strides, strict=True):
            if kernel < stride:
                raise ValueError(f"a kernel of {kernel} leaves gaps at a stride of {stride}")
            # Half of the kernel - stride excess frames is cut at the start.
            padding = -(-(kernel - stride) // 2)
            extra = 2 * padding - (kernel - stride)
            self.convs.append(nn.ConvTranspose1d(dim, dim, kernel, stride, padding, extra))
        # Maximum number of frames on each side that contribute to the output of a frame.
        spread = zip(kernels, strides, strict=True)
        self.reach = sum(-(-(kernel - stride) // stride) for kernel, stride in spread)

    def forward(self, x: Tensor, lengths: Tensor | None, num_frames: int) -> Tensor:
        """Return (B, num_frames, D) for ``x`` (B, T', D), of which ``lengths`` are valid."""
        for conv, norm, stride in zip(self.convs, self.norms, self.strides, strict=True):
            if lengths is not None:
                x = x.masked_fill(~length_mask(lengths, x.shape[1])[..., None], 0.0)
                lengths = lengths * stride
            if x.is_cuda or torch.is_grad_enabled():
                x = conv(x.transpose(1, 2)).transpose(1, 2)
            else:
                x = transposed_product(x, conv)
            x = F.gelu(norm(x))
        return x[:, :num_frames]

    def part(self, x: Tensor, lengths: Tensor | None, first: int, last: int) -> Tensor:
        """Return the part of ``forward`` for the frames [first, last) of ``x`` (B, T', D).

        It is (B, (last - first) * product of the strides, D), computed only from the frames
        that contribute to it.
        """
        factor = math.prod(self.strides)
        low = max(0, first - self.reach)
        high = min(x.shape[1], last + self.reach)
        if lengths is not None:
            lengths = (lengths - low).clamp(0, high - low)
        out = self.forward(x[:, low:high], lengths, (high - low) * factor)
        return out[:, (first - low) * factor : (last - low) * factor]


def transposed_product(x: Tensor, conv: nn.ConvTranspose1d) -> Tensor:
    """Return ``conv`` of ``x`` (B, T, D), channels last, (B, T * stride, D'), as one product.

    Each frame becomes ``kernel`` frames, which are added where they overlap.  On a CPU this
    is twice as fast as the convolution.
    """
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], conv.padding[0]
    frames, dim = x.shape[1], conv.out_channels
    weight = conv.weight.permute(2, 1, 0).reshape(kernel * dim, -1)
    spread = F.linear(x, weight)  # (B, T, kernel * D')
    if kernel == stride:
        return spread.unflatten(-1, (kernel, dim)).flatten(1, 2) + conv.bias
    spread = spread.unflatten(-1, (kernel, dim))
    out = conv.bias.expand(x.shape[0], (frames - 1) * stride + kernel, dim).clone()
    for offset in range(kernel):
        out[:, offset : offset + (frames - 1) * stride + 1 : stride] += spread[:, :, offset]
    return out[:, padding : padding + frames * stride]


def downsample(x: Tensor, lengths: Tensor | None, factor: int) -> Tensor:
    """Return ``x`` (B, T, D) linearly interpolated at the middles of spans of ``factor`` frames.

    The result is (B, ceil(T / factor), D); positions after the end of a recording are replaced
    by its last frame.  For T a multiple of ``factor`` it is torch's
    ``interpolate(mode="linear", align_corners=False)``.  This is Downsample of EEND-M2F,
    Section 3.3; it is linear in ``x``, so it may be applied before the product of eq. (2).
    """
    if factor == 1:
        return x
    out_frames = -(-x.shape[1] // factor)
    middle = torch.arange(out_frames, device=x.device) * factor + (factor - 1) / 2  # (T',)
    if lengths is None:
        last = torch.tensor([[x.shape[1] - 1]], device=x.device)
    else:
        last = (lengths - 1).clamp(min=0)[:, None]  # (B, 1)
    low = torch.minimum(middle.floor().long()[None], last)  # (B, T')
    high = torch.minimum(middle.ceil().long()[None], last)
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    return 0.5 * (x[rows, low] + x[rows, high])
