"""Predictions of a query decoder, kept in factored form until masks are required."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from diarize.nn.precision import float32_precision


@dataclass
class Encoded:
    """Encoder output for a batch at its low rate, the input of the decoder in inference.

    ``memory`` is (B, T', D), of which ``lengths`` (B,) frames are valid; None: all.  It
    represents ``num_frames`` T frames at the full rate, of which ``frame_lengths`` (B,) are
    valid.
    """

    memory: Tensor
    num_frames: int
    lengths: Tensor | None = None
    frame_lengths: Tensor | None = None


@dataclass
class Queries:
    """The queries after the last layer: ``mask_embeddings`` (B, N, D) are MLP(Q),
    ``activity_logits`` (B, N) Linear(Q), ``label_logits`` (B, N, C) those of the names of a
    language head.
    """

    mask_embeddings: Tensor
    activity_logits: Tensor
    label_logits: Tensor | None = None


@dataclass
class QueryPredictions:
    """Masks and activities of N queries, of the initial ones and after each layer.

    ``frames`` (B, T, D) is the full-rate latent sequence E, ``mask_embeddings``
    (L + 1, B, N, D) is MLP(Q), ``activity_logits`` (L + 1, B, N) is Linear(Q), and
    ``lengths`` (B,) is the number of valid frames.  Models with a language head add
    ``queries`` (L + 1, B, N, D), which is Q, ``label_logits`` (L + 1, B, N, C) of the names,
    and in training ``frame_label_logits`` (B, T, C) of the frames.
    """

    frames: Tensor
    mask_embeddings: Tensor
    activity_logits: Tensor
    lengths: Tensor
    queries: Tensor | None = None
    label_logits: Tensor | None = None
    frame_label_logits: Tensor | None = None

    def mask_logits(self) -> Tensor:
        """Return the logits of all predictions, float32 (L + 1, B, T, N), one product for all.

        The product is computed in float32 in any context: autocast would round the masks.
        """
        layers, batch, queries, dim = self.mask_embeddings.shape
        with float32_precision(self.frames.device):
            embeddings = self.mask_embeddings.float().permute(1, 3, 0, 2).reshape(batch, dim, -1)
            logits = torch.bmm(self.frames.float(), embeddings)  # (B, T, (L + 1) N)
        return logits.unflatten(-1, (layers, queries)).permute(2, 0, 1, 3)

    def float(self) -> "QueryPredictions":
        """Return the predictions in float32, in which losses and counts are computed."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return QueryPredictions(**{
            name: value.float() if value is not None and value.is_floating_point() else value
            for name, value in values.items()
        })

    def last(self) -> "QueryPredictions":
        """Return the final prediction alone (L + 1 becomes 1)."""
        return QueryPredictions(
            self.frames,
            self.mask_embeddings[-1:],
            self.activity_logits[-1:],
            self.lengths,
            None if self.queries is None else self.queries[-1:],
            None if self.label_logits is None else self.label_logits[-1:],
            self.frame_label_logits,
        )
