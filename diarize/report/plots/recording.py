"""Pictures of the recordings of a set, from RTTM, UEM and wav.scp."""

import math
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource, read_audio
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table
from diarize.io.uem import read_uem
from diarize.report.plots.errors import score_one
from diarize.report.plots.timeline import Picture
from diarize.score.times import ErrorTimes
from diarize.segments import Regions, Segment, by_recording

_PEAKS = 4000


class PlotSources:
    """Reference, hypothesis, UEM and audio of a set, by recording; each is optional.

    ``allow_pipes``: run the commands in ``audio_scp`` (a wav.scp).
    """

    def __init__(
        self,
        ref: str | Path | None = None,
        hyp: str | Path | None = None,
        uem: str | Path | None = None,
        audio_scp: str | Path | None = None,
        allow_pipes: bool = False,
    ) -> None:
        self.scored = bool(ref and hyp)
        self.reference = by_recording(read_rttm(ref) if ref else [])
        self.hypothesis = by_recording(read_rttm(hyp) if hyp else [])
        self.uem: dict[str, Regions] | None = read_uem(uem) if uem else None
        self.wav_scp = read_table(audio_scp) if audio_scp else {}
        self.audio_scp = audio_scp
        self.allow_pipes = allow_pipes

    def recordings(self) -> list[str]:
        """Every recording of the RTTMs and the UEM, sorted."""
        return sorted({*self.reference, *self.hypothesis, *(self.uem or {})})

    def picture(self, recording: str, start: float | None, end: float | None) -> Picture:
        """Return the picture of ``recording`` between ``start`` and ``end`` seconds."""
        ref = self.reference.get(recording, [])
        hyp = self.hypothesis.get(recording, [])
        audio = self._audio(recording)
        ends = [s.end for s in ref + hyp]
        ends += [b for _, b in (self.uem or {}).get(recording, [])]
        if audio is not None:
            ends.append(audio.info().duration)
        lo = max(start or 0.0, 0.0)  # in this order NaN stays NaN, and is refused below
        hi = max(ends, default=lo + 1.0) if end is None else end
        if not lo < hi < math.inf:
            raise DiarizeError(
                f"recording {recording}: nothing to draw from {lo:g} to {hi:g} s; "
                "check --start and --end"
            )
        regions = self._regions(recording, ref)
        found = score_one(ref, hyp, regions)
        return Picture(
            lo, hi, ref, hyp, found.mapping, found.spans, regions,
            title=self._title(recording, found.times),
            subtitle="; ".join(
                [
                    self._subtitle(ref, hyp, regions, found.times),
                    *(["figures of the whole recording"] if (start, end) != (None, None) else []),
                    *(["shaded: not scored"] if _has_gaps(regions, lo, hi) else []),
                ]
            ),
            waveform=None if audio is None else _peaks(audio, lo, hi),
        )  # fmt: skip

    def _regions(self, recording: str, ref: list[Segment]) -> Regions:
        """The scored regions: those of the UEM, otherwise the extent of the reference."""
        if not self.scored:
            return []
        if self.uem is not None and recording in self.uem:
            return self.uem[recording]
        return [(min(s.start for s in ref), max(s.end for s in ref))] if ref else []

    def _audio(self, recording: str) -> AudioSource | None:
        if not self.wav_scp:
            return None
        if recording not in self.wav_scp:
            raise DiarizeError(f"{self.audio_scp}: no line for recording {recording}")
        return AudioSource(
            self.wav_scp[recording], self.allow_pipes, Path(self.audio_scp).parent, recording
        )

    def _title(self, recording: str, times: ErrorTimes) -> str:
        if times.scored_speech > 0:
            return f"{recording}    DER {100 * times.der:.2f} %"
        return f"{recording}    no reference speech" if self.scored else recording

    def _subtitle(
        self, ref: list[Segment], hyp: list[Segment], regions: Regions, times: ErrorTimes
    ) -> str:
        counts = []
        if ref:
            number = len({s.label for s in ref})
            counts.append(f"{number} speaker{'' if number == 1 else 's'}")
        if hyp or self.scored:
            counts.append(f"{len({s.label for s in hyp})} found")
        text = ", ".join(counts)
        if not regions:
            return text
        speech = times.scored_speech
        unit, scale = ("%", 100 / speech) if speech > 0 else ("s", 1.0)
        errors = {"missed": times.miss, "false alarm": times.false_alarm}
        errors["confusion"] = times.confusion
        parts = [f"{name} {value * scale:.2f} {unit}" for name, value in errors.items()]
        return "; ".join([", ".join(parts), "collar 0", text])


def _has_gaps(regions: Regions, start: float, end: float) -> bool:
    """Whether a part of [start, end) lies outside ``regions``; False without regions."""
    covered = sum(max(0.0, min(b, end) - max(a, start)) for a, b in regions)
    return bool(regions) and covered < end - start - 0.005


def _peaks(audio: AudioSource, start: float, end: float) -> tuple[np.ndarray, float, float]:
    """Return (minimum and maximum (P, 2), start, end) of the samples between the two times."""
    info = audio.info()
    rate = info.sample_rate
    first, last = round(start * rate), min(round(end * rate), info.num_samples)
    if last <= first:
        return np.zeros((0, 2)), start, start
    samples = read_audio(audio, first, last, rate)
    size = max(1, len(samples) // _PEAKS)
    count = len(samples) // size
    blocks = samples[: count * size].reshape(count, size)
    peaks = np.stack([blocks.min(axis=1), blocks.max(axis=1)], axis=1)
    return peaks, start, start + count * size / rate
