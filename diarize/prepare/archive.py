"""Finding what lies in the unpacked archives of a corpus, with errors that say what is missing."""

import os
from collections.abc import Iterable
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm
from diarize.segments import Segment


def corpus_root(path: str | None, variable: str, what: str) -> Path:
    """Return the absolute directory ``path``; the error names the ``variable`` of db.sh.

    ``what`` says what should lie there.
    """
    if not path:
        raise DiarizeError(f"{what}: nothing says where it lies: set {variable} in db.sh")
    root = Path(path)
    if not root.is_dir():
        raise DiarizeError(f"{what}: no directory {path}: correct {variable} in db.sh")
    return Path(os.path.abspath(root))


def one_of(root: Path, *places: str) -> Path:
    """Return the first of ``places`` below ``root`` that is a directory."""
    for place in places:
        if (root / place).is_dir():
            return root / place
    raise DiarizeError(
        f"{root}: there is no {' and no '.join(places)}: is the archive unpacked here, whole?"
    )


def needed(path: Path, what: str) -> Path:
    """Return ``path``, which must be a file; ``what`` says of what it is a part."""
    if not path.is_file():
        raise DiarizeError(f"{path}: missing: {what}; unpack or fetch the archive again")
    return path


def files_by_stem(folder: Path, pattern: str) -> dict[str, Path]:
    """Return name without suffix -> file, for the files that ``pattern`` (a glob) finds, sorted.

    Raises DiarizeError where there are none, or two of one name.
    """
    found: dict[str, Path] = {}
    # Copies made by macOS carry twins "._name" that hold no audio.
    for path in sorted(p for p in folder.glob(pattern) if not p.name.startswith(".")):
        if path.stem in found:
            raise DiarizeError(
                f"recording {path.stem} is there twice: {found[path.stem]} and {path}; remove one"
            )
        found[path.stem] = path
    if not found:
        raise DiarizeError(f"{folder}: no {pattern} in it: is the archive unpacked here, whole?")
    return found


def read_reference(path: Path, recording: str) -> list[Segment]:
    """Return the segments of the RTTM of one recording.

    Raises DiarizeError where the file is missing or empty, or names another recording.
    """
    segments = read_rttm(needed(path, f"the reference of {recording}"))
    if not segments:
        raise DiarizeError(f"{path}: no segments: the reference of {recording} is empty")
    other = next((s.recording for s in segments if s.recording != recording), None)
    if other is not None:
        raise DiarizeError(f"{path}: names recording {other} where {recording} was expected")
    return segments


def unique_names(names: Iterable[str], where: Path) -> list[str]:
    """Return ``names`` as a list; DiarizeError for one that ``where`` has twice, or for none."""
    out: list[str] = []
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DiarizeError(f"{where}: recording {name} is there twice; remove one line")
        seen.add(name)
        out.append(name)
    if not out:
        raise DiarizeError(f"{where}: no recordings in it")
    return out
