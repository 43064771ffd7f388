"""Learnable queries refined by masked attention: the decoder of EEND-M2F and SAGE-LD."""

import torch
from torch import Tensor, nn

from diarize.nn.attention import FeedForward, MultiHeadAttention, length_mask
from diarize.nn.outputs import QueryPredictions
from diarize.nn.resample import downsample


def attention_mask(mask_logits: Tensor, valid: Tensor | None) -> Tensor:
    """Return the attention mask of the queries, bool (B, N, T'), True at visible frames.

    ``mask_logits`` is (B, T', N), ``valid`` (B, T') or None if all frames are.  A query
    attends to the frames in which its logit is positive (probability over 0.5), or if there
    are none, to all valid frames, since a softmax over no frame is NaN.  Padding is masked.
    """
    seen = mask_logits.detach().transpose(1, 2) > 0
    if valid is None:
        return seen | ~seen.any(-1, keepdim=True)
    valid = valid[:, None, :]
    seen = seen & valid
    return torch.where(seen.any(-1, keepdim=True), seen, valid)


def mask_module(frames: Tensor, mask_embeddings: Tensor) -> Tensor:
    """Return the diarization logits E MLP(Q)^T, (B, T, N): EEND-M2F, eq. (2).

    ``frames`` is (B, T, D), ``mask_embeddings`` (B, N, D); eq. (3) is their sigmoid.
    """
    return frames @ mask_embeddings.transpose(1, 2)


class QueryLayer(nn.Module):
    """One refinement of the queries: EEND-M2F, eq. (4); cross-attention comes first."""

    def __init__(self, dim: int, heads: int, ff_dim: int, dropout: float) -> None:
        super().__init__()
        self.cross_attention = MultiHeadAttention(dim, heads, dropout)
        self.cross_norm = nn.LayerNorm(dim)
        self.self_attention = MultiHeadAttention(dim, heads, dropout)
        self.self_norm = nn.LayerNorm(dim)
        self.ff = FeedForward(dim, ff_dim, nn.ReLU(), dropout)
        self.ff_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, position: Tensor, memory: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Return Q^(l+1) (B, N, D) from Q^(l) (B, N, D), P (N, D), the low-rate E (B, T', D).

        ``mask`` (B, N, T') or (B, 1, T') is True at frames that a query may attend to; None: all.
        """
        attended = self.cross_attention(queries + position, memory, memory, mask)
        queries = self.cross_norm(queries + self.dropout(attended))
        placed = queries + position
        attended = self.self_attention(placed, placed, queries)
        queries = self.self_norm(queries + self.dropout(attended))
        return self.ff_norm(queries + self.ff(queries))


class QueryDecoder(nn.Module):
    """Query module, mask module and class head: EEND-M2F, Sections 3.2 to 3.4."""

    def __init__(
        self,
        dim: int,
        queries: int,
        layers: int,
        heads: int,
        ff_dim: int,
        dropout: float = 0.0,
        masked_attention: bool = True,
    ) -> None:
        super().__init__()
        self.masked_attention = masked_attention
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.position = nn.Parameter(torch.randn(queries, dim))
        self.layers = nn.ModuleList(
            QueryLayer(dim, heads, ff_dim, dropout) for _ in range(layers)
        )
        self.mask_mlp = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)
        )
        self.class_head = nn.Linear(dim, 1)

    def forward(
        self, frames: Tensor, lengths: Tensor, memory: Tensor, memory_lengths: Tensor, factor: int
    ) -> QueryPredictions:
        """Return the predictions of the initial queries and of each layer.

        ``frames`` (B, T, D) is the full-rate E, ``memory`` (B, T', D) the low-rate one,
        T' = ceil(T / factor).
        """
        # The interpolation of E commutes with the product of eq. (2) and avoids full-rate
        # masks of the intermediate layers.
        coarse = downsample(frames, lengths, factor).detach()  # (B, T', D)
        embeddings, activities, refined = self.refine(coarse, memory, memory_lengths)
        return QueryPredictions(
            frames, torch.stack(embeddings), torch.stack(activities), lengths, torch.stack(refined)
        )

    def refine(
        self, coarse: Tensor, memory: Tensor, lengths: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return MLP(Q), Linear(Q) and Q of the initial queries and after each layer.

        ``coarse`` (B, T', D) is E interpolated to the rate of ``memory`` (B, T', D), of
        which ``lengths`` (B,) frames are valid; None: all.
        """
        valid = None if lengths is None else length_mask(lengths, memory.shape[1])  # (B, T')
        queries = self.queries.expand(memory.shape[0], -1, -1)  # (B, N, D)
        embeddings, activities, refined = [], [], []
        for index in range(len(self.layers) + 1):
            embedding, activity = self.predict(queries)
            embeddings.append(embedding)
            activities.append(activity)
            refined.append(queries)
            if index == len(self.layers):
                break
            mask = None if valid is None else valid[:, None, :]
            if self.masked_attention:
                mask = attention_mask(mask_module(coarse, embedding.detach()), valid)
            queries = self.layers[index](queries, self.position, memory, mask)
        return embeddings, activities, refined

    def predict(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Return MLP(Q) (B, N, D) and the logits of eq. (5) (B, N)."""
        return self.mask_mlp(queries), self.class_head(queries).squeeze(-1)
