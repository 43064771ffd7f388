"""EEND-EDA: encoder-decoder attractors for speaker diarization (arXiv 2005.09921, 2106.10654)."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from diarize.checks import at_least, fraction, non_negative
from diarize.features.logmel import LogMel, LogMelOptions
from diarize.nn.attractors import EncoderDecoderAttractors, in_order, mixed_order
from diarize.nn.conformer import Conformer
from diarize.nn.outputs import Encoded, Queries, QueryPredictions
from diarize.nn.precision import float32_precision
from diarize.nn.transformer import Transformer


@dataclass(frozen=True)
class EdaEncoderOptions:
    """Encoder; the defaults are those of the published model."""

    type: Literal["transformer", "conformer"] = "transformer"
    """transformer: self-attention without positional encoding; conformer."""
    dim: int = 256
    """Dimension D of the embeddings and attractors."""
    layers: int = 4
    """Number of layers."""
    heads: int = 4
    """Number of attention heads."""
    ff_dim: int = 2048
    """Inner dimension of the feed-forward layers."""
    kernel: int = 49
    """Kernel of the convolution of conformer, in frames of the grid."""
    dropout: float = 0.1
    """Dropout probability."""

    def __post_init__(self) -> None:
        at_least(1, dim=self.dim, heads=self.heads, ff_dim=self.ff_dim)
        at_least(1, kernel=self.kernel)
        non_negative(layers=self.layers)
        fraction(dropout=self.dropout)


@dataclass(frozen=True)
class EendEdaOptions:
    """Options of the whole model; the defaults yield the published 6.4 M parameters."""

    name: Literal["eend_eda"] = "eend_eda"
    """Name of the model: eend_m2f or eend_eda."""
    features: LogMelOptions = field(
        default_factory=lambda: LogMelOptions(context=7, subsampling=10)
    )
    """Log-mel features: spliced with 7 frames on each side, one of 10 kept."""
    encoder: EdaEncoderOptions = field(default_factory=EdaEncoderOptions)
    """Encoder."""
    max_speakers: int = 15
    """Number N of attractors: the largest number of speakers."""
    inference_order: Literal["time", "shuffled"] = "time"
    """Order in which the encoder of the attractors reads the frames in inference: time, or shuffled
    as in training and in the published inference, here fixed for each number of frames.
    """

    def __post_init__(self) -> None:
        at_least(1, max_speakers=self.max_speakers)


class EdaEncoder(nn.Module):
    """Embeddings of the frames: Linear, then Transformer or Conformer layers."""

    def __init__(self, in_dim: int, options: EdaEncoderOptions) -> None:
        super().__init__()
        o = options
        self.linear = nn.Linear(in_dim, o.dim)
        if o.type == "transformer":
            self.layers = Transformer(o.dim, o.layers, o.heads, o.ff_dim, o.dropout)
        else:
            self.layers = Conformer(o.dim, o.layers, o.heads, o.ff_dim, o.kernel, o.dropout)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the embeddings (B, T, D) of ``features`` (B, T, D')."""
        return self.layers(self.linear(features), lengths)


class EendEda(nn.Module):
    """EEND-EDA: the mask of a speaker is the product of embeddings and an attractor.

    Attractors are what queries are in `EendM2f`: the predictions have the same form, with one
    layer, and the existence of an attractor as its activity.  LSTMs are computed in float32.
    """

    factor = 1
    capacity_option = "model.max_speakers"

    def __init__(self, options: EendEdaOptions) -> None:
        super().__init__()
        self.options = options
        self.features = LogMel(options.features)
        self.grid = self.features.grid
        self.encoder = EdaEncoder(self.features.output_dim, options.encoder)
        self.attractors = EncoderDecoderAttractors(options.encoder.dim)

    @property
    def dim(self) -> int:
        """Dimension of the embeddings."""
        return self.options.encoder.dim

    @property
    def num_queries(self) -> int:
        """Number of attractors."""
        return self.options.max_speakers

    def forward(
        self,
        waveforms: Tensor,
        num_samples: Tensor | None = None,
        order: Tensor | None = None,
    ) -> QueryPredictions:
        """Return the predictions for ``waveforms`` (B, n) with ``num_samples`` (B,) valid ones.

        Without ``num_samples`` all are valid.  ``order`` (B, T) is that in which the encoder of
        the attractors reads the frames, padding last; None: in time, in evaluation that of
        ``inference_order``.  In evaluation, the activities are those of `existing`.
        """
        whole = num_samples is None
        if whole:
            size, samples = waveforms.shape
            num_samples = torch.full((size,), samples, device=waveforms.device)
        features, lengths = self.features(waveforms, num_samples)
        inner = None if whole else lengths
        frames = self.encoder(features, inner)
        attractors, logits = self._attractors(frames, inner, order)
        if not self.training:
            logits = existing(logits)
        return QueryPredictions(frames, attractors[None], logits[None], lengths)

    def _attractors(
        self, frames: Tensor, lengths: Tensor | None, order: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if order is None and not self.training and self.options.inference_order == "shuffled":
            order = mixed_order(frames.shape[1], lengths, frames.device)
        if order is not None:
            frames = in_order(frames, order.expand(len(frames), -1))
        with float32_precision(frames.device):
            return self.attractors(frames.float(), lengths, self.options.max_speakers)

    # The same in steps, for inference; see EendM2f.

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Encoded:
        """Return the embeddings of ``features`` (B, T, D') with ``lengths`` (B,) valid frames;
        None: all.
        """
        return Encoded(self.encoder(features, lengths), features.shape[1], lengths, lengths)

    def refine(self, encoded: Encoded) -> tuple[Queries, Tensor]:
        """Return the attractors and the embeddings (B, T, D)."""
        attractors, logits = self._attractors(encoded.memory, encoded.lengths)
        return Queries(attractors, existing(logits)), encoded.memory

    def frames(self, encoded: Encoded, first: int, last: int) -> Tensor:
        """Return the embeddings of the frames [first, last), (B, last - first, D)."""
        return encoded.memory[:, first:last]


def existing(logits: Tensor) -> Tensor:
    """Return for each attractor (B, N) the least logit of it and those before it.

    The speakers of EEND-EDA are the attractors before the first that does not exist.  With these
    logits they are those above a threshold, and of a given number of speakers the first ones.

    >>> existing(torch.tensor([[3.0, 1.0, -2.0, 4.0]])).tolist()
    [[3.0, 1.0, -2.0, -2.0]]
    """
    return logits.cummin(-1).values
