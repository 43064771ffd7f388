"""Part of a corpus for one data directory: recordings and their reference."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.prepare.counts import Counts
from diarize.segments import Segment, annotation_fault

# Times are written in milliseconds; a shorter overshoot of the end is rounding.
RESOLUTION = 0.001


class CorpusRecording(NamedTuple):
    """One line of wav.scp.

    ``audio`` is a path, ``path:offset`` or ``command |``.  ``duration`` is in seconds, None to read
    it from the header.  ``regions`` are the evaluated (start, end), () for the whole recording.
    """

    id: str
    audio: str
    duration: float | None = None
    regions: tuple[tuple[float, float], ...] = ()


class Clamp(NamedTuple):
    """Annotation of one recording that lay outside its audio."""

    cut: int = 0
    dropped: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Clamp") -> "Clamp":  # type: ignore[override]
        return Clamp(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class CorpusPart:
    """Recordings with known lengths and a reference within them; made by `make_part`.

    ``left_out`` maps known broken recordings to the reason, ``clamps`` recordings to the
    annotation that was cut.  ``readings`` maps each reading of the annotation that was not chosen
    to the seconds by recording that it would add to the reference.
    """

    name: str
    recordings: tuple[CorpusRecording, ...]
    segments: tuple[Segment, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    clamps: Mapping[str, Clamp] = field(default_factory=dict)
    readings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """The recordings, sorted in C byte order."""
        return [recording.id for recording in self.recordings]

    @property
    def clamped(self) -> Clamp:
        """Annotation that was cut, summed over the recordings."""
        return sum(self.clamps.values(), Clamp())

    def counts(self) -> Counts:
        """Return the figures to compare with published ones."""
        speakers: dict[str, set[str]] = {key: set() for key in self.ids}
        for segment in self.segments:
            speakers[segment.recording].add(segment.label)
        annotated = sum(segment.duration for segment in self.segments) + self.clamped.seconds
        return Counts(
            recordings=len(self.recordings),
            left_out=len(self.left_out),
            speakers=len(set().union(*speakers.values())) if speakers else 0,
            hours=sum(recording.duration for recording in self.recordings) / 3600,
            reference_seconds=annotated,
            by_speakers=dict(sorted(Counter(map(len, speakers.values())).items())),
            other_readings={
                name: annotated + sum(added.values()) for name, added in self.readings.items()
            },
        )

    def subset(self, ids: Collection[str], name: str) -> "CorpusPart":
        """Return the part ``name`` of the recordings ``ids``, which may include left-out ones."""
        wanted = set(ids)
        unknown = wanted - set(self.ids) - set(self.left_out)
        if unknown:
            raise DiarizeError(f"{self.name}: there is no recording {min(unknown)}")
        return CorpusPart(
            name,
            tuple(recording for recording in self.recordings if recording.id in wanted),
            tuple(segment for segment in self.segments if segment.recording in wanted),
            {key: why for key, why in self.left_out.items() if key in wanted},
            {key: clamp for key, clamp in self.clamps.items() if key in wanted},
            {
                name: {key: seconds for key, seconds in added.items() if key in wanted}
                for name, added in self.readings.items()
            },
        )


def make_part(
    name: str,
    recordings: Iterable[CorpusRecording],
    segments: Iterable[Segment],
    left_out: Mapping[str, str] | None = None,
    readings: Mapping[str, Mapping[str, float]] | None = None,
) -> CorpusPart:
    """Return the part ``name``: lengths read from the audio, the reference cut to them.

    ``left_out`` maps recordings known to be broken to the reason; they are removed from
    ``recordings`` and ``segments``.  ``readings`` is that of `CorpusPart`.  A recording without
    segments is kept; a segment of length 0 is dropped.  Raises DiarizeError for two recordings of
    one id, unreadable audio, a reference without recording, a segment that ends before it begins,
    and a recording whose segments have no length or lie mostly outside the audio.
    """
    broken = dict(left_out or {})
    found: dict[str, CorpusRecording] = {}
    missing = set(broken)
    for recording in recordings:
        missing.discard(recording.id)
        if recording.id in found:
            raise DiarizeError(
                f"{name}: recording {recording.id} occurs twice: {found[recording.id].audio} "
                f"and {recording.audio}; remove one of them"
            )
        if recording.id not in broken:
            found[recording.id] = recording
    lengths = {key: _length(recording) for key, recording in found.items()}
    kept, clamps = [], {}
    spoken: dict[str, float] = {}
    for segment in segments:
        if segment.recording in broken:
            continue
        spoken[segment.recording] = spoken.get(segment.recording, 0.0) + segment.duration
        if segment.start == segment.end:
            continue
        if segment.recording not in found:
            raise DiarizeError(f"{name}: the reference of {segment.recording} has no audio; "
                               "unpack the archive again")
        inside, clamp = clamp_segment(segment, lengths[segment.recording])
        if inside is not None:
            kept.append(inside)
        if any(clamp):
            clamps[segment.recording] = clamps.get(segment.recording, Clamp()) + clamp
    _check_reference(name, spoken, clamps, lengths)
    return CorpusPart(
        name,
        tuple(replace_length(found[key], lengths[key]) for key in sorted(found)),
        tuple(sorted(kept)),
        {key: why for key, why in sorted(broken.items()) if key not in missing},
        dict(sorted(clamps.items())),
        readings or {},
    )


def _check_reference(
    name: str,
    spoken: Mapping[str, float],
    clamps: Mapping[str, Clamp],
    lengths: Mapping[str, float],
) -> None:
    """Refuse a recording with segments of no length only, or mostly outside the audio."""
    for recording, seconds in spoken.items():
        outside = clamps.get(recording, Clamp()).seconds
        fault = annotation_fault(recording, seconds, outside, lengths[recording])
        if fault:
            raise DiarizeError(f"{name}: {fault}")


def join_parts(name: str, parts: Iterable[CorpusPart]) -> CorpusPart:
    """Return all ``parts`` as one; DiarizeError if a recording is in two of them."""
    parts = list(parts)
    joined = make_part(
        name,
        (recording for part in parts for recording in part.recordings),
        (segment for part in parts for segment in part.segments),
    )
    return replace(
        joined,
        left_out={key: why for part in parts for key, why in part.left_out.items()},
        clamps={key: clamp for part in parts for key, clamp in part.clamps.items()},
        readings={
            name: {key: s for part in parts for key, s in part.readings.get(name, {}).items()}
            for name in sorted({name for part in parts for name in part.readings})
        },
    )


def clamp_segment(segment: Segment, length: float) -> tuple[Segment | None, Clamp]:
    """Return ``segment`` cut to [0, ``length``) seconds, None if nothing is left, and the loss.

    >>> clamp_segment(Segment("r", 1.0, 3.5, "a"), 3.0)
    (Segment(recording='r', start=1.0, end=3.0, label='a'), Clamp(cut=1, dropped=0, seconds=0.5))
    >>> clamp_segment(Segment("r", 4.0, 5.0, "a"), 3.0)
    (None, Clamp(cut=0, dropped=1, seconds=1.0))
    """
    if segment.end < segment.start:
        raise DiarizeError(
            f"{segment.recording}: {segment.label} ends ({segment.end:.3f} s) before it begins "
            f"({segment.start:.3f} s); correct the reference"
        )
    start, end = max(segment.start, 0.0), min(segment.end, length)
    if round(end - start, 3) < RESOLUTION:
        return None, Clamp(dropped=1, seconds=round(segment.duration, 6))
    lost = segment.duration - (end - start)
    if lost < RESOLUTION:
        return segment._replace(start=start, end=end), Clamp()
    return segment._replace(start=start, end=end), Clamp(cut=1, seconds=round(lost, 6))


def replace_length(recording: CorpusRecording, length: float) -> CorpusRecording:
    """Return ``recording`` with its length and its regions cut to it."""
    regions = tuple((max(0.0, a), min(b, length)) for a, b in recording.regions)
    return recording._replace(
        duration=length, regions=tuple((a, b) for a, b in regions if b - a >= RESOLUTION)
    )


def _length(recording: CorpusRecording) -> float:
    """Return the length in seconds, rounded to milliseconds as in reco2dur."""
    seconds = recording.duration
    if seconds is None:
        # Commands written by a preparation are its own and may run.
        source = AudioSource(recording.audio, allow_pipes=True, recording=recording.id)
        seconds = source.info().duration
    if not seconds > 0:
        raise DiarizeError(f"recording {recording.id}: {recording.audio} is {seconds} s long")
    return round(seconds, 3)
