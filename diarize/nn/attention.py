"""Multi-head attention and the position-wise feed-forward block."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def length_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Return which positions lie inside each sequence, bool (B, max_length).

    >>> length_mask(torch.tensor([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]
    """
    return torch.arange(max_length, device=lengths.device) < lengths[:, None]


class MultiHeadAttention(nn.Module):
    """MHA(q, k, v; m): scaled dot-product attention of ``heads`` heads (Vaswani 2017)."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dimension {dim} is no multiple of {heads} heads")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        for linear in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attended values (B, N, D).

        ``q`` is (B, N, D), ``k`` and ``v`` (B, T, D).  ``mask`` (bool, broadcastable to
        (B, N, T)) is True if n may attend to position t; None means everywhere.
        """
        if mask is not None:
            mask = mask.unsqueeze(1)  # (B, 1, N, T): the same for all heads
        attended = F.scaled_dot_product_attention(
            self._split(self.query(q)),
            self._split(self.key(k)),
            self._split(self.value(v)),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )  # (B, H, N, D / H)
        return self.output(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Linear, activation, dropout, Linear, dropout."""

    def __init__(self, dim: int, hidden: int, activation: nn.Module, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Linear(dim, hidden),
            activation,
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )
