"""EEND-M2F: masked-attention mask transformers for speaker diarization (arXiv 2401.12600)."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from diarize.checks import at_least, non_negative
from diarize.errors import DiarizeError
from diarize.features.front_end import FrontEndName, make_front_end
from diarize.features.logmel import LogMelOptions
from diarize.features.ssl_conv import SslConvOptions
from diarize.features.ssl_full import SslFullOptions
from diarize.nn.conformer import Conformer
from diarize.nn.outputs import Encoded, Queries, QueryPredictions
from diarize.nn.pieces import piece_size
from diarize.nn.query_decoder import QueryDecoder
from diarize.nn.resample import ConvDown, ConvUp, downsample


@dataclass(frozen=True)
class BackboneOptions:
    """Sizes of ConvDown, Conformer and ConvUp (Section 4.2)."""

    dim: int = 256
    """Dimension D of the latent sequences."""
    layers: int = 6
    """Number of Conformer layers."""
    heads: int = 4
    """Number of attention heads."""
    ff_dim: int = 1024
    """Inner dimension of the feed-forward layers."""
    kernel: int = 49
    """Kernel of the Conformer's convolution, in frames of the low rate."""
    dropout: float = 0.1
    """Dropout probability."""
    down_factor: int = 10
    """Ratio of the frame rates before and after ConvDown."""
    down_kernel: int = 15
    """Kernel of ConvDown, in frames of the features."""
    up_kernels: list[int] = field(default_factory=lambda: [3, 5])
    """Kernels of the transposed convolutions of ConvUp."""
    up_strides: list[int] = field(default_factory=lambda: [2, 5])
    """Strides of the same; their product is ``down_factor``."""

    def __post_init__(self) -> None:
        at_least(1, dim=self.dim, heads=self.heads, ff_dim=self.ff_dim)
        at_least(1, kernel=self.kernel, down_factor=self.down_factor)
        non_negative(layers=self.layers)
        product = 1
        for stride in self.up_strides:
            product *= stride
        if product != self.down_factor:
            raise DiarizeError(
                f"up_strides {self.up_strides} do not undo the down_factor of {self.down_factor}"
            )


@dataclass(frozen=True)
class DecoderOptions:
    """Sizes of the query module (Section 4.2) and the switch of Table 3."""

    queries: int = 50
    """Number N of learnable queries: the largest number of speakers or languages."""
    layers: int = 6
    """Number of decoder layers."""
    heads: int = 4
    """Number of attention heads."""
    ff_dim: int = 1024
    """Inner dimension of the feed-forward layers."""
    dropout: float = 0.0
    """Dropout probability."""
    masked_attention: bool = True
    """Restrict cross-attention to the previous layer's mask (eq. 4); false: Table 3."""

    def __post_init__(self) -> None:
        at_least(1, queries=self.queries, heads=self.heads, ff_dim=self.ff_dim)
        non_negative(layers=self.layers)


@dataclass(frozen=True)
class EendM2fOptions:
    """Options of the whole model; the defaults yield the paper's 16.2 M parameters."""

    name: Literal["eend_m2f"] = "eend_m2f"
    """Name of the model: eend_m2f or eend_eda."""
    front_end: FrontEndName = "log_mel"
    """Front-end in use: log_mel (section ``features``), ssl_conv or ssl_full."""
    features: LogMelOptions = field(default_factory=LogMelOptions)
    """Log-mel features."""
    ssl_conv: SslConvOptions = field(default_factory=SslConvOptions)
    """Convolutional layers of a self-supervised model."""
    ssl_full: SslFullOptions = field(default_factory=SslFullOptions)
    """The whole self-supervised model."""
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    """Encoder, eq. (1)."""
    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    """Query module."""


class Backbone(nn.Module):
    """Latent sequences of both rates from features: eq. (1)."""

    def __init__(self, in_dim: int, options: BackboneOptions) -> None:
        super().__init__()
        o = options
        self.factor = o.down_factor
        self.down = ConvDown(in_dim, o.dim, o.down_factor, o.down_kernel, o.dropout)
        self.conformer = Conformer(o.dim, o.layers, o.heads, o.ff_dim, o.kernel, o.dropout)
        self.up = ConvUp(o.dim, o.up_kernels, o.up_strides)

    def forward(
        self, features: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return E (B, T, D), its low-rate origin (B, T', D) and the latter's lengths (B,).

        Without ``lengths`` every frame is valid.
        """
        low, low_lengths = self.down(features, lengths)
        low = self.conformer(low, low_lengths)
        return self.up(low, low_lengths, features.shape[1]), low, low_lengths


class EendM2f(nn.Module):
    """EEND-M2F: from waveforms to speaker masks in one forward pass (Figure 1)."""

    capacity_option = "model.decoder.queries"

    def __init__(self, options: EendM2fOptions) -> None:
        super().__init__()
        self.options = options
        self.features = make_front_end(
            options.front_end, options.features, options.ssl_conv, options.ssl_full
        )
        self.grid = self.features.grid
        self.backbone = Backbone(self.features.output_dim, options.backbone)
        d = options.decoder
        self.decoder = QueryDecoder(
            options.backbone.dim,
            d.queries,
            d.layers,
            d.heads,
            d.ff_dim,
            d.dropout,
            d.masked_attention,
        )

    def forward(self, waveforms: Tensor, num_samples: Tensor | None = None) -> QueryPredictions:
        """Return the predictions for ``waveforms`` (B, n) with ``num_samples`` (B,) valid ones.

        Without ``num_samples`` all are valid, and attention requires no mask.
        """
        whole = num_samples is None
        if whole:
            size, samples = waveforms.shape
            num_samples = torch.full((size,), samples, device=waveforms.device)
        features, lengths = self.features(waveforms, num_samples)
        frames, memory, memory_lengths = self.backbone(features, None if whole else lengths)
        return self.decoder(frames, lengths, memory, memory_lengths, self.backbone.factor)

    # The same computation in steps, for inference: the full-rate E and its masks are computed
    # for one stretch at a time, and only for the kept queries.

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Encoded:
        """Return the low-rate sequence of ``features`` (B, T, D') with ``lengths`` (B,) valid
        frames; None: all.
        """
        low, low_lengths = self.backbone.down(features, lengths)
        low = self.backbone.conformer(low, low_lengths)
        return Encoded(low, features.shape[1], low_lengths, lengths)

    def refine(self, encoded: Encoded) -> tuple[Queries, Tensor]:
        """Return the refined queries and E at the low rate (B, T', D)."""
        factor = self.backbone.factor
        step = max(1, piece_size(encoded.memory) // factor)
        coarse = torch.empty_like(encoded.memory)
        for low in range(0, coarse.shape[1], step):
            first = low * factor
            last = min(first + step * factor, encoded.num_frames)
            lengths = encoded.frame_lengths
            lengths = None if lengths is None else (lengths - first).clamp(0, last - first)
            part = self.frames(encoded, first, last)
            coarse[:, low : low + step] = downsample(part, lengths, factor)
        embeddings, activities, _ = self.decoder.refine(coarse, encoded.memory, encoded.lengths)
        return Queries(embeddings[-1], activities[-1]), coarse

    def frames(self, encoded: Encoded, first: int, last: int) -> Tensor:
        """Return the frames [first, last) of E (B, last - first, D); ``first`` must be a
        multiple of ``factor``.
        """
        factor = self.backbone.factor
        low = first // factor
        part = self.backbone.up.part(encoded.memory, encoded.lengths, low, -(-last // factor))
        return part[:, : last - first]

    @property
    def factor(self) -> int:
        """Number of frames of the grid per frame of the encoder."""
        return self.backbone.factor

    @property
    def dim(self) -> int:
        """Dimension of the latent sequences."""
        return self.options.backbone.dim

    @property
    def num_queries(self) -> int:
        """Number of queries."""
        return self.options.decoder.queries
