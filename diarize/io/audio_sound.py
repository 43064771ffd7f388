"""Open audio: samples of one channel of a file of one or several streams."""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import numpy as np
import soundfile

from diarize.errors import DiarizeError

Channel = int | Literal["mix"]  # channels are numbered from 1

_LOG = logging.getLogger(__name__)
_INT16_SCALE = np.float32(1 / 32768)
_LARGEST = 2.0**31  # above samples that are scaled as integers of 32 bits
# Parts of a recording, in number and seconds, by which its channels are compared.
_PARTS, _SECONDS = 16, 0.5
_CANCELLED = 0.01  # power of the mean, relative to the louder channel: opposite phase
_CORRELATED = 0.5  # correlation of two channels below which their contents differ
_choices: dict[tuple, int | None] = {}


class Sound:
    """Streams of an open file, one after another; ``name`` is that of messages.

    ``key`` identifies the file, so that its channels are compared once; None: every time.
    """

    def __init__(
        self, streams: Sequence[soundfile.SoundFile], name: str, key: tuple | None = None
    ) -> None:
        first = streams[0]
        self.sample_rate, self.channels = first.samplerate, first.channels
        self.name, self._streams, self._key = name, streams, key
        self._starts = [0, *accumulate(stream.frames for stream in streams)]
        for stream in streams[1:]:
            if (stream.samplerate, stream.channels) != (self.sample_rate, self.channels):
                raise DiarizeError(
                    f"{name}: {len(streams)} streams were joined that differ in sample rate or "
                    "channels; join them by sox or ffmpeg instead"
                )

    @property
    def num_frames(self) -> int:
        """Samples per channel; DiarizeError for none."""
        if self._starts[-1] == 0:
            raise DiarizeError(f"{self.name}: contains no samples; remove it from wav.scp")
        return self._starts[-1]

    def read(self, start: int, stop: int, channel: Channel = "mix") -> np.ndarray:
        """Return the samples [start, stop) of ``channel``, float32 (n,).

        Raises DiarizeError for a channel that does not exist, and for samples that cannot be
        decoded, are NaN or infinite, or are larger than 2^31.
        """
        if channel != "mix" and not 1 <= channel <= self.channels:
            raise DiarizeError(
                f"{self.name}: no channel {channel}: it has {self.channels}, numbered from 1"
            )
        if self.channels == 1:
            return self.read_channels(start, stop)
        chosen = self._louder() if channel == "mix" else channel - 1
        samples = self.read_channels(start, stop)
        if chosen is not None:
            return np.ascontiguousarray(samples[:, chosen])
        return samples.mean(axis=1, dtype=np.float32)

    def read_channels(self, start: int, stop: int) -> np.ndarray:
        """Return the samples [start, stop) of all channels, float32 (n,) or (n, channels)."""
        parts = []
        while start < stop:
            number = bisect_right(self._starts, start) - 1
            before, end = self._starts[number], min(stop, self._starts[number + 1])
            parts.append(self._read_stream(self._streams[number], start - before, end - before))
            start = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read_stream(self, handle: soundfile.SoundFile, start: int, stop: int) -> np.ndarray:
        is_int16 = handle.subtype == "PCM_16"
        try:
            if handle.tell() != start:
                handle.seek(start)
            samples = handle.read(stop - start, dtype="int16" if is_int16 else "float32")
        except soundfile.LibsndfileError as err:
            raise DiarizeError(
                f"{self.name}: cannot be decoded ({err.error_string.strip()}): damaged or cut "
                "short; fetch or write the file again"
            ) from err
        if len(samples) < stop - start:
            raise DiarizeError(
                f"{self.name}: cut short: the header states {handle.frames} samples, but decoding "
                f"ends at {start + len(samples)}; fetch or write the file again"
            )
        if is_int16:
            # Twice as fast as libsndfile's own conversion, and the same values.
            return np.multiply(samples, _INT16_SCALE, dtype=np.float32)
        if handle.subtype in ("FLOAT", "DOUBLE"):
            check_values(samples, self.name, handle.samplerate, start)
        return samples

    def _louder(self) -> int | None:
        """Return the channel that is read instead of the mean, from 0; None: the mean.

        It is the loudest one where the channels cancel each other.
        """
        if self._key is None:
            return self._compare()
        if self._key not in _choices:
            if len(_choices) > 1 << 16:
                _choices.clear()
            _choices[self._key] = self._compare()
        return _choices[self._key]

    def _compare(self) -> int | None:
        """Compare the channels in parts that are spread over the recording."""
        size, total = round(_SECONDS * self.sample_rate), self.num_frames
        starts = range(0, total, size)
        if len(starts) > _PARTS:
            starts = [(total - size) * i // (_PARTS - 1) for i in range(_PARTS)]
        power, mixed, product = np.zeros(self.channels), 0.0, 0.0
        for start in starts:
            try:
                part = self.read_channels(start, min(start + size, total)).astype(np.float64)
            except DiarizeError:  # of a part that perhaps nobody reads
                continue
            power += np.square(part).sum(axis=0)
            mixed += np.square(part.mean(axis=1)).sum()
            product += part[:, 0] @ part[:, 1]
        loudest = int(power.argmax())
        if mixed < _CANCELLED * power[loudest]:
            _tell(f"{self.name}: the channels cancel each other (opposite phase): channel "
                  f"{loudest + 1} is read instead of their mean")  # fmt: skip
            return loudest
        if self.channels == 2 and abs(product) < _CORRELATED * np.sqrt(power.prod()):
            _tell(f"{self.name}: two channels of different contents, such as the sides of a "
                  "telephone call, are mixed to one (--channel reads one of them)")  # fmt: skip
        return None


def check_values(samples: np.ndarray, name: str, sample_rate: int, start: int = 0) -> None:
    """Raise DiarizeError, with time and value, for samples that are no audio.

    ``samples`` (n,) or (n, channels) begin at sample ``start``.  NaN, infinite values and those
    beyond 2^31 are refused.
    """
    if samples.size == 0 or max(samples.max(), -samples.min()) <= _LARGEST:
        return  # NaN is not <= anything
    bad = ~(np.abs(samples) <= _LARGEST)
    place = np.unravel_index(int(np.argmax(bad)), bad.shape)
    where = start + int(place[0])
    value = samples[place]
    what = f"is {value:.3g}" if np.isfinite(value) else "is NaN or infinite"
    raise DiarizeError(
        f"{name}: sample {where} ({where / sample_rate:.3f} s) {what}; make the file again"
    )


@lru_cache(maxsize=1 << 12)
def _tell(message: str) -> None:
    """Log a warning once per process."""
    _LOG.warning("%s", message)
