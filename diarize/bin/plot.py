"""diarize-plot: reference and hypothesis over time with the errors marked; training curves.

diarize-plot --ref ref.rttm --hyp hyp.rttm --uem all.uem --recording a b --out images/
diarize-plot curves --log exp/m/train_log.jsonl --out exp/m/images/curves.png
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from diarize.bin.common import refuse_repeats, run_command
from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource, read_audio
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table
from diarize.io.uem import Regions, read_uem
from diarize.plot.errors import score_one
from diarize.plot.timeline import Timeline, draw_timeline
from diarize.score.times import ErrorTimes
from diarize.segments import Segment, by_recording

PROG = "diarize-plot"
_PEAKS = 4000


class Sources:
    """The files of the command line, by recording."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.scored = bool(args.ref and args.hyp)
        self.reference = by_recording(read_rttm(args.ref) if args.ref else [])
        self.hypothesis = by_recording(read_rttm(args.hyp) if args.hyp else [])
        self.uem: dict[str, Regions] | None = read_uem(args.uem) if args.uem else None
        self.wav_scp = read_table(args.audio_scp) if args.audio_scp else {}
        self.audio_scp = args.audio_scp
        self.allow_pipes = args.allow_pipes

    def recordings(self) -> list[str]:
        """Every recording of the RTTMs and the UEM, sorted."""
        return sorted({*self.reference, *self.hypothesis, *(self.uem or {})})

    def timeline(self, recording: str, start: float | None, end: float | None) -> Timeline:
        """Return what is to be drawn of ``recording`` between ``start`` and ``end`` seconds."""
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
        return Timeline(
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
        """The scored part: the UEM's, else the extent of the reference as md-eval takes it."""
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


def run_timelines(args: argparse.Namespace) -> int:
    """Draw the recordings asked for; returns 0."""
    if not (args.ref or args.hyp):
        raise DiarizeError("nothing to draw: give --ref, --hyp or both")
    sources = Sources(args)
    known = sources.recordings()
    wanted = args.recording or known
    for recording in wanted:
        if recording not in known and recording not in sources.wav_scp:
            raise DiarizeError(f"recording {recording} is in none of the files given")
    if not wanted:
        raise DiarizeError("no recording in the files given")
    out = Path(args.out)
    single = out.suffix.lower() == ".png"
    if single and len(wanted) > 1:
        raise DiarizeError(
            f"{len(wanted)} recordings do not fit in {out}: give a directory, or one --recording"
        )
    (out.parent if single else out).mkdir(parents=True, exist_ok=True)
    for recording in wanted:
        path = out if single else out / f"{recording.replace('/', '_')}.png"
        draw_timeline(sources.timeline(recording, args.start, args.end), path)
        print(path)
    return 0


def run_curves(args: argparse.Namespace) -> int:
    """Draw the curves of a training log; returns 0."""
    from diarize.plot.curves import draw_curves, read_log

    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    draw_curves(read_log(args.log), args.out, title=args.title or str(Path(args.log).parent))
    print(args.out)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser for recordings."""
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    refuse_repeats(parser)
    parser.add_argument("--ref", help="reference RTTM")
    parser.add_argument("--hyp", help="hypothesis RTTM")
    parser.add_argument("--uem", help="scored regions; the rest is shaded")
    parser.add_argument("--recording", nargs="+", metavar="ID", help="only these recordings")
    parser.add_argument("--audio-scp", help="wav.scp, to draw the waveform too")
    parser.add_argument(
        "--allow-pipes", action="store_true", help="run the commands that wav.scp holds"
    )
    parser.add_argument("--start", type=float, help="first second drawn")
    parser.add_argument("--end", type=float, help="last second drawn")
    parser.add_argument("--out", required=True, help="PNG, or a directory for <recording>.png")
    return parser


def build_curves_parser() -> argparse.ArgumentParser:
    """Return the parser for training curves."""
    parser = argparse.ArgumentParser(prog=f"{PROG} curves")
    refuse_repeats(parser)
    parser.add_argument("--log", required=True, help="train_log.jsonl of a training")
    parser.add_argument("--out", required=True, help="PNG to write")
    parser.add_argument("--title", help="the log's directory without it")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["curves"]:
        args = build_curves_parser().parse_args(argv[1:])
        return run_command(lambda: run_curves(args), PROG)
    args = build_parser().parse_args(argv)
    return run_command(lambda: run_timelines(args), PROG)


def _has_gaps(regions: Regions, start: float, end: float) -> bool:
    """Whether some of [start, end) lies outside ``regions``, where there are any."""
    covered = sum(max(0.0, min(b, end) - max(a, start)) for a, b in regions)
    return bool(regions) and covered < end - start - 0.005


def _peaks(audio: AudioSource, start: float, end: float) -> tuple[np.ndarray, float, float]:
    """Return (minimum and maximum (P, 2), start, end) of the samples from ``start`` to ``end``."""
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


if __name__ == "__main__":
    sys.exit(main())
