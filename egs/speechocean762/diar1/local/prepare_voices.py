"""Data directories of single speakers, {train,dev,test}_voices, out of speechocean762.

Of every utterance the stretches of speech are kept (energy SAD), each as a recording of its own;
every speaker is put to one level.  No person is in two sets.  With --librispeech-root speakers
of LibriSpeech join the training, in libri_train_voices, since a mixture of two corpora tells its
speakers apart by the corpus; others stand in libri_test_voices.  Everything follows from the
corpus and --seed.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from speakers import Person, Utterance, make_person, voice_of

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.table import read_table, write_table
from diarize.kaldi.datadir import DataDir
from diarize.prepare.counts import Counts, Expected, allowed_counts, check_counts, check_one
from diarize.prepare.part import CorpusRecording
from diarize.prepare.splits import read_split, seeded_split, write_split
from diarize.prepare.writer import Spoken, write_utterances

LIST = Path(__file__).parents[1] / "conf" / "split.list"
PUBLISHED = Expected(recordings=2500, speakers=125)  # of each of the two parts
UTTERANCES = 20  # of each speaker


class Split(NamedTuple):
    """The persons of each set, and what it goes back to, for prepare.json."""

    sets: dict[str, list[Person]]
    rules: dict[str, str]


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("data", type=Path, help="where the data directories go, and the audio (wav)")
    add("--root", type=Path, required=True, help="speechocean762, as OpenSLR 101 has it")
    add("--librispeech-root", type=Path, help="the directory above LibriSpeech")
    add("--librispeech-test", type=int, default=40, help="its speakers for tests (%(default)s)")
    add("--librispeech-utts", type=int, default=20, help="of a speaker, at most (%(default)s)")
    add("--librispeech-train", choices=("true", "false"), default="true",
        help="whether its other speakers join the training (default %(default)s)")
    add("--mixed", choices=("true", "false"), default="false",
        help="whether to write mixed_voices, too (default %(default)s)")
    add("--words-root", type=Path, help="data directory of single words, for mixed_voices")
    add("--mixed-speeds", default="96,104", help="in percent, of mixed_voices (%(default)s)")
    add("--dev", type=int, default=12, help="speakers of dev (default %(default)s)")
    add("--test", type=int, default=20,
        help="speakers of test where the corpus' own test part is not there (%(default)s)")
    add("--speeds", default="85,92,100,108,115", help="in percent, for training (%(default)s)")
    add("--seed", type=int, default=1, help="of splits and levels (default %(default)s)")
    add("--nj", type=int, default=2, help="processes (default %(default)s)")
    add("--allow-counts", type=allowed_counts, default=frozenset(), metavar="CHECK,...",
        help="of recordings, speakers and utterances: those that may differ from the published")
    return parser


def read_speechocean(root: Path) -> dict[str, list[Utterance]]:
    """Return the utterances of the parts that are there, "train" and perhaps "test".

    The archive has a data directory for each part, with paths from the root on; a root that is
    itself a data directory is the training part.  Raises DiarizeError for missing audio.
    """
    train = root / "train" if (root / "train").is_dir() else root
    parts: dict[str, list[Utterance]] = {}
    for name, place in (("train", train), ("test", root / "test")):
        if not (place / "wav.scp").is_file():
            continue
        wav, speakers = read_table(place / "wav.scp"), read_table(place / "utt2spk", fields=2)
        for key, path in wav.items():
            if key not in speakers:
                raise DiarizeError(f"{place}/utt2spk: utterance {key} of wav.scp is missing")
            if not (root / path).is_file():
                raise DiarizeError(f"{place}/wav.scp: utterance {key}: no file {root / path}")
            speaker = "so" + speakers[key].removeprefix("so")
            utterance = Utterance(key.rpartition("-")[2], speaker, str(root / path))
            parts.setdefault(name, []).append(utterance)
    if "train" not in parts:
        raise DiarizeError(f"{root}: neither train/wav.scp nor wav.scp: is this speechocean762?")
    return parts


def check_part(name: str, utterances: list[Utterance], allowed: Collection[str]) -> None:
    """Raise DiarizeError for figures that are not the published ones and not ``allowed``."""
    speakers = by_speaker(utterances)
    counts = Counts(recordings=len(utterances), speakers=len(speakers))
    check_counts(f"speechocean762 {name}", counts, PUBLISHED, allowed)
    other = {speaker: len(own) for speaker, own in speakers.items() if len(own) != UTTERANCES}
    fault = ""
    if other:
        speaker = min(other)
        fault = (
            f"{len(other)} speakers do not have {UTTERANCES} utterances: speaker {speaker} has "
            f"{other[speaker]} utterances, not {UTTERANCES}"
        )
    check_one(f"speechocean762 {name}", "utterances", fault, allowed)


def read_librispeech(root: Path, most: int) -> list[Utterance]:
    """Return at most ``most`` utterances of each speaker below ``root``/LibriSpeech."""
    base = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    found: dict[str, list[Utterance]] = {}
    for path in sorted(base.glob("*/*/*/*.flac")):
        speaker = f"ls{path.parts[-3]}"
        found.setdefault(speaker, []).append(Utterance(path.stem, speaker, str(path)))
    if not found:
        raise DiarizeError(f"{base}: no PART/SPEAKER/CHAPTER/*.flac: is this LibriSpeech?")
    return [utterance for own in found.values() for utterance in own[:most]]


def by_speaker(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """Return the utterances of each speaker, speakers in C order."""
    found: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        found.setdefault(utterance.speaker, []).append(utterance)
    return {speaker: found[speaker] for speaker in sorted(found)}


def hold_out(speakers: Iterable[str], sizes: dict[str, int], seed: int) -> dict[str, str]:
    """Return speaker -> set: ``sizes`` says how many are held out for which, the rest is train."""
    left, out = sorted(speakers), {}
    if sum(sizes.values()) >= len(left):
        raise DiarizeError(f"{len(left)} speakers, of whom {sizes} cannot be held out")
    for name, size in sizes.items():
        drawn = seeded_split(left, seed, size / len(left)) if size else {}
        out |= {speaker: name for speaker in left if drawn.get(speaker) == "dev"}
        left = [speaker for speaker in left if speaker not in out]
    return out | dict.fromkeys(left, "train")


def split_of_corpus(args: argparse.Namespace, speakers: Iterable[str]) -> dict[str, str]:
    """Return speaker -> set of the training part: the committed list's, else by the rule."""
    names = sorted(speakers)
    sizes = {"dev": args.dev, "test": args.test}
    drawn = hold_out(names, sizes, args.seed)
    if LIST.exists():
        listed = read_split(LIST)
        ours = {name: sum(v == name for v in listed.values()) for name in sizes}
        if sorted(listed) == names and ours == sizes and args.seed == 1:
            return listed
    return drawn


def choose(args: argparse.Namespace) -> Split:
    """Return who is in which set."""
    parts = read_speechocean(args.root)
    for name, utterances in parts.items():
        check_part(name, utterances, args.allow_counts)
    speeds = tuple(int(speed) for speed in args.speeds.split(","))
    speakers = by_speaker(parts["train"])
    split = split_of_corpus(args, speakers)
    rules = {"split": (f"seed {args.seed}: {args.dev} speakers for dev, {args.test} of the others "
                       f"for test, the first ordered by sha256('{args.seed}:' + speaker)")}
    write_split(args.data / "split.list", split, rules["split"])
    own_test = by_speaker(parts.get("test", []))
    both = sorted(own_test.keys() & speakers.keys())
    if both:
        raise DiarizeError(f"{args.root}: speaker {both[0]} is in train and in test")
    sets: dict[str, list[Person]] = {"train": [], "dev": [], "test": []}
    for speaker, drawn in split.items():
        name = "train" if drawn == "test" and own_test else drawn
        played = speeds if name == "train" else (100,)
        sets[name].append(Person(speaker, tuple(speakers[speaker]), played))
    sets["test"] += [Person(speaker, tuple(own), (100,)) for speaker, own in own_test.items()]
    rules["test"] = "the corpus' own" if own_test else "held out of its training part"
    if args.librispeech_root:
        others = by_speaker(read_librispeech(args.librispeech_root, args.librispeech_utts))
        split = hold_out(others, {"libri_test": args.librispeech_test}, args.seed)
        write_split(args.data / "librispeech.list", split, f"seed {args.seed}")
        sets["libri_test"] = [Person(s, tuple(others[s]), (100,)) for s in others
                              if split[s] != "train"]
        if args.librispeech_train == "true":
            sets["libri_train"] = [Person(s, tuple(others[s]), speeds) for s in others
                                   if split[s] == "train"]
        rules["librispeech in training"] = args.librispeech_train
    if args.mixed == "true":
        sets["mixed"] = mixed_persons(args, sets)
    return Split(sets, rules)


def mixed_persons(args: argparse.Namespace, sets: dict[str, list[Person]]) -> list[Person]:
    """Return the training persons of all corpora, to be equalised, at other speeds."""
    speeds = tuple(int(speed) for speed in args.mixed_speeds.split(","))
    wanted = {"speeds": speeds, "equalised": True}
    persons = [p._replace(**wanted) for p in sets["train"] + sets.get("libri_train", [])]
    if not args.words_root:
        return persons
    data = DataDir.load(args.words_root)
    for recording in data.recordings:
        path = data.source(recording).resolved()
        utterance = Utterance(recording, f"sc{recording}", path)
        persons.append(Person(utterance.speaker, (utterance,), **wanted, words=True))
    return persons


def spread(make: Callable[[Person], list], persons: list[Person], jobs: int) -> list[list]:
    """Return what ``make`` gives for each person, made by ``jobs`` processes."""
    if jobs == 1:
        return [make(person) for person in persons]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(make, persons, chunksize=4))


def prepare(args: argparse.Namespace) -> None:
    """Write all data directories, and the person of each voice, spk2person."""
    args.data.mkdir(parents=True, exist_ok=True)
    chosen, table = choose(args), args.data / "spk2person"
    voices = sorted((voice_of(person.name, speed), person.name)
                    for persons in chosen.sets.values()
                    for person in persons for speed in person.speeds)  # fmt: skip
    if not table.is_file() or read_table(table) != dict(voices):
        write_table(table, dict(voices))
    for name, persons in chosen.sets.items():
        make = partial(make_person, directory=args.data / "wav" / name, seed=args.seed)
        rows = [row for found in spread(make, persons, args.nj) for row in found]
        options = {**chosen.rules, "seed": args.seed, "persons": len(persons),
                   "speeds": ",".join(str(speed) for speed in persons[0].speeds)}
        write_utterances(
            args.data / f"{name}_voices",
            [CorpusRecording(row.id, row.path, row.seconds) for row in rows],
            [Spoken(row.id, row.voice, row.id) for row in rows],
            options,
        )


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: prepare(args), "prepare_voices.py")


if __name__ == "__main__":
    sys.exit(main())
