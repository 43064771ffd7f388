"""Transformer encoder without positional encoding (Vaswani 2017), as in EEND-EDA."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diarize.nn.attention import FeedForward, MultiHeadAttention, length_mask
from diarize.nn.pieces import in_pieces


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each residual and followed by layer normalisation."""

    def __init__(self, dim: int, heads: int, ff_dim: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(dim, heads, dropout)
        self.attention_dropout = nn.Dropout(dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.ff = FeedForward(dim, ff_dim, nn.ReLU(), dropout)
        self.ff_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, visible: Tensor | None) -> Tensor:
        """Return (B, T, D); ``visible`` (B, 1, T) is True at valid frames, None: all."""
        attended = self.attention(x, x, x, visible)
        x = self.attention_norm(x + self.attention_dropout(attended))
        return in_pieces(self._leave, x)

    def _leave(self, x: Tensor) -> Tensor:
        return self.ff_norm(x + self.ff(x))


class Transformer(nn.Module):
    """Layer normalisation, then Transformer layers; the order of the frames has no effect.

    ``checkpointing`` as in `Conformer`.
    """

    checkpointing = False

    def __init__(self, dim: int, layers: int, heads: int, ff_dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(
            TransformerLayer(dim, heads, ff_dim, dropout) for _ in range(layers)
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return (B, T, D) for ``x`` (B, T, D) of which ``lengths`` (B,) frames are valid.

        Without ``lengths`` all are, and attention requires no mask.
        """
        visible = None if lengths is None else length_mask(lengths, x.shape[1])[:, None]
        x = self.norm(x)
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, visible, use_reentrant=False)
            else:
                x = layer(x, visible)
        return x
