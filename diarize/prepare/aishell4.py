"""AISHELL-4 (SLR 111), eight channels mixed to one, by the RTTM files that come with it.

``--root`` holds ``train_{L,M,S}`` and ``test``, each with ``wav/*.flac`` and ``TextGrid/*.rttm``.
There is no validation set: 20 % of training becomes one.  Writes {train,dev,test}.
"""

import argparse
from pathlib import Path

from diarize.prepare.archive import corpus_root, files_by_stem, one_of, read_reference
from diarize.prepare.counts import Expected
from diarize.prepare.mixdown import write_mono
from diarize.prepare.part import Part, Recording, join_parts, make_part
from diarize.prepare.recipe import add_split_options, check_parts, split_part, write_sets
from diarize.prepare.registry import channel_choice, true_or_false

TRAIN = ("train_L", "train_M", "train_S")
TRAIN_RECORDINGS = 191
TOTAL_HOURS = 120.0
TEST = Expected(recordings=20, reference_seconds=43565.4, seconds_tolerance=43.6)
# https://github.com/felixfuyihui/AISHELL-4/issues/11
_TIERS = "its TextGrid is faulty: tiers end elsewhere than the file (issue 11 of AISHELL-4)"
BROKEN = {"20200622_M_R002S07C01": _TIERS, "20200710_M_R002S06C01": _TIERS}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add where AISHELL-4 lies, and the choices."""
    parser.add_argument("--root", metavar="DIR", help="the unpacked archives")
    parser.add_argument("--channels", type=channel_choice, default="mean", metavar="HOW",
                        help="mean or sum of the channels, or the number of one (default mean)")
    parser.add_argument("--audio", metavar="DIR",
                        help="where mixed audio goes (default <out>/wav); mean needs none")
    parser.add_argument("--keep-broken", type=true_or_false, default=False, metavar="true|false",
                        help="train on the two recordings with a faulty TextGrid, too")
    add_split_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    root = corpus_root(args.root, "AISHELL4", "AISHELL-4")
    mixed = Path(args.audio or Path(args.out) / "wav").absolute() / args.channels
    broken = {} if args.keep_broken else BROKEN
    train = join_parts(
        "AISHELL-4 train", [read_part(one_of(root, name), args.channels, mixed, broken)
                            for name in TRAIN])
    test = read_part(one_of(root, "test"), args.channels, mixed, {})
    wanted = Expected(recordings=TRAIN_RECORDINGS - len(broken))
    parts = {"train": (train, wanted), "test": (test, TEST)}
    differs = check_parts("AISHELL-4", parts, args.any_counts, TOTAL_HOURS)
    train, dev, rule = split_part(train, args)
    options = {"channels": args.channels, "keep_broken": args.keep_broken, "split": rule}
    write_sets(args.out, {"train": train, "dev": dev, "test": test}, options, differs)


def read_part(folder: Path, how: str, mixed: Path, broken: dict[str, str]) -> Part:
    """Return the recordings of one archive."""
    recordings, segments = [], []
    for name, audio in files_by_stem(folder / "wav", "*.flac").items():
        place = audio
        if name not in broken:
            segments += read_reference(folder / f"TextGrid/{name}.rttm", name)
            if how != "mean":  # the mean is what reading gives
                place = mixed / f"{name}.wav"
                write_mono(place, [audio], how)
        recordings.append(Recording(name, str(place)))
    return make_part(f"AISHELL-4 {folder.name}", recordings, segments, broken)
