"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from diarize.errors import DiarizeError


@contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` and move it there when the block ends well.

    Whoever reads ``path`` sees the old file or the whole new one, also after a kill or
    a power cut.  A device or FIFO, such as /dev/null, is written to and stays what it is, as
    does what /dev/stdout stands for; a link stays a link.  Raises DiarizeError, naming
    ``path``, where it cannot be written.
    """
    import tempfile  # not needed by commands that only read, and slow to import

    path = Path(path)
    binary = "b" in mode
    stream = _stream_of(path)
    if stream is not None or (path.exists() and not path.is_file() and not path.is_dir()):
        with _special_file(path, mode, stream) as handle:
            yield handle
        return
    target = path.resolve() if path.is_symlink() else path
    try:
        fd, tmp = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
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


def _stream_of(path: Path) -> int | None:
    """Return the descriptor that ``path`` stands for, as /dev/stdout and /dev/fd/3 do, or None."""
    for place in (path, Path(os.readlink(path))) if path.is_symlink() else (path,):
        if place.name.isdigit() and place.parent.resolve().parts[:2] == ("/", "proc"):
            return int(place.name)
    return None


@contextmanager
def _special_file(path: Path, mode: str, stream: int | None) -> Iterator[IO[Any]]:
    try:
        # The descriptor itself: a file opened again would be written from its beginning.
        place = path if stream is None else os.dup(stream)
        with open(place, mode, encoding=None if "b" in mode else "utf-8") as handle:
            yield handle
    except OSError as err:
        raise DiarizeError(f"cannot write {path}: {err.strerror or err}") from err
