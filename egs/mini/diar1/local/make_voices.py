"""Data directories of synthetic speakers: {train,dev,test}_voices of the mini recipe.

The sets share neither a voice nor a sentence.  Everything follows from --seed and the sizes;
the number of jobs changes nothing.  An interrupted run continues.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from voices.corpus import Speaker, Utterance, choose_speakers, synthesise
from voices.sets import check_same_plan, show_progress, write_data_dir
from voices.text import english_sentence, share_of

from diarize import checks
from diarize.bin.common import run_command
from diarize.errors import DiarizeError

SETS = ("train", "dev", "test")
# Of ten equal shares of all sentences, those that each set may use.
SHARES = {"train": range(8), "dev": (8,), "test": (9,)}
ACCENTS = ("en-us", "en", "en-gb-scotland", "en-us", "en-gb-x-rp", "en-029", "en-us-nyc")
SECONDS = (2.0, 5.0)  # of an utterance, about
VERSION = 1  # of the making: older audio is not mixed with newer


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory for the data directories and audio")
    parser.add_argument("--voices", type=checks.count, nargs=3, default=[88, 12, 20],
                        metavar=tuple(name.upper() for name in SETS), help="voices in each set")
    parser.add_argument("--utterances", type=checks.count, nargs=3, default=[40, 25, 25],
                        metavar=tuple(name.upper() for name in SETS), help="of each voice")
    parser.add_argument("--seed", type=checks.natural, default=1)
    parser.add_argument("--nj", type=checks.count, default=2,
                        help="processes (default %(default)s)")
    return parser


def plan_utterances(
    wav: Path, name: str, speaker_id: str, speaker: Speaker, count: int, seed: int
) -> dict[str, Utterance]:
    """Return ``count`` utterances by their ids: text, and the manner of speaking."""
    plan: dict[str, Utterance] = {}
    rng = np.random.default_rng((seed, int(speaker.voice.name[1:]), 1))
    said: set[str] = set()
    while len(plan) < count:
        letters = rng.uniform(*SECONDS) * speaker.letter_rate
        text = english_sentence(rng, round(letters))
        if text in said or share_of(text, 10) not in SHARES[name]:
            continue
        said.add(text)
        utterance = f"{speaker_id}-{len(plan) + 1:03d}"
        plan[utterance] = Utterance(
            path=str(wav / name / speaker_id / f"{utterance}.wav"),
            text=text,
            voice=f"{speaker.language}+{speaker.voice.name}",
            rate=round(speaker.voice.rate * rng.uniform(0.93, 1.07)),
            pitch=round(rng.normal(50, 2)),
            level=round(speaker.voice.level + rng.uniform(-2, 2), 2),
        )
    return plan


def make_voices(args: argparse.Namespace) -> None:
    """Choose the voices, make their audio, write the data directories."""
    start = time.monotonic()
    if min(args.voices) < 0 or min(args.utterances) < 1 or args.nj < 1:
        raise DiarizeError("--voices, --utterances and --nj must be positive")
    total = sum(args.voices)
    speakers = choose_speakers(total, ACCENTS, args.seed, args.nj)
    print(f"chose {total} voices in {time.monotonic() - start:.1f} s", file=sys.stderr)
    order = np.random.default_rng((args.seed, total)).permutation(total)
    plans: dict[str, dict[str, Utterance]] = {}
    for name, count, utterances in zip(SETS, args.voices, args.utterances, strict=True):
        members, order = order[:count], order[count:]
        plans[name] = {}
        for number in sorted(members):
            plans[name] |= plan_utterances(
                args.data / "wav", name, f"v{number + 1:03d}", speakers[number], utterances,
                args.seed)
    check_same_plan(args.data / "wav" / "plan.json", VERSION, speakers, plans)
    utterances = [utterance for plan in plans.values() for utterance in plan.values()]
    show_progress(synthesise(speakers, utterances, args.nj), start)
    for name, plan in plans.items():
        seconds = write_data_dir(args.data / f"{name}_voices", plan)
        print(f"{name}_voices: {len(plan)} utterances, {seconds / 3600:.2f} h", file=sys.stderr)
    print(f"made in {time.monotonic() - start:.1f} s", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: make_voices(args), "make_voices.py")


if __name__ == "__main__":
    sys.exit(main())
