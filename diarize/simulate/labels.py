"""What is said of a mixture: who speaks, or which language, when; and what kind of switches."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from diarize.segments import Segment

if TYPE_CHECKING:
    from diarize.simulate.render import Layout, Placed

INTRA, INTER, MONO = "intra", "inter", "mono"
"""Kinds of sentences: with a switch inside, between switches, of a recording without any."""


def has_languages(mixture: dict) -> bool:
    """Return whether the labels of ``mixture`` are given piece by piece, as languages are."""
    return any(
        isinstance(utt, dict) and "label" in utt
        for speaker in mixture["speakers"]
        for utt in speaker["utts"]
    )


def segments_of(
    mixture: dict,
    layout: "Layout",
    *,
    sample_rate: int,
    start: int = 0,
    stop: int | None = None,
) -> list[Segment]:
    """Return the labels inside samples [start, stop), sorted; times in seconds from ``start``.

    An utterance's label is its own, else the speaker's name.  Utterances of one speaker that
    have the same label of their own and abut are one segment.
    """
    stop = layout.num_samples if stop is None else stop
    return _runs(mixture, layout, sample_rate, (start, stop), label_of)


def voices_of(
    mixture: dict, layout: "Layout", *, sample_rate: int, stop: int | None = None
) -> list[tuple[Segment, str]]:
    """Return segments with their speakers, sorted: neither changes inside of one."""
    stop = layout.num_samples if stop is None else stop
    # Names hold no blanks, so that one stands between them.
    runs = _runs(
        mixture,
        layout,
        sample_rate,
        (0, stop),
        lambda mixture, utt: f"{label_of(mixture, utt)} {_voice(mixture, utt)}",
    )
    return [(run._replace(label=run.label.split()[0]), run.label.split()[1]) for run in runs]


def kinds_of(
    mixture: dict, layout: "Layout", *, sample_rate: int, stop: int | None = None
) -> list[Segment]:
    """Return the sentences as segments labelled INTRA, INTER or MONO, sorted.

    Utterances without the number of a sentence are left out.
    """
    stop = layout.num_samples if stop is None else stop
    sentences: dict[tuple[int, int], list] = {}
    languages = {label_of(mixture, utt) for utt in layout.placed}
    for utt in layout.placed:
        if utt.piece.sentence is not None:
            sentences.setdefault((utt.speaker, utt.piece.sentence), []).append(utt)
    out = []
    for parts in sentences.values():
        first = min(utt.begin for utt in parts)
        last = min(max(utt.begin + utt.length for utt in parts), stop)
        kind = INTER if len(languages) > 1 else MONO
        if len({label_of(mixture, utt) for utt in parts}) > 1:
            kind = INTRA
        if last > first:
            times = first / sample_rate, last / sample_rate
            out.append(Segment(mixture["recid"], *times, kind))
    return sorted(out)


def label_of(mixture: dict, utt: "Placed") -> str:
    """Return the label of an utterance: its own, else the speaker's name."""
    return utt.piece.label or mixture["speakers"][utt.speaker]["spkid"]


def _voice(mixture: dict, utt: "Placed") -> str:
    return utt.piece.voice or mixture["speakers"][utt.speaker]["spkid"]


def _runs(
    mixture: dict,
    layout: "Layout",
    sample_rate: int,
    window: tuple[int, int],
    name_of: Callable[[dict, "Placed"], str],
) -> list[Segment]:
    start, stop = window
    runs: list[tuple[int, int, int, str]] = []
    for utt in layout.placed:
        lo, hi = max(utt.begin, start), min(utt.begin + utt.length, stop)
        if hi <= lo:
            continue
        name = name_of(mixture, utt)
        if utt.piece.label is not None and runs and runs[-1][1:] == (lo, utt.speaker, name):
            lo = runs.pop()[0]
        runs.append((lo, hi, utt.speaker, name))
    return sorted(
        Segment(mixture["recid"], (lo - start) / sample_rate, (hi - start) / sample_rate, name)
        for lo, hi, _, name in runs
    )
