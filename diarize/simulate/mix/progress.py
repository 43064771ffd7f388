"""Progress of decoding into an audio store, and the disk space required."""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource

_EVERY = 10.0  # s between lines
_QUIET_BYTES = 64 << 20  # less is not announced: it is decoded in seconds


class DecodingProgress:
    """Progress lines on stderr, after the amount of audio and the disk space required.

    The headers of all files ``names`` are read first, so that a missing file or a full disk is
    reported before hours of decoding.  Raises DiarizeError for both.
    """

    def __init__(
        self, path: Path, names: Sequence[str], sample_rate: int, allow_pipes: bool
    ) -> None:
        self.path, self.sample_rate, self.files = path, sample_rate, len(names)
        self.done = self.samples = self.total = 0
        unknown = 0
        for source in (AudioSource(name, allow_pipes) for name in names):
            # Measuring a permitted pipe or a member of an ark is as slow as decoding it.
            if source.is_seekable or (source.is_pipe and not allow_pipes):
                self.total += source.info().samples_at(sample_rate)
            else:
                unknown += 1
        self.begin = self.last = time.monotonic()
        if names:
            self._announce(unknown)

    def _announce(self, unknown: int) -> None:
        free = shutil.disk_usage(self.path).free
        need = 2 * self.total
        more = f", and {unknown} pipes or ark members of unknown length" if unknown else ""
        text = f"{self._hours(self.total)} h take {_size(need)}{more}"
        if need > free:
            raise DiarizeError(
                f"{self.path}: {text}, but {_size(free)} are free; choose another place "
                "(data.store_dir of a training, --store of diarize-simulate)"
            )
        if need < _QUIET_BYTES and not unknown:
            return
        self._print(f"decoding {self.files} files: {text}; {_size(free)} are free")

    def add(self, num_samples: int) -> None:
        """Count one decoded file; print a line every ten seconds."""
        self.done += 1
        self.samples += num_samples
        now = time.monotonic()
        if now - self.last < _EVERY:
            return
        self.last = now
        left = (now - self.begin) / self.samples * max(0, self.total - self.samples)
        self._print(
            f"{self.done} of {self.files} files, {self._hours(self.samples)} of "
            f"{self._hours(self.total)} h decoded by this process, {left / 60:.0f} min left"
        )

    def _hours(self, num_samples: int) -> str:
        return f"{num_samples / self.sample_rate / 3600:.2f}"

    def _print(self, text: str) -> None:
        print(f"audio store {self.path}: {text}", file=sys.stderr, flush=True)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"
