"""What a preparation found, against what was published: a mismatch is an error that says which.

Reference seconds are the sum over the turns of the reference, two that overlap counting twice,
also those of one speaker: so were the published ones made (VoxConverse 0.3 test: 144792.9 s this
way, which is the published 144793; 144789.9 s with the turns of a speaker joined, which is what
md-eval scores).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from diarize.errors import DiarizeError


@dataclass(frozen=True)
class Counts:
    """``recordings`` are those that can be used, ``left_out`` those known to be broken.

    ``speakers`` are different labels; ``reference_seconds`` are as annotated, also beyond the end
    of the audio; ``by_speakers`` is speakers in a recording -> recordings.
    """

    recordings: int = 0
    left_out: int = 0
    speakers: int = 0
    hours: float = 0.0
    reference_seconds: float = 0.0
    by_speakers: Mapping[int, int] = field(default_factory=dict)

    def line(self, labels: str = "speakers") -> str:
        """Return the counts as a phrase for people; ``labels`` is what the speakers are.

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
        return {
            "recordings": self.recordings,
            "left_out": self.left_out,
            "speakers": self.speakers,
            "hours": round(self.hours, 4),
            "reference_seconds": round(self.reference_seconds, 2),
            "recordings_by_speakers": {str(k): v for k, v in self.by_speakers.items()},
        }


@dataclass(frozen=True)
class Expected:
    """Published figures of a part; None is not checked.

    ``hours`` may differ by ``hours_tolerance`` (a share) and ``reference_seconds`` by
    ``seconds_tolerance`` (seconds): half of the last digit published, if not said otherwise.
    ``by_speakers`` must agree as a whole; ``most_speakers`` is the most in one recording.
    """

    recordings: int | None = None
    speakers: int | None = None
    most_speakers: int | None = None
    hours: float | None = None
    reference_seconds: float | None = None
    by_speakers: Mapping[int, int] | None = None
    hours_tolerance: float = 0.01
    seconds_tolerance: float = 0.06


def differences(counts: Counts, expected: Expected) -> list[str]:
    """Return one phrase for each figure that is not as published.

    >>> differences(Counts(recordings=15), Expected(recordings=16))
    ['recordings: got 15, expected 16']
    """
    out = []
    for name in ("recordings", "speakers"):
        got, want = getattr(counts, name), getattr(expected, name)
        if want is not None and got != want:
            out.append(f"{name}: got {got}, expected {want}")
    most = max(counts.by_speakers, default=0)
    if expected.most_speakers not in (None, most):
        out.append(f"most speakers in a recording: got {most}, expected {expected.most_speakers}")
    if expected.hours is not None:
        within = expected.hours * expected.hours_tolerance
        if not abs(counts.hours - expected.hours) <= within:
            out.append(f"hours: got {counts.hours:.3f}, expected {expected.hours} (±{within:.3g})")
    if expected.reference_seconds is not None:
        within = expected.seconds_tolerance
        if not abs(counts.reference_seconds - expected.reference_seconds) <= within:
            out.append(
                f"reference seconds: got {counts.reference_seconds:.1f}, "
                f"expected {expected.reference_seconds} (±{within:g})"
            )
    if expected.by_speakers is not None:
        wanted = {k: v for k, v in expected.by_speakers.items() if v}
        if dict(counts.by_speakers) != wanted:
            out.append(
                f"recordings by number of speakers: got {_table(counts.by_speakers)}, "
                f"expected {_table(wanted)}"
            )
    return out


def check_counts(
    name: str, counts: Counts, expected: Expected, any_counts: bool = False
) -> list[str]:
    """Return what differs from the published figures: nothing, but for ``any_counts``.

    With ``any_counts`` the differences are a warning on the standard error, for a subset or
    another edition of the corpus; else they are a DiarizeError.
    """
    found = differences(counts, expected)
    if found and not any_counts:
        raise DiarizeError(
            f"{name}: not the published corpus: {'; '.join(found)}. "
            "Is it unpacked whole? For a part of it: --any-counts true"
        )
    for difference in found:
        sys.stderr.write(f"WARNING: {name}: not the published corpus: {difference}\n")
    return found


def _table(table: Mapping[int, int]) -> str:
    return " ".join(f"{key}:{value}" for key, value in sorted(table.items())) or "none"
