"""Audio store: all sources, decoded once to int16, in flat files that are mapped into memory.

A store is a directory of shards, each named by its kind and a digest of its sources::

    int16-<digest>.samples  samples of the sources, one after the other
    int16-<digest>.json     their places, scales and checksums; sizes and times of their files

There is no other state.  Opening a store decodes what no shard contains into new shards.  A shard
is written whole or not at all, its index last.  A build that was killed continues with the missing
shards; a file that has changed (size or time) is decoded again.  Processes that open one store at
the same time share the work, shard by shard.  The directory can be removed whenever no process
uses it.

Samples are int16 values times a scale.  The scale is 1 / 32768 where that is exact, as for
single-channel 16-bit files at the store's rate; otherwise it is the peak of the source / 32767,
and samples differ from `diarize.io.audio.read_audio` by up to half a step, peak / 65534.  Room
impulse responses are kept as float32, since quantisation noise would mask a long tail.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from diarize.errors import DiarizeError, UnreadableAudio
from diarize.io.atomic import atomic_write
from diarize.io.audio import AudioSource, read_blocks
from diarize.io.json_text import parse_json
from diarize.io.numbers import is_finite
from diarize.io.rxfilename import split_offset
from diarize.progress import progress_bar
from diarize.simulate.band_pass import band_pass

_LOG = logging.getLogger(__name__)
_FORMAT = 2
_SHARD_BYTES = 256 << 20  # of source files: about 2 h of FLAC
_VERIFY_BYTES = 1 << 30  # up to this size, opening a store compares the checksums
_SPOOL_BYTES = 1 << 25  # of decoded float32: more is kept in a temporary file
_QUIET_BYTES = 64 << 20  # less is not announced: it is decoded in seconds
_PROGRESS_SECONDS = 10.0
_UNKNOWN_BYTES = 1 << 20  # assumed for a pipe or a member of an ark
INT16, FLOAT32 = "int16", "float32"


class AudioKey(NamedTuple):
    """Source in a store: file, path:offset or pipe, restricted to ``band`` (low, high) in Hz."""

    name: str
    kind: str = INT16
    band: tuple[float, float] | None = None


class Entry(NamedTuple):
    """Place of a source: ``length`` samples from ``start`` of shard ``shard``.

    ``stamp`` is that of its file (`stamp_of`) at the time of decoding.
    """

    shard: str
    start: int
    length: int
    scale: float
    crc32: int
    stamp: list[int] | None = None


_NOTHING = Entry("", 0, 0, 1.0, 0)  # of a source that cannot be decoded


@dataclass(frozen=True)
class StoreOptions:
    """Options of a store."""

    sample_rate: int = 16000
    """In Hz."""
    allow_pipes: bool = False
    """Run the commands of sources that are pipes."""
    shard_bytes: int = _SHARD_BYTES
    """Size of a shard, in bytes of its files."""
    max_faults: int = 0
    """Number of sources that may be unreadable; they are in `AudioStore.faults`."""


class AudioStore:
    """Sources of a built store, made by `open_store`.

    ``faults`` are the messages for sources that cannot be decoded; their entries are empty.
    Worker processes that receive the store map the files themselves.
    """

    def __init__(
        self, path: Path, entries: dict[AudioKey, Entry], sample_rate: int,
        faults: dict[AudioKey, str],
    ) -> None:
        self.path, self.sample_rate = path, sample_rate
        self.entries, self.faults = entries | dict.fromkeys(faults, _NOTHING), faults
        self._shards: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_shards": {}}

    def _shard(self, shard: str) -> np.ndarray:
        if shard not in self._shards:
            try:
                self._shards[shard] = _map(self.path, shard)
            except (OSError, ValueError) as err:
                raise DiarizeError(f"cannot map {shard}: {err}; remove {self.path}") from err
        return self._shards[shard]

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
    printed.  The checksums of a store of up to 1 GiB are compared, and the sources of damaged
    shards are decoded again.  An unreadable source does not stop the decoding of the others, and
    is tried again whenever the store is opened.  Raises UnreadableAudio for more than
    ``max_faults`` of them, and DiarizeError for too little space and a directory that is not
    writable.
    """
    options, path = options or StoreOptions(), Path(path)
    wanted = sorted(set(keys), key=lambda key: (key.kind, key.name, key.band or ()))
    entries = _find(path, wanted, options.sample_rate)
    faults: dict[AudioKey, str] = {}
    if len(entries) < len(wanted):
        # The runs depend on all sources, so that processes with the same ones share the shards.
        runs = [[key for key in run if key not in entries] for run in _split(wanted, options)]
        faults = _build(path, [run for run in runs if run], options)
        check_faults(faults.values(), options.max_faults)
        entries = _find(path, wanted, options.sample_rate, verify=False)
        faults = {key: why for key, why in faults.items() if key not in entries}
        if len(entries) + len(faults) < len(wanted):
            raise DiarizeError(f"{path}: shards have been removed, or files changed; start again")
    return AudioStore(path, entries, options.sample_rate, faults)


def check_faults(faults: Iterable[str], most: int) -> None:
    """Raise UnreadableAudio for more than ``most`` faults; each is logged if there are several."""
    found = sorted(set(faults))
    if len(found) <= most:
        return
    for line in found if found[1:] else ():
        _LOG.warning("%s", line)
    more = f" (and {len(found) - 1} more files, named above)" if found[1:] else ""
    raise UnreadableAudio(found[0] + more, len(found))


def _find(
    path: Path, wanted: Sequence[AudioKey], sample_rate: int, verify: bool = True
) -> dict[AudioKey, Entry]:
    """Return the sources of ``wanted`` that the store contains and whose files are unchanged.

    The index of a damaged shard is removed.
    """
    verify = verify and sum(p.stat().st_size for p in path.glob("*.samples")) <= _VERIFY_BYTES
    found: dict[AudioKey, Entry] = {}
    changed: set[AudioKey] = set()
    for shard in sorted(p.stem for kind in (INT16, FLOAT32) for p in path.glob(f"{kind}-*.json")):
        held = _entries(path, shard, sample_rate)
        here = [key for key in wanted if key in held and key not in found]
        if here and verify and not _is_intact(path, held):
            _LOG.warning("%s: shard %s is damaged and is made again", path, shard)
            with locked(path, shard):
                # Another process may have replaced it.
                if not _is_intact(path, _entries(path, shard, sample_rate)):
                    (path / f"{shard}.json").unlink(missing_ok=True)
            continue
        found |= {key: held[key] for key in here if _is_current(key, held[key])}
        changed |= {key for key in here if key not in found}
    names = sorted({key.name for key in changed - found.keys()})
    if names:
        more = f" and {len(names) - 1} more" if names[1:] else ""
        _LOG.warning("%s: decoded again, since changed: %s%s", path, names[0], more)
    return found


def _split(keys: Sequence[AudioKey], options: StoreOptions) -> Iterator[list[AudioKey]]:
    """Yield runs of sources of one kind, with files of about ``shard_bytes`` in total."""
    run: list[AudioKey] = []
    size = 0
    for key in keys:
        stamp = stamp_of(key.name) if AudioSource(key.name).is_seekable else None
        added = stamp[0] if stamp else _UNKNOWN_BYTES
        if run and (size + added > options.shard_bytes or key.kind != run[0].kind):
            yield run
            run, size = [], 0
        run.append(key)
        size += added
    if run:
        yield run


def _build(
    path: Path, runs: Sequence[list[AudioKey]], options: StoreOptions
) -> dict[AudioKey, str]:
    """Write a shard for each of ``runs``, unless another process has written it.

    Returns the messages for sources that cannot be decoded, which are in no shard.  A shard that
    another process is writing is waited for at the end.
    """
    _make_directory(path)
    names = [key.name for run in runs for key in run]
    # Files with a bad header are known before hours of decoding.
    check_faults(_check_space(path, names, options), options.max_faults)
    faults: dict[AudioKey, str] = {}
    shards = {}
    for run in runs:
        text = json.dumps([_FORMAT, options.sample_rate, run])
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        shards[f"{run[0].kind}-{digest}"] = run
    name = f"audio store {path}"
    with progress_bar(len(names), "files", name, delay=_PROGRESS_SECONDS) as progress:
        for wait in (False, True):
            for shard, keys in list(shards.items()):
                with locked(path, shard, wait) as held:
                    if not held:
                        continue
                    entries = _entries(path, shard, options.sample_rate)
                    if not all(k in entries and _is_current(k, entries[k]) for k in keys):
                        faults |= _write_shard(path, shard, keys, options)
                del shards[shard]
                progress.update(len(keys))
    return faults


def _check_space(path: Path, names: Sequence[str], options: StoreOptions) -> list[str]:
    """Print the space that ``names`` require; raises DiarizeError if there is less.

    Returns the messages for files whose headers cannot be read.
    """
    total = unknown = 0
    faults = []
    for source in (AudioSource(name, options.allow_pipes) for name in names):
        if source.is_pipe and not options.allow_pipes:
            source.info()  # raises the error of a pipe that is not allowed
        # Measuring a permitted pipe or a member of an ark is as slow as decoding it.
        if not source.is_seekable:
            unknown += 1
            continue
        try:
            total += source.info().samples_at(options.sample_rate)
        except DiarizeError as err:
            faults.append(str(err))
    need, free = 2 * total, shutil.disk_usage(path).free
    text = f"{total / options.sample_rate / 3600:.2f} h take {_size(need)}"
    if unknown:
        text += f", and {unknown} pipes or ark members of unknown length"
    if need > free:
        raise DiarizeError(
            f"{path}: {text}, but {_size(free)} are free; choose another place "
            "(data.store_dir of a training, --store of diarize-simulate)"
        )
    if need >= _QUIET_BYTES or unknown:
        print(f"audio store {path}: decoding {len(names)} files: {text}; {_size(free)} are free",
              file=sys.stderr, flush=True)
    return faults


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"


def _write_shard(
    path: Path, shard: str, keys: list[AudioKey], options: StoreOptions
) -> dict[AudioKey, str]:
    """Write the readable sources of ``keys``; return the messages for the others."""
    (path / f"{shard}.json").unlink(missing_ok=True)
    entries: dict[AudioKey, Entry] = {}
    faults: dict[AudioKey, str] = {}
    total = 0
    with atomic_write(path / f"{shard}.samples", "wb") as handle:
        for key in keys:
            # Taken before reading: a file that changes meanwhile counts as changed.
            stamp = stamp_of(key.name)
            try:
                length, scale, crc32 = _append(handle, key, options, path)
            except DiarizeError as err:
                # Raised in reading, before anything of the source is written.
                faults[key] = str(err)
                continue
            entries[key] = Entry(shard, total, length, scale, crc32, stamp)
            total += length
    if not entries:  # an empty file cannot be mapped
        (path / f"{shard}.samples").unlink()
        return faults
    index = {
        "format": _FORMAT,
        "sample_rate": options.sample_rate,
        "samples": total,
        "sources": list(entries),
        "places": [entry[1:5] for entry in entries.values()],
        "stamps": [entry.stamp for entry in entries.values()],
    }
    with atomic_write(path / f"{shard}.json") as handle:
        json.dump(index, handle, ensure_ascii=False)
    return faults


def _append(
    handle: IO[bytes], key: AudioKey, options: StoreOptions, folder: Path
) -> tuple[int, float, int]:
    """Write the samples of ``key``; return their number, scale and checksum.

    The scale depends on all samples, so they are written to a temporary file (float32) first:
    memory does not grow with the length of a recording.
    """
    blocks: Iterable[np.ndarray] = read_blocks(
        AudioSource(key.name, options.allow_pipes), options.sample_rate
    )
    if key.band is not None:
        wave = np.concatenate(list(blocks))
        blocks = [band_pass(wave, key.band, options.sample_rate)]
    peak, exact = 0.0, True
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder) as spool:
        for block in blocks:
            peak = max(peak, float(np.max(np.abs(block))))
            exact = exact and _fits_int16(block)
            spool.write(block.tobytes())
        scale = 1.0 if key.kind == FLOAT32 else 1 / 32768 if exact else peak / 32767
        spool.seek(0)
        length = crc32 = 0
        while data := spool.read(_SPOOL_BYTES):
            part = np.frombuffer(data, np.float32)
            if key.kind == INT16:
                part = np.rint(part / np.float32(scale)).astype(np.int16)
            handle.write(part)
            length, crc32 = length + len(part), zlib.crc32(part, crc32)
    return length, scale, crc32


def _fits_int16(wave: np.ndarray) -> bool:
    scaled = wave * np.float32(32768)
    return np.array_equal(np.clip(np.rint(scaled), -32768, 32767), scaled)


def _map(path: Path, shard: str) -> np.ndarray:
    # Views of np.memmap are several times slower than those of a plain array.
    return np.asarray(np.memmap(path / f"{shard}.samples", shard.partition("-")[0], "r"))


def _entries(path: Path, shard: str, sample_rate: int) -> dict[AudioKey, Entry]:
    """Return the sources of a shard.

    There are none if its index is missing or of another rate, or its samples have another size.
    """
    try:
        index = parse_json((path / f"{shard}.json").read_bytes(), path / f"{shard}.json")
        size = index["samples"] * np.dtype(shard.partition("-")[0]).itemsize
        same = (index["format"], index["sample_rate"]) == (_FORMAT, sample_rate)
        if not same or (path / f"{shard}.samples").stat().st_size != size:
            return {}
        for start, count, scale, _ in index["places"]:
            if not (0 <= start <= start + count <= index["samples"] and is_finite(scale)):
                return {}
        rows = zip(index["sources"], index["places"], index["stamps"], strict=True)
        return {key_of(source): Entry(shard, *place, stamp) for source, place, stamp in rows}
    except (FileNotFoundError, DiarizeError, ValueError, LookupError, TypeError):
        return {}


def key_of(row: list) -> AudioKey:
    """Return the key of a list from JSON; ValueError or TypeError for another value."""
    name, kind, band = row
    key = AudioKey(name, kind, None if band is None else tuple(band))
    if not isinstance(name, str) or kind not in (INT16, FLOAT32):
        raise ValueError(f"{row!r:.80} is no source")
    if not all(map(is_finite, key.band or ())):
        raise ValueError(f"{row!r:.80} has no band")
    return key


def _is_intact(path: Path, entries: dict[AudioKey, Entry]) -> bool:
    """Return whether the samples of a shard agree with the checksums of its ``entries``."""
    samples = _map(path, next(iter(entries.values())).shard) if entries else None
    return samples is not None and all(
        zlib.crc32(samples[entry.start : entry.start + entry.length]) == entry.crc32
        for entry in entries.values()
    )


def _is_current(key: AudioKey, entry: Entry) -> bool:
    """Return whether a file is unchanged since decoding; a missing one counts as unchanged."""
    now = stamp_of(key.name)
    return now is None or entry.stamp is None or now == entry.stamp


def stamp_of(name: str) -> list[int] | None:
    """Return size and time of the file behind ``name``; None for a pipe or a missing file."""
    if AudioSource(name).is_pipe:
        return None
    ark = split_offset(name)
    for path in (name, ark[0]) if ark else (name,):
        try:
            found = os.stat(path)
        except OSError:
            continue
        return [found.st_size, found.st_mtime_ns]
    return None


@contextmanager
def locked(path: Path, name: str = "", wait: bool = True) -> Iterator[bool]:
    """Make directory ``path`` and lock ``name`` in it; yield whether this succeeded.

    It fails if another process holds the lock and ``wait`` is false.
    """
    _make_directory(path)
    place = zlib.crc32(name.encode())  # a byte of the lock file
    with open(path / ".lock", "ab") as handle:
        held = True
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            held = False
        except OSError as err:
            raise DiarizeError(f"cannot lock {path}/.lock: {err.strerror}") from err
        yield held


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / ".lock").touch()
    except OSError as err:
        raise DiarizeError(
            f"cannot write {path}: {err.strerror}; it holds decoded audio: choose another place "
            "(data.store_dir of a training, --store of diarize-simulate)"
        ) from err
