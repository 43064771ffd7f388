"""Split of a corpus without validation set: a rule, and lists with a checksum.

The ids are ordered by the SHA-256 of ``<seed>:<id>``; the first ``round(share * n)`` are for
validation.  The split does not depend on the random numbers of a library.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Collection, Iterable, Mapping

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.table import read_text

DEFAULT_SEED = 1
VALIDATION_SHARE = 0.2
_HEAD = re.compile(r"# split by diarize: (.*); sha256 ([0-9a-f]{64})")


def seeded_split(
    ids: Iterable[str], seed: int = DEFAULT_SEED, share: float = VALIDATION_SHARE
) -> dict[str, str]:
    """Return id -> ``train`` or ``dev`` in the order of the ids; at least one is in each.

    Raises DiarizeError for fewer than two ids, or one that occurs twice.

    >>> seeded_split(["a", "b", "c", "d", "e"])
    {'a': 'train', 'b': 'train', 'c': 'train', 'd': 'dev', 'e': 'train'}
    """
    names = sorted(ids)
    if len(set(names)) != len(names):
        twice = next(a for a, b in itertools.pairwise(names) if a == b)
        raise DiarizeError(f"cannot be split: {twice} occurs twice")
    if len(names) < 2:
        raise DiarizeError(f"{len(names)} recordings cannot be split into training and validation")
    number = min(max(round(share * len(names)), 1), len(names) - 1)
    order = sorted(names, key=lambda name: (_digest(f"{seed}:{name}"), name))
    chosen = set(order[:number])
    return {name: "dev" if name in chosen else "train" for name in names}


def write_split(path: str | os.PathLike, split: Mapping[str, str], rule: str) -> None:
    """Write the list: a head with ``rule`` and the checksum of the lines, then ``<id> <set>``."""
    body = _body(split)
    with atomic_write(path) as handle:
        handle.write(f"# split by diarize: {rule}; sha256 {_digest(body)}\n{body}")


def read_split(path: str | os.PathLike) -> dict[str, str]:
    """Return id -> set of a list that `write_split` wrote.

    Raises DiarizeError, naming file and line, where its form is another or the checksum shows
    that it was changed.
    """
    first, _, body = read_text(path).partition("\n")
    head = _HEAD.fullmatch(first)
    if head is None:
        raise DiarizeError(f"{path}:1: not the head of a split: '# split by diarize: ...'")
    split: dict[str, str] = {}
    for number, line in enumerate(body.splitlines(), 2):
        fields = line.split()
        if len(fields) != 2:
            raise DiarizeError(f"{path}:{number}: {len(fields)} fields where id and set are needed")
        if fields[0] in split:
            raise DiarizeError(f"{path}:{number}: {fields[0]} occurs twice")
        split[fields[0]] = fields[1]
    if _digest(_body(split)) != head[2]:
        raise DiarizeError(
            f"{path}: its checksum is not that of its lines: the list was changed; restore "
            "the committed one, or remove it to have it made again"
        )
    return split


def split_ids(
    ids: Collection[str],
    listed: str | os.PathLike | None,
    seed: int | None = DEFAULT_SEED,
    partial: bool = False,
) -> dict[str, str]:
    """Return id -> set, by the committed list ``listed``, for None by the rule and ``seed``.

    The list must have these ids and no others; ``partial`` (a subset of the corpus) allows ids
    of the list that are not here.
    """
    if listed is None:
        return seeded_split(ids, DEFAULT_SEED if seed is None else seed)
    split = read_split(listed)
    unlisted = sorted(set(ids) - split.keys())
    if unlisted:
        raise DiarizeError(f"{listed}: {len(unlisted)} recordings not listed, like {unlisted[0]}")
    absent = sorted(split.keys() - set(ids))
    if absent and not partial:
        raise DiarizeError(f"{listed}: {len(absent)} recordings are not there, like {absent[0]}")
    return {name: split[name] for name in sorted(ids)}


def describe_rule(seed: int, share: float = VALIDATION_SHARE) -> str:
    """Return the rule in words, for the head of a list and for reports."""
    return f"dev = the first {share:.0%} of ids ordered by sha256('{seed}:' + id)"


def _body(split: Mapping[str, str]) -> str:
    return "".join(f"{name} {split[name]}\n" for name in sorted(split))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
