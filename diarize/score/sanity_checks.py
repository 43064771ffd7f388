"""Sanity checks: warnings and errors about mistakes that silently make a DER wrong."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.rttm import TurnColumns
from diarize.score.timeline import EPSILON
from diarize.score.times import Scores
from diarize.segments import Regions, annotation_fault

# Output beyond the end of the audio by more than this (seconds) is not due to rounding.
BEYOND_END = 0.1


def sanity_checks(
    ref: TurnColumns,
    sys: TurnColumns,
    uem: Mapping[str, Regions] | None = None,
    durations: Mapping[str, float] | None = None,
) -> list[str]:
    """Return one warning per kind of likely mistake, with an example; empty without any.

    ``durations`` are those of the audio in seconds; for other recordings the end of the last
    region of the UEM is used.
    """
    in_ref, in_sys = set(ref.recording), set(sys.recording)
    return [
        *_regions(in_ref, uem),
        *_names(in_ref, in_sys, set(uem or {})),
        *_channels(ref, sys),
        *_outside(ref, uem or {}),
        *_beyond(sys, in_ref | set(uem or {}), uem or {}, durations or {}),
        *_turns(ref, "reference"),
        *_turns(sys, "system output"),
    ]


def require_speech(scores: Scores, where: str) -> None:
    """Raise DiarizeError for scores without reference speech in the evaluated regions.

    ``where`` names the reference.
    """
    if not scores.total.evaluated_speech_time > 0:
        raise DiarizeError(
            f"{where}: 0 s of speech in the evaluated regions, so nothing can be scored; times "
            "must be in seconds, of the recordings of the UEM"
        )


def require_inside(ref: TurnColumns, durations: Mapping[str, float], where: str) -> None:
    """Raise DiarizeError for a recording of the reference ``where`` with an `annotation_fault`.

    ``durations`` are the seconds of audio of recordings; others are not checked.
    """
    names, code = ref.recording.names, ref.recording.code
    length = np.array([durations.get(name, np.inf) for name in names], float)[code]
    total = ref.end - ref.start
    inside = np.maximum(np.minimum(ref.end, length) - np.maximum(ref.start, 0.0), 0.0)
    sums = [np.bincount(code, x, len(names)).tolist() for x in (total, total - inside)]
    for name, seconds, outside in zip(names, *sums, strict=True):
        if name in durations:
            fault = annotation_fault(name, seconds, outside, durations[name])
            if fault:
                raise DiarizeError(f"{where}: {fault}")


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return names[0] if len(names) == 1 else f"{len(names)} recordings, such as {names[0]}"


def _regions(in_ref: set[str], uem: Mapping[str, Regions] | None) -> list[str]:
    if uem is None:
        return [
            "no UEM: only the extent of the reference is scored, and output outside of it costs "
            "nothing; add -u with the whole recordings"
        ]
    out = []
    if in_ref - uem.keys():
        out.append(
            f"not in the UEM, so only the extent of the reference is scored: "
            f"{_some(in_ref - uem.keys())}; add them to the UEM"
        )
    if any("." in name for name in uem):
        dotted = _some(name for name in uem if "." in name)
        out.append(
            f"UEM names with dots ({dotted}): md-eval removes the first '.xxx' of such "
            "names, this scorer does not"
        )
    return out


def bare(name: str) -> str:
    """Return a recording's name without directory, extension and channel suffix, in lower case.

    >>> bare("wav/Meeting1.Mix-Headset.wav")
    'meeting1'
    """
    return PurePosixPath(name).name.split(".")[0].lower()


def _names(in_ref: set[str], in_sys: set[str], in_uem: set[str]) -> list[str]:
    out = []
    missing, extra = in_ref - in_sys, in_sys - in_ref
    if missing:
        out.append(f"no system output, so all missed: {_some(missing)}")
    if extra - in_uem:
        out.append(f"in neither reference nor UEM, so ignored: {_some(extra - in_uem)}")
    like = {bare(name): name for name in sorted(missing, reverse=True)}
    for name in sorted(extra):
        if bare(name) in like:
            out.append(
                f"names that differ only by suffix, directory or case: {name} in the "
                f"system output, {like[bare(name)]} in the reference"
            )
            break
    return out


def _channels(ref: TurnColumns, sys: TurnColumns) -> list[str]:
    found: list[dict[str, set[str]]] = []
    for side in (ref, sys):
        channels: dict[str, set[str]] = {}
        for name, channel in set(zip(side.recording, side.channel, strict=True)):
            channels.setdefault(name, set()).add(channel.lower())
        found.append(channels)
    out = []
    many = [name for name, channels in found[0].items() if len(channels) > 1]
    if many:
        out.append(f"several channels in the reference, scored as one here: {_some(many)}")
    both = found[0].keys() & found[1].keys()
    differ = [name for name in both if found[0][name].isdisjoint(found[1][name])]
    if differ:
        name = min(differ)
        out.append(
            f"channels differ, where md-eval would count all speech as missed: {_some(differ)} "
            f"({'/'.join(sorted(found[0][name]))} in the reference, "
            f"{'/'.join(sorted(found[1][name]))} in the output); channels are ignored here"
        )
    return out


def _outside(ref: TurnColumns, uem: Mapping[str, Regions]) -> list[str]:
    """Warn of recordings whose reference lies before or after all of their regions."""
    names, code = ref.recording.names, ref.recording.code
    bounds = [(min(uem[n])[0], max(b for _, b in uem[n])) if uem.get(n) else (-np.inf, np.inf)
              for n in names]  # fmt: skip
    low, high = np.array(bounds, float).reshape(-1, 2)[code].T
    inside = (ref.start < high) & (ref.end > low)
    found = np.bincount(code, inside, len(names)).tolist()
    outside = [name for name, count in zip(names, found, strict=True) if not count]
    if not outside:
        return []
    return [
        f"no reference turn within the UEM, so all output counts as false alarm: {_some(outside)}; "
        "times must be in seconds"
    ]


def _beyond(
    sys: TurnColumns,
    scored: set[str],
    uem: Mapping[str, Regions],
    durations: Mapping[str, float],
) -> list[str]:
    last = {name: max(end for _, end in spans) for name, spans in uem.items() if spans}
    last.update(durations)
    late: dict[str, float] = {}
    for name, end in zip(sys.recording, sys.end.tolist(), strict=True):
        if name in scored and end > last.get(name, np.inf) + BEYOND_END:
            late[name] = max(end, late.get(name, 0.0))
    if not late:
        return []
    name = min(late)
    return [
        f"output beyond the end of the audio: {_some(late)} ({late[name]:.3f} s of "
        f"{last[name]:.3f} s); check the recording ids and the sampling rate"
    ]


def _turns(side: TurnColumns, what: str) -> list[str]:
    out = []
    rows = sorted(
        zip(side.recording, side.label, side.start.tolist(), side.end.tolist(), strict=True)
    )
    twice: set[str] = set()
    reach = -np.inf
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None or before[:2] != row[:2]:
            reach = -np.inf
        if row[2] < reach - EPSILON:
            twice.add(row[0])
        reach = max(reach, row[3])
    if twice:
        out.append(f"overlapping turns of one speaker in the {what}, counted once: {_some(twice)}")
    empty = {name for name, *_, start, end in rows if end - start < EPSILON}
    if empty:
        out.append(f"turns of no length in the {what}: {_some(empty)}")
    if len(side.start) and float(side.start.min()) < 0:
        early = side.recording[int(side.start.argmin())]
        out.append(f"turns that begin before 0 in the {what}: {early}")
    return out
