"""Files of the unpacked archives of a corpus; errors name the missing ones."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.folders import files_like
from diarize.io.rttm import read_rttm
from diarize.segments import Segment


def corpus_root(path: str | None, variable: str, what: str) -> Path:
    """Return the absolute directory ``path`` of the corpus ``what``.

    Raises DiarizeError, naming the ``variable`` of db.sh, if it is unset or no directory.
    """
    if not path:
        raise DiarizeError(f"{what}: no directory: set {variable} in db.sh")
    root = Path(path)
    if not root.is_dir():
        raise DiarizeError(f"{what}: no directory {path}: correct {variable} in db.sh")
    return Path(os.path.abspath(root))


def one_of(root: Path, *places: str) -> Path:
    """Return the first of ``places`` below ``root`` that is a directory; DiarizeError if none."""
    for place in places:
        if (root / place).is_dir():
            return root / place
    raise DiarizeError(
        f"{root}: no directory {' and no '.join(places)}; unpack the whole archive here"
    )


def needed(path: Path, what: str) -> Path:
    """Return the file ``path``; DiarizeError, describing it as ``what``, if it does not exist."""
    if not path.is_file():
        raise DiarizeError(f"{path}: missing: {what}; unpack or fetch the archive again")
    return path


def files_by_stem(
    folder: Path, pattern: str, only: Collection[str] | None = None
) -> dict[str, Path]:
    """Return name without suffix -> file for the ``pattern`` of `files_like`, sorted by path.

    With ``only``, files of other names are ignored.  Raises DiarizeError if no file is found, or
    two of one name that are not the same file.
    """
    found: dict[str, Path] = {}
    for path in files_like(folder, pattern):
        if only is not None and path.stem not in only:
            continue
        if path.stem in found and path.samefile(found[path.stem]):
            continue
        if path.stem in found:
            raise DiarizeError(
                f"recording {path.stem} occurs twice: {found[path.stem]} and {path}; remove one "
                "of them"
            )
        found[path.stem] = path
    if not found:
        raise DiarizeError(f"{folder}: no file {pattern}; unpack the whole archive here")
    return found


def read_reference(path: Path, recording: str) -> list[Segment]:
    """Return the segments of the RTTM of one recording.

    Raises DiarizeError if the file is missing or empty, or names another recording.
    """
    segments = read_rttm(needed(path, f"the reference of {recording}"))
    if not segments:
        raise DiarizeError(
            f"{path}: the reference of {recording} is empty; unpack or fetch the archive again"
        )
    other = next((s.recording for s in segments if s.recording != recording), None)
    if other is not None:
        raise DiarizeError(
            f"{path}: names recording {other} instead of {recording}; correct the file"
        )
    return segments


def unique_names(names: Iterable[str], where: Path) -> list[str]:
    """Return ``names`` of the file ``where`` as a list; DiarizeError for a duplicate or none."""
    out: list[str] = []
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DiarizeError(f"{where}: recording {name} occurs twice; remove one line")
        seen.add(name)
        out.append(name)
    if not out:
        raise DiarizeError(f"{where}: no recordings; unpack or fetch the archive again")
    return out
