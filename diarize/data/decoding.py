"""Check that recordings can be decoded, each file once: files already checked are remembered."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import AudioSource, read_blocks
from diarize.simulate.mix.store import locked, stamp_of

_LOG = logging.getLogger(__name__)
_NAME = "decoded.json"
_FORMAT = 1
_EVERY = 10.0  # s between lines of progress
_SAVE_EVERY = 60.0  # s between copies of what is known


def decode_all(
    sources: Mapping[str, AudioSource], folder: Path, sample_rate: int
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the lengths in samples of the recordings, and the messages of the unreadable ones.

    Every source is decoded to its end, by as many threads as the process has cores, unless the
    file ``decoded.json`` in ``folder`` knows it with the same size and time.  Processes that
    check the same recordings at once wait for the first.  A folder that is not writable is not
    an error: the recordings are then decoded each time.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except DiarizeError as err:
            _LOG.warning("%s: decoded audio is not remembered there: %s", folder, err)
        check = _Check(folder / _NAME, sample_rate, len(sources))
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            found = dict(zip(sources, pool.map(check, sources.values()), strict=True))
        check.save()
    lengths = {name: value for name, value in found.items() if isinstance(value, int)}
    return lengths, {name: value for name, value in found.items() if isinstance(value, str)}


class _Check:
    """Decoding of one source, with what is known of it, and progress on stderr."""

    def __init__(self, path: Path, sample_rate: int, total: int) -> None:
        self.path, self.sample_rate, self.total = path, sample_rate, total
        self.known = _read(path, sample_rate)
        self.before, self.done = len(self.known), 0
        self.told = self.saved = time.monotonic()

    def __call__(self, source: AudioSource) -> int | str:
        """Return the length of the source in samples, or the message why it is unreadable."""
        try:
            name = source.resolved()
            stamp = stamp_of(name)
            held = self.known.get(name)
            if held is not None and held[1] == stamp:
                return held[0]
            length = sum(map(len, read_blocks(source, self.sample_rate)))
        except DiarizeError as err:
            return str(err)
        self.known[name] = [length, stamp]
        self._report()
        return length

    def _report(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.told >= _EVERY:
            self.told = now
            print(f"{self.path.parent}: {self.done} files decoded as a check, of up to "
                  f"{self.total}", file=sys.stderr, flush=True)
        if now - self.saved >= _SAVE_EVERY:
            self.saved = now
            self.save()

    def save(self) -> None:
        """Write what is known, if anything is new."""
        if len(self.known) == self.before and not self.done:
            return
        content = {"format": _FORMAT, "sample_rate": self.sample_rate, "files": dict(self.known)}
        try:
            with atomic_write(self.path) as handle:
                json.dump(content, handle, ensure_ascii=False)
        except DiarizeError:
            pass  # said already, by the lock


def _read(path: Path, sample_rate: int) -> dict[str, list]:
    """Return the known files; {} if there are none, at another rate, and for a damaged file."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        same = (held["format"], held["sample_rate"]) == (_FORMAT, sample_rate)
        return dict(held["files"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
