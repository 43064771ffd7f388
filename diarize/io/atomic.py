"""Atomic writing of files and directories: complete or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from diarize.errors import DiarizeError

_SUFFIX = ".diarize.tmp"
# Directories in which this process has removed the temporary files of killed writers.
_cleaned: set[Path] = set()


@contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` and move it there when the block succeeds.

    A reader of ``path`` sees the old file or the complete new one, also after a kill or a
    power cut.  The temporary file of a killed writer is removed when another process first
    writes to its directory.  A device or FIFO, such as /dev/null, and the target of /dev/stdout
    are written in place; a link remains a link.  Raises DiarizeError, naming ``path``, if it
    cannot be written.
    """
    path = Path(path)
    binary = "b" in mode
    stream = _stream_of(path)
    if stream is not None or (path.exists() and not path.is_file() and not path.is_dir()):
        with _special_file(path, mode, stream) as handle:
            yield handle
        return
    target = path.resolve() if path.is_symlink() else path
    try:
        fd, lock, tmp = _locked_temporary(target)
    except OSError as err:
        raise DiarizeError(f"cannot write {path}: {err.strerror}") from err
    try:
        with os.fdopen(fd, mode, encoding=None if binary else "utf-8") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(tmp, 0o666 & ~umask)
        os.replace(tmp, target)
    except BaseException as err:
        try:
            os.unlink(tmp)
        except OSError:
            pass
        if isinstance(err, OSError):
            raise DiarizeError(f"cannot write {path}: {err.strerror or err}") from err
        raise
    finally:
        os.close(lock)


def make_directory(path: str | os.PathLike) -> None:
    """Make directory ``path``, if it does not exist; raises DiarizeError if that is impossible."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as err:
        raise DiarizeError(f"cannot make directory {path}: {err.strerror or err}") from err


@contextmanager
def atomic_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Make a new directory beside ``path`` and move it there when the block succeeds.

    An existing directory is replaced as a whole, and kept if the block fails.  Raises
    DiarizeError, naming ``path``, if it cannot be written.
    """
    path = Path(path)
    fresh, old = (path.parent / f".{path.name}.{kind}" for kind in ("new", "old"))
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    except OSError as err:
        raise DiarizeError(f"cannot make {path}: {err.strerror}") from err
    try:
        yield fresh
        if not fresh.exists():  # removed by the block: nothing to replace
            return
        try:
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                os.replace(path, old)
            os.replace(fresh, path)
        except OSError as err:
            raise DiarizeError(f"cannot write {path}: {err.strerror}") from err
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _locked_temporary(target: Path) -> tuple[int, int, str]:
    """Return a new temporary file beside ``target``: its descriptor, its lock, and its path.

    The lock lasts until both descriptors are closed: an unlocked file has no writer.
    """
    import tempfile  # not needed by commands that only read, and slow to import

    _remove_stale(target.parent)
    while True:
        fd, tmp = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=_SUFFIX)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # taken for stale by another process before it was locked
            os.close(fd)
            continue
        except OSError:  # a file system without locks: nothing is removed there
            pass
        if os.path.exists(tmp):
            return fd, os.dup(fd), tmp
        os.close(fd)


def _remove_stale(directory: Path) -> None:
    """Remove the temporary files in ``directory`` whose writers were killed, once per process."""
    place = Path(os.path.abspath(directory))
    if place in _cleaned:
        return
    _cleaned.add(place)
    try:
        with os.scandir(place) as entries:
            names = [e.name for e in entries if e.name[0] == "." and e.name.endswith(_SUFFIX)]
    except OSError:  # the write reports it
        return
    for name in names:
        try:
            fd = os.open(place / name, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(place / name)
        except OSError:  # in use, or already removed
            pass
        finally:
            os.close(fd)


def _stream_of(path: Path) -> int | None:
    """Return the descriptor of a ``path`` such as /dev/stdout or /dev/fd/3, else None."""
    for place in (path, Path(os.readlink(path))) if path.is_symlink() else (path,):
        if place.name.isdigit() and place.parent.resolve().parts[:2] == ("/", "proc"):
            return int(place.name)
    return None


@contextmanager
def _special_file(path: Path, mode: str, stream: int | None) -> Iterator[IO[Any]]:
    try:
        # The descriptor itself: a reopened file would be written from its beginning.
        place = path if stream is None else os.dup(stream)
        with open(place, mode, encoding=None if "b" in mode else "utf-8") as handle:
            yield handle
    except OSError as err:
        raise DiarizeError(f"cannot write {path}: {err.strerror or err}") from err
