"""Data directory of scenes without speech, for --noise-data of diarize-simulate.

A scene is the noise of a room, with or without hum, music, babble of many far voices, real clips,
and single sounds (impacts, rustling, breath, laughter, coughs) that stand out from it.  Its kinds
are in the table ``utt2kinds``; --kinds restricts them.  Everything follows from --seed and the
inputs.
"""

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from nonspeech import EVENTS, RATE, add_at, babble, hum, music, room_noise, unit
from scipy.signal import fftconvolve

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio, write_wav
from diarize.io.table import write_table
from diarize.kaldi.datadir import DataDir

KINDS = ("hum", "music", "babble", "clips", *EVENTS)
_LEVEL, _PEAK = 10 ** (-30 / 20), 0.9  # RMS of a file, and the most that a sample may reach
_VOICES = 400  # stretches of speech that are kept for babble


class Sources(NamedTuple):
    """Waveforms that scenes are made of: speech for babble, real clips, room responses."""

    voices: list[np.ndarray]
    clips: list[np.ndarray]
    rooms: list[np.ndarray]


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("out", type=Path, help="data directory to write; its audio goes to OUT/wav")
    add("--count", type=int, default=400, help="scenes (default %(default)s)")
    add("--seconds", type=float, default=40.0, help="length of a scene (default %(default)s)")
    add("--voices", type=Path, help="data directory of single speakers, for babble")
    add("--clips", type=Path, help="data directory of sounds that are not speech, as esc10_noise")
    add("--clips-part", choices=("train", "dev"), default="train",
        help="clips of ESC's folds 1 to 4 (train) or 5 (dev); no clip is in both")
    add("--rirs", type=Path, help="data directory of room impulse responses")
    add("--kinds", type=lambda text: text.split(","), default=list(KINDS), metavar="KIND,...",
        help=f"of {', '.join(KINDS)} (default: all)")
    add("--seed", type=int, default=1, help="(default %(default)s)")
    add("--nj", type=int, default=2, help="processes (default %(default)s)")
    return parser


def part_of(clip: str) -> str:
    """Return the part of an ESC clip, named CATEGORY-FOLD-SOURCE-TAKE: dev is fold 5.

    A source recording lies in one fold, so that its takes are not in two parts.

    >>> part_of("rain-5-181766-A"), part_of("clock_tick-1-21934-A")
    ('dev', 'train')
    """
    return "dev" if clip.split("-")[1:2] == ["5"] else "train"


def load(args: argparse.Namespace) -> Sources:
    """Return the waveforms of the inputs; of speech and rooms only a random part."""
    rng = np.random.default_rng((args.seed, 0))

    def waves(path: Path | None, most: int, keep=lambda name: True) -> list[np.ndarray]:
        if path is None:
            return []
        data = DataDir.load(path)
        names = [name for name in data.recordings if keep(name)]
        if not names:
            raise DiarizeError(f"{path}: no recordings for this part")
        chosen = rng.permutation(len(names))[:most]
        return [read_audio(data.source(names[i]), sample_rate=RATE) for i in sorted(chosen)]

    return Sources(
        waves(args.voices, _VOICES),
        waves(args.clips, 10**6, lambda name: part_of(name) == args.clips_part),
        waves(args.rirs, 100),
    )


def add_events(
    wave: np.ndarray, kinds: list[str], sources: Sources, rng: np.random.Generator
) -> list[str]:
    """Add single sounds to ``wave``, 0 to 36 a minute; return the kinds of those added."""
    count, added = len(wave), set()
    places = [kind for kind in kinds if kind in EVENTS or (kind == "clips" and sources.clips)]
    if not places:
        return []
    # A scene has few kinds of sounds, one of them often.
    favoured = rng.dirichlet(np.full(len(places), 0.5))
    loud = rng.uniform(0, 25)
    for _ in range(rng.poisson(rng.uniform(0, 0.6) * count / RATE)):
        kind = places[int(rng.choice(len(places), p=favoured))]
        if kind == "clips":
            sound = unit(sources.clips[int(rng.integers(len(sources.clips)))].astype(float))
        else:
            sound = EVENTS[kind](rng)
        if sources.rooms and rng.random() < 0.5:
            sound = unit(fftconvolve(sound, sources.rooms[int(rng.integers(len(sources.rooms)))]))
        add_at(wave, sound * 10 ** ((loud + rng.normal(0, 5)) / 20), int(rng.integers(count)))
        added.add(kind)
    return sorted(added)


def make_scene(
    count: int, kinds: list[str], sources: Sources, rng: np.random.Generator
) -> tuple[np.ndarray, list[str]]:
    """Return ``count`` samples of a scene, float64, and the kinds of sounds in it."""
    wave, found = room_noise(rng, count), ["room"]
    if "hum" in kinds and rng.random() < 0.3:
        wave += hum(rng, count) * 10 ** (rng.uniform(-10, 10) / 20)
        found.append("hum")
    if "music" in kinds and rng.random() < 0.12:
        wave += music(rng, count) * 10 ** (rng.uniform(-5, 15) / 20)
        found.append("music")
    if "babble" in kinds and sources.voices and rng.random() < 0.35:
        far = babble(rng, count, sources.voices, sources.rooms)
        wave += far * 10 ** (rng.uniform(-5, 12) / 20)
        found.append("babble")
    found += add_events(wave, kinds, sources, rng)
    wave *= _LEVEL / np.sqrt(np.mean(wave**2))
    return wave * min(1.0, _PEAK / np.abs(wave).max()), found


def write_scenes(args: argparse.Namespace, numbers: Iterable[int]) -> dict[str, tuple[str, str]]:
    """Write the scenes of these ``numbers``; return path and kinds of each."""
    sources, found = load(args), {}
    for number in numbers:
        key = f"scene-{number:05d}"
        rng = np.random.default_rng((args.seed, 1, number))
        wave, kinds = make_scene(round(args.seconds * RATE), args.kinds, sources, rng)
        path = args.out / "wav" / f"{key}.wav"
        write_wav(path, wave, RATE)
        found[key] = str(path), " ".join(kinds)
    return found


def make_scenes(args: argparse.Namespace) -> None:
    """Write the data directory, tables last."""
    unknown = [kind for kind in args.kinds if kind not in KINDS]
    if unknown:
        raise DiarizeError(f"--kinds: '{unknown[0]}' is none of {', '.join(KINDS)}")
    if min(args.count, args.seconds, args.nj) < 1:
        raise DiarizeError("--count, --seconds and --nj must be at least 1")
    (args.out / "wav").mkdir(parents=True, exist_ok=True)
    shares = [range(job, args.count + 1, args.nj) for job in range(1, args.nj + 1)]
    with ProcessPoolExecutor(args.nj) as pool:
        found = {key: row for rows in pool.map(partial(write_scenes, args), shares)
                 for key, row in rows.items()}  # fmt: skip
    paths = {key: found[key][0] for key in sorted(found)}
    kinds = {key: found[key][1] for key in paths}
    write_table(args.out / "utt2kinds", kinds)
    write_table(args.out / "utt2spk", {key: key for key in paths})
    write_table(args.out / "spk2utt", {key: key for key in paths})
    write_table(args.out / "reco2dur", dict.fromkeys(paths, f"{args.seconds:.4f}"))
    write_table(args.out / "wav.scp", paths)
    print(f"{args.out}: {args.count} scenes of {args.seconds:g} s", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: make_scenes(args), "make_nonspeech.py")


if __name__ == "__main__":
    sys.exit(main())
