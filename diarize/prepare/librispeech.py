"""LibriSpeech (SLR 12) and its small edition (SLR 31): utterances for simulated mixtures.

Layout: ``LibriSpeech/<part>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac``, and
optionally SPEAKERS.TXT.  Writes ``<out>/{train,dev,test}_read`` with one utterance per file, in
which utils/make_speech_segments.sh detects speech.  The sets share no speaker: a part that is given
for dev and for test is split by speakers.
"""

import argparse
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from diarize import checks
from diarize.errors import DiarizeError
from diarize.io.table import read_text
from diarize.prepare.archive import corpus_root, one_of
from diarize.prepare.counts import Counts, Expected, check_counts, check_one
from diarize.prepare.part import CorpusRecording
from diarize.prepare.splits import DEFAULT_SEED, describe_rule, seeded_split, write_split
from diarize.prepare.writer import Spoken, write_utterances

# Panayotov et al. 2015, Table 1: speakers; utterances as in the released archives.  Of SLR 31
# nothing was published that could be checked.
PUBLISHED = {
    "train-clean-100": Expected(recordings=28539, speakers=251),
    "train-clean-360": Expected(recordings=104014, speakers=921),
    "train-other-500": Expected(recordings=148688, speakers=1166),
    "dev-clean": Expected(recordings=2703, speakers=40),
    "dev-other": Expected(recordings=2864, speakers=33),
    "test-clean": Expected(recordings=2620, speakers=40),
    "test-other": Expected(recordings=2939, speakers=33),
}
TRAIN = "train-clean-100,train-clean-360,train-other-500"


class Utterance(NamedTuple):
    """A file of the corpus."""

    id: str
    speaker: str
    path: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add = parser.add_argument
    add("--root", default="", metavar="DIR", help="directory of LibriSpeech (or of its parts)")
    for name, default in (("train", TRAIN), ("dev", "dev-clean"), ("test", "test-clean")):
        add(f"--{name}-parts", default=default, metavar="PART,...",
            help=f"parts for {name} (default %(default)s)")  # fmt: skip
    add("--hold-out", type=checks.probability, default=0.0, metavar="SHARE",
        help="share of the training speakers for dev, and the same for test, if there are only "
        "training parts (default: 0, use the parts for dev and test)")  # fmt: skip
    add("--split-seed", type=checks.natural, default=DEFAULT_SEED, metavar="N",
        help="seed of splits by speakers (default %(default)s)")  # fmt: skip


def prepare(args: argparse.Namespace) -> None:
    """Write the data directories; DiarizeError where the corpus is not the published one."""
    root = corpus_root(args.root, "LIBRISPEECH", "LibriSpeech")
    base = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    listed = read_speakers(base / "SPEAKERS.TXT")
    names = {"train": args.train_parts}
    if not args.hold_out:
        names |= {"dev": args.dev_parts, "test": args.test_parts}
    parts: dict[str, list[Utterance]] = {}
    for name in dict.fromkeys(part for text in names.values() for part in _parts(text)):
        parts[name] = find_utterances(one_of(base, name))
        check_part(name, parts[name], listed.get(name, ()), args.allow_counts)
    chosen = {which: [u for part in _parts(text) for u in parts[part]]
              for which, text in names.items()}  # fmt: skip
    sets, rule = split_sets(chosen, args.hold_out, args.split_seed)
    options: dict[str, object] = {f"{which}_parts": text for which, text in names.items()}
    out = Path(args.out)
    if rule:
        options["speakers"] = rule
        out.mkdir(parents=True, exist_ok=True)
        speakers = {u.speaker: which for which, found in sets.items() for u in found}
        write_split(out / "split_speakers.txt", speakers, rule)
    for which, found in sets.items():
        write_utterances(
            out / f"{which}_read",
            (CorpusRecording(u.id, u.path) for u in found),
            (Spoken(u.id, u.speaker, u.id) for u in found),
            options,
        )


def find_utterances(part: Path) -> list[Utterance]:
    """Return the utterances of a part, by id; DiarizeError for a file in the wrong place."""
    found = []
    for speaker in _directories(part):
        for chapter in _directories(speaker.path):
            for file in os.scandir(chapter.path):
                name, suffix = os.path.splitext(file.name)
                if suffix.lower() != ".flac" or name.startswith("."):
                    continue
                if name.split("-")[:-1] != [speaker.name, chapter.name]:
                    raise DiarizeError(
                        f"{file.path}: a file of another speaker or chapter: expected "
                        f"{speaker.name}-{chapter.name}-<utterance>.flac; unpack {part.name} again"
                    )
                found.append(Utterance(name, speaker.name, file.path))
    if not found:
        raise DiarizeError(f"{part}: no <speaker>/<chapter>/*.flac; unpack the archive here")
    return sorted(found)


def _directories(path: str | os.PathLike) -> list[os.DirEntry]:
    return sorted((e for e in os.scandir(path) if e.is_dir()), key=lambda entry: entry.name)


def read_speakers(path: Path) -> dict[str, set[str]]:
    """Return part -> speakers of SPEAKERS.TXT (``id | sex | part | minutes | name``), {} without.

    Raises DiarizeError, with file and line, for a line of another form.
    """
    out: dict[str, set[str]] = {}
    if not path.is_file():
        return out
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith(";"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) < 4 or not fields[0].isdigit():
            raise DiarizeError(f"{path}:{number}: not 'id | sex | part | minutes | name': {line!r}")
        out.setdefault(fields[2], set()).add(fields[0])
    return out


def check_part(
    name: str, found: Sequence[Utterance], listed: Iterable[str], allowed: Collection[str]
) -> None:
    """Raise DiarizeError for figures that are not as published and not ``allowed`` (a warning).

    ``listed`` are the speakers of the part in SPEAKERS.TXT, empty if it does not list any.
    """
    speakers = {utterance.speaker for utterance in found}
    counts = Counts(recordings=len(found), speakers=len(speakers))
    check_counts(f"LibriSpeech {name}", counts, PUBLISHED.get(name, Expected()), allowed)
    strange = sorted(speakers ^ set(listed)) if listed else []
    fault = ""
    if strange:
        fault = (
            f"{len(strange)} speakers are on the disk or in SPEAKERS.TXT, but not in both, such "
            f"as {strange[0]}"
        )
    check_one(f"LibriSpeech {name}", "speakers", fault, allowed)


def split_sets(
    chosen: dict[str, list[Utterance]], hold_out: float, seed: int
) -> tuple[dict[str, list[Utterance]], str]:
    """Return train, dev and test without a common speaker, and the rule of the split, '' for none.

    Raises DiarizeError where there are too few speakers, or training and test share one.
    """
    if hold_out:
        checks.require(0 < hold_out < 0.5, "--hold-out", hold_out, "above 0 and below 0.5")
        speakers = {u.speaker for u in chosen["train"]}
        first = seeded_split(speakers, seed, 2 * hold_out)
        held = seeded_split([s for s, which in first.items() if which == "dev"], seed, 0.5)
        where = {s: {"train": "test"}.get(which, which) for s, which in held.items()}
        sets = {which: [u for u in chosen["train"] if where.get(u.speaker, "train") == which]
                for which in ("train", "dev", "test")}  # fmt: skip
        return sets, f"{describe_rule(seed, 2 * hold_out)}, half of it for test"
    rule = ""
    if chosen["dev"] == chosen["test"]:
        half = seeded_split({u.speaker for u in chosen["dev"]}, seed, 0.5)
        both = chosen["dev"]
        chosen = chosen | {
            "dev": [u for u in both if half[u.speaker] == "dev"],
            "test": [u for u in both if half[u.speaker] == "train"],
        }
        rule = f"speakers of the part for dev and test: {describe_rule(seed, 0.5)}"
    groups = {which: {u.speaker for u in found} for which, found in chosen.items()}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        common = groups[one] & groups[other]
        if common:
            raise DiarizeError(
                f"speaker {min(common)} is in the parts of {one} and of {other}: choose parts "
                "that share no speaker"
            )
    return chosen, rule


def _parts(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if not names:
        raise DiarizeError("no parts: list names such as train-clean-100, separated by commas")
    return names
