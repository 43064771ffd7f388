"""Test set without speech: a hundred files of 30 s of silence, music-like sound and hum.

The sounds are made in other ways than the scenes of the training (make_nonspeech.py): plucked
strings and frequency-modulated tones for its additive chords, rectified mains with clicks for its
harmonics, silence with dither or a very quiet hiss.  Everything follows from --seed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.table import write_table

RATE = 16000


def silence(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return digital silence, dither of the last bit, or a hiss at -80 to -50 dB."""
    kind = int(rng.integers(3))
    if kind == 0:
        return np.zeros(count)
    level = 2**-16 if kind == 1 else 10 ** (rng.uniform(-80, -50) / 20)
    return level * rng.standard_normal(count)


def plucked(rng: np.random.Generator, pitch: float, count: int) -> np.ndarray:
    """Return a plucked string (Karplus and Strong 1983)."""
    period = round(RATE / pitch)
    loop = np.zeros(period + 2)
    loop[0], loop[period:] = 1, -rng.uniform(0.99, 0.999) / 2
    burst = np.zeros(count)
    burst[:period] = rng.uniform(-1, 1, period)[:count]
    return lfilter([1.0], loop, burst)


def modulated(rng: np.random.Generator, pitch: float, count: int) -> np.ndarray:
    """Return a frequency-modulated tone (Chowning 1973) with a soft beginning and end."""
    time = np.arange(count) / RATE
    index = rng.uniform(0.5, 5) * np.exp(-time / rng.uniform(0.3, 2))
    side = index * np.sin(2 * np.pi * pitch * rng.choice([1, 2, 1.41, 3]) * time)
    return np.sin(2 * np.pi * pitch * time + side) * np.hanning(count) ** 0.3


def tune(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return notes of a scale with one or two instruments, at a steady beat."""
    wave, beat = np.zeros(count), int(rng.uniform(0.2, 0.6) * RATE)
    scale = np.array([0, 2, 4, 7, 9, 12, 14, 16])
    root, makers = rng.uniform(80, 330), rng.permutation([plucked, modulated])[: rng.integers(1, 3)]
    for start in range(0, count, beat):
        for make in makers:
            size = min(count - start, int(beat * rng.uniform(1, 4)))
            pitch = root * 2 ** (rng.choice(scale) / 12)
            wave[start : start + size] += rng.uniform(0.3, 1) * make(rng, pitch, size)
    return wave


def mains(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return rectified or clipped mains with a hiss, perhaps with switching clicks."""
    base = rng.choice([50, 60]) * (1 + rng.normal(0, 0.002))
    sine = np.sin(2 * np.pi * (base * np.arange(count) / RATE + rng.random()))
    wave = np.abs(sine) if rng.random() < 0.5 else np.clip(sine, -rng.uniform(0.1, 0.8), 0.8)
    wave = wave - wave.mean() + rng.uniform(0, 0.3) * rng.standard_normal(count)
    if rng.random() < 0.3:
        clicks = rng.random(count) < 1 / RATE
        wave += rng.uniform(0.5, 2) * lfilter([1.0], [1.0, -0.9], clicks)
    return wave


KINDS = {"silence": silence, "music": tune, "hum": mains}


def write_files(args: argparse.Namespace) -> None:
    """Write the data directory, tables last."""
    if args.count < 1 or args.seconds < 1:
        raise DiarizeError("--count and --seconds must be at least 1")
    wav = args.out / "wav"
    wav.mkdir(parents=True, exist_ok=True)
    paths, count = {}, round(args.seconds * RATE)
    for number in range(args.count):
        kind = list(KINDS)[number % len(KINDS)]
        key, rng = f"{kind}-{number + 1:03d}", np.random.default_rng((args.seed, number))
        wave = KINDS[kind](rng, count)
        if kind != "silence":
            wave *= 10 ** (rng.uniform(-40, -15) / 20) / np.sqrt(np.mean(wave**2))
        write_wav(wav / f"{key}.wav", np.clip(wave, -0.99, 0.99), RATE)
        paths[key] = str(wav / f"{key}.wav")
    paths = {key: paths[key] for key in sorted(paths)}
    write_table(args.out / "utt2spk", {key: key for key in paths})
    write_table(args.out / "wav.scp", paths)
    print(f"{args.out}: {len(paths)} files of {args.seconds:g} s without speech", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="data directory to write; its audio goes to OUT/wav")
    parser.add_argument("--count", type=int, default=100, help="files (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="(default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="(default %(default)s)")
    args = parser.parse_args(argv)
    return run_command(lambda: write_files(args), "quiet_test.py")


if __name__ == "__main__":
    sys.exit(main())
