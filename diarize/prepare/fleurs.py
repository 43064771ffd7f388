"""FLEURS: the same read sentences in 102 languages, for the simulation of code-switching.

Each language has ``{train,dev,test}.tsv`` without a head: id (of the sentence in all languages),
file, raw and normalised transcription, characters, samples, gender.  Speakers are not annotated:
utterances of one language and gender are one "speaker" here, until voices are converted.
"""

import argparse
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.numbers import parse_integer
from diarize.io.table import read_text
from diarize.prepare.archive import corpus_root
from diarize.prepare.counts import check_one
from diarize.prepare.part import CorpusRecording
from diarize.prepare.recipe import write_text
from diarize.prepare.writer import Spoken, write_utterances

SETS = ("train", "dev", "test")
LANGUAGES = 102
_RATE = 16000
_FIELDS = 7
_SLACK = 0.05  # s by which the audio may differ from the tsv's samples


class Line(NamedTuple):
    """One line of a tsv."""

    sentence: str
    file: Path
    text: str
    samples: int
    gender: str
    where: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of FLEURS."""
    add = parser.add_argument
    add("--root", default="", metavar="DIR",
        help="directory of the unpacked languages: FLEURS of db.sh")
    add("--languages", default="all", metavar="NAME,...",
        help="such as en_us,hi_in (default: all, which must be 102)")


def prepare(args: argparse.Namespace) -> None:
    """Write {train,dev,test}_utts with text, utt2lang and utt2sentence."""
    root = corpus_root(args.root, "FLEURS", "FLEURS")
    names = choose_languages(root, args.languages, args.allow_counts)
    labels = language_labels(names)
    lines: dict[str, list[tuple[str, Line]]] = {}
    for part in SETS:
        lines[part] = [
            (labels[name], line) for name in names for line in read_part(root / name, part)
        ]
    leaked = drop_leaks(lines)
    for part in SETS:
        recordings, spoken, sentences, other = [], [], {}, 0
        for label, line in lines[part]:
            speaker = f"{label}-{line.gender}"
            key = f"{speaker}-{int(line.sentence):05d}-{line.file.stem}"
            seconds = AudioSource(str(line.file), recording=key).info().duration
            other += abs(seconds - line.samples / _RATE) > _SLACK
            recordings.append(CorpusRecording(key, str(line.file), round(seconds, 3)))
            spoken.append(Spoken(key, speaker, key, text=line.text, language=label))
            sentences[key] = line.sentence
        out = Path(args.out) / f"{part}_utts"
        options = {"languages": " ".join(names), "sentences_left_out_as_in_another_set": leaked}
        write_utterances(out, recordings, spoken, options)
        _write_sentences(out, sentences)
        if other:
            print(f"{out}: {other} files have another length than in the tsv; that of the file is "
                  "used", file=sys.stderr)  # fmt: skip


def choose_languages(root: Path, wanted: str, allowed: Collection[str]) -> list[str]:
    """Return the directories of the languages; DiarizeError for a missing one."""
    there = sorted(path.parent.name for path in root.glob("*/train.tsv"))
    there += sorted(p.parents[1].name for p in root.glob("*/train/train.tsv"))
    if wanted == "all":
        fault = f"languages: got {len(there)}, expected {LANGUAGES}"
        check_one("FLEURS", "languages", fault if len(there) != LANGUAGES else "", allowed)
        if not there:
            raise DiarizeError(f"{root}: no <language>/train.tsv; unpack the archives here")
        return there
    names = [name for name in wanted.split(",") if name]
    for name in names:
        if name not in there:
            others = ", ".join(there) or "none"
            raise DiarizeError(f"{root}: no {name}/train.tsv; there is {others}")
    return names


def language_labels(names: list[str]) -> dict[str, str]:
    """Return name -> label of a language: the part before the region, if it is unique.

    >>> language_labels(["hi_in", "cmn_hans_cn"])
    {'hi_in': 'hi', 'cmn_hans_cn': 'cmn'}
    """
    short = [name.partition("_")[0] for name in names]
    return {
        name: name.replace("_", "") if short.count(label) > 1 else label
        for name, label in zip(names, short, strict=True)
    }


def read_part(folder: Path, part: str) -> Iterator[Line]:
    """Yield the lines of ``<folder>/<part>.tsv``; identical ones once.

    Raises DiarizeError naming file and line for other fields than the seven, a file that is not
    there, and one that occurs twice with different transcriptions.
    """
    tsv = next((p for p in (folder / f"{part}.tsv", folder / part / f"{part}.tsv") if p.is_file()),
               None)  # fmt: skip
    if tsv is None:
        raise DiarizeError(f"{folder}: no {part}.tsv; unpack the whole archive")
    places = [folder / part, folder / "audio" / part]
    audio = next((place for place in places if place.is_dir()), places[0])
    seen: dict[str, tuple[str, int]] = {}
    twice = empty = 0
    for number, text in enumerate(read_text(tsv).split("\n"), 1):
        if not text.strip():
            continue
        where = f"{tsv}:{number}"
        fields = text.rstrip("\r").split("\t")
        if len(fields) != _FIELDS or None in map(parse_integer, (fields[0], fields[5])):
            raise DiarizeError(f"{where}: not the seven fields id, file, raw, normalised, "
                               "characters, samples, gender")  # fmt: skip
        sentence, name, _, words, _, samples, gender = fields
        if name in seen:
            if seen[name][0] != text:
                raise DiarizeError(f"{where}: {name} is on line {seen[name][1]} already, otherwise")
            twice += 1
            continue
        seen[name] = (text, number)
        words = " ".join(words.split())
        if not words:
            empty += 1
            continue
        file = audio / name
        if not file.is_file():
            raise DiarizeError(f"{where}: {file} is missing; unpack the whole archive")
        yield Line(sentence, file, words, int(samples), gender.lower() or "other", where)
    for count, what in ((twice, "lines repeat another"), (empty, "lines have no transcription")):
        if count:
            print(f"{tsv}: {count} {what}; left out", file=sys.stderr)


def drop_leaks(lines: dict[str, list[tuple[str, Line]]]) -> int:
    """Remove the sentences of dev and test, in any language, from training; those of test from dev.

    Returns the number of removed sentences.
    """
    known = {part: {line.sentence for _, line in found} for part, found in lines.items()}
    leaked = 0
    for part, later in (("train", known["dev"] | known["test"]), ("dev", known["test"])):
        shared = known[part] & later
        leaked += len(shared)
        if shared:
            lines[part] = [pair for pair in lines[part] if pair[1].sentence not in shared]
            print(
                f"{part}: {len(shared)} sentences are left out, like {min(shared, key=int)}: a "
                "later set has them in some language",
                file=sys.stderr,
            )
    return leaked


def _write_sentences(out: Path, sentences: dict[str, str]) -> None:
    text = "".join(f"{key} {sentences[key]}\n" for key in sorted(sentences))
    write_text(out / "utt2sentence", text)
