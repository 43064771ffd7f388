"""DIHARD III (LDC2022S12 development, LDC2022S14 evaluation), full partition.

``--dev`` and ``--eval`` each hold ``data/{flac,rttm}/<id>.*`` and ``data/uem_scoring``.  20 % of
the development recordings are for validation, the others for training.  Writes {train,dev,test}.
"""

import argparse
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.uem import read_uem
from diarize.prepare.archive import corpus_root, files_by_stem, needed, one_of, read_reference
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import add_split_options, check_parts, split_part, write_sets

DEV = Expected(recordings=254)
EVAL = Expected(recordings=259, reference_seconds=103757.4, seconds_tolerance=103.8)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of DIHARD III."""
    parser.add_argument("--dev", default="", metavar="DIR",
                        help="third_dihard_challenge_dev (LDC2022S12)")
    parser.add_argument("--eval", default="", metavar="DIR",
                        help="third_dihard_challenge_eval (LDC2022S14)")
    parser.add_argument("--partition", choices=("full", "core"), default="full",
                        help="recordings and regions of uem_scoring/<partition>/all.uem; the "
                        "paper: full (default)")
    add_split_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    dev_root = corpus_root(args.dev, "DIHARD3_DEV", "DIHARD III development data")
    eval_root = corpus_root(args.eval, "DIHARD3_EVAL", "DIHARD III evaluation data")
    dev = read_release(dev_root, "dev", args.partition)
    test = read_release(eval_root, "eval", args.partition)
    differs = []
    if args.partition == "full":
        parts = {"dev": (dev, DEV), "eval": (test, EVAL)}
        differs = check_parts("DIHARD III", parts, args.allow_counts)
    train, valid, rule = split_part(dev, args)
    options = {"uem": f"uem_scoring/{args.partition}/all.uem", "split": rule}
    write_sets(args.out, {"train": train, "dev": valid, "test": test}, options, differs)


def read_release(root: Path, name: str, partition: str) -> CorpusPart:
    """Return the recordings of one release in the UEM of the partition."""
    data = one_of(root, "data", f"third_dihard_challenge_{name}/data")
    place = needed(data / f"uem_scoring/{partition}/all.uem", "the regions to score")
    regions = read_uem(place)
    audio = files_by_stem(data / "flac", "*.flac")
    if partition == "full" and audio.keys() - regions.keys():
        raise DiarizeError(f"{place}: no region of {min(audio.keys() - regions.keys())}")
    recordings, segments = [], []
    for key in sorted(regions):
        if key not in audio:
            raise DiarizeError(f"{data}/flac/{key}.flac: missing: the audio of {key}")
        recordings.append(CorpusRecording(key, str(audio[key]), None, tuple(regions[key])))
        segments += read_reference(data / f"rttm/{key}.rttm", key)
    return make_part(f"DIHARD III {name}", recordings, segments)
