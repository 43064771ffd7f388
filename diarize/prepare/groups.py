"""Splits without leakage: recordings of one group are in one set.

Two recordings are in one group if they share a speaker, or if a list assigns them to one group (a
meeting, a show, a room), directly or through other recordings.  Groups are ordered by the SHA-256
of ``<seed>:<smallest id>``.  In that order, groups that fit into its share of the audio go to
validation, then to test; if none fits, the shortest does.  All others are for training.  The split
does not depend on the random numbers of a library.
"""

import hashlib
from collections.abc import Iterable, Mapping

from diarize.errors import DiarizeError
from diarize.prepare.part import CorpusPart
from diarize.segments import Segment

SETS = ("train", "dev", "test")
_SHOWN = 3


def speakers_of(segments: Iterable[Segment]) -> dict[str, set[str]]:
    """Return the speakers of each recording that has any."""
    out: dict[str, set[str]] = {}
    for segment in segments:
        out.setdefault(segment.recording, set()).add(segment.label)
    return out


def groups_of(ids: Iterable[str], links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the recordings that ``links`` (recording, anything in common) hold together.

    Each group is sorted, and the groups by their first recording.

    >>> groups_of(["r1", "r2", "r3"], [("r1", "ann"), ("r3", "ann")])
    [['r1', 'r3'], ['r2']]
    """
    head = {name: name for name in ids}

    def find(name: str) -> str:
        while head[name] != name:
            head[name] = head[head[name]]
            name = head[name]
        return name

    first: dict[str, str] = {}
    for name, common in links:
        a, b = find(first.setdefault(common, name)), find(name)
        head[max(a, b)] = min(a, b)
    groups: dict[str, list[str]] = {}
    for name in sorted(head):
        groups.setdefault(find(name), []).append(name)
    return list(groups.values())


def split_groups(
    groups: list[list[str]],
    seconds: Mapping[str, float],
    shares: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return recording -> set; ``shares`` of the audio go to dev and test, the rest to train.

    ``fixed`` is the set of some recordings; a group with one of them is put there whole.
    Raises DiarizeError where ``fixed`` tears a group apart, or a set would have nothing.
    """
    split: dict[str, str] = {}
    free = []
    for group in groups:
        places = sorted({fixed[name] for name in group if name in fixed}) if fixed else []
        if len(places) > 1:
            raise DiarizeError(_torn(group, fixed))
        if places:
            split |= dict.fromkeys(group, places[0])
        else:
            free.append(group)
    wanted = [name for name in ("dev", "test") if shares.get(name, 0) > 0]
    empty = [name for name in [*wanted, "train"] if name not in split.values()]
    if len(free) < len(empty):
        raise DiarizeError(_too_few(groups, empty))
    total = sum(seconds.values())
    free.sort(key=lambda group: (_digest(f"{seed}:{group[0]}"), group))
    for place in wanted:
        have = sum(seconds[name] for name, where in split.items() if where == place)
        later = sum(name != place for name in empty)
        taken = _fitting(free, seconds, shares[place] * total - have, later)
        if not taken and place in empty:
            taken = [min(free, key=lambda group: _length(group, seconds))]
        for group in taken:
            free.remove(group)
            split |= dict.fromkeys(group, place)
        empty = [name for name in empty if name != place]
    for group in free:
        split |= dict.fromkeys(group, "train")
    return {name: split[name] for name in sorted(split)}


def _fitting(
    free: list[list[str]], seconds: Mapping[str, float], lacking: float, later: int
) -> list[list[str]]:
    """Return the groups, in order, that fit into ``lacking`` seconds, but leave ``later`` ones."""
    taken: list[list[str]] = []
    for group in free:
        length = _length(group, seconds)
        if length <= lacking + 1e-6 and len(free) - len(taken) > later:
            taken.append(group)
            lacking -= length
    return taken


def shared_speakers(part: CorpusPart, split: Mapping[str, str]) -> dict[str, list[str]]:
    """Return speaker -> sets, for the labels that are in recordings of more than one set."""
    places: dict[str, set[str]] = {}
    for recording, labels in speakers_of(part.segments).items():
        for label in labels:
            places.setdefault(label, set()).add(split[recording])
    return {label: sorted(where) for label, where in sorted(places.items()) if len(where) > 1}


def _length(group: list[str], seconds: Mapping[str, float]) -> float:
    return sum(seconds[name] for name in group)


def _torn(group: list[str], fixed: Mapping[str, str]) -> str:
    examples = {fixed[name]: name for name in group if name in fixed}
    shown = " and ".join(f"{name} ({place})" for place, name in sorted(examples.items()))
    return (
        f"the list tears a group apart: {shown} share a speaker or a group, directly or through "
        f"others ({len(group)} recordings). Put them into one set, or, where equal labels are "
        "different persons, use --speakers local"
    )


def _too_few(groups: list[list[str]], empty: list[str]) -> str:
    largest = max(groups, key=len)
    names = ", ".join(largest[:_SHOWN]) + (", ..." if len(largest) > _SHOWN else "")
    return (
        f"{len(groups)} groups of recordings cannot provide {', '.join(empty)} one each: the "
        f"largest has {len(largest)} recordings ({names}) with common speakers or groups. Where "
        "equal labels are different persons (spk1, spk2), use --speakers local; a set that is not "
        "needed has the share 0"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
