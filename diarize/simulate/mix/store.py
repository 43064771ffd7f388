"""Audio store: all sources, decoded once to int16, in flat files that are mapped into memory.

A store is a directory::

    assigned.json        sources of each shard, in order; shards are only added
    shard-00000.samples  samples of the shard's sources, one after the other
    shard-00000.json     their places, scales and checksums; sizes and times of their files

A shard is written whole or not at all, its index last.  A build that was killed continues with
the missing shards; a shard whose files have changed (size or time) is written again.  Processes
that open one store at the same time share the work, shard by shard.  The directory can be removed
whenever no process uses it.

Samples are int16 values times a scale.  The scale is 1 / 32768 where that is exact, as for
single-channel 16-bit files at the store's rate; otherwise it is the peak of the source / 32767,
and samples differ from `diarize.io.audio.read_audio` by up to half a step, peak / 65534.  Room
impulse responses are kept as float32, since quantisation noise would mask a long tail.
"""

import fcntl
import itertools
import json
import logging
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import AudioSource, read_blocks
from diarize.simulate.band_pass import band_pass
from diarize.simulate.mix.progress import DecodingProgress

_LOG = logging.getLogger(__name__)
_FORMAT = 1
_SHARD_BYTES = 256 << 20  # of source files: about 2 h of FLAC
_VERIFY_BYTES = 1 << 30  # up to this size, opening a store compares the checksums
_ARK_OFFSET = re.compile(r":\d+$")
_UNKNOWN_BYTES = 1 << 20  # assumed for a pipe or a member of an ark
INT16, FLOAT32 = "int16", "float32"


class AudioKey(NamedTuple):
    """Source in a store: file, path:offset or pipe, restricted to ``band`` (low, high) in Hz."""

    name: str
    kind: str = INT16
    band: tuple[float, float] | None = None


class Entry(NamedTuple):
    """Place of a source: ``length`` samples from ``start`` of shard ``shard``."""

    shard: int
    start: int
    length: int
    scale: float
    crc32: int


@dataclass(frozen=True)
class StoreOptions:
    """Sample rate in Hz, permission to run pipes, and the size of shards in bytes of files."""

    sample_rate: int = 16000
    allow_pipes: bool = False
    shard_bytes: int = _SHARD_BYTES


class AudioStore:
    """Sources of a built store, made by `open_store`.

    Worker processes that receive it map the files themselves.
    """

    def __init__(self, path: Path, entries: dict[AudioKey, Entry], kinds: dict[int, str]) -> None:
        self.path, self.entries, self.kinds = path, entries, kinds
        self._shards: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_shards": {}}

    @property
    def num_bytes(self) -> int:
        """Size of the samples in bytes."""
        return sum(_samples_path(self.path, i).stat().st_size for i in self.kinds)

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._shards:
            path, kind = _samples_path(self.path, number), self.kinds[number]
            try:
                # Views of np.memmap are several times slower than those of a plain array.
                self._shards[number] = np.asarray(np.memmap(path, kind, "r"))
            except (OSError, ValueError) as err:
                raise DiarizeError(f"cannot map {path}: {err}; remove {self.path}") from err
        return self._shards[number]

    def samples(self, entry: Entry, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return samples [start, stop) of ``entry`` as stored, not scaled, read-only."""
        stop = entry.length if stop is None else stop
        return self._shard(entry.shard)[entry.start + start : entry.start + stop]

    def read(self, key: AudioKey, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return samples [start, stop) of source ``key``, float32 (n,).

        ``stop`` may be beyond the end; raises DiarizeError if ``start`` is.
        """
        entry = self.entries[key]
        if start >= entry.length:
            raise DiarizeError(
                f"{key.name}: sample {start} was asked for, but the recording has {entry.length}; "
                "check segments and reco2dur"
            )
        stop = entry.length if stop is None else min(stop, entry.length)
        samples = self.samples(entry, start, stop)
        return np.multiply(samples, np.float32(entry.scale), dtype=np.float32)


def open_store(
    path: str | os.PathLike, keys: Iterable[AudioKey], options: StoreOptions | None = None
) -> AudioStore:
    """Return the store at ``path`` with all ``keys``, after decoding the missing ones.

    Before decoding, the header of every missing source is read, and the disk space required is
    printed.  The checksums of a store of up to 1 GiB are compared, and damaged shards are written
    again.  Raises DiarizeError for unreadable audio and for a directory that is not writable.
    """
    options, path = options or StoreOptions(), Path(path)
    wanted = set(keys)
    with locked(path):
        shards = _assign(path, sorted(wanted, key=_sort_key), options)
    # Files of other shards, of manifests no longer in use, may be missing.
    numbers = [i for i, shard in enumerate(shards) if not wanted.isdisjoint(shard)]
    _build(path, {i: shards[i] for i in numbers}, options)
    return _load(path, shards, numbers)


def verify(path: str | os.PathLike) -> list[int]:
    """Return the shards of the store at ``path`` whose samples differ from their checksums."""
    path = Path(path)
    numbers = [int(p.stem.removeprefix("shard-")) for p in sorted(path.glob("shard-*.json"))]
    return [i for i in numbers if not _is_intact(path, i, _read_index(path, i))]


def _sort_key(key: AudioKey) -> tuple:
    return key.kind, key.name, key.band or ()


def _assign(path: Path, keys: Sequence[AudioKey], options: StoreOptions) -> list[list[AudioKey]]:
    """Return the sources of each shard; new sources are assigned to new shards."""
    table, shards = path / "assigned.json", []
    if table.exists():
        held = read_json(table)
        if held.get("sample_rate") != options.sample_rate or held.get("format") != _FORMAT:
            raise DiarizeError(
                f"{path} holds audio of {held.get('sample_rate')} Hz, not {options.sample_rate}, "
                "or of another version; remove it, or choose another directory"
            )
        shards = [[key_of(row) for row in rows] for rows in held["shards"]]
    known = {key for shard in shards for key in shard}
    fresh = list(_split([key for key in keys if key not in known], options.shard_bytes))
    if fresh:
        shards += fresh
        content = {"format": _FORMAT, "sample_rate": options.sample_rate, "shards": shards}
        with atomic_write(table) as handle:
            json.dump(content, handle, ensure_ascii=False)
    return shards


def _split(keys: Sequence[AudioKey], limit: int) -> Iterator[list[AudioKey]]:
    """Yield runs of sources of one kind, with files of about ``limit`` bytes in total."""
    run: list[AudioKey] = []
    size = 0
    for key in keys:
        stamp = _stamp(key.name) if AudioSource(key.name).is_seekable else None
        added = stamp[0] if stamp else _UNKNOWN_BYTES
        if run and (size + added > limit or key.kind != run[0].kind):
            yield run
            run, size = [], 0
        run.append(key)
        size += added
    if run:
        yield run


def key_of(row: list) -> AudioKey:
    """Return the key of a list from JSON."""
    return AudioKey(row[0], row[1], None if row[2] is None else tuple(row[2]))


def _build(path: Path, shards: dict[int, list[AudioKey]], options: StoreOptions) -> None:
    """Write the shards that are missing, damaged, or older than a change of their files.

    A shard that another process is writing is waited for at the end.
    """
    sizes = [p.stat().st_size for p in path.glob("shard-*.samples")]
    check = sum(sizes) <= _VERIFY_BYTES
    missing = [n for n in shards if _read_index(path, n) is None]
    names = [key.name for n in missing for key in shards[n]]
    progress = DecodingProgress(path, names, options.sample_rate, options.allow_pipes)
    left = list(shards)
    for wait in (False, True):
        busy = []
        for number in left:
            with _lock(path, number + 1, wait) as held:
                if not held:
                    busy.append(number)
                elif _needs_writing(path, number, shards[number], check):
                    _write_shard(path, number, shards[number], options, progress)
        left = busy


def _needs_writing(path: Path, number: int, keys: list[AudioKey], check: bool) -> bool:
    index = _read_index(path, number)
    if index is None:
        return True
    if not _is_fresh(index) or [key_of(row) for row in index["sources"]] != keys:
        _LOG.warning("%s: files of shard %d have changed; it is made again", path, number)
        return True
    if check and not _is_intact(path, number, index):
        _LOG.warning("%s: shard %d is damaged and is made again", path, number)
        return True
    return False


def _write_shard(
    path: Path,
    number: int,
    keys: list[AudioKey],
    options: StoreOptions,
    progress: DecodingProgress,
) -> None:
    for stale in path.glob(f".shard-{number:05d}.*.tmp"):  # of a build that was killed
        stale.unlink(missing_ok=True)
    places, stamps, total = [], [], 0
    _index_path(path, number).unlink(missing_ok=True)
    with atomic_write(_samples_path(path, number), "wb") as handle:
        for key in keys:
            # Taken before reading: a file that changes meanwhile counts as changed.
            stamps.append(_stamp(key.name))
            length, scale, crc32 = _append(handle, key, options, path)
            places.append([total, length, scale, crc32])
            total += length
            progress.add(length)
    index = {"kind": keys[0].kind, "samples": total, "sources": keys}
    index |= {"places": places, "stamps": stamps}
    with atomic_write(_index_path(path, number)) as handle:
        json.dump(index, handle, ensure_ascii=False)


def _append(
    handle: IO[bytes], key: AudioKey, options: StoreOptions, folder: Path
) -> tuple[int, float, int]:
    """Write the samples of ``key``; return their number, scale and checksum."""
    blocks = read_blocks(AudioSource(key.name, options.allow_pipes), options.sample_rate)
    if key.kind == FLOAT32 or key.band is not None:
        wave = np.concatenate(list(blocks))
        if key.band is not None:
            wave = band_pass(wave, key.band, options.sample_rate)
        blocks = iter([wave])
    scale = 1.0
    values: Iterable[np.ndarray] = blocks
    with ExitStack() as stack:
        if key.kind == INT16:
            scale, values = _to_int16(
                blocks, lambda: stack.enter_context(tempfile.TemporaryFile(dir=folder))
            )
        length = crc32 = 0
        for part in values:
            data = part.tobytes()
            handle.write(data)
            length, crc32 = length + len(part), zlib.crc32(data, crc32)
    return length, scale, crc32


def _to_int16(
    blocks: Iterator[np.ndarray], make_file: Callable[[], IO[bytes]]
) -> tuple[float, Iterator[np.ndarray]]:
    """Return the scale and the int16 values of ``blocks``.

    The scale depends on all samples.  Audio of more than one block is therefore written to a
    temporary file (float32) first; memory does not grow with the length of a recording.
    """
    head = list(itertools.islice(blocks, 2))
    spool = make_file() if len(head) > 1 else None
    peak, exact = 0.0, True
    for block in itertools.chain(head, blocks):
        peak = max(peak, float(np.max(np.abs(block))))
        exact = exact and _fits_int16(block)
        if spool is not None:
            spool.write(block.tobytes())
    scale = 1 / 32768 if exact else peak / 32767
    floats: Iterable[np.ndarray] = head
    if spool is not None:
        spool.seek(0)
        reads = iter(lambda: spool.read(head[0].nbytes), b"")
        floats = (np.frombuffer(data, np.float32) for data in reads)
    return scale, (np.rint(part / np.float32(scale)).astype(np.int16) for part in floats)


def _fits_int16(wave: np.ndarray) -> bool:
    scaled = wave * np.float32(32768)
    return np.array_equal(np.clip(np.rint(scaled), -32768, 32767), scaled)


def _load(path: Path, shards: list[list[AudioKey]], numbers: Iterable[int]) -> AudioStore:
    entries, kinds = {}, {}
    for number in numbers:
        index = _read_index(path, number)
        if index is None:
            raise DiarizeError(f"{path}: shard {number} has disappeared; start again")
        kinds[number] = index["kind"]
        for key, place in zip(shards[number], index["places"], strict=True):
            entries[key] = Entry(number, *place)
    return AudioStore(path, entries, kinds)


def _read_index(path: Path, number: int) -> dict | None:
    """Return the index of a shard; None if it is missing or its samples have another size."""
    try:
        index = read_json(_index_path(path, number))
        width = np.dtype(index["kind"]).itemsize
        good = _samples_path(path, number).stat().st_size == index["samples"] * width
    except (FileNotFoundError, DiarizeError, KeyError, TypeError):
        return None
    return index if good else None


def read_json(path: Path) -> dict:
    """Return the content of a JSON file in a store; raises DiarizeError if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as err:
        raise DiarizeError(f"{path} is damaged ({err}): remove {path.parent}") from err


def _is_fresh(index: dict) -> bool:
    """Return whether the files are unchanged since decoding; a missing file counts as unchanged."""
    for row, stamp in zip(index["sources"], index["stamps"], strict=True):
        now = _stamp(row[0])
        if now is not None and stamp is not None and now != stamp:
            return False
    return True


def _is_intact(path: Path, number: int, index: dict | None) -> bool:
    if index is None:
        return False
    samples = np.memmap(_samples_path(path, number), index["kind"], "r")
    return all(
        zlib.crc32(samples[start : start + length]) == held
        for start, length, _, held in index["places"]
    )


def _stamp(name: str) -> list[int] | None:
    """Return size and time of the file behind ``name``; None for a pipe or a missing file."""
    if AudioSource(name).is_pipe:
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
    """Make and lock directory ``path`` for this process; other processes wait."""
    with _lock(path, 0, wait=True):
        yield


@contextmanager
def _lock(path: Path, place: int, wait: bool) -> Iterator[bool]:
    """Lock byte ``place`` of the lock file of ``path``; yield whether this succeeded.

    It fails if another process holds the lock and ``wait`` is false.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        raise DiarizeError(
            f"cannot write {path}: {err.strerror}; it holds decoded audio: choose another place "
            "(data.store_dir of a training, --store of diarize-simulate)"
        ) from err
    try:
        held = True
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            held = False
        except OSError as err:
            raise DiarizeError(f"cannot lock {path}/.lock: {err.strerror}") from err
        yield held
    finally:
        os.close(fd)
