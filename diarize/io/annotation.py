"""Annotations as Audacity labels, TextGrid, CTM, STM, CSV and JSON; `formats` lists all formats.

Each format is a pair of functions between a file and segments.  For formats without a recording
id (TextGrid, Audacity) it is the file name without suffix.  Words of CTM and STM are not kept.  A
CTM line has no speaker: the channel is the label, and words at most 0.5 s apart are joined.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.json_text import parse_json
from diarize.io.numbers import parse_seconds
from diarize.io.rttm import (
    data_lines,
    decode_fields,
    parse_confidence,
    read_data,
)
from diarize.io.textgrid import read_textgrid_tiers, write_textgrid_tiers
from diarize.segments import Segment, Turn, in_order, merge_segments

# CTM contains words; within a turn there are pauses between them.
CTM_JOIN = 0.5
CSV_COLUMNS = ("recording", "channel", "start", "end", "label", "confidence")


class Media(NamedTuple):
    """The recording of turns: its length in seconds and the path of its audio, where known."""

    seconds: float | None = None
    path: str = ""


NO_MEDIA = Media()


def span(start: str, end: str, where: str) -> tuple[float, float]:
    low = parse_seconds(start, "start", where)
    high = parse_seconds(end, "end", where)
    if high < low:
        raise DiarizeError(f"{where}: ends ({end}) before it begins ({start})")
    return low, high


def read_all_text(path: Path) -> str:
    data = read_data(path)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # Praat saves names beyond ASCII as UTF-16
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise DiarizeError(f"{path}: not UTF-16 text, though it begins so") from None
    return decode_fields([data], str(path))[0]


def read_audacity(path: Path) -> list[Segment]:
    """Return the labels of an Audacity label track: start, end and label, tab-separated."""
    out = []
    for number, line in enumerate(read_all_text(path).split("\n"), 1):
        # A line that begins with a backslash contains frequencies of the preceding label.
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.rstrip("\r").split("\t")
        where = f"{path}:{number}"
        if len(fields) != 3 or not fields[2].strip():
            raise DiarizeError(f"{where}: not start, end and a label, divided by tabs")
        start, end = span(fields[0].strip(), fields[1].strip(), where)
        out.append(Segment(path.stem, start, end, "_".join(fields[2].split())))
    return out


def write_audacity(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return the text of an Audacity label track."""
    return "".join(f"{t.start:.6f}\t{t.end:.6f}\t{t.label}\n" for t in in_order(turns))


def read_textgrid(path: Path) -> list[Segment]:
    """Return the labelled intervals of a Praat TextGrid, long or short form.

    With several tiers, each is a speaker and its name is the label; with one tier, the texts of
    the intervals are the labels.
    """
    tiers = read_textgrid_tiers(path)
    out = []
    for tier in tiers:
        for start, end, text, _ in tier.intervals:
            if text.strip():
                label = text if len(tiers) == 1 else tier.name
                out.append(Segment(path.stem, start, end, "_".join(label.split()) or "unnamed"))
    return sorted(out)


def write_textgrid(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return a TextGrid with a tier per label; a label's own overlaps are joined.

    It ends with the recording, where its length is known.  Without turns it has one empty tier.
    """
    seconds = max([t.end for t in turns] + [media.seconds or 0.0])
    labels = sorted({t.label for t in turns})
    tiers = [
        (label, [(t.start, t.end, label) for t in merge_segments(own)])
        for label in labels
        for own in [[t for t in turns if t.label == label]]
    ]
    return write_textgrid_tiers(tiers or [("speech", [])], seconds)


def read_ctm(path: Path) -> list[Segment]:
    """Return stretches of words: ``<recording> <channel> <start> <duration> <word> [conf]``."""
    out = []
    for number, fields in data_lines(path):
        where = f"{path}:{number}"
        if len(fields) < 5:
            raise DiarizeError(f"{where}: {len(fields)} fields where CTM has 5 or 6")
        start = parse_seconds(fields[2], "field 3 (start)", where)
        duration = parse_seconds(fields[3], "field 4 (duration)", where)
        if duration < 0:
            raise DiarizeError(f"{where}: field 4 (duration) is negative: {fields[3]}")
        out.append(Segment(fields[0], start, start + duration, fields[1]))
    return merge_segments(out, CTM_JOIN)


def write_ctm(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return CTM lines with the label in place of the word, and the confidence where known."""
    return "".join(
        f"{t.recording} {t.channel} {t.start:.3f} {t.end - t.start:.3f} {t.label}"
        + ("\n" if t.confidence is None else f" {t.confidence:.3f}\n")
        for t in in_order(turns)
    )


def read_stm(path: Path) -> list[Segment]:
    """Return the turns of ``<recording> <channel> <speaker> <start> <end> [<label>] [words]``."""
    out = []
    for number, fields in data_lines(path):
        where = f"{path}:{number}"
        if len(fields) < 5:
            raise DiarizeError(f"{where}: {len(fields)} fields where STM has 5 or more")
        start, end = span(fields[3], fields[4], where)
        if fields[2].lower() not in ("inter_segment_gap", "ignore_time_segment_in_scoring"):
            out.append(Segment(fields[0], start, end, fields[2]))
    return out


def write_stm(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return STM lines without words."""
    return "".join(
        f"{t.recording} {t.channel} {t.label} {t.start:.3f} {t.end:.3f} <NA>\n"
        for t in in_order(turns)
    )


# Names of fields: ours, meeteval's and lhotse's, pyannoteAI's.
_RECORDING = ("recording", "session_id", "recording_id", "uri", "file")
_LABEL = ("label", "speaker")
_START = ("start", "start_time")


def read_json(path: Path) -> list[Turn]:
    """Return turns from JSON lines or one JSON list of objects.

    Each object has ``recording``, ``start``, ``end`` (or ``duration``) and ``label``, or the
    corresponding names of meeteval (``session_id``, ``start_time``), lhotse and pyannote.
    """
    out = []
    for where, row in _json_rows(path):
        if not isinstance(row, dict):
            raise DiarizeError(f"{where}: not an object with start, end and label")
        out.append(_turn_of(row, path.stem, where))
    return out


def _turn_of(row: dict, recording: str, where: str) -> Turn:
    """Return the turn in ``row``; ``recording`` is the id where ``row`` has none."""
    values = {}
    for name, keys in (("start", _START), ("label", _LABEL)):
        key = next((k for k in keys if k in row), None)
        if key is None:
            raise DiarizeError(f"{where}: no {name!r}")
        values[name] = row[key]
    start = parse_seconds(str(values["start"]), "start", where)
    last = row.get("end", row.get("end_time"))
    if last is None and "duration" in row:
        last = start + parse_seconds(str(row["duration"]), "duration", where)
    start, end = span(str(start), str(last), where)
    name = next((str(row[k]) for k in _RECORDING if k in row), recording)
    label = "_".join(str(values["label"]).split())
    channel = str(row.get("channel") or "1")
    return Turn(name, start, end, label, parse_confidence(row.get("confidence")), channel)


def _json_rows(path: Path) -> Iterator[tuple[str, object]]:
    text = read_all_text(path)
    if text.lstrip()[:1] == "[":
        rows = parse_json(text, path)
        yield from ((f"{path}: item {i}", row) for i, row in enumerate(rows, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", parse_json(line, path, number)


def write_json_lines(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return one object per line: recording, start, end, label, and further known fields."""
    return "".join(_json_line(turn) + "\n" for turn in in_order(turns))


def write_json(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return a list of the objects of `write_json_lines`."""
    return "[" + ",".join(f"\n{_json_line(turn)}" for turn in in_order(turns)) + "\n]\n"


def _json_line(turn: Turn) -> str:
    row = {
        "recording": turn.recording,
        "start": round(turn.start, 6),
        "end": round(turn.end, 6),
        "label": turn.label,
    }
    if turn.confidence is not None:
        row["confidence"] = round(turn.confidence, 3)
    if turn.channel != "1":
        row["channel"] = turn.channel
    return json.dumps(row, ensure_ascii=False)


def read_csv(path: Path) -> list[Turn]:
    """Return turns from CSV with a header; the names of columns are those of `read_json`."""
    text = read_all_text(path)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    out = []
    try:
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if None in row or None in row.values():
                raise DiarizeError(f"{where}: not as many fields as the header has")
            out.append(_turn_of({k: v for k, v in row.items() if v}, path.stem, where))
    except csv.Error as err:
        raise DiarizeError(f"{path}:{rows.line_num}: not CSV: {err}") from None
    return out


def write_csv(turns: list[Turn], media: Media = NO_MEDIA) -> str:
    """Return CSV with a header: recording, channel, start, end, label, confidence."""
    handle = io.StringIO()
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for t in in_order(turns):
        confidence = "" if t.confidence is None else f"{t.confidence:.3f}"
        writer.writerow(
            [t.recording, t.channel, f"{t.start:.3f}", f"{t.end:.3f}", t.label, confidence]
        )
    return handle.getvalue()
