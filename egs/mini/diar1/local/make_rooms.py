"""Simulated room impulse responses (rirs) and background noises (noises), as data directories.

For --rir-data and --noise-data of diarize-simulate; everything follows from --seed.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from voices.acoustics import NOISE_KINDS, noise, room_response

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.table import write_table

SAMPLE_RATE = 16000


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory for the data directories and audio")
    parser.add_argument("--rirs", type=int, default=40, help="how many (default %(default)s)")
    parser.add_argument("--noises", type=int, default=18, help="how many (default %(default)s)")
    parser.add_argument("--noise-seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def write_sounds(
    data: Path, name: str, count: int, make: Callable[[int, np.random.Generator], np.ndarray],
    seed: int,
) -> None:
    """Write ``count`` sounds and their data directory ``data/name``, tables last."""
    wav = data / "wav" / name
    for directory in (wav, data / name):
        directory.mkdir(parents=True, exist_ok=True)
    paths, durations = {}, {}
    for number in range(count):
        key = f"{name[:-1]}-{number + 1:03d}"
        wave = make(number, np.random.default_rng((seed, len(name), number)))
        write_wav(wav / f"{key}.wav", wave, SAMPLE_RATE)
        paths[key] = str(wav / f"{key}.wav")
        durations[key] = f"{len(wave) / SAMPLE_RATE:.4f}"
    write_table(data / name / "wav.scp", paths)
    write_table(data / name / "utt2spk", {key: key for key in paths})
    write_table(data / name / "spk2utt", {key: key for key in paths})
    write_table(data / name / "reco2dur", durations)


def make_rooms(args: argparse.Namespace) -> None:
    """Write both data directories."""
    if args.rirs < 1 or args.noises < 1 or args.noise_seconds <= 0:
        raise DiarizeError("--rirs, --noises and --noise-seconds take positive numbers")
    write_sounds(args.data, "rirs", args.rirs, lambda _, rng: room_response(rng), args.seed)
    write_sounds(
        args.data, "noises", args.noises,
        lambda n, rng: noise(NOISE_KINDS[n % len(NOISE_KINDS)], rng, args.noise_seconds),
        args.seed)
    print(f"rirs: {args.rirs}, noises: {args.noises}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: make_rooms(args), "make_rooms.py")


if __name__ == "__main__":
    sys.exit(main())
