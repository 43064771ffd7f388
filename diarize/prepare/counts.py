"""Comparison of a prepared corpus with its published figures.

Reference seconds are the sum of the turns of the reference.  Overlapping turns count twice, also
those of one speaker: the published figure of VoxConverse 0.3 test, 144793 s, is 144792.9 s by this
rule and 144789.9 s when the turns of a speaker are joined, as md-eval does for scoring.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from diarize.errors import DiarizeError

# Names of the checks, for ``--allow-counts``.
CHECKS = (
    "recordings",
    "utterances",
    "languages",
    "speakers",
    "speakers-per-recording",
    "hours",
    "reference-seconds",
)


@dataclass(frozen=True)
class Counts:
    """Figures of a prepared part of a corpus.

    ``recordings`` are the usable ones, ``left_out`` those known to be broken.  ``speakers`` counts
    different labels; ``reference_seconds`` are as annotated, including the part beyond the end of
    the audio; ``by_speakers`` maps the number of speakers in a recording to recordings.
    ``other_readings`` maps a reading of the annotation that was not chosen to the reference
    seconds that it would give.
    """

    recordings: int = 0
    left_out: int = 0
    speakers: int = 0
    hours: float = 0.0
    reference_seconds: float = 0.0
    by_speakers: Mapping[int, int] = field(default_factory=dict)
    other_readings: Mapping[str, float] = field(default_factory=dict)

    def line(self, labels: str = "speakers") -> str:
        """Return the counts as a phrase; ``labels`` names the classes of the reference.

        >>> Counts(2, 0, 4, 0.5, 61.25).line()
        '2 recordings, 4 speakers, 0.500 h, 61.2 s of reference'
        """
        out = f" and {self.left_out} left out" if self.left_out else ""
        return (
            f"{self.recordings} recordings{out}, {self.speakers} {labels}, {self.hours:.3f} h, "
            f"{self.reference_seconds:.1f} s of reference"
        )

    def mapping(self) -> dict[str, object]:
        """Return the counts for a JSON file, rounded so that two runs write the same."""
        found: dict[str, object] = {
            "recordings": self.recordings,
            "left_out": self.left_out,
            "speakers": self.speakers,
            "hours": round(self.hours, 4),
            "reference_seconds": round(self.reference_seconds, 2),
            "recordings_by_speakers": {str(k): v for k, v in self.by_speakers.items()},
        }
        if self.other_readings:
            found["reference_seconds_by_other_readings"] = {
                name: round(seconds, 2) for name, seconds in sorted(self.other_readings.items())
            }
        return found


@dataclass(frozen=True)
class Expected:
    """Published figures of a part; None is not checked.

    ``hours`` may differ by ``hours_tolerance`` (a fraction) and ``reference_seconds`` by
    ``seconds_tolerance`` (seconds): half of the last published digit unless stated otherwise.
    ``by_speakers`` must agree as a whole; ``most_speakers`` is the maximum in one recording.
    Where several totals of the reference are published, ``reference_seconds`` holds all of them.
    """

    recordings: int | None = None
    speakers: int | None = None
    most_speakers: int | None = None
    hours: float | None = None
    reference_seconds: float | tuple[float, ...] | None = None
    by_speakers: Mapping[int, int] | None = None
    hours_tolerance: float = 0.01
    seconds_tolerance: float = 0.06

    @property
    def totals(self) -> tuple[float, ...]:
        """The published reference seconds, one or more."""
        if self.reference_seconds is None:
            return ()
        if isinstance(self.reference_seconds, tuple):
            return self.reference_seconds
        return (self.reference_seconds,)


class Difference(NamedTuple):
    """A figure that is not the published one; ``check`` is its name in `CHECKS`."""

    check: str
    text: str


def differences(counts: Counts, expected: Expected) -> list[Difference]:
    """Return the figures that are not as published.

    >>> differences(Counts(recordings=15), Expected(recordings=16))
    [Difference(check='recordings', text='recordings: got 15, expected 16')]
    """
    out = []
    for name in ("recordings", "speakers"):
        got, want = getattr(counts, name), getattr(expected, name)
        if want is not None and got != want:
            out.append(Difference(name, f"{name}: got {got}, expected {want}"))
    most = max(counts.by_speakers, default=0)
    if expected.most_speakers not in (None, most):
        text = f"most speakers in a recording: got {most}, expected {expected.most_speakers}"
        out.append(Difference("speakers-per-recording", text))
    if expected.hours is not None:
        within = expected.hours * expected.hours_tolerance
        if not abs(counts.hours - expected.hours) <= within:
            text = f"hours: got {counts.hours:.3f}, expected {expected.hours} (±{within:.3g})"
            out.append(Difference("hours", text))
    if expected.totals and agreeing_reading(counts, expected) is None:
        wanted = " or ".join(str(total) for total in expected.totals)
        others = "".join(f", {seconds:.1f} {name}"
                         for name, seconds in sorted(counts.other_readings.items()))  # fmt: skip
        text = (
            f"reference seconds: got {counts.reference_seconds:.1f}{others}, expected {wanted} "
            f"(±{expected.seconds_tolerance:g})"
        )
        out.append(Difference("reference-seconds", text))
    if expected.by_speakers is not None:
        table = {k: v for k, v in expected.by_speakers.items() if v}
        if dict(counts.by_speakers) != table:
            text = (
                f"recordings by number of speakers: got {_table(counts.by_speakers)}, "
                f"expected {_table(table)}"
            )
            out.append(Difference("speakers-per-recording", text))
    return out


def agreeing_reading(counts: Counts, expected: Expected) -> tuple[str, float] | None:
    """Return the reading whose reference seconds are published ('' the chosen one), and the total.

    None where no reading agrees with any published total.

    >>> agreeing_reading(Counts(reference_seconds=9, other_readings={"with noise": 10.0}),
    ...                  Expected(reference_seconds=10.0))
    ('with noise', 10.0)
    """
    readings = {"": counts.reference_seconds, **counts.other_readings}
    for name, seconds in readings.items():
        for total in expected.totals:
            if abs(seconds - total) <= expected.seconds_tolerance:
                return name, total
    return None


def check_all(
    corpus: str,
    checks: Iterable[tuple[str, Counts, Expected]],
    allowed: Collection[str] = (),
) -> list[str]:
    """Return the allowed differences of all ``checks`` (part, counts, published figures).

    Each returned difference is also a warning on the standard error.  Raises one DiarizeError
    that lists all differences that ``allowed`` does not name, and the option that allows them.
    """
    found = [
        (part, difference)
        for part, counts, expected in checks
        for difference in differences(counts, expected)
    ]
    refuse(corpus, [(part, one) for part, one in found if one.check not in allowed])
    return [warn_of(f"{corpus} {part}".rstrip(), one) for part, one in found]


def check_counts(
    name: str, counts: Counts, expected: Expected, allowed: Collection[str] = ()
) -> list[str]:
    """Return the allowed differences of one part; otherwise as `check_all`."""
    return check_all(name, [("", counts, expected)], allowed)


def check_one(name: str, check: str, fault: str, allowed: Collection[str]) -> list[str]:
    """Return ``fault`` ('' for none) as a list of differences if ``allowed`` names ``check``.

    Otherwise raises DiarizeError.
    """
    if not fault:
        return []
    difference = Difference(check, fault)
    if check not in allowed:
        refuse(name, [("", difference)])
    return [warn_of(name, difference)]


def refuse(corpus: str, found: Collection[tuple[str, Difference]]) -> None:
    """Raise DiarizeError for (part, difference), naming the option that allows them."""
    if not found:
        return
    parts: dict[str, list[str]] = {}
    for part, difference in found:
        parts.setdefault(part, []).append(difference.text)
    said = "; ".join(f"{part}: {', '.join(texts)}".removeprefix(": ")
                     for part, texts in parts.items())  # fmt: skip
    names = {difference.check for _, difference in found}
    raise DiarizeError(
        f"{corpus}: not the published corpus: {said}. Unpack the archives again; to use a part or "
        f"another edition of the corpus: --allow-counts {','.join(sorted(names, key=CHECKS.index))}"
    )


def warn_of(name: str, difference: Difference) -> str:
    """Return the difference of the part ``name`` in words, after a warning about it."""
    sys.stderr.write(f"WARNING: {name}: not the published corpus: {difference.text}\n")
    return f"{name}: {difference.text}"


def allowed_counts(text: str) -> frozenset[str]:
    """Return the checks that ``text``, their names with commas, allows to fail ('' for none).

    >>> sorted(allowed_counts("hours,recordings"))
    ['hours', 'recordings']
    """
    names = frozenset(name for name in text.replace(",", " ").split())
    unknown = sorted(names - set(CHECKS))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown check '{unknown[0]}'; the checks are {', '.join(CHECKS)}"
        )
    return names


def _table(table: Mapping[int, int]) -> str:
    return " ".join(f"{key}:{value}" for key, value in sorted(table.items())) or "none"
