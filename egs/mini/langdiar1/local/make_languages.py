"""Data directories of synthetic voices that speak many languages: {train,dev,test}_voices.

Every voice speaks all languages of its set, so that a voice carries no information on the
language.  The sets share neither a voice nor a sentence, and the languages of --unseen are in the
test set alone.  Everything follows from --seed and the sizes; the number of jobs changes nothing.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from voices.corpus import Speaker, Utterance, choose_speakers, measure_pace, synthesise
from voices.phrases import LANGUAGES, Phrases
from voices.sets import check_same_plan, show_progress, write_data_dir
from voices.text import share_of

from diarize import checks
from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.ctm import Word, read_ctm, write_ctm

SETS = ("train", "dev", "test")
# Of ten equal shares of all sentences, those that each set may use.
SHARES = {"train": range(8), "dev": (8,), "test": (9,)}
SECONDS = (1.5, 4.5)  # of an utterance, about
VERSION = 1  # of the making: older audio is not mixed with newer
_NORMAL_RATE = 175  # words a minute, at which the pace of a language is measured


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory for the data directories and audio")
    names = tuple(name.upper() for name in SETS)
    parser.add_argument("--voices", type=checks.count, nargs=3, default=[40, 6, 8], metavar=names)
    parser.add_argument("--utterances", type=checks.count, nargs=3, default=[6, 6, 8],
        metavar=names,
                        help="of each voice in each language")
    parser.add_argument("--languages", type=_names, metavar="LANG,LANG,...",
                        default="en,hi,bn,ta,te,mr,gu,sw,tn,fr,de,es,ru,cmn",
                        help="of all sets (default %(default)s)")
    parser.add_argument("--unseen", type=_names, default="kn,ml,pa,it,pl,tr",
                        metavar="LANG,LANG,...", help="of the test set alone (%(default)s)")
    parser.add_argument("--udhr", type=Path, metavar="DIR",
                        help="running text in files like hin.txt, for half of the sentences")
    parser.add_argument("--seed", type=checks.natural, default=1)
    parser.add_argument("--nj", type=checks.count, default=2,
                        help="processes (default %(default)s)")
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def open_phrases(names: list[str], udhr: Path | None) -> dict[str, Phrases]:
    """Return the source of sentences of each language."""
    out = {}
    for name in names:
        text = None
        if udhr is not None and name in LANGUAGES and LANGUAGES[name].udhr:
            text = udhr / f"{LANGUAGES[name].udhr}.txt"
        out[name] = Phrases(name, text if text is not None and text.exists() else None)
    return out


def plan_utterances(
    wav: Path, speaker_id: str, speaker: Speaker, name: str, phrases: dict[str, Phrases],
    pace: dict[str, float], args: argparse.Namespace,
) -> dict[str, Utterance]:
    """Return one voice's utterances by their ids, all languages of set ``name``."""
    plan: dict[str, Utterance] = {}
    number = int(speaker.voice.name[1:])
    count = args.utterances[SETS.index(name)]
    for place, (language, source) in enumerate(phrases.items()):
        rng = np.random.default_rng((args.seed, number, 2, place))
        for turn in range(1, count + 1):
            letters = pace[language] * speaker.voice.rate / _NORMAL_RATE * rng.uniform(*SECONDS)
            text = _own_sentence(source, rng, round(letters), name)
            utterance = f"{speaker_id}-{language}-{turn:03d}"
            plan[utterance] = Utterance(
                path=str(wav / name / speaker_id / f"{utterance}.wav"),
                text=text,
                voice=f"{LANGUAGES[language].espeak}+{speaker.voice.name}",
                rate=round(speaker.voice.rate * rng.uniform(0.93, 1.07)),
                pitch=round(rng.normal(50, 2)),
                level=round(speaker.voice.level + rng.uniform(-2, 2), 2),
            )
    return plan


def _own_sentence(source: Phrases, rng: np.random.Generator, letters: int, name: str) -> str:
    for _ in range(1000):
        text = source.sentence(rng, letters)
        if share_of(text, 10) in SHARES[name]:
            return text
    raise DiarizeError(f"{source.locale}: no sentence is left for the set {name}")


def make_languages(args: argparse.Namespace) -> None:
    """Choose the voices, make their audio, write the data directories."""
    start = time.monotonic()
    if min(args.voices) < 0 or min(args.utterances) < 1 or args.nj < 1:
        raise DiarizeError("--voices, --utterances and --nj must be positive")
    unseen = [name for name in args.unseen if name not in args.languages]
    phrases = open_phrases([*args.languages, *unseen], args.udhr)
    names = {name: LANGUAGES[name].espeak for name in phrases}
    speakers = choose_speakers(sum(args.voices), ("en-us",), args.seed, args.nj)
    prompts = {names[lang]: sample(source) for lang, source in phrases.items()}
    by_voice = measure_pace(prompts, args.nj)
    pace = {lang: by_voice[names[lang]] for lang in phrases}
    print(f"chose {len(speakers)} voices in {time.monotonic() - start:.1f} s", file=sys.stderr)
    order = np.random.default_rng((args.seed, len(speakers))).permutation(len(speakers))
    plans: dict[str, dict[str, Utterance]] = {}
    for name, count in zip(SETS, args.voices, strict=True):
        members, order = order[:count], order[count:]
        known = phrases if name == "test" else {lang: phrases[lang] for lang in args.languages}
        plans[name] = {}
        for number in sorted(members):
            plans[name] |= plan_utterances(
                args.data / "wav", f"v{number + 1:03d}", speakers[number], name, known, pace, args)
    check_same_plan(args.data / "wav" / "plan.json", VERSION, speakers, plans)
    utterances = [utterance for plan in plans.values() for utterance in plan.values()]
    made = synthesise(speakers, utterances, args.nj, list(names.values()), timed=True)
    show_progress(made, start)
    for name, plan in plans.items():
        write_set(args.data / f"{name}_voices", plan)
    print(f"made in {time.monotonic() - start:.1f} s", file=sys.stderr)


def sample(source: Phrases) -> list[str]:
    """Return some sentences by which the pace of a language is measured."""
    rng = np.random.default_rng(0)
    return [source.sentence(rng, 60 if source.language.spaced else 15) for _ in range(4)]


def write_set(path: Path, plan: dict[str, Utterance]) -> None:
    """Write one data directory with word times; sentences that cannot be spoken are omitted."""
    made = {key: item for key, item in plan.items() if Path(item.path).is_file()}
    if not made:
        raise DiarizeError(f"{path}: none of {len(plan)} sentences could be said")
    seconds = write_data_dir(path, made, {key: key.split("-")[1] for key in made})
    words: dict[str, list[Word]] = {}
    for item in made.values():
        words |= read_ctm(Path(item.path).with_suffix(".ctm"))
    write_ctm(path / "ctm", words)
    missing = sorted(plan.keys() - made.keys())
    line = f"{path.name}: {len(made)} utterances, {seconds / 3600:.2f} h"
    if missing:
        line += f"; {len(missing)} left out that no voice can speak, such as {missing[0]}"
    print(line, file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: make_languages(args), "make_languages.py")


if __name__ == "__main__":
    sys.exit(main())
