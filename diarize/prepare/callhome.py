"""CALLHOME (LDC2001S97, part of NIST SRE 2000): telephone calls of 2 to 7 speakers, 8 kHz.

``--root`` holds ``*.sph`` at any depth, also files that are not among the 500 calls.  ``--key`` is
``sre2000-key`` of SLR 10 with ``fullref.rttm``.  80 % of part 1 of Kaldi's split are for training
and 20 % for validation; part 2 is the test set.  Writes {train,dev,test}.
"""

import argparse
import shlex
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm
from diarize.prepare.archive import corpus_root, files_by_stem, needed
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import add_split_options, check_parts, split_part, write_sets
from diarize.prepare.splits import read_split
from diarize.segments import Segment, by_recording

BROKEN = {"iaeu": "fullref.rttm has no line of this call"}
# Recordings by their number of speakers.
EXPECTED = {
    "part1": Expected(recordings=249, by_speakers={2: 155, 3: 61, 4: 23, 5: 5, 6: 3, 7: 2}),
    "part2": Expected(recordings=250, by_speakers={2: 148, 3: 74, 4: 20, 5: 5, 6: 3}),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of CALLHOME."""
    parser.add_argument("--root", default="", metavar="DIR",
                        help="LDC2001S97, with *.sph at any depth")
    parser.add_argument("--key", default="", metavar="DIR", help="sre2000-key of SLR 10")
    parser.add_argument("--parts", required=True, metavar="FILE", help="list of Kaldi's two parts")
    parser.add_argument("--sph2pipe", choices=("auto", "always", "never"), default="auto",
                        help="read audio by sph2pipe; auto: if it is compressed (shorten)")
    add_split_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    root = corpus_root(args.root, "CALLHOME", "CALLHOME (LDC2001S97)")
    key = corpus_root(args.key, "CALLHOME_KEY", "sre2000-key (SLR 10)")
    listed = read_split(needed(Path(args.parts), "the list of Kaldi's two parts"))
    segments = by_recording(read_rttm(needed(key / "fullref.rttm", "the reference")))
    audio = files_by_stem(root, "**/*.sph", listed.keys() | BROKEN.keys())
    parts = {}
    for name, expected in EXPECTED.items():
        ids = [recording for recording, part in listed.items() if part == name]
        if name == "part1":  # in Kaldi's list, and removed again by its users
            ids += [recording for recording in BROKEN if recording in audio]
        parts[name] = (read_part(name, ids, audio, segments, args), expected)
    differs = check_parts("CALLHOME", parts, args.allow_counts)
    train, dev, rule = split_part(parts["part1"][0], args)
    sets = {"train": train, "dev": dev, "test": parts["part2"][0]}
    write_sets(args.out, sets, {"sample_rate": 8000, "split": rule}, differs)


def read_part(
    name: str,
    ids: list[str],
    audio: dict[str, Path],
    segments: dict[str, list[Segment]],
    args: argparse.Namespace,
) -> CorpusPart:
    """Return the recordings ``ids``; missing ones are an error unless `recordings` is allowed."""
    recordings: list[CorpusRecording] = []
    found: list[Segment] = []
    for key in ids:
        if key not in audio:
            if "recordings" in args.allow_counts:
                continue
            raise DiarizeError(f"{args.root}: {key}.sph is missing; unpack all discs")
        recordings.append(CorpusRecording(key, rxfilename(audio[key], args.sph2pipe)))
        if key not in segments and key not in BROKEN:
            raise DiarizeError(
                f"{args.key}/fullref.rttm: no line of {key}; fetch sre2000-key again"
            )
        found += segments.get(key, [])
    broken = {key: why for key, why in BROKEN.items() if key in ids}
    return make_part(f"CALLHOME {name}", recordings, found, broken)


def rxfilename(path: Path, sph2pipe: str) -> str:
    """Return the entry of wav.scp: the file or the command that decompresses it."""
    with open(path, "rb") as handle:
        head = handle.read(1024)
    if sph2pipe == "always" or (sph2pipe == "auto" and b"shorten" in head):
        return f"sph2pipe -f wav -p {shlex.quote(str(path))} |"
    return str(path)
