"""Files of a trained model: a directory, a packed model, or the weights alone."""

import contextlib
import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from diarize.errors import DiarizeError

_LARGEST = 8 << 30  # bytes of an unpacked archive
_MOST_MEMBERS = 1000
_LARGEST_READ = 1 << 20
# Errors of tarfile, and of the decompression, for bytes that are no archive.
_FAULTS = (
    tarfile.TarError, EOFError, OSError, zlib.error, ValueError, ArithmeticError, RecursionError,
)  # fmt: skip


@contextmanager
def model_files(path: str | os.PathLike) -> Iterator[tuple[Path, Path | None]]:
    """Yield the paths of the weights and of the tuned post-processing (None without one).

    ``path`` is a model file, a directory (an experiment or a packed model) with ``final.pth``, or
    the ``.tar.gz`` that the packing stage writes, which is unpacked until the end of the block.
    Thresholds are read from ``best.yaml`` in the same directory, or from the
    ``infer_*/best.yaml`` of the validation set.  Raises DiarizeError, naming ``path``.
    """
    path = Path(path)
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz", ".tar")):
        with tempfile.TemporaryDirectory(prefix="diarize-model-") as folder:
            _unpack(path, Path(folder))
            try:
                yield _find(Path(folder))
            except DiarizeError as err:
                raise DiarizeError(str(err).replace(folder, str(path))) from err
    else:
        yield _find(path)


def _find(path: Path) -> tuple[Path, Path | None]:
    if path.is_dir():
        if not (path / "final.pth").is_file():
            raise DiarizeError(f"{path}: no final.pth in it; run the averaging stage first")
        path = path / "final.pth"
    if not path.is_file():
        raise DiarizeError(f"no model at {path}")
    tuned = [path.parent / "best.yaml", *sorted(path.parent.glob("infer_*/best.yaml"))]
    return path, next((p for p in tuned if p.is_file()), None)


def _unpack(archive: Path, folder: Path) -> None:
    """Copy ``final.pth`` and ``best.yaml`` of a packed model into ``folder``."""
    try:
        with open(archive, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else contextlib.nullcontext(raw) as content:
                _copy_members(archive, _Bounded(content), folder)
    except _FAULTS as err:
        raise DiarizeError(
            f"{archive}: not a packed model, or damaged ({err or type(err).__name__}); download or "
            "pack it again"
        ) from err
    if not (folder / "final.pth").exists():
        raise DiarizeError(f"{archive}: no final.pth in it; it is not a packed model")


def _copy_members(archive: Path, content: "_Bounded", folder: Path) -> None:
    with tarfile.open(fileobj=content, mode="r:") as tar:
        for count, member in enumerate(tar, 1):
            end = member.offset_data + member.size
            if count > _MOST_MEMBERS or member.size < 0 or end > _LARGEST:
                raise DiarizeError(
                    f"{archive}: not a packed model: more than {_MOST_MEMBERS} files or "
                    f"{_LARGEST >> 30} GiB, or a file of negative size"
                )
            # Only the name counts, never the directory of the member, and no link is followed.
            name = Path(member.name).name
            if member.isreg() and not member.issparse() and name in ("final.pth", "best.yaml"):
                with tar.extractfile(member) as source, open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target)


class _Bounded:
    """File that is read in small parts: tarfile reads extended headers whole."""

    def __init__(self, handle: IO[bytes]) -> None:
        self.seek, self.tell, self._handle = handle.seek, handle.tell, handle

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; tarfile.ReadError for more than 1 MiB."""
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._handle.read(size)
