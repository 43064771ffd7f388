"""Data directories of synthetic speakers: {train,dev,test}_voices of the mini recipe.

The sets share neither a voice nor a sentence.  Everything follows from --seed and the sizes;
the number of jobs changes nothing.  An interrupted run goes on where it was.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import soundfile
from voices.corpus import Speaker, Utterance, choose_speakers, synthesise
from voices.text import english_sentence, share_of

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.table import write_table

SETS = ("train", "dev", "test")
# Of ten equal shares of all sentences, those that each set may say.
SHARES = {"train": range(8), "dev": (8,), "test": (9,)}
ACCENTS = ("en-us", "en", "en-gb-scotland", "en-us", "en-gb-x-rp", "en-029", "en-us-nyc")
SECONDS = (2.0, 5.0)  # of an utterance, about
VERSION = 1  # of the making: older audio is not mixed with newer


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory for the data directories and audio")
    parser.add_argument("--voices", type=int, nargs=3, default=[88, 12, 20],
                        metavar=tuple(name.upper() for name in SETS), help="voices in each set")
    parser.add_argument("--utterances", type=int, nargs=3, default=[40, 25, 25],
                        metavar=tuple(name.upper() for name in SETS), help="of each voice")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nj", type=int, default=2, help="processes (default %(default)s)")
    return parser


def plan_utterances(
    wav: Path, name: str, speaker_id: str, speaker: Speaker, count: int, seed: int
) -> dict[str, Utterance]:
    """Return ``count`` utterances by their ids: text, and how it is said this time."""
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
        raise DiarizeError("--voices, --utterances and --nj take positive numbers")
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
    check_same_plan(args.data / "wav" / "plan.json", speakers, plans)
    utterances = [utterance for plan in plans.values() for utterance in plan.values()]
    show_progress(synthesise(speakers, utterances, args.nj), start)
    for name, plan in plans.items():
        seconds = write_data_dir(args.data / f"{name}_voices", plan)
        print(f"{name}_voices: {len(plan)} utterances, {seconds / 3600:.2f} h", file=sys.stderr)
    print(f"made in {time.monotonic() - start:.1f} s", file=sys.stderr)


def check_same_plan(
    path: Path, speakers: list[Speaker], plans: dict[str, dict[str, Utterance]]
) -> None:
    """Record what is made under ``path``'s directory; raise if something else was before."""
    parts = [astuple(speaker.voice) for speaker in speakers]
    parts += [(name, k, *astuple(u)[1:]) for name, plan in plans.items() for k, u in plan.items()]
    digest = hashlib.sha256(repr((VERSION, parts)).encode()).hexdigest()
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")).get("plan") != digest:
            raise DiarizeError(
                f"{path.parent} holds voices made with other options: remove that directory, "
                "or give another one"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as handle:
        json.dump({"plan": digest}, handle)


def show_progress(paths: Iterable[str], start: float) -> None:
    """Print a line every few seconds while ``paths`` are made."""
    shown = time.monotonic()
    for number, _ in enumerate(paths, 1):
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{number} utterances in {shown - start:.0f} s", file=sys.stderr)


def write_data_dir(path: Path, plan: dict[str, Utterance]) -> float:
    """Write the tables of one set; return its seconds of speech."""
    path.mkdir(parents=True, exist_ok=True)
    utt2spk = {utterance: utterance.split("-")[0] for utterance in plan}
    spk2utt: dict[str, list[str]] = {}
    for utterance in sorted(plan):
        spk2utt.setdefault(utt2spk[utterance], []).append(utterance)
    seconds = {key: soundfile.info(item.path).frames / 16000 for key, item in plan.items()}
    durations = {key: f"{value:.3f}" for key, value in seconds.items()}
    write_table(path / "wav.scp", {key: item.path for key, item in plan.items()})
    write_table(path / "utt2spk", utt2spk)
    write_table(path / "spk2utt", {key: " ".join(value) for key, value in spk2utt.items()})
    write_table(path / "text", {key: item.text for key, item in plan.items()})
    write_table(path / "reco2dur", durations)
    write_table(path / "utt2dur", durations)
    return sum(seconds.values())


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: make_voices(args), "make_voices.py")


if __name__ == "__main__":
    sys.exit(main())
