"""Decoded audio in flat files: every source once, as int16, mapped into memory.

An arena is a directory::

    assigned.json        which source is in which shard, in order; shards are only added
    shard-00000.samples  the samples of its sources, one after the other
    shard-00000.json     their places, scales and checksums, and what the files looked like

A shard is written whole or not at all, its index last: a build that was killed goes on with
the shards that are missing, and so does one whose sources were changed (size or time of the
file).  Samples are value / scale in int16, where scale is 1 / 32768 if that is exact, as for
16-bit files, else the peak of the file / 32767.  Room impulse responses are kept as float32:
rounded at the level of their peak, a long tail would drown.
"""

import fcntl
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import read_audio
from diarize.simulate.cache import is_pipe
from diarize.simulate.pieces import band_pass

_LOG = logging.getLogger(__name__)
_FORMAT = 1
_SHARD_BYTES = 256 << 20  # of source files: about 2 h of FLAC
_VERIFY_BYTES = 1 << 30  # up to this size checksums are compared whenever an arena is opened
_ARK_OFFSET = re.compile(r":\d+$")
INT16, FLOAT32 = "int16", "float32"


class Source(NamedTuple):
    """What is kept: a file, path:offset or pipe; of it the ``band`` (low, high) in Hz, or all."""

    name: str
    kind: str = INT16
    band: tuple[float, float] | None = None


class Entry(NamedTuple):
    """Where a source lies: ``length`` samples from ``start`` of shard ``shard``; a checksum."""

    shard: int
    start: int
    length: int
    scale: float
    crc32: int


@dataclass(frozen=True)
class StoreOptions:
    """How sources are decoded: rate in Hz, whether pipes run; this job of so many, from 0."""

    sample_rate: int = 16000
    allow_pipes: bool = False
    job: int = 0
    num_jobs: int = 1
    shard_bytes: int = _SHARD_BYTES


class AudioStore:
    """The sources of a built arena; can be sent to worker processes, which map it anew.

    Made by :func:`open_store`.
    """

    def __init__(self, path: Path, entries: dict[Source, Entry], kinds: dict[int, str]) -> None:
        self.path, self.entries, self.kinds = path, entries, kinds
        self._shards: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_shards": {}}

    @property
    def num_bytes(self) -> int:
        """The size of the samples."""
        return sum(_samples_path(self.path, i).stat().st_size for i in self.kinds)

    def shard(self, number: int) -> np.ndarray:
        """Return the samples of a shard as they lie on disk, int16 or float32, read-only."""
        if number not in self._shards:
            path, kind = _samples_path(self.path, number), self.kinds[number]
            try:
                # Views of np.memmap cost several times those of a plain array.
                self._shards[number] = np.asarray(np.memmap(path, kind, "r"))
            except (OSError, ValueError) as err:
                raise DiarizeError(f"cannot map {path}: {err}; remove {self.path}") from err
        return self._shards[number]

    def samples(self, entry: Entry, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return samples [start, stop) of ``entry`` as they lie on disk (not scaled)."""
        stop = entry.length if stop is None else stop
        return self.shard(entry.shard)[entry.start + start : entry.start + stop]

    def read(self, source: Source) -> np.ndarray:
        """Return all of ``source``, float32 (n,)."""
        entry = self.entries[source]
        return np.multiply(self.samples(entry), np.float32(entry.scale), dtype=np.float32)


def open_store(
    path: str | os.PathLike, sources: Iterable[Source], options: StoreOptions | None = None
) -> AudioStore:
    """Return the arena at ``path`` with all ``sources``, after decoding those that are not there.

    Several processes may call this at once: one builds and the others wait for it.  An arena
    of up to 1 GiB has its checksums compared, and what is damaged is made again.  With
    ``num_jobs`` above 1 only this job's shards are built, and nobody waits; all have to be
    there in the end.  Raises DiarizeError for audio that cannot be read, and where nothing
    can be written.
    """
    options, path = options or StoreOptions(), Path(path)
    wanted = set(sources)
    with locked(path):
        shards = _assign(path, sorted(wanted, key=_sort_key), options)
        # Others, of a manifest that nobody trains on now, may have lost their files.
        numbers = [i for i, shard in enumerate(shards) if not wanted.isdisjoint(shard)]
        if options.num_jobs == 1:
            _build(path, shards, numbers, options)
    if options.num_jobs > 1:
        _build(path, shards, numbers[options.job :: options.num_jobs], options)
    return _load(path, shards, numbers)


def verify(path: str | os.PathLike) -> list[int]:
    """Return the shards of the arena at ``path`` whose samples are not what was written."""
    path = Path(path)
    numbers = [int(p.stem.removeprefix("shard-")) for p in sorted(path.glob("shard-*.json"))]
    return [i for i in numbers if not _whole(path, i, _read_index(path, i))]


def _sort_key(source: Source) -> tuple:
    return source.kind, source.name, source.band or ()


def _assign(path: Path, sources: Sequence[Source], options: StoreOptions) -> list[list[Source]]:
    """Return the sources of each shard: those of before, and new ones for what is new."""
    place, shards = path / "assigned.json", []
    if place.exists():
        held = _read_json(place)
        if held.get("sample_rate") != options.sample_rate or held.get("format") != _FORMAT:
            raise DiarizeError(
                f"{path} holds audio of {held.get('sample_rate')} Hz, not {options.sample_rate}, "
                "or of another version; remove it, or choose another directory"
            )
        shards = [[_source(row) for row in rows] for rows in held["shards"]]
    known = {source for shard in shards for source in shard}
    fresh = list(_split([s for s in sources if s not in known], options.shard_bytes))
    if fresh:
        shards += fresh
        content = {"format": _FORMAT, "sample_rate": options.sample_rate, "shards": shards}
        with atomic_write(place) as handle:
            json.dump(content, handle, ensure_ascii=False)
    return shards


def _split(sources: Sequence[Source], limit: int) -> Iterator[list[Source]]:
    """Give runs of sources of one kind whose files have about ``limit`` bytes."""
    run: list[Source] = []
    size = 0
    for source in sources:
        stamp = _stamp(source.name)
        size += stamp[0] if stamp else 1 << 20
        if run and (size > limit or source.kind != run[0].kind):
            yield run
            run, size = [], stamp[0] if stamp else 1 << 20
        run.append(source)
    if run:
        yield run


def _source(row: list) -> Source:
    return Source(row[0], row[1], None if row[2] is None else tuple(row[2]))


def _build(
    path: Path, shards: list[list[Source]], numbers: Iterable[int], options: StoreOptions
) -> None:
    """Write those of the shards that are missing, damaged, or made from files since changed."""
    sizes = [p.stat().st_size for p in path.glob("shard-*.samples")]
    check = sum(sizes) <= _VERIFY_BYTES
    for number in numbers:
        for stale in path.glob(f".shard-{number:05d}.*.tmp"):  # of a build that was killed
            stale.unlink(missing_ok=True)
        index = _read_index(path, number)
        if index is None:
            _write_shard(path, number, shards[number], options)
        elif not _fresh(index) or [_source(row) for row in index["sources"]] != shards[number]:
            _LOG.warning("%s: sources have changed: shard %d is made again", path, number)
            _write_shard(path, number, shards[number], options)
        elif not _whole(path, number, index, check):
            _LOG.warning("%s: shard %d is damaged and made again", path, number)
            _write_shard(path, number, shards[number], options)


def _write_shard(path: Path, number: int, sources: list[Source], options: StoreOptions) -> None:
    places, stamps, total = [], [], 0
    kind = sources[0].kind
    _index_path(path, number).unlink(missing_ok=True)
    with atomic_write(_samples_path(path, number), "wb") as handle:
        for source in sources:
            # Before reading: a file that changes meanwhile is seen as changed.
            stamps.append(_stamp(source.name))
            wave = read_audio(source.name, 0, None, options.sample_rate, options.allow_pipes)
            if source.band is not None:
                wave = band_pass(wave, source.band, options.sample_rate)
            values, scale = (wave, 1.0) if kind == FLOAT32 else to_int16(wave)
            data = values.tobytes()
            places.append([total, len(values), scale, zlib.crc32(data)])
            total += len(values)
            handle.write(data)
    index = {"kind": kind, "samples": total, "sources": sources}
    index |= {"places": places, "stamps": stamps}
    with atomic_write(_index_path(path, number)) as handle:
        json.dump(index, handle, ensure_ascii=False)


def to_int16(wave: np.ndarray) -> tuple[np.ndarray, float]:
    """Return int16 values and their scale: 1 / 32768 if exact, else the peak / 32767.

    >>> to_int16(np.array([0.25, -1.0], np.float32))[0].tolist()
    [8192, -32768]
    """
    scaled = wave * np.float32(32768)
    values = np.clip(np.rint(scaled), -32768, 32767)
    if np.array_equal(values, scaled):
        return values.astype(np.int16), 1 / 32768
    scale = float(np.max(np.abs(wave))) / 32767
    return np.rint(wave / np.float32(scale)).astype(np.int16), scale


def _load(path: Path, shards: list[list[Source]], numbers: Iterable[int]) -> AudioStore:
    entries, kinds = {}, {}
    for number in numbers:
        index = _read_index(path, number)
        if index is None:
            continue  # another job builds it
        kinds[number] = index["kind"]
        for source, place in zip(shards[number], index["places"], strict=True):
            entries[source] = Entry(number, *place)
    return AudioStore(path, entries, kinds)


def _read_index(path: Path, number: int) -> dict | None:
    """Return the index of a shard; None where there is none, or its samples are not as long."""
    try:
        index = _read_json(_index_path(path, number))
        width = np.dtype(index["kind"]).itemsize
        good = _samples_path(path, number).stat().st_size == index["samples"] * width
    except (FileNotFoundError, DiarizeError, KeyError, TypeError):
        return None
    return index if good else None


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as err:
        raise DiarizeError(f"{path} is damaged ({err}): remove {path.parent}") from err


def _fresh(index: dict) -> bool:
    """Return whether the files look as when they were decoded; one that is gone is no change."""
    for row, stamp in zip(index["sources"], index["stamps"], strict=True):
        now = _stamp(row[0])
        if now is not None and stamp is not None and now != stamp:
            return False
    return True


def _whole(path: Path, number: int, index: dict | None, check: bool = True) -> bool:
    if index is None:
        return False
    if not check:
        return True
    samples = np.memmap(_samples_path(path, number), index["kind"], "r")
    return all(
        zlib.crc32(samples[start : start + length]) == held
        for start, length, _, held in index["places"]
    )


def _stamp(name: str) -> list[int] | None:
    """Return size and time of the file behind ``name``; None for a pipe or where it is gone."""
    if is_pipe(name):
        return None
    for path in (name, _ARK_OFFSET.sub("", name)):
        try:
            found = os.stat(path)
        except OSError:
            continue
        return [found.st_size, found.st_mtime_ns]
    return None


def _samples_path(path: Path, number: int) -> Path:
    return path / f"shard-{number:05d}.samples"


def _index_path(path: Path, number: int) -> Path:
    return path / f"shard-{number:05d}.json"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold directory ``path``, made if need be, for this process; whoever comes later waits."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        raise DiarizeError(
            f"cannot write {path}: {err.strerror}; decoded audio is kept there, choose another "
            "place with data.arena_dir, or data.simulation=render does without"
        ) from err
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
