"""MagicData-RAMC (SLR 123): Mandarin conversations of two speakers, with their TXT files.

``--root`` holds ``DataPartition/{train,dev,test}.tsv`` and ``MDT2021S003/{WAV,TXT}``.  Writes
{train,dev,test}.

Speaker G00000000 is not a person: its lines mark events, such as ``[*]`` (noise) and ``[+]``
(overlapped speech).  They are not part of the reference by default.  ``--overlap-marks speakers``
reads ``[+]`` as speech of both speakers.  The seconds of each reading are in prepare.json.
"""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.numbers import parse_seconds
from diarize.io.rttm import data_lines, read_data
from diarize.prepare.archive import corpus_root, needed, unique_names
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import check_parts, write_sets
from diarize.segments import Segment

NOBODY = "G00000000"
OVERLAP = "[+]"
SPEAKERS = 2  # of a conversation
# Hours: README of HaoranMiao/MagicData-RAMC.  Two totals of the test reference are published, and
# neither with its rule: 62374.2 s, and 61398.57 s in the scores of BUTSpeechFIT/DiaPer.
EXPECTED = {
    "train": Expected(recordings=289, hours=149.65),
    "dev": Expected(recordings=19, hours=9.89),
    "test": Expected(recordings=43, hours=20.64, reference_seconds=(62374.2, 61398.6),
                     seconds_tolerance=62.4),
}
_TIMES = re.compile(r"\[\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\]")


class Annotation(NamedTuple):
    """A TXT file: turns of the speakers, and the marks of G00000000 as (start, end, text)."""

    turns: list[Segment]
    marks: list[tuple[float, float, str]]

    def marked(self, text: str | None = None) -> float:
        """Return the seconds of all marks, or of those with this text."""
        return sum(end - start for start, end, mark in self.marks if text in (None, mark))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of RAMC."""
    parser.add_argument("--root", default="", metavar="DIR",
                        help="directory of the unpacked archive")
    parser.add_argument("--overlap-marks", choices=("ignore", "speakers"), default="ignore",
                        help="[+] of speaker G00000000: no speech, or speech of both speakers "
                        "(default %(default)s)")


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets."""
    root = corpus_root(args.root, "RAMC", "MagicData-RAMC")
    both = args.overlap_marks == "speakers"
    parts = {split: (read_split(root, split, both), EXPECTED[split]) for split in EXPECTED}
    differs = check_parts("RAMC", parts, args.allow_counts)
    sets = {split: part for split, (part, _) in parts.items()}
    options = {"not_a_speaker": NOBODY, "overlap_marks": args.overlap_marks}
    write_sets(args.out, sets, options, differs)


def read_split(root: Path, split: str, both: bool = False) -> CorpusPart:
    """Return the recordings in the first column of the table of the partition.

    ``both``: overlap marks are speech of both speakers.
    """
    table = needed(root / f"DataPartition/{split}.tsv", "the partition")
    firsts = (Path(fields[0]) for _, fields in data_lines(table))
    names = unique_names((f.stem for f in firsts if f.suffix == ".wav"), table)
    recordings, segments = [], []
    # Seconds of the reference, by recording, beside those of the chosen reading.
    other, label = {}, {}
    for name in names:
        audio = root / f"MDT2021S003/WAV/{name}.wav"
        recordings.append(CorpusRecording(name, str(needed(audio, f"the audio of {name}"))))
        text = needed(root / f"MDT2021S003/TXT/{name}.txt", f"the reference of {name}")
        found = read_txt(text, name)
        if not found.turns:
            raise DiarizeError(f"{text}: no turn of a speaker; unpack the archive again")
        segments += found.turns
        if both:
            segments += overlapped(found, name, text)
        overlap = SPEAKERS * found.marked(OVERLAP)
        other[name] = -overlap if both else overlap
        label[name] = found.marked() - (overlap if both else 0)
    what = "no speech" if both else "speech of both speakers"
    readings = {f"with {OVERLAP} as {what}": other, f"with {NOBODY} as a speaker": label}
    return make_part(f"RAMC {split}", recordings, segments, readings=readings)


def overlapped(found: Annotation, recording: str, path: Path) -> list[Segment]:
    """Return the overlap marks as turns of both speakers; DiarizeError unless there are two."""
    marks = [(start, end) for start, end, text in found.marks if text == OVERLAP]
    labels = sorted({turn.label for turn in found.turns})
    if marks and len(labels) != SPEAKERS:
        raise DiarizeError(
            f"{path}: {OVERLAP} marks overlap, but {len(labels)} speakers have turns instead of "
            f"{SPEAKERS}; correct the file, or use --overlap-marks ignore"
        )
    return [Segment(recording, *times, label) for times in marks for label in labels]


def read_txt(path: Path, recording: str) -> Annotation:
    r"""Return the annotation in lines ``[start,end]\tspeaker\tgender,dialect\ttext``.

    Raises DiarizeError naming file and line for a line of another form.
    """
    try:
        lines = read_data(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as err:
        raise DiarizeError(f"{path}: not UTF-8 text; convert the file") from err
    found = Annotation([], [])
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
        if fields[1].strip() == NOBODY:
            found.marks.append((start, end, fields[-1].strip()))
        else:
            found.turns.append(Segment(recording, start, end, "_".join(fields[1].split())))
    return found
