"""Check that recordings can be decoded, each file once: files already checked are remembered."""

import json
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import AudioSource, read_blocks
from diarize.io.json_text import parse_json
from diarize.progress import progress_bar
from diarize.simulate.mix.store import locked, stamp_of

_LOG = logging.getLogger(__name__)
_FORMAT = 1
_DELAY = 10.0  # s before progress is shown
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
    path = folder / "decoded.json"
    lengths: dict[str, int] = {}
    faults: dict[str, str] = {}

    def check(source: AudioSource) -> tuple[str, list] | str:
        """Return a source with its length and the stamp of its file, or why it is unreadable."""
        try:
            name = source.resolved()
            stamp = stamp_of(name)
            held = known.get(name)
            if held is not None and held[1] == stamp:
                return name, held
            return name, [sum(map(len, read_blocks(source, sample_rate))), stamp]
        except DiarizeError as err:
            return str(err)

    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except DiarizeError as err:
            _LOG.warning("%s: decoded audio is not remembered there: %s", folder, err)
        known = _read(path, sample_rate)
        before, saved = dict(known), time.monotonic()
        pool = stack.enter_context(ThreadPoolExecutor(len(os.sched_getaffinity(0))))
        bar = stack.enter_context(
            progress_bar(len(sources), "files", f"{folder}: decoded as a check", delay=_DELAY)
        )
        for recording, found in zip(sources, pool.map(check, sources.values()), strict=True):
            if isinstance(found, str):
                faults[recording] = found
            else:
                name, held = found
                known[name] = held
                lengths[recording] = held[0]
            bar.update()
            if time.monotonic() - saved > _SAVE_EVERY:
                _write(path, sample_rate, known)
                saved = time.monotonic()
        if known != before:
            _write(path, sample_rate, known)
    return lengths, faults


def _write(path: Path, sample_rate: int, known: Mapping[str, list]) -> None:
    content = {"format": _FORMAT, "sample_rate": sample_rate, "files": known}
    # The warning about a folder that is not writable came from its lock.
    with suppress(DiarizeError), atomic_write(path) as handle:
        json.dump(content, handle, ensure_ascii=False)


def _read(path: Path, sample_rate: int) -> dict[str, list]:
    """Return the known files; {} if there are none, at another rate, and for a damaged file."""
    try:
        held = parse_json(path.read_bytes(), path)
        same = (held["format"], held["sample_rate"]) == (_FORMAT, sample_rate)
        return dict(held["files"]) if same else {}
    except (OSError, DiarizeError, ValueError, KeyError, TypeError):
        return {}
