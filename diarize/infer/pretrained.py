"""Files of a trained model: a directory, a packed model, or the weights alone."""

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diarize.errors import DiarizeError

_LARGEST = 8 << 30  # bytes of a member of a packed model


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
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in ("final.pth", "best.yaml"):
                    if member.size > _LARGEST:
                        raise DiarizeError(f"{archive}: {name} has {member.size} bytes")
                    with tar.extractfile(member) as source, open(folder / name, "wb") as target:
                        shutil.copyfileobj(source, target)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as err:
        raise DiarizeError(f"{archive}: not a packed model, or damaged: {err}") from err
    if not (folder / "final.pth").exists():
        raise DiarizeError(f"{archive}: no final.pth in it; it is not a packed model")
