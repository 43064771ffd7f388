"""Simulated room impulse responses (rirs) and background noises (noises), as data directories.

For --rir-data and --noise-data of diarize-simulate; everything follows from --seed.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from voices.acoustics import NOISE_KINDS, noise, room_responses

from diarize import checks
from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.table import write_table
from diarize.kaldi.schema import spk2utt_of

SAMPLE_RATE = 16000


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory for the data directories and audio")
    parser.add_argument("--rirs", type=checks.count, default=40,
                        help="how many (default %(default)s)")
    parser.add_argument("--positions", type=checks.count, default=1,
                        help="responses of each room, whose utt2spk is the room (%(default)s)")
    parser.add_argument("--noises", type=checks.count, default=18,
                        help="how many (default %(default)s)")
    parser.add_argument("--noise-seconds", type=checks.size, default=15.0)
    parser.add_argument("--seed", type=checks.natural, default=1)
    return parser


def write_sounds(data: Path, name: str, sounds: Iterable[tuple[int, np.ndarray]]) -> None:
    """Write sounds and their data directory ``data/name``, tables last.

    ``sounds`` are (first sound of the group, samples), numbered from 0; the group is the speaker
    of utt2spk: a room, or the sound itself.
    """
    wav = data / "wav" / name
    for directory in (wav, data / name):
        directory.mkdir(parents=True, exist_ok=True)
    paths, durations, groups = {}, {}, {}
    for number, (first, wave) in enumerate(sounds):
        key = f"{name[:-1]}-{number + 1:03d}"
        write_wav(wav / f"{key}.wav", wave, SAMPLE_RATE)
        paths[key] = str(wav / f"{key}.wav")
        durations[key] = f"{len(wave) / SAMPLE_RATE:.4f}"
        groups[key] = f"{name[:-1]}-{first + 1:03d}"
    write_table(data / name / "wav.scp", paths)
    write_table(data / name / "utt2spk", groups)
    write_table(data / name / "spk2utt", spk2utt_of(groups))
    write_table(data / name / "reco2dur", durations)


def responses(count: int, positions: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``count`` room impulse responses, ``positions`` of each room."""
    for room in range(-(-count // positions)):
        rng, first = np.random.default_rng((seed, len("rirs"), room)), room * positions
        for wave in room_responses(rng, min(positions, count - first)):
            yield first, wave


def noises(count: int, seconds: float, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``count`` noises, of each kind in turn."""
    for number in range(count):
        rng = np.random.default_rng((seed, len("noises"), number))
        yield number, noise(NOISE_KINDS[number % len(NOISE_KINDS)], rng, seconds)


def make_rooms(args: argparse.Namespace) -> None:
    """Write both data directories."""
    if min(args.rirs, args.positions, args.noises) < 1 or args.noise_seconds <= 0:
        raise DiarizeError("--rirs, --positions, --noises and --noise-seconds must be positive")
    write_sounds(args.data, "rirs", responses(args.rirs, args.positions, args.seed))
    write_sounds(args.data, "noises", noises(args.noises, args.noise_seconds, args.seed))
    print(f"rirs: {args.rirs}, noises: {args.noises}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: make_rooms(args), "make_rooms.py")


if __name__ == "__main__":
    sys.exit(main())
