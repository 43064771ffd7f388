"""Contents of training data: a summary of each set, and the difference of two summaries.

A training that is resumed must see the same data.  Paths do not tell: a directory can lose half
of its recordings, and data can be moved.  Compared are the recordings, their durations, labels
and evaluated regions, one checksum for each recording; for a manifest the mixtures, whose files
are compared by name without their directories.  Audio itself is not read.
"""

import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.kaldi.datadir import DataDir

# Plain values, which a checkpoint holds: ``path``, ``kind``, ``names`` (one to a line), and for
# each aspect 8 hexadecimal digits for each recording, '' where the data do not have it.
Contents = dict[str, str]

_ASPECTS = {
    "durations": "duration",
    "reference": "reference",
    "uem": "evaluated regions (uem)",
    "mixtures": "content",
}
_DIGITS = 8
_DIRECTORIES = re.compile(rb'"/[^"]*/')  # of an absolute path


def describe_data(path: str | os.PathLike, labels: str = "speaker") -> Contents:
    """Return the contents of the data directory or the manifest ``path``.

    ``labels`` is "speaker" or "language", as in `DataDir.reference`.  Raises DiarizeError for
    data that cannot be read.
    """
    path = Path(path)
    return _describe_dir(path, labels) if path.is_dir() else _describe_manifest(path)


def compare_contents(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the differences in words, at most one for each aspect; empty: the same data.

    An aspect that one of both does not have is no difference, but for the evaluated regions,
    which are the whole recordings where there is no ``uem``.
    """
    if old["kind"] != new["kind"]:
        return [f"{old['kind']} before, now {new['kind']}"]
    before, now = old["names"].split("\n"), new["names"].split("\n")
    if before != now:
        return [_compare_names(before, now)]
    found = []
    for aspect, name in _ASPECTS.items():
        one, two = old[aspect], new[aspect]
        if one == two or (aspect == "durations" and not (one and two)):
            continue
        if not (one and two):
            found.append(f"{name}: {'present' if one else 'absent'} before, "
                         f"now {'present' if two else 'absent'}")
            continue
        places = range(0, len(one), _DIGITS)
        changed = [i for i in places if one[i : i + _DIGITS] != two[i : i + _DIGITS]]
        found.append(f"{name} changed in {_some([now[i // _DIGITS] for i in changed])}")
    return found


def _compare_names(before: list[str], now: list[str]) -> str:
    had, has = set(before), set(now)
    parts = [f"{len(before)} recordings, now {len(now)}"]
    for word, names in (("missing", [n for n in before if n not in has]),
                        ("new", [n for n in now if n not in had])):  # fmt: skip
        if names:
            parts.append(f"{word}: {_some(names)}")
    if len(parts) == 1:
        parts.append("in another order")
    return ", ".join(parts)


def _some(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _describe_dir(path: Path, labels: str) -> Contents:
    data = DataDir.load(path)
    names = data.recordings
    segments = data.reference(labels)
    regions = data.evaluated()
    durations = {name: float(seconds) for name, seconds in data.reco2dur.items()}
    return {
        "path": str(path),
        "kind": "data directory",
        "names": "\n".join(names),
        "durations": _checksums(names, durations and (lambda n: f"{durations[n]:.2f}")),
        "reference": _checksums(names, lambda n: "".join(
            [f"{s.start:.3f} {s.end:.3f} {s.label}\n" for s in segments[n]])),
        "uem": _checksums(names, None if regions is None else lambda n: "".join(
            [f"{start:.3f} {end:.3f}\n" for start, end in regions.get(n, ())])),
        "mixtures": "",
    }  # fmt: skip


def _describe_manifest(path: Path) -> Contents:
    names: list[str] = []
    sums: list[str] = []
    try:
        with open(path, "rb") as handle:
            for line in handle:
                name, _, mixture = line.partition(b" ")
                names.append(name.decode(errors="replace"))
                sums.append(_checksum(_DIRECTORIES.sub(b'"', mixture.strip())))
    except OSError as err:
        raise DiarizeError(f"cannot read {path}: {err.strerror}") from err
    return {
        "path": str(path),
        "kind": "manifest",
        "names": "\n".join(names),
        "durations": "",
        "reference": "",
        "uem": "",
        "mixtures": "".join(sums),
    }


def _checksums(names: Iterable[str], text: Callable[[str], str] | None) -> str:
    return "".join([_checksum(text(name).encode()) for name in names]) if text else ""


def _checksum(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"
