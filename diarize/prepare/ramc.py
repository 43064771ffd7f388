"""MagicData-RAMC (SLR 123): telephone-like conversations of two, by their TXT files.

``--root`` holds ``DataPartition/{train,dev,test}.tsv`` and ``MDT2021S003/{WAV,TXT}``.  Speaker
G00000000 stands for nobody and is left out.  Writes {train,dev,test}.
"""

import argparse
import re
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import data_lines, parse_seconds, read_data
from diarize.prepare.archive import corpus_root, needed, unique_names
from diarize.prepare.counts import Expected
from diarize.prepare.part import Part, Recording, make_part
from diarize.prepare.recipe import check_parts, write_sets
from diarize.segments import Segment

NOBODY = "G00000000"
TOTAL_HOURS = 180.0
EXPECTED = {
    "train": Expected(recordings=289),
    "dev": Expected(recordings=19),
    "test": Expected(recordings=43, reference_seconds=62374.2, seconds_tolerance=62.4),
}
_TIMES = re.compile(r"\[\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\]")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add where RAMC lies."""
    parser.add_argument("--root", metavar="DIR", help="the unpacked archive")


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    root = corpus_root(args.root, "RAMC", "MagicData-RAMC")
    parts = {split: (read_split(root, split), EXPECTED[split]) for split in EXPECTED}
    differs = check_parts("RAMC", parts, args.any_counts, TOTAL_HOURS)
    sets = {split: part for split, (part, _) in parts.items()}
    write_sets(args.out, sets, {"nobody": NOBODY}, differs)


def read_split(root: Path, split: str) -> Part:
    """Return the recordings that the partition's table names in its first column."""
    table = needed(root / f"DataPartition/{split}.tsv", "the partition")
    firsts = (Path(fields[0]) for _, fields in data_lines(table))
    names = unique_names((f.stem for f in firsts if f.suffix == ".wav"), table)
    recordings, segments = [], []
    for name in names:
        audio = root / f"MDT2021S003/WAV/{name}.wav"
        recordings.append(Recording(name, str(needed(audio, f"the audio of {name}"))))
        text = root / f"MDT2021S003/TXT/{name}.txt"
        found = read_txt(needed(text, f"the reference of {name}"), name)
        if not found:
            raise DiarizeError(f"{text}: nobody speaks in it")
        segments += found
    return make_part(f"RAMC {split}", recordings, segments)


def read_txt(path: Path, recording: str) -> list[Segment]:
    r"""Return the turns of lines ``[start,end]\tspeaker\tgender,dialect\ttext``, without nobody's.

    Raises DiarizeError naming file and line for a line of another form.
    """
    try:
        lines = read_data(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as err:
        raise DiarizeError(f"{path}: not UTF-8 text; convert the file") from err
    out = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        fields = line.split("\t")
        times = _TIMES.fullmatch(fields[0].strip())
        if times is None or len(fields) < 2 or not fields[1].strip():
            raise DiarizeError(f"{where}: not '[start,end]', tab, speaker: {line[:60]!r}")
        start = parse_seconds(times[1], "start", where)
        end = parse_seconds(times[2], "end", where)
        if end < start:
            raise DiarizeError(f"{where}: ends ({times[2]}) before it begins ({times[1]})")
        if fields[1].strip() != NOBODY:
            out.append(Segment(recording, start, end, "_".join(fields[1].split())))
    return out
