"""The convolutional layers of wav2vec 2.0-type models as a front-end (SAGE-LD, Section 3.1).

A frame of the network sees 400 samples (25 ms at 16 kHz) and its hop is 320 samples (20 ms).
Frame t is centred on the middle of samples [320 t, 320 (t + 1)), so that it belongs to frame
t of the labels.  This requires 40 zeros before the recording, and zeros after it to complete the
last frame.  Mean pooling over 5 or 10 frames yields the 105 and 205 ms settings.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diarize.errors import DiarizeError
from diarize.features.recording import Samples
from diarize.features.ssl_weights import check_tensors, conv_state, read_state
from diarize.nn.attention import length_mask
from diarize.timebase import FrameGrid

SAMPLE_RATE = 16000
CHANNELS = 512
KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
HOP = 320
FIELD = 400
# Half the difference between window and hop.
_LEAD = (FIELD - HOP) // 2
FROM_INIT_MODEL = "init"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SslConvOptions:
    """Options of the convolutional front-end: its weights, and the processing of its frames."""

    weights: str | None = None
    """Checkpoint (names of fairseq, Hugging Face or torchaudio, or converted by
    diarize-convert-ssl), ``torchaudio:MMS_FA``, ``init`` (from --init-model), or null: none, the
    layers are trained from scratch regardless of ``frozen``.
    """
    cache: str | None = None
    """Directory for the download of ``torchaudio:...``; required for a download."""
    frozen: bool = True
    """Do not train the weights."""
    pooling: Literal[1, 5, 10] = 1
    """Frames that are averaged to one: 1, 5, 10 are the settings of 25, 105, 205 ms."""
    normalize: bool = True
    """Scale each recording to zero mean and unit variance, as in the training of MMS."""

    @property
    def trained(self) -> bool:
        """Whether the layers are trained."""
        return not self.frozen or self.weights is None


class ConvLayer(nn.Module):
    """Convolution without padding, layer norm over the channels of each frame, GELU."""

    def __init__(self, in_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, CHANNELS, kernel, stride)
        self.layer_norm = nn.LayerNorm(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, (T - kernel) // stride + 1) for ``x`` (B, C', T)."""
        x = self.layer_norm(self.conv(x).transpose(1, 2))
        return F.gelu(x).transpose(1, 2)


class SslConv(nn.Module):
    """Pooled convolutional features (B, T, 512) of waveforms.

    No layer has statistics over time, so the features of a recording depend neither on padding
    nor on its batch.
    """

    def __init__(self, options: SslConvOptions) -> None:
        super().__init__()
        self.options = options
        self.grid = FrameGrid(SAMPLE_RATE, HOP * options.pooling)
        sizes = zip((1, *[CHANNELS] * 6), KERNELS, STRIDES, strict=True)
        self.conv_layers = nn.ModuleList(ConvLayer(*size) for size in sizes)
        for layer in self.conv_layers:
            nn.init.kaiming_normal_(layer.conv.weight)
        if not options.trained:
            self.conv_layers.requires_grad_(False)
        # Saved with the weights: frozen layers that were never filled are an error.
        self.register_buffer("filled", torch.tensor(options.trained))

    # Whether `open_recording` keeps the features of the whole recording.
    keeps_features = False

    @property
    def output_dim(self) -> int:
        """Number of features per frame."""
        return CHANNELS

    def load_pretrained(self) -> None:
        """Load the layers according to the options, with a warning if they remain random.

        Raises DiarizeError, listing the tensors, for a checkpoint of another architecture.
        """
        if self.options.weights is None:
            _log.warning(
                "WARNING: no weights for the convolutional front-end (features: weights): its "
                "layers start from random numbers and are trained; this is not the paper's model"
            )
        elif self.options.weights != FROM_INIT_MODEL:
            self.load_tensors(read_state(self.options.weights, self.options.cache))

    def load_tensors(self, state: dict[str, Tensor]) -> None:
        """Load the layers from ``state``, a whole checkpoint in any known naming."""
        found = conv_state(state)
        wanted = {f"conv_layers.{k}": v for k, v in self.conv_layers.state_dict().items()}
        check_tensors(str(self.options.weights), wanted, found)
        with torch.no_grad():
            for name, tensor in wanted.items():
                tensor.copy_(found[name])
            self.filled.fill_(True)

    def check_filled(self) -> None:
        """Raise DiarizeError if the layers are frozen and still random."""
        if not bool(self.filled):
            raise DiarizeError(
                f"the frozen convolutional front-end has no weights: 'weights: "
                f"{self.options.weights}' wants --init-model with a model that has them"
            )

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, T, 512) and lengths (B,) for ``waveforms`` (B, n).

        T is the number of frames of ``grid``; frames after the end of a recording are 0.
        """
        frames, lengths = self.frames(waveforms, num_samples)
        return self.pool(frames, lengths, num_samples)

    def frames(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames at 20 ms (B, T pooling, 512), and the number of valid ones (B,)."""
        count = self.grid.num_frames(waveforms.shape[1]) * self.options.pooling
        waveforms = self._prepared(waveforms, num_samples)
        right = (count - 1) * HOP + FIELD - _LEAD - waveforms.shape[1]
        padded = F.pad(waveforms, (_LEAD, right))
        # The part of the last pooled frame after the end of the recording is not counted.
        lengths = torch.minimum(
            _nearest(num_samples, HOP), self._num_frames(num_samples) * self.options.pooling
        )
        if torch.is_grad_enabled() and self.options.trained:
            return self.extract(padded), lengths
        with torch.no_grad():
            return self._extract_in_pieces(padded, count), lengths

    def extract(self, waveforms: Tensor) -> Tensor:
        """Return (B, T, 512), the output of the layers for ``waveforms`` (B, n) as given."""
        x = waveforms[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x.transpose(1, 2)

    def pool(
        self, frames: Tensor, lengths: Tensor, num_samples: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the means of ``pooling`` valid frames each, and their number (B,)."""
        factor = self.options.pooling
        valid = length_mask(lengths, frames.shape[1])
        frames = frames.masked_fill(~valid[..., None], 0.0)
        if factor == 1:
            return frames, lengths
        sums = frames.unflatten(1, (-1, factor)).sum(2)  # (B, T, 512)
        counts = valid.unflatten(1, (-1, factor)).sum(2, keepdim=True)  # (B, T, 1)
        return sums / counts.clamp(min=1), self._num_frames(num_samples)

    def open_recording(self, samples: Samples) -> Callable[[int, int], Tensor]:
        """Return a function that returns the features of the frames [first, last) of a recording,
        (1, last - first, 512), as ``forward`` computes them from all its samples.

        With ``normalize`` the audio is read once for its mean and variance; it is read
        again for the features.
        """
        scale = self.levels(samples)

        def features(first: int, last: int) -> Tensor:
            frames, lengths = self.frames_of(samples, scale, first, last)
            return self.pool(frames, lengths, lengths)[0]

        return features

    def levels(self, samples: Samples) -> tuple[float, float]:
        """Return the offset that is subtracted from every sample, and the factor applied then."""
        if not self.options.normalize:
            return 0.0, 1.0
        total = squares = 0.0
        for block in samples.blocks():
            total += float(block.sum(dtype=torch.float64))
            squares += float(block.double().square().sum())
        mean = total / samples.num_samples
        variance = max(0.0, squares / samples.num_samples - mean * mean)
        return mean, (variance + 1e-5) ** -0.5

    @torch.no_grad()
    def frames_of(
        self, samples: Samples, scale: tuple[float, float], first: int, last: int
    ) -> tuple[Tensor, Tensor]:
        """Return the 20 ms frames of the pooled frames [first, last), (1, T, 512), and the
        number of valid ones (1,), as in `frames`.
        """
        pooling, total = self.options.pooling, samples.num_samples
        begin, end = first * pooling, last * pooling
        step = max(1, (1 << (22 if self.filled.is_cuda else 16)) // HOP)
        out = None
        for low in range(begin, end, step):
            high = min(low + step, end)
            start, stop = low * HOP - _LEAD, (high - 1) * HOP + FIELD - _LEAD
            read = samples.read(max(0, start), min(stop, total))
            part = F.pad((read - scale[0]) * scale[1], (max(0, -start), max(0, stop - total)))
            part = self.extract(part[None])
            if out is None:
                out = part.new_empty(1, end - begin, part.shape[2])
            out[:, low - begin : high - begin] = part
        valid = min((total + HOP // 2) // HOP, self.grid.num_frames(total) * pooling)
        valid = min(max(valid - begin, 0), end - begin)
        return out, torch.tensor([valid], device=out.device)

    def _num_frames(self, num_samples: Tensor) -> Tensor:
        return _nearest(num_samples, self.grid.hop)

    def _prepared(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        inside = length_mask(num_samples, waveforms.shape[1])
        waveforms = waveforms.float().masked_fill(~inside, 0.0)
        if not self.options.normalize:
            return waveforms
        total = num_samples.clamp(min=1)[:, None]
        mean = waveforms.sum(1, keepdim=True) / total
        centred = (waveforms - mean).masked_fill(~inside, 0.0)
        variance = centred.square().sum(1, keepdim=True) / total
        return centred * torch.rsqrt(variance + 1e-5)

    def _extract_in_pieces(self, padded: Tensor, count: int) -> Tensor:
        """Return `extract` of ``padded``, in pieces: an hour at once would require 20 GB."""
        limit = 1 << (22 if padded.is_cuda else 16)
        step = max(1, limit // (padded.shape[0] * HOP))
        parts = [
            self.extract(padded[:, i * HOP : (min(i + step, count) - 1) * HOP + FIELD])
            for i in range(0, count, step)
        ]
        return torch.cat(parts, dim=1)




def _nearest(num_samples: Tensor, hop: int) -> Tensor:
    """Return ``FrameGrid.num_frames`` of each element."""
    return torch.div(num_samples + hop // 2, hop, rounding_mode="floor")
