"""AISHELL-4 (SLR 111), eight channels mixed to one, with the RTTM files of the archives.

``--root`` holds ``train_{L,M,S}`` and ``test``, each with ``wav/*.flac`` and ``TextGrid/*.rttm``.
The corpus has no validation set: 20 % of the training recordings become one.  Writes
{train,dev,test}.

All 191 training recordings are used.  Others leave out 20200622_M_R002S07C01 and
20200710_M_R002S06C01, since Python's textgrid package cannot read their TextGrids: the tiers end
at 2104.492 s, the file at 2187.436 s (issue 11 of felixfuyihui/AISHELL-4).  No fault of their RTTM
or audio is reported, and the TextGrids are not read here.
"""

import argparse
from pathlib import Path

from diarize.prepare.archive import corpus_root, files_by_stem, one_of, read_reference
from diarize.prepare.counts import Expected
from diarize.prepare.mixdown import write_mono
from diarize.prepare.part import CorpusPart, CorpusRecording, join_parts, make_part
from diarize.prepare.recipe import add_split_options, check_parts, split_part, write_sets
from diarize.prepare.registry import channel_choice

TRAIN = ("train_L", "train_M", "train_S")
# Hours: 104 h 46 min and 12 h 34 min (FrenchKrab/datasets-pyannote).
EXPECTED = {
    "train": Expected(recordings=191, hours=104.77),
    "test": Expected(recordings=20, hours=12.57, reference_seconds=43565.4, seconds_tolerance=43.6),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of AISHELL-4."""
    parser.add_argument("--root", default="", metavar="DIR",
                        help="directory of the unpacked archives")
    parser.add_argument("--channels", type=channel_choice, default="mean", metavar="HOW",
                        help="mean or sum of the channels, or the number of one (default mean)")
    parser.add_argument("--wav-dir", metavar="DIR",
                        help="directory of mixed audio (default <out>/wav); unused by mean")
    add_split_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    root = corpus_root(args.root, "AISHELL4", "AISHELL-4")
    mixed = Path(args.wav_dir or Path(args.out) / "wav").absolute() / args.channels
    train = join_parts(
        "AISHELL-4 train", [read_part(one_of(root, name), args.channels, mixed) for name in TRAIN])
    test = read_part(one_of(root, "test"), args.channels, mixed)
    parts = {"train": (train, EXPECTED["train"]), "test": (test, EXPECTED["test"])}
    differs = check_parts("AISHELL-4", parts, args.allow_counts)
    train, dev, rule = split_part(train, args)
    options = {"channels": args.channels, "split": rule}
    write_sets(args.out, {"train": train, "dev": dev, "test": test}, options, differs)


def read_part(folder: Path, how: str, mixed: Path) -> CorpusPart:
    """Return the recordings of one archive."""
    recordings, segments = [], []
    for name, audio in files_by_stem(folder / "wav", "*.flac").items():
        place = audio
        segments += read_reference(folder / f"TextGrid/{name}.rttm", name)
        if how != "mean":  # reading already computes the mean
            place = mixed / f"{name}.wav"
            write_mono(place, [audio], how)
        recordings.append(CorpusRecording(name, str(place)))
    return make_part(f"AISHELL-4 {folder.name}", recordings, segments)
