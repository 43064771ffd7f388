"""Files below a folder, through links as well; omissions are reported."""

import logging
import os
from collections import deque
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

_LOG = logging.getLogger(__name__)
_WILD = "*?["


def files_below(
    root: str | os.PathLike, suffixes: Collection[str] | None = None, depth: int | None = None
) -> list[Path]:
    """Return the files below ``root`` with these lower-case suffixes (None: all), sorted by path.

    Suffixes are compared without case.  Files of names with a leading dot are ignored, as copies
    made by macOS have such a file beside each.  Links are followed, and each folder is entered
    once, by its own path where it has one below ``root``.  ``depth`` limits the number of folders
    on the path (0: the files of ``root`` only).  A warning names folders that cannot be read or
    that are a link to a folder already entered, and links to nothing.
    """
    found: list[Path] = []
    seen: dict[tuple[int, int], Path] = {}
    # Links wait until all folders that are none have been entered.
    links: deque[tuple[Path, int]] = deque([(Path(root), 0)])
    while links:
        folder, level = links.popleft()
        waiting = [(folder, level)]
        while waiting:
            folder, level = waiting.pop()
            for entry in _entries(folder, seen):
                path = folder / entry.name
                if entry.is_dir():
                    if depth is None or level < depth:
                        (links if entry.is_symlink() else waiting).append((path, level + 1))
                elif _wanted(entry.name, suffixes):
                    if entry.is_file():
                        found.append(path)
                    elif entry.is_symlink():
                        _LOG.warning("%s: left out: a link to nothing", path)
    return sorted(found)


def files_like(root: str | os.PathLike, pattern: str) -> list[Path]:
    """Return the files below ``root`` whose relative path is like ``pattern``, sorted by path.

    In the pattern ``*``, ``?`` and ``[...]`` match parts of one name, ``**`` for any number of
    folders.  The suffix is compared without case.  Otherwise as `files_below`.
    """
    parts, base = pattern.split("/"), Path(root)
    while len(parts) > 1 and not any(sign in parts[0] for sign in _WILD):
        base, parts = base / parts[0], parts[1:]
    if not base.is_dir():
        return []
    depth = None if "**" in parts else len(parts) - 1
    parts[-1] = _lower_suffix(parts[-1])
    suffix = os.path.splitext(parts[-1])[1]
    suffixes = (suffix,) if suffix and not any(sign in suffix for sign in _WILD) else None
    return [path for path in files_below(base, suffixes, depth)
            if _is_like(path.relative_to(base).parts, parts)]  # fmt: skip


def _entries(folder: Path, seen: dict[tuple[int, int], Path]) -> list[os.DirEntry]:
    """Return the sorted entries of a folder, [] with a warning if it cannot or need not be read."""
    try:
        state = os.stat(folder)
        first = seen.setdefault((state.st_dev, state.st_ino), folder)
        if first != folder:
            _LOG.warning("%s: left out: a link to the folder %s", folder, first)
            return []
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as err:
        _LOG.warning("%s: left out: cannot be read: %s", folder, err.strerror)
        return []


def _wanted(name: str, suffixes: Collection[str] | None) -> bool:
    if name.startswith("."):
        return False
    return suffixes is None or os.path.splitext(name)[1].lower() in suffixes


def _lower_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem + suffix.lower()


def _is_like(names: tuple[str, ...], pattern: list[str]) -> bool:
    if not pattern or not names:
        return not pattern and not names
    if pattern[0] == "**":
        return _is_like(names, pattern[1:]) or _is_like(names[1:], pattern)
    name = names[0] if len(names) > 1 else _lower_suffix(names[0])
    return fnmatchcase(name, pattern[0]) and _is_like(names[1:], pattern[1:])
