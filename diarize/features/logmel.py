"""Log-mel filterbank features, with the same code on CPU and GPU."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diarize.checks import at_least, at_most, positive, require
from diarize.errors import DiarizeError
from diarize.features.recording import Samples
from diarize.nn.attention import length_mask
from diarize.timebase import FrameGrid

_MEAN_BLOCK = 1 << 16  # frames


@dataclass(frozen=True)
class LogMelOptions:
    """Settings of the log-mel features; the defaults are those of EEND-M2F, Section 4.2."""

    sample_rate: int = 16000
    """Sample rate of the model in Hz; recordings are resampled to it."""
    window_ms: float = 25.0
    """Length of the analysis window in ms."""
    hop_ms: float = 10.0
    """Distance of frames in ms; it defines the frame grid of the model."""
    num_mels: int = 23
    """Number of mel bands."""
    floor: float = 1e-8
    """Smallest mel energy; its logarithm is the smallest feature."""
    stack: int = 1
    """Each frame is the concatenation of this number of windows, hop / stack apart."""
    normalize: Literal["none", "mean"] = "mean"
    """mean: the mean of each recording is removed; none."""
    remove_offset: bool = True
    """Subtract the mean of each window from its samples, as remove_dc_offset of Kaldi."""
    context: int = 0
    """Frames on each side that are appended to a frame (spliced); zeros outside a recording."""
    subsampling: int = 1
    """One of this number of frames is kept, after splicing: the frame grid has
    ``hop_ms`` x ``subsampling``.
    """

    def __post_init__(self) -> None:
        at_least(1, sample_rate=self.sample_rate, num_mels=self.num_mels, stack=self.stack)
        # At least one sample each.
        shortest = 1000 / self.sample_rate
        at_least(shortest, window_ms=self.window_ms, hop_ms=self.hop_ms)
        # Longer windows and more bands are no features of speech, and reserve gigabytes.
        at_most(1000, window_ms=self.window_ms, hop_ms=self.hop_ms, num_mels=self.num_mels)
        positive(floor=self.floor)  # its logarithm is computed
        at_least(0, context=self.context)
        at_least(1, subsampling=self.subsampling)
        require(2 * self.context + 1 >= self.subsampling, "context", self.context,
                f"{self.subsampling // 2} or more with a subsampling of {self.subsampling}, which "
                "would skip frames")


class LogMel(nn.Module):
    """Log-mel frames of waveforms, optionally with the mean of each recording removed."""

    def __init__(self, options: LogMelOptions) -> None:
        super().__init__()
        from torchaudio.functional import melscale_fbanks

        self.options = options
        self.hop = round(options.sample_rate * options.hop_ms / 1000)
        self.grid = FrameGrid(options.sample_rate, self.hop * options.subsampling)
        if self.hop % options.stack:
            raise DiarizeError(
                f"log-mel features: a hop of {self.hop} samples cannot be divided into "
                f"{options.stack} (stack)"
            )
        self.window_length = round(options.sample_rate * options.window_ms / 1000)
        self.fft_length = 1 << (self.window_length - 1).bit_length()
        # Zeros around the window make it as long as the transform.
        left = (self.fft_length - self.window_length) // 2
        right = self.fft_length - self.window_length - left
        # Samples before a recording in its first window.  With an even subsampling the windows
        # are half a hop earlier, so that one is centred on the middle of each frame of the grid.
        lead = self.hop // 2 if options.subsampling % 2 == 0 else 0
        self._before = (self.fft_length - self.hop // options.stack) // 2 + lead
        self._inside = slice(left, left + self.window_length)
        window = F.pad(torch.hann_window(self.window_length, periodic=False), (left, right))
        self.register_buffer("window", window, persistent=False)
        bank = melscale_fbanks(
            self.fft_length // 2 + 1,
            20.0,
            options.sample_rate / 2,
            options.num_mels,
            options.sample_rate,
        )
        # Real and imaginary parts alternate: the sum of their squares is part of the product.
        self.register_buffer("bank", bank.repeat_interleave(2, dim=0), persistent=False)

    # Whether `open_recording` keeps the features of the whole recording.
    keeps_features = True

    @property
    def output_dim(self) -> int:
        """Number of features per frame."""
        o = self.options
        return o.num_mels * o.stack * (2 * o.context + 1)

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, T, D) and lengths (B,) for ``waveforms`` (B, n).

        Frame t is the window centred on the middle of samples [t hop, (t + 1) hop), or of each
        of ``stack`` equal parts of them, D = num_mels stack; outside a recording there are zeros.
        With ``subsampling`` it is centred on the middle of a frame of the grid, and with
        ``context`` it follows and precedes that number of windows, D = num_mels stack (2 context
        + 1).  Computed in float32.
        """
        stack = self.options.stack
        lengths = self._count(num_samples)
        hop = self.hop // stack
        num_windows = self._count(waveforms.shape[1]) * stack
        inside = length_mask(num_samples, waveforms.shape[1])
        waveforms = waveforms.float().masked_fill(~inside, 0.0)
        left = self._before
        right = (num_windows - 1) * hop + self.fft_length - left - waveforms.shape[1]
        with torch.no_grad(), torch.autocast(waveforms.device.type, enabled=False):
            padded = F.pad(waveforms, (left, right)).unfold(1, self.fft_length, hop)
            inside = F.pad(inside.float(), (left, right)).unfold(1, self.fft_length, hop)
            mel = self._mel(padded, inside)
            mel = mel.clamp(min=self.options.floor).log().unflatten(1, (-1, stack)).flatten(2)
            valid = length_mask(lengths, mel.shape[1])[..., None]
            mel = mel.masked_fill(~valid, 0.0)
            if self.options.normalize == "mean":
                mean = mel.sum(1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
                mel = (mel - mean).masked_fill(~valid, 0.0)
            if self.grid.hop == self.hop and not self.options.context:
                return mel, lengths
            mel = self._splice(mel, 0, self.grid.num_frames(waveforms.shape[1]))
            lengths = (num_samples + self.grid.hop // 2) // self.grid.hop
            return mel.masked_fill(~length_mask(lengths, mel.shape[1])[..., None], 0.0), lengths

    def _count(self, num_samples: Any) -> Any:
        """Return the number of frames, before subsampling, of ``num_samples`` samples."""
        return (num_samples + self.hop // 2) // self.hop

    def _splice(self, mel: Tensor, first: int, last: int) -> Tensor:
        """Return the frames [first, last) of the grid from all ``mel`` (B, L, D) of a recording."""
        context, factor = self.options.context, self.options.subsampling
        if not context and factor == 1:
            return mel[:, first:last]
        low = first * factor + factor // 2 - context
        high = (last - 1) * factor + factor // 2 + context + 1
        part = mel[:, max(0, low) : max(0, high)]
        left = max(0, -low)
        part = F.pad(part, (0, 0, left, max(0, high - low - left - part.shape[1])))
        return part.unfold(1, 2 * context + 1, factor).transpose(2, 3).flatten(2)

    def load_pretrained(self) -> None:
        """Load nothing: there are no weights."""

    def check_filled(self) -> None:
        """Pass: there are no weights."""

    def open_recording(self, samples: Samples) -> Callable[[int, int], Tensor]:
        """Return a function that returns the features of the frames [first, last) of a recording,
        (1, last - first, D), as ``forward`` computes them from all its samples.

        The audio is read once, in blocks, and the features of the whole are kept: 33 MB per
        hour with the defaults.
        """
        mel = self._stream(samples.blocks(), samples.num_samples)
        mel = mel.unflatten(0, (-1, self.options.stack)).flatten(1)
        if self.options.normalize == "mean":
            # In blocks: the mean in float64 would copy all features at twice their size.
            total = sum(block.sum(0, dtype=torch.float64) for block in mel.split(_MEAN_BLOCK))
            mel -= (total / len(mel)).float()
        return lambda first, last: self._splice(mel[None], first, last)

    def _stream(self, blocks: Iterable[Tensor], num_samples: int) -> Tensor:
        """Return the log-mel energies (windows, num_mels) of consecutive ``blocks`` of samples."""
        hop, size, left = self.hop // self.options.stack, self.fft_length, self._before
        total = self._count(num_samples) * self.options.stack
        out = self.bank.new_empty(total, self.options.num_mels)
        done, kept = 0, None
        before = left  # zeros at the beginning of ``kept``
        for block in blocks:
            kept = F.pad(block, (left, 0)) if kept is None else torch.cat([kept, block])
            ready = min((kept.numel() - size) // hop + 1, total - done)
            if ready > 0:
                self._fill(out[done : done + ready], kept, hop, (before, kept.numel()))
                kept = kept[ready * hop :]
                before = max(0, before - ready * hop)
                done += ready
        right = (total - done - 1) * hop + size - kept.numel()
        self._fill(out[done:], F.pad(kept, (0, max(0, right))), hop, (before, kept.numel()))
        return out

    def _fill(self, out: Tensor, samples: Tensor, hop: int, span: tuple[int, int]) -> None:
        """Write the log-mel energies of ``samples`` (n,) into ``out`` (windows, num_mels).

        The samples of the recording are those in ``span``; the others are zeros.
        """
        if len(out):
            place = torch.arange(samples.numel(), device=samples.device)
            inside = ((place >= span[0]) & (place < span[1])).float()
            windows, inside = (x[None].unfold(1, self.fft_length, hop)[:, : len(out)]
                               for x in (samples.float(), inside))  # fmt: skip
            out.copy_(self._mel(windows, inside)[0].clamp_(min=self.options.floor).log_())

    def _mel(self, windows: Tensor, inside: Tensor) -> Tensor:
        """Return the energies (B, T, num_mels) of ``windows`` (B, T, fft_length).

        ``inside``, of the same shape, is 1 for samples of the recording, 0 for others; the mean
        of a window is that of the former.

        Windows are processed in groups whose spectra fit into the cache: four times as fast on
        a CPU as all at once, and without memory for the spectra of an hour.
        """
        limit = 1 << (26 if windows.is_cuda else 18)
        step = max(1, limit // (windows.shape[0] * self.fft_length))
        parts = []
        for part, valid in zip(windows.split(step, 1), inside.split(step, 1), strict=True):
            spectrum = torch.view_as_real(torch.fft.rfft(self._windowed(part, valid)))
            parts.append(spectrum.square_().flatten(-2) @ self.bank)
        return torch.cat(parts, dim=1)

    def _windowed(self, windows: Tensor, inside: Tensor) -> Tensor:
        """Return ``windows`` without their means, times the analysis window."""
        if not self.options.remove_offset:
            return windows * self.window
        own = inside[..., self._inside].sum(-1, keepdim=True)
        mean = windows[..., self._inside].sum(-1, keepdim=True) / own.clamp(min=1)
        return (windows - mean).mul_(inside).mul_(self.window)
