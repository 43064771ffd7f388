"""The whole self-supervised model, with its Transformer, as a front-end (an ablation)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from diarize.checks import require
from diarize.errors import DiarizeError
from diarize.features.recording import Samples
from diarize.features.ssl_conv import CHANNELS, FROM_INIT_MODEL, SslConv, SslConvOptions
from diarize.features.ssl_weights import check_tensors, encoder_state, read_state


@dataclass(frozen=True)
class SslFullOptions:
    """Options of the whole self-supervised model; the sizes are those of MMS 300M."""

    conv: SslConvOptions = field(default_factory=SslConvOptions)
    """Front-end and source of the weights of both parts; with weights null all layers are
    trained from scratch.
    """
    dim: int = 1024
    """Dimension of the Transformer."""
    layers: int = 24
    """Number of Transformer layers."""
    heads: int = 16
    """Number of attention heads."""
    ff_dim: int = 4096
    """Inner dimension of the feed-forward layers."""
    layer: int | None = None
    """Layer whose output is used, from 1; null: the whole model with its final layer norm."""

    def __post_init__(self) -> None:
        require(self.layer is None or 1 <= self.layer <= self.layers, "layer", self.layer,
                f"from 1 to {self.layers}")


class SslFull(nn.Module):
    """Pooled output (B, T, dim) of a wav2vec 2.0-type model for waveforms."""

    def __init__(self, options: SslFullOptions) -> None:
        super().__init__()
        from torchaudio.models import wav2vec2_model

        o = self.options = options
        self.conv = SslConv(o.conv)
        self.grid = self.conv.grid
        layers = [(CHANNELS, layer.conv.kernel_size[0], layer.conv.stride[0])
                  for layer in self.conv.conv_layers]
        whole = wav2vec2_model(
            extractor_mode="layer_norm",
            extractor_conv_layer_config=layers,
            extractor_conv_bias=True,
            encoder_embed_dim=o.dim,
            encoder_projection_dropout=0.0,
            encoder_pos_conv_kernel=128,
            encoder_pos_conv_groups=16,
            encoder_num_layers=o.layers,
            encoder_num_heads=o.heads,
            encoder_attention_dropout=0.0,
            encoder_ff_interm_features=o.ff_dim,
            encoder_ff_interm_dropout=0.0,
            encoder_dropout=0.0,
            encoder_layer_norm_first=True,
            encoder_layer_drop=0.0,
            aux_num_out=None,
        )
        self.encoder = whole.encoder
        if not o.conv.trained:
            self.encoder.requires_grad_(False)

    # Whether `open_recording` keeps the features of the whole recording.
    keeps_features = False

    @property
    def output_dim(self) -> int:
        """Number of features per frame."""
        return self.options.dim

    def load_pretrained(self) -> None:
        """Load both parts according to the options; see `SslConv.load_pretrained`."""
        o = self.options.conv
        if o.weights is None or o.weights == FROM_INIT_MODEL:
            self.conv.load_pretrained()
            return
        state = read_state(o.weights, o.cache)
        self.conv.load_tensors(state)
        found = encoder_state(state)
        if not found:
            raise DiarizeError(
                f"{o.weights} holds convolutional layers only; the full model needs the "
                "checkpoint that it was converted from"
            )
        check_tensors(o.weights, self.encoder.state_dict(), found)
        self.encoder.load_state_dict(found)

    def check_filled(self) -> None:
        """Raise DiarizeError if the model is frozen and still random."""
        self.conv.check_filled()

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, T, dim) and lengths (B,) for ``waveforms`` (B, n)."""
        frames, lengths = self.conv.frames(waveforms, num_samples)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.options.conv.trained):
            frames = self._transform(frames, lengths)
        return self.conv.pool(frames, lengths, num_samples)

    def open_recording(self, samples: Samples) -> Callable[[int, int], Tensor]:
        """Return a function that returns the features of frames [first, last) of a recording.

        See `SslConv.open_recording`; the input of the Transformer is the requested frames only.
        """
        scale = self.conv.levels(samples)

        def features(first: int, last: int) -> Tensor:
            frames, lengths = self.conv.frames_of(samples, scale, first, last)
            return self.conv.pool(self._transform(frames, lengths), lengths, lengths)[0]

        return features

    def _transform(self, frames: Tensor, lengths: Tensor) -> Tensor:
        if self.options.layer is None:
            return self.encoder(frames, lengths)
        return self.encoder.extract_features(frames, lengths, self.options.layer)[-1]
