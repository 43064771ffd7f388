"""SAGE-LD: language diarization by learnable queries (arXiv 2510.00582)."""

from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor, nn

from diarize.checks import require
from diarize.errors import DiarizeError
from diarize.features.front_end import FrontEndName, make_front_end
from diarize.features.logmel import LogMelOptions
from diarize.features.ssl_conv import SslConvOptions
from diarize.features.ssl_full import SslFullOptions
from diarize.models.eend_m2f import DecoderOptions
from diarize.nn.conformer import Conformer
from diarize.nn.outputs import Encoded, Queries, QueryPredictions
from diarize.nn.query_decoder import QueryDecoder


@dataclass(frozen=True)
class EncoderOptions:
    """Sizes of the Conformer encoder after its input Linear (Section 3.1)."""

    dim: int = 512
    """Dimension D of the latent sequence."""
    layers: int = 6
    """Number of Conformer layers."""
    heads: int = 8
    """Number of attention heads."""
    ff_dim: int = 2048
    """Inner dimension of the feed-forward layers."""
    kernel: int = 31
    """Kernel of the Conformer's convolution, in frames."""
    dropout: float = 0.1
    """Dropout probability."""


@dataclass(frozen=True)
class SageLdOptions:
    """Options of the whole model; the defaults are the paper's."""

    name: Literal["sage_ld"] = "sage_ld"
    """Name of the model."""
    front_end: FrontEndName = "ssl_conv"
    """Section of the features in use; the other two are ignored."""
    ssl_conv: SslConvOptions = field(default_factory=SslConvOptions)
    """Convolutional layers of a self-supervised model."""
    ssl_full: SslFullOptions = field(default_factory=SslFullOptions)
    """The whole self-supervised model."""
    log_mel: LogMelOptions = field(default_factory=lambda: LogMelOptions(hop_ms=20.0, num_mels=80))
    """Log-mel features, with the hop of the other front-ends."""
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    """Conformer encoder."""
    decoder: DecoderOptions = field(
        default_factory=lambda: DecoderOptions(queries=5, layers=4, heads=8, ff_dim=2048)
    )
    """Query decoder of EEND-M2F; its first query is the VAD slot."""
    languages: list[str] = field(default_factory=list)
    """Names of the languages of the language head; empty: no head."""

    def __post_init__(self) -> None:
        queries = self.decoder.queries
        require(queries >= 2, "decoder.queries", queries, "2 or more (one is the VAD slot)")
        if len(set(self.languages)) != len(self.languages):
            raise DiarizeError(f"languages contains a name twice: {self.languages}")
        for name in self.languages:
            require(name.split() == [name], "languages", name, "names without spaces")


class Encoder(nn.Module):
    """Latent sequence E from features: Linear, then Conformer layers."""

    def __init__(self, in_dim: int, options: EncoderOptions) -> None:
        super().__init__()
        o = options
        self.linear = nn.Linear(in_dim, o.dim)
        self.dropout = nn.Dropout(o.dropout)
        self.conformer = Conformer(o.dim, o.layers, o.heads, o.ff_dim, o.kernel, o.dropout)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return E (B, T, D) for ``features`` (B, T, D')."""
        return self.conformer(self.dropout(self.linear(features)), lengths)


class SageLd(nn.Module):
    """SAGE-LD: masks of speech (query 0) and of languages, at the front-end's frame rate."""

    fixed_queries = 1
    capacity_option = "model.decoder.queries"

    def __init__(self, options: SageLdOptions) -> None:
        super().__init__()
        self.options = options
        self.features = make_front_end(
            options.front_end, options.log_mel, options.ssl_conv, options.ssl_full
        )
        self.grid = self.features.grid
        self.encoder = Encoder(self.features.output_dim, options.encoder)
        dim, d = options.encoder.dim, options.decoder
        self.decoder = QueryDecoder(
            dim, d.queries, d.layers, d.heads, d.ff_dim, d.dropout, d.masked_attention
        )
        self.language_head = nn.Linear(dim, len(options.languages)) if options.languages else None

    @property
    def dim(self) -> int:
        """Dimension of the latent sequence."""
        return self.options.encoder.dim

    @property
    def num_queries(self) -> int:
        """Number of queries, with that of speech."""
        return self.options.decoder.queries

    @property
    def labels(self) -> list[str]:
        """Names of the languages of ``label_logits``."""
        return list(self.options.languages)

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> QueryPredictions:
        """Return the predictions for ``waveforms`` (B, n) with ``num_samples`` (B,) valid ones."""
        features, lengths = self.features(waveforms, num_samples)
        frames = self.encoder(features, lengths)
        predictions = self.decoder(frames, lengths, frames, lengths, 1)
        if self.language_head is None:
            return predictions
        return replace(
            predictions,
            label_logits=self.language_head(predictions.queries),
            frame_label_logits=self.language_head(frames) if self.training else None,
        )

    # The same in steps, for inference; see EendM2f.

    factor = 1

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Encoded:
        """Return E of ``features`` (B, T, D') with ``lengths`` (B,) valid frames; None: all."""
        return Encoded(self.encoder(features, lengths), features.shape[1], lengths, lengths)

    def refine(self, encoded: Encoded) -> tuple[Queries, Tensor]:
        """Return the refined queries and E (B, T, D)."""
        memory = encoded.memory
        embeddings, activities, refined = self.decoder.refine(memory, memory, encoded.lengths)
        head = self.language_head
        labels = None if head is None else head(refined[-1])
        return Queries(embeddings[-1], activities[-1], labels), memory

    def frames(self, encoded: Encoded, first: int, last: int) -> Tensor:
        """Return the frames [first, last) of E (B, last - first, D)."""
        return encoded.memory[:, first:last]
