"""The formats of annotations: one registry for all commands that read or write segments.

The format of a file is that of its suffix.  A file of RTTM, CTM, STM, CSV or JSON contains any
number of recordings; the others (TextGrid, ELAN, Audacity labels, subtitles) contain one.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.annotation import (
    NO_MEDIA,
    Media,
    read_audacity,
    read_csv,
    read_ctm,
    read_json,
    read_stm,
    read_textgrid,
    write_audacity,
    write_csv,
    write_ctm,
    write_json,
    write_json_lines,
    write_stm,
    write_textgrid,
)
from diarize.io.atomic import atomic_write
from diarize.io.elan import read_eaf, write_eaf
from diarize.io.names import normal_names
from diarize.io.rttm import format_rttm_line, read_rttm, read_rttm_with_confidence
from diarize.io.subtitles import read_subtitles, write_srt, write_vtt
from diarize.segments import Segment, Turn, as_turn, in_order


class Format(NamedTuple):
    """Format of annotations.

    read: returns the segments or turns of a file
    write: returns the text of a file with turns of a recording, or of several
    suffix: that of files; upper and lower case are alike when read
    one_recording: a file cannot contain several recordings
    """

    read: Callable[[Path], list[Segment] | list[Turn]]
    write: Callable[[list[Turn], Media], str]
    suffix: str
    one_recording: bool = False


def write_rttm_text(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return RTTM lines, sorted."""
    return "".join(format_rttm_line(turn) + "\n" for turn in in_order(turns))


FORMATS: dict[str, Format] = {
    "rttm": Format(read_rttm_with_confidence, write_rttm_text, ".rttm"),
    "textgrid": Format(read_textgrid, write_textgrid, ".TextGrid", True),
    "eaf": Format(read_eaf, write_eaf, ".eaf", True),
    "audacity": Format(read_audacity, write_audacity, ".txt", True),
    "srt": Format(read_subtitles, write_srt, ".srt", True),
    "vtt": Format(read_subtitles, write_vtt, ".vtt", True),
    "csv": Format(read_csv, write_csv, ".csv"),
    "json": Format(read_json, write_json, ".json"),
    "jsonl": Format(read_json, write_json_lines, ".jsonl"),
    "ctm": Format(read_ctm, write_ctm, ".ctm"),
    "stm": Format(read_stm, write_stm, ".stm"),
}


def format_of(path: str | os.PathLike, given: str | None = None) -> str:
    """Return the name of the format: ``given``, else by the suffix or the name of the file.

    Files of a data directory are named ``rttm``, ``stm`` or ``ctm``; standard input and output
    (``-``) are RTTM.  Raises DiarizeError for any other name.
    """
    if given:
        return given
    name = Path(path).name.lower()
    suffix = Path(name).suffix
    if str(path) in ("-", "/dev/stdin", "/dev/stdout") or name.startswith("rttm."):
        return "rttm"  # rttm.annotation
    for form, kind in FORMATS.items():
        if name in (form, kind.suffix.lower()) or suffix == kind.suffix.lower():
            return form
    raise DiarizeError(
        f"{path}: unknown format; the known suffixes are "
        + " ".join(kind.suffix for kind in FORMATS.values())
    )


def read_annotation(path: str | os.PathLike, given: str | None = None) -> list[Segment]:
    """Return the segments of a file of any known format, names in their normal form."""
    if format_of(path, given) == "rttm":
        return read_rttm(path)  # by columns, faster
    return [Segment(*row[:4]) for row in read_annotated_turns(path, given)]


def read_annotated_turns(path: str | os.PathLike, given: str | None = None) -> list[Turn]:
    """Return the segments of a file of any known format, with channel and confidence."""
    turns = list(map(as_turn, FORMATS[format_of(path, given)].read(Path(path))))
    names = list(dict.fromkeys(name for t in turns for name in (t.recording, t.label)))
    normal = dict(zip(names, normal_names(names, path), strict=True))
    return [t._replace(recording=normal[t.recording], label=normal[t.label]) for t in turns]


def annotation_text(
    form: str, segments: Iterable[Segment | Turn], media: Media = NO_MEDIA
) -> str:
    """Return the text of a file of the format ``form`` with the segments of one recording."""
    return FORMATS[form].write(list(map(as_turn, segments)), media)


def write_annotation(
    path: str | os.PathLike, segments: Iterable[Segment | Turn], media: Media = NO_MEDIA
) -> None:
    """Write the segments of one recording in the format of the suffix of ``path``, atomically."""
    text = annotation_text(format_of(path), segments, media)
    with atomic_write(path) as handle:
        handle.write(text)


def check_writable(path: str | os.PathLike) -> None:
    """Raise DiarizeError, naming ``path``, if a file cannot be written there."""
    path = Path(path)
    if path.is_dir():
        raise DiarizeError(f"{path}: a directory; a file cannot be written there")
    if path.exists() and not path.is_file():
        if not os.access(path, os.W_OK):
            raise DiarizeError(f"cannot write {path}: Permission denied")
        return
    place = path.resolve().parent
    if not place.is_dir():
        raise DiarizeError(f"cannot write {path}: no directory {path.parent}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise DiarizeError(f"cannot write {path}: Permission denied")


def make_folder(path: str | os.PathLike) -> None:
    """Make the directory ``path``; DiarizeError, naming it, if no file can be written there."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DiarizeError(f"cannot write {path}: {err.strerror}") from err
    if not os.access(path, os.W_OK | os.X_OK):
        raise DiarizeError(f"cannot write {path}: Permission denied")
