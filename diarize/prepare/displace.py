"""DISPLACE: conversations of several Indian languages, labelled by language (by registration).

The development part of the 2024 edition has labels: 35 recordings.  The split keeps recordings
whole, since windows of one recording must not be in two sets.  The default globs match the layout
of 2024; that of 2023 is not published, so its globs must be given.  A label file has the name of
its audio file, with ``_LANGUAGE``.
"""

import argparse
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.folders import files_like
from diarize.prepare.archive import corpus_root, files_by_stem, read_reference
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import add_split_options, check_parts, write_sets
from diarize.prepare.splits import (
    DEFAULT_SEED,
    describe_rule,
    seeded_split,
    split_ids,
    write_split,
)

LAYOUT = {
    "audio": "Displace2024_{part}_audio_supervised/AUDIO_supervised/Track1_SD_Track2_LD/*.wav",
    "labels": "Displace2024_{part}_labels_supervised/Labels/Track2_LD/*.rttm",
}
EXPECTED = {"2024": Expected(recordings=35)}
TEST_SHARE = 0.2
_SUFFIXES = ("_LANGUAGE", "_LANG", "_SPEAKER")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of DISPLACE."""
    add = parser.add_argument
    add("--root", default="", metavar="DIR",
        help="directory of the unpacked archives: DISPLACE of db.sh")
    add("--edition", default="2024", choices=("2023", "2024"), help="default %(default)s")
    add("--audio", metavar="GLOB", help="pattern of the audio below the root (2024: known)")
    add("--rttm", metavar="GLOB", help="pattern of the RTTM files below the root (2024: known)")
    add_split_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write train, dev and test by whole recordings, and eval if its labels are found."""
    root = corpus_root(args.root, "DISPLACE", "DISPLACE")
    if args.edition != "2024" and not (args.audio and args.rttm):
        raise DiarizeError(
            "DISPLACE 2023: its layout is not published: use --audio and --rttm, such as "
            "--audio 'dev/audio/*.wav' --rttm 'dev/labels/*.rttm'"
        )
    audio, labels = args.audio or LAYOUT["audio"], args.rttm or LAYOUT["labels"]
    whole = read_part(root, audio.replace("{part}", "dev"), labels.replace("{part}", "dev"))
    expected = EXPECTED.get(args.edition, Expected())
    differs = check_parts("DISPLACE", {"labelled": (whole, expected)}, args.allow_counts)
    split, rule = three_ways(whole, args)
    sets = {
        name: whole.subset([key for key, where in split.items() if where == name], name)
        for name in ("train", "dev", "test")
    }
    there = [files_like(root, x.replace("{part}", "eval")) for x in (audio, labels)]
    if "{part}" in audio and "{part}" in labels and all(there):
        sets["eval"] = read_part(
            root, audio.replace("{part}", "eval"), labels.replace("{part}", "eval")
        )
    options = {"edition": args.edition, "split": rule, "labels": "languages"}
    write_sets(args.out, sets, options, differs)


def read_part(root: Path, audio: str, labels: str) -> CorpusPart:
    """Return the recordings of the globs; audio and label files must correspond."""
    files = files_by_stem(root, audio)
    found: dict[str, Path] = {}
    for stem, path in files_by_stem(root, labels).items():
        key = next((stem.removesuffix(s) for s in _SUFFIXES if stem.endswith(s)), stem)
        if key in found:
            raise DiarizeError(f"{key} has two label files: {found[key]} and {path}")
        found[key] = path
    for key in sorted(files.keys() ^ found.keys()):
        have, lack = (files, "labels") if key in files else (found, "audio")
        raise DiarizeError(f"{have[key]}: no {lack} for this file; unpack the whole archive")
    segments = [s for key, path in found.items() for s in read_reference(path, key)]
    return make_part("DISPLACE", (CorpusRecording(k, str(p)) for k, p in files.items()), segments)


def three_ways(part: CorpusPart, args: argparse.Namespace) -> tuple[dict[str, str], str]:
    """Return recording -> train, dev or test, and the rule; the list goes to ``split.txt``."""
    if args.split_seed is None and args.split_list and Path(args.split_list).exists():
        split = split_ids(part.ids, args.split_list, partial="recordings" in args.allow_counts)
        rule = f"list {Path(args.split_list).name}"
    else:
        seed = DEFAULT_SEED if args.split_seed is None else args.split_seed
        outer = seeded_split(part.ids, seed, TEST_SHARE)
        rest = [key for key, where in outer.items() if where == "train"]
        split = dict.fromkeys(outer, "test") | seeded_split(rest, seed + 1)
        rule = f"test: {describe_rule(seed, TEST_SHARE)}; of the rest {describe_rule(seed + 1)}"
    Path(args.out).mkdir(parents=True, exist_ok=True)
    write_split(Path(args.out) / "split.txt", split, rule)
    return split, rule
