"""The convolutional layers of wav2vec 2.0-type models as a front-end (SAGE-LD, Section 3.1).

A frame of the network sees 400 samples (25 ms at 16 kHz) and its hop is 320 samples (20 ms).
Frame t is centred on the middle of samples [320 t, 320 (t + 1)), so that it belongs to frame
t of the labels.  This requires 40 zeros before the recording, and zeros after it to complete the
last frame.  Mean pooling over 5 or 10 frames yields the 105 and 205 ms settings.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diarize.errors import DiarizeError
from diarize.features.recording import Samples
from diarize.features.ssl_layers import (
    CHANNELS,
    FIELD,
    HOP,
    Moments,
    Norm,
    RunningMoments,
    first_frames,
    make_layers,
    whole_moments,
)
from diarize.features.ssl_weights import check_tensors, conv_state, read_state, section_of
from diarize.nn.attention import length_mask
from diarize.timebase import FrameGrid

SAMPLE_RATE = 16000
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
    norm: Norm = "layer"
    """layer: layer norm after each convolution (MMS, XLS-R, the large models); group: group norm
    over the recording after the first one (the base models).
    """
    bias: bool = True
    """Whether the convolutions have a bias: MMS, XLS-R and wav2vec 2.0 LV-60 do."""

    @property
    def trained(self) -> bool:
        """Whether the layers are trained."""
        return not self.frozen or self.weights is None


class Levels(NamedTuple):
    """Offset that is subtracted from each sample, factor, and the moments of a group norm."""

    offset: float
    factor: float
    moments: Moments | None


class SslConv(nn.Module):
    """Pooled convolutional features (B, T, 512) of waveforms.

    The features of a recording depend neither on padding nor on its batch: the statistics of a
    group norm are those of the recording and the zeros around it that complete its frames.
    """

    def __init__(self, options: SslConvOptions) -> None:
        super().__init__()
        self.options = options
        self.grid = FrameGrid(SAMPLE_RATE, HOP * options.pooling)
        self.conv_layers = make_layers(options.norm, options.bias)
        if not options.trained:
            self.conv_layers.requires_grad_(False)
        # Saved with the weights: frozen layers that were never filled are an error.
        self.register_buffer("filled", torch.tensor(options.trained))

    # Whether `open_recording` keeps the features of the whole recording.
    keeps_features = False
    # Whether the weights are those of a pretrained model: train.optimizer.pretrained_ratio.
    pretrained = True

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
        check_tensors(str(self.options.weights), wanted, found, section_of(state))
        with torch.no_grad():
            for name, tensor in wanted.items():
                tensor.copy_(found[name])
            self.filled.fill_(True)

    def check_filled(self) -> None:
        """Raise DiarizeError if the layers are frozen and still random."""
        if not bool(self.filled):
            raise DiarizeError(
                f"the frozen convolutional front-end has no weights: 'weights: "
                f"{self.options.weights}' requires --init-model with a model that contains them"
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
        first = self.conv_layers[0].conv
        valid = first_frames(self._num_frames(num_samples) * self.options.pooling)
        if torch.is_grad_enabled() and self.options.trained:
            moments = whole_moments(first, padded, valid) if self._grouped else None
            return self.extract(padded, moments), lengths
        with torch.no_grad():
            pieces = self._pieces(padded, count)
            moments = None
            if self._grouped:
                running = RunningMoments(first, valid)
                for low, high, piece in pieces:
                    running.add(piece, low, high, high == count)
                moments = running.moments()
            parts = [self.extract(piece, moments) for _, _, piece in pieces]
            return torch.cat(parts, dim=1), lengths

    def extract(self, waveforms: Tensor, moments: Moments | None = None) -> Tensor:
        """Return (B, T, 512), the output of the layers for ``waveforms`` (B, n) as given.

        ``moments`` are those of the group norm, if the model has one.
        """
        x = waveforms[:, None]
        for layer in self.conv_layers:
            x = layer(x, moments)
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

        The audio is read once for its mean and variance with ``normalize``, once for the moments
        of a group norm, and again for the features.
        """
        levels = self.levels(samples)

        def features(first: int, last: int) -> Tensor:
            frames, lengths = self.frames_of(samples, levels, first, last)
            return self.pool(frames, lengths, lengths)[0]

        return features

    def levels(self, samples: Samples) -> Levels:
        """Return what the features of a recording require from its whole."""
        offset, factor = 0.0, 1.0
        if self.options.normalize:
            total = squares = 0.0
            for block in samples.blocks():
                total += float(block.sum(dtype=torch.float64))
                squares += float(block.double().square().sum())
            offset = total / samples.num_samples
            variance = max(0.0, squares / samples.num_samples - offset * offset)
            factor = (variance + 1e-5) ** -0.5
        levels = Levels(offset, factor, None)
        if not self._grouped:
            return levels
        count = self.grid.num_frames(samples.num_samples) * self.options.pooling
        valid = first_frames(torch.tensor([count], device=self.filled.device))
        running = RunningMoments(self.conv_layers[0].conv, valid)
        for low, high, piece in self._parts(samples, levels, 0, count):
            running.add(piece, low, high, high == count)
        return levels._replace(moments=running.moments())

    @torch.no_grad()
    def frames_of(
        self, samples: Samples, levels: Levels, first: int, last: int
    ) -> tuple[Tensor, Tensor]:
        """Return the 20 ms frames of the pooled frames [first, last), (1, T, 512), and the
        number of valid ones (1,), as in `frames`.
        """
        pooling, total = self.options.pooling, samples.num_samples
        begin, end = first * pooling, last * pooling
        out = None
        for low, high, piece in self._parts(samples, levels, begin, end):
            part = self.extract(piece, levels.moments)
            if out is None:
                out = part.new_empty(1, end - begin, part.shape[2])
            out[:, low - begin : high - begin] = part
        valid = min((total + HOP // 2) // HOP, self.grid.num_frames(total) * pooling)
        valid = min(max(valid - begin, 0), end - begin)
        return out, torch.tensor([valid], device=out.device)

    def _parts(
        self, samples: Samples, levels: Levels, begin: int, end: int
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Yield (low, high, samples) for successive 20 ms frames of [begin, end)."""
        step = max(1, (1 << (22 if self.filled.is_cuda else 16)) // HOP)
        total = samples.num_samples
        for low in range(begin, end, step):
            high = min(low + step, end)
            start, stop = low * HOP - _LEAD, (high - 1) * HOP + FIELD - _LEAD
            read = (samples.read(max(0, start), min(stop, total)) - levels.offset) * levels.factor
            yield low, high, F.pad(read, (max(0, -start), max(0, stop - total)))[None]

    @property
    def _grouped(self) -> bool:
        return self.options.norm == "group"

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

    def _pieces(self, padded: Tensor, count: int) -> list[tuple[int, int, Tensor]]:
        """Return (low, high, samples) of successive frames: an hour at once would require 20 GB."""
        limit = 1 << (22 if padded.is_cuda else 16)
        step = max(1, limit // (padded.shape[0] * HOP))
        return [
            (low, min(low + step, count),
             padded[:, low * HOP : (min(low + step, count) - 1) * HOP + FIELD])
            for low in range(0, count, step)
        ]


def _nearest(num_samples: Tensor, hop: int) -> Tensor:
    """Return ``FrameGrid.num_frames`` of each element."""
    return torch.div(num_samples + hop // 2, hop, rounding_mode="floor")
