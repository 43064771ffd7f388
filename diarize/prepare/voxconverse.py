"""VoxConverse 0.3: debates and news of YouTube, with the references of joonson/voxconverse.

``--root`` holds ``audio`` (development) and ``voxconverse_test_wav``, ``--references`` is a clone
with ``dev/*.rttm`` and ``test/*.rttm``.  There is no training set: 20 % of the development
recordings are for validation, the others for training.  Writes {train,dev,test}.
"""

import argparse
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.prepare.archive import corpus_root, files_by_stem, one_of, read_reference
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import add_split_options, check_parts, split_part, write_sets

# The published seconds have one digit and none; checked against the published references.
EXPECTED = {
    "dev": Expected(recordings=216, most_speakers=20, reference_seconds=70733.3),
    "test": Expected(recordings=232, most_speakers=21, reference_seconds=144793.0,
                     seconds_tolerance=0.6),
}
AUDIO = {
    "dev": ("audio", "voxconverse_dev_wav/audio", "voxconverse_dev_wav"),
    "test": ("voxconverse_test_wav/audio", "voxconverse_test_wav"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of VoxConverse."""
    parser.add_argument("--root", default="", metavar="DIR", help="the unpacked audio archives")
    parser.add_argument("--references", default="", metavar="DIR",
                        help="clone of joonson/voxconverse")
    add_split_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    root = corpus_root(args.root, "VOXCONVERSE", "VoxConverse")
    references = corpus_root(args.references, "VOXCONVERSE_REFERENCES", "joonson/voxconverse")
    parts = {
        split: (read_split(one_of(root, *AUDIO[split]), references / split, split), expected)
        for split, expected in EXPECTED.items()
    }
    differs = check_parts("VoxConverse", parts, args.allow_counts)
    train, dev, rule = split_part(parts["dev"][0], args)
    sets = {"train": train, "dev": dev, "test": parts["test"][0]}
    write_sets(args.out, sets, {"references": "0.3", "split": rule}, differs)


def read_split(audio: Path, references: Path, split: str) -> CorpusPart:
    """Return all recordings that have a reference."""
    recordings, segments = [], []
    found = files_by_stem(audio, "*.wav")
    rttms = files_by_stem(references, "*.rttm")
    for name in sorted(found.keys() | rttms.keys()):
        if name not in found:
            raise DiarizeError(f"{audio / name}.wav: missing: the audio of {name}")
        recordings.append(CorpusRecording(name, str(found[name])))
        segments += read_reference(references / f"{name}.rttm", name)
    return make_part(f"VoxConverse {split}", recordings, segments)
