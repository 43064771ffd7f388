"""Error times: seconds that add up over recordings, and the rates computed from them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from operator import add, attrgetter

from diarize.errors import DiarizeError


@dataclass(frozen=True)
class ErrorTimes:
    """Seconds of error of one recording, or summed over several.

    ``scored_speech`` is the denominator of the DER: the scored time of all reference speakers, so
    that overlapped speech counts once per speaker.  The ``..._time`` fields count time, not
    speakers.  Definitions: NIST RT-09 evaluation plan, section 6, as md-eval computes them.
    """

    scored_speech: float = 0.0
    miss: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    evaluated_time: float = 0.0
    evaluated_speech_time: float = 0.0
    scored_time: float = 0.0
    scored_speech_time: float = 0.0
    missed_speech_time: float = 0.0
    false_alarm_speech_time: float = 0.0

    def __add__(self, other: "ErrorTimes") -> "ErrorTimes":
        """Return the sums of both, field by field."""
        if not isinstance(other, ErrorTimes):
            return NotImplemented
        return ErrorTimes(*(getattr(self, f) + getattr(other, f) for f in TIME_FIELDS))

    @property
    def error(self) -> float:
        """Seconds of miss, false alarm and confusion."""
        return self.miss + self.false_alarm + self.confusion

    @property
    def der(self) -> float:
        """Error over scored speech; without scored speech 0 for no error, else inf."""
        return self.rate(self.error)

    def rate(self, seconds: float) -> float:
        """Return ``seconds`` over the scored speech; without scored speech 0 for 0, else inf."""
        if self.scored_speech > 0:
            return seconds / self.scored_speech
        return 0.0 if seconds <= 0 else float("inf")

    def check(self, where: str = "") -> "ErrorTimes":
        """Return self; raises DiarizeError where the sums are inconsistent."""
        slack = 1e-6 * (1 + self.evaluated_time + self.scored_speech)
        bad = [f for f in TIME_FIELDS if not getattr(self, f) >= -slack]
        if self.miss + self.confusion > self.scored_speech + slack:
            bad.append("miss + confusion > scored_speech")
        if self.missed_speech_time > self.miss + slack:
            bad.append("missed_speech_time > miss")
        if self.false_alarm_speech_time > self.false_alarm + slack:
            bad.append("false_alarm_speech_time > false_alarm")
        if self.scored_time > self.evaluated_time + slack:
            bad.append("scored_time > evaluated_time")
        if bad:
            raise DiarizeError(f"{where or 'score'}: inconsistent sums ({'; '.join(bad)}): {self}")
        return self


TIME_FIELDS = tuple(f.name for f in fields(ErrorTimes))
_ROW = attrgetter(*TIME_FIELDS)


@dataclass(frozen=True)
class Scores:
    """Error times per recording, in C order of their names, and their sum.

    ``without_reference``: the recordings without a turn in the reference, which md-eval ignores.
    """

    recordings: Mapping[str, ErrorTimes]
    without_reference: tuple[str, ...] = ()

    @property
    def total(self) -> ErrorTimes:
        """The sum over recordings, checked.

        Summed from the last to the first.  The order of md-eval changes from run to run, and its
        printed digits depend on it where a sum ends in exactly half a hundredth.
        """
        total = [0.0] * len(TIME_FIELDS)
        for times in reversed(list(self.recordings.values())):
            total = list(map(add, total, _ROW(times)))
        return ErrorTimes(*total).check("total")

    @property
    def der(self) -> float:
        """Diarization error rate of all recordings, as a fraction."""
        return self.total.der

    def __iter__(self) -> Iterator[tuple[str, ErrorTimes]]:
        return iter(self.recordings.items())

    def __add__(self, other: "Scores") -> "Scores":
        """Return the union of two disjoint sets of recordings."""
        both = self.recordings.keys() & other.recordings.keys()
        if both:
            raise DiarizeError(
                f"recording {min(both)} is in both sets of scores; add disjoint sets only"
            )
        merged = {**self.recordings, **other.recordings}
        silent = sorted((*self.without_reference, *other.without_reference))
        return Scores({name: merged[name] for name in sorted(merged)}, tuple(silent))

    def only(self, names: Collection[str]) -> "Scores":
        """Return the scores of the recordings ``names``."""
        kept = {name: times for name, times in self if name in names}
        return Scores(kept, tuple(name for name in self.without_reference if name in kept))


def note_on_silence(scores: Mapping[float, Scores]) -> str | None:
    """Return one line about recordings without reference speech; None where there are none.

    ``scores`` are those of one set by collar.  The line states the false alarm in these
    recordings and the DER of md-eval, which ignores them.
    """
    first = next(iter(scores.values()))
    silent = first.without_reference
    if not silent:
        return None
    spoken = first.recordings.keys() - set(silent)
    alarm = first.only(silent).total.false_alarm
    names = silent[0] if len(silent) == 1 else f"{len(silent)} recordings, such as {silent[0]}"
    ders = []
    for collar, one in scores.items():
        total = one.only(spoken).total
        der = f"{100 * total.der:.2f} %" if total.scored_speech > 0 else "none"
        ders.append(f"{der} at collar {collar:g}")
    return (
        f"without reference speech: {names}; {alarm:.2f} s of false alarm there count, but not "
        f"in md-eval (DER {', '.join(ders)})"
    )
