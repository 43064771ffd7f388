"""Conformer encoder (Gulati 2020) with layer instead of batch normalisation.

Batch statistics would mix padding into every recording (EEND-M2F, Section 4.2).  With
layer normalisation, masked attention and zeroed padding before each convolution, the output
for a recording does not depend on the rest of its batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from diarize.nn.attention import FeedForward, MultiHeadAttention, length_mask
from diarize.nn.pieces import in_pieces


class DepthwiseConv(nn.Conv1d):
    """Depthwise convolution over time, as long as its input; channels are the last dimension."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__(dim, dim, kernel, padding=kernel // 2, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for ``x`` (B, T, D)."""
        if x.is_cuda:
            return super().forward(x.transpose(1, 2)).transpose(1, 2)
        # An image one pixel high with its channels last: the layout of x in memory, and more
        # than ten times as fast on a CPU as channels first.
        image = x.transpose(1, 2).unsqueeze(2)  # (B, D, 1, T)
        padding = (0, self.padding[0])
        out = F.conv2d(image, self.weight.unsqueeze(2), self.bias, 1, padding, 1, self.groups)
        return out.squeeze(2).transpose(1, 2)


class ConvolutionModule(nn.Module):
    """LN, pointwise + GLU, depthwise, LN, SiLU, pointwise, dropout."""

    def __init__(self, dim: int, kernel: int, dropout: float) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"the Conformer's kernel must be odd, not {kernel}")
        self.norm_in = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * dim)
        self.gate = nn.GLU(dim=-1)
        self.depthwise = DepthwiseConv(dim, kernel)
        self.norm = nn.LayerNorm(dim)
        self.activation = nn.SiLU()
        self.project = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """Return (B, T, D); ``padding`` (B, T) is True at masked frames."""
        x = in_pieces(self._before, x)
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0.0)
        return in_pieces(self._behind, self.depthwise(x))

    def _before(self, x: Tensor) -> Tensor:
        return self.gate(self.expand(self.norm_in(x)))

    def _behind(self, x: Tensor) -> Tensor:
        return self.dropout(self.project(self.activation(self.norm(x))))


class ConformerLayer(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, LN; all residual."""

    def __init__(self, dim: int, heads: int, ff_dim: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.ff_in_norm = nn.LayerNorm(dim)
        self.ff_in = FeedForward(dim, ff_dim, nn.SiLU(), dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads, dropout)
        self.attention_dropout = nn.Dropout(dropout)
        self.convolution = ConvolutionModule(dim, kernel, dropout)
        self.ff_out_norm = nn.LayerNorm(dim)
        self.ff_out = FeedForward(dim, ff_dim, nn.SiLU(), dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """Return (B, T, D); ``padding`` (B, T) is True at masked frames."""
        x = in_pieces(self._enter, x)
        h = self.attention_norm(x)
        visible = None if padding is None else ~padding[:, None, :]
        x = x + self.attention_dropout(self.attention(h, h, h, visible))
        x = x + self.convolution(x, padding)
        return in_pieces(self._leave, x)

    def _enter(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.ff_in(self.ff_in_norm(x))

    def _leave(self, x: Tensor) -> Tensor:
        return self.norm(x + 0.5 * self.ff_out(self.ff_out_norm(x)))


class Conformer(nn.Module):
    """A stack of Conformer layers without positional encoding.

    With ``checkpointing`` a training keeps only the input of each layer, and recomputes the
    rest for the gradient: a third more time, and a fraction of the memory.
    """

    checkpointing = False

    def __init__(
        self, dim: int, layers: int, heads: int, ff_dim: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConformerLayer(dim, heads, ff_dim, kernel, dropout) for _ in range(layers)
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, T, D) for ``x`` (B, T, D) of which ``lengths`` (B,) frames are valid.

        Without ``lengths`` all are, and attention requires no mask.
        """
        padding = None if lengths is None else ~length_mask(lengths, x.shape[1])
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, padding, use_reentrant=False)
            else:
                x = layer(x, padding)
        return x
