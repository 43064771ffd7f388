"""Whole self-supervised models as front-ends: wav2vec 2.0, HuBERT, XLS-R, MMS and WavLM.

The Transformer is torchaudio's.  Its layers are called one by one with the lengths of the
recordings, so that padding and batch composition change nothing, with gradient checkpointing on
request.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diarize.checks import at_least, require
from diarize.errors import DiarizeError
from diarize.features.recording import Samples
from diarize.features.ssl_conv import FROM_INIT_MODEL, SslConv, SslConvOptions
from diarize.features.ssl_layers import CHANNELS, KERNELS, STRIDES
from diarize.features.ssl_weights import check_tensors, encoder_state, read_state, section_of
from diarize.nn.attention import length_mask


@dataclass(frozen=True)
class SslFullOptions:
    """Options of the whole self-supervised model; the sizes are those of MMS 300M."""

    conv: SslConvOptions = field(default_factory=SslConvOptions)
    """Convolutional layers, and source of the weights of both parts; with weights null all layers
    are trained from scratch.
    """
    model: Literal["wav2vec2", "wavlm"] = "wav2vec2"
    """wav2vec2: also HuBERT, XLS-R and MMS; wavlm: gated relative positions in the attention."""
    dim: int = 1024
    """Dimension of the Transformer."""
    layers: int = 24
    """Number of Transformer layers."""
    heads: int = 16
    """Number of attention heads."""
    ff_dim: int = 4096
    """Inner dimension of the feed-forward layers."""
    norm_first: bool = True
    """Layer norm before attention and feed-forward (MMS, XLS-R, the large models); false: after
    them (the base models).
    """
    layer: int | None = None
    """Layer whose output is used, from 1; null: the whole model with its final layer norm."""
    weighted_sum: bool = False
    """Use the sum of the input of the first layer and the outputs of all layers, with learned
    weights (softmax).
    """
    frozen: bool = True
    """Do not train the Transformer; the convolutional layers have ``conv.frozen``."""

    def __post_init__(self) -> None:
        at_least(1, dim=self.dim, layers=self.layers, heads=self.heads, ff_dim=self.ff_dim)
        require(self.layer is None or 1 <= self.layer <= self.layers, "layer", self.layer,
                f"from 1 to {self.layers}")
        require(not self.weighted_sum or self.layer is None, "layer", self.layer,
                "null with weighted_sum, which uses all layers")

    @property
    def trained(self) -> bool:
        """Whether the Transformer is trained."""
        return not self.frozen or self.conv.weights is None


class SslFull(nn.Module):
    """Pooled output (B, T, dim) of a self-supervised model for waveforms."""

    def __init__(self, options: SslFullOptions) -> None:
        super().__init__()
        o = self.options = options
        self.conv = SslConv(o.conv)
        self.grid = self.conv.grid
        self.encoder = _make_encoder(o)
        self.encoder.pretrained = True  # as SslConv
        self.layer_weights = nn.Parameter(torch.zeros(o.layers + 1)) if o.weighted_sum else None
        # Set by the trainer: layers are computed again in the backward pass.
        self.checkpointing = False
        if not o.trained:
            self.encoder.requires_grad_(False)
        if o.layer is not None:  # in several processes every trained parameter must be used
            self.encoder.transformer.layers[o.layer :].requires_grad_(False)
            if o.norm_first:
                self.encoder.transformer.layer_norm.requires_grad_(False)

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
        self.load_tensors(read_state(o.weights, o.cache))

    def load_tensors(self, state: dict[str, Tensor]) -> None:
        """Load both parts from ``state``, a whole checkpoint in any known naming."""
        source = str(self.options.conv.weights)
        self.conv.load_tensors(state)
        found = encoder_state(state)
        if not found:
            raise DiarizeError(
                f"{source} contains convolutional layers only; the full model needs the "
                "checkpoint that it was converted from, or diarize-convert-ssl --full"
            )
        check_tensors(source, self.encoder.state_dict(), found, section_of(state))
        self.encoder.load_state_dict(found)

    def check_filled(self) -> None:
        """Raise DiarizeError if the model is frozen and still random."""
        self.conv.check_filled()

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, T, dim) and lengths (B,) for ``waveforms`` (B, n)."""
        frames, lengths = self.conv.frames(waveforms, num_samples)
        return self.conv.pool(self.transform(frames, lengths), lengths, num_samples)

    def open_recording(self, samples: Samples) -> Callable[[int, int], Tensor]:
        """Return a function that returns the features of frames [first, last) of a recording.

        See `SslConv.open_recording`; the input of the Transformer is the requested frames only.
        """
        levels = self.conv.levels(samples)

        def features(first: int, last: int) -> Tensor:
            frames, lengths = self.conv.frames_of(samples, levels, first, last)
            return self.conv.pool(self.transform(frames, lengths), lengths, lengths)[0]

        return features

    def transform(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return (B, T, dim) for 20 ms frames (B, T, 512), the first ``lengths`` (B,) valid."""
        o = self.options
        weights = None if self.layer_weights is None else self.layer_weights.softmax(0)
        total: Tensor | float = 0.0
        for index, state in enumerate(self._states(frames, lengths)):
            if weights is not None:
                total = total + weights[index] * state
            elif index == o.layer:
                return state
        return state if weights is None else total

    def _states(self, frames: Tensor, lengths: Tensor) -> Iterator[Tensor]:
        """Yield the input of the first layer and the output of each (B, T, dim)."""
        transformer = self.encoder.transformer
        # A frame at least, since attention needs one.
        valid = length_mask(lengths.clamp(min=1), frames.shape[1])
        masks = self._masks(valid)
        bias = None
        with self._gradients():
            x = self.encoder.feature_projection(frames).masked_fill(~valid[..., None], 0.0)
            x = x + transformer.pos_conv_embed(x)
            if not self.options.norm_first:
                x = transformer.layer_norm(x)
        yield x
        for index, layer in enumerate(transformer.layers, 1):
            with self._gradients():
                if self.checkpointing and torch.is_grad_enabled():
                    x, bias = checkpoint(layer, x, position_bias=bias, use_reentrant=False, **masks)
                else:
                    x, bias = layer(x, position_bias=bias, **masks)
                last = index == self.options.layers and self.options.norm_first
            yield transformer.layer_norm(x) if last and self.options.layer is None else x

    def _masks(self, valid: Tensor) -> dict[str, Tensor]:
        """Return the mask that the attention of the model takes for ``valid`` frames (B, T)."""
        if self.options.model == "wavlm":
            padding = torch.zeros(valid.shape, device=valid.device)
            return {"key_padding_mask": padding.masked_fill(~valid, float("-inf"))}
        return {"attention_mask": valid[:, None, None].expand(-1, 1, valid.shape[1], -1)}

    def _gradients(self) -> Any:
        return torch.set_grad_enabled(torch.is_grad_enabled() and self.options.trained)


def _make_encoder(options: SslFullOptions) -> nn.Module:
    """Return torchaudio's encoder with random weights, without dropout."""
    from torchaudio.models import wav2vec2_model, wavlm_model

    o = options
    common = {
        # Of the smallest size: SslConv has the layers.
        "extractor_mode": "group_norm",
        "extractor_conv_layer_config": [(CHANNELS, KERNELS[0], STRIDES[0])],
        "extractor_conv_bias": False,
        "encoder_embed_dim": o.dim,
        "encoder_projection_dropout": 0.0,
        "encoder_pos_conv_kernel": 128,
        "encoder_pos_conv_groups": 16,
        "encoder_num_layers": o.layers,
        "encoder_num_heads": o.heads,
        "encoder_attention_dropout": 0.0,
        "encoder_ff_interm_features": o.ff_dim,
        "encoder_ff_interm_dropout": 0.0,
        "encoder_dropout": 0.0,
        "encoder_layer_norm_first": o.norm_first,
        "encoder_layer_drop": 0.0,
        "aux_num_out": None,
    }
    if o.model == "wavlm":
        return wavlm_model(encoder_num_buckets=320, encoder_max_distance=800, **common).encoder
    return wav2vec2_model(**common).encoder
