"""Changes of the frame rate: ConvDown and ConvUp (EEND-M2F, eq. 1) and the mask's Downsample.

All three work on a fixed grid: low-rate frame j stands for the high-rate frames
[j * factor, (j + 1) * factor), whatever the length of the batch, so that a recording
gives the same with any padding behind it.
"""

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

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, ceil(T / factor), D) and its lengths (B,) for ``x`` (B, T, D')."""
        num_frames = x.shape[1]
        out_frames = -(-num_frames // self.factor)
        x = x.masked_fill(~length_mask(lengths, num_frames)[..., None], 0.0)
        # The window is centred on the span of frames that its output stands for.
        left = (self.kernel - self.factor) // 2
        right = (out_frames - 1) * self.factor + self.kernel - left - num_frames
        x = F.pad(x.transpose(1, 2), (left, right))
        x = self.pointwise(self.depthwise(x).transpose(1, 2))
        return self.dropout(self.norm(x)), ceil_div(lengths, self.factor)


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
            # Of the kernel - stride frames too many, half is cut in front.
            padding = -(-(kernel - stride) // 2)
            extra = 2 * padding - (kernel - stride)
            self.convs.append(nn.ConvTranspose1d(dim, dim, kernel, stride, padding, extra))

    def forward(self, x: Tensor, lengths: Tensor, num_frames: int) -> Tensor:
        """Return (B, num_frames, D) for ``x`` (B, T', D), of which ``lengths`` are valid."""
        for conv, norm, stride in zip(self.convs, self.norms, self.strides, strict=True):
            x = x.masked_fill(~length_mask(lengths, x.shape[1])[..., None], 0.0)
            x = F.gelu(norm(conv(x.transpose(1, 2)).transpose(1, 2)))
            lengths = lengths * stride
        return x[:, :num_frames]


def downsample(x: Tensor, lengths: Tensor, factor: int) -> Tensor:
    """Return ``x`` (B, T, D) linearly interpolated at the middles of spans of ``factor`` frames.

    The result is (B, ceil(T / factor), D); a span that is cut by the end of its recording
    takes the last frame.  For T a multiple of ``factor`` it is torch's
    ``interpolate(mode="linear", align_corners=False)``.  This is Downsample of EEND-M2F,
    Section 3.3; it is linear in ``x``, so it may be taken before the product of eq. (2).
    """
    if factor == 1:
        return x
    out_frames = -(-x.shape[1] // factor)
    middle = torch.arange(out_frames, device=x.device) * factor + (factor - 1) / 2  # (T',)
    last = (lengths - 1).clamp(min=0)[:, None]  # (B, 1)
    low = torch.minimum(middle.floor().long()[None], last)  # (B, T')
    high = torch.minimum(middle.ceil().long()[None], last)
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    return 0.5 * (x[rows, low] + x[rows, high])
