"""Annotation formats: RTTM, TextGrid, CTM, STM, Audacity labels, JSON lines.

Each format is a pair of functions between text and segments.  For formats without a recording id
(TextGrid, Audacity) it is the file name without suffix.  Words of CTM and STM are not kept.  A CTM
line has no speaker: the channel is the label, and words at most 0.5 s apart are joined.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.rttm import (
    data_lines,
    decode_fields,
    format_rttm_line,
    parse_seconds,
    read_data,
    read_rttm,
)
from diarize.io.textgrid import read_textgrid_tiers
from diarize.segments import Segment, merge_segments

# CTM contains words; within a turn there are pauses between them.
CTM_JOIN = 0.5


class Format(NamedTuple):
    """Format of annotations: ``read(path)`` returns segments, ``write(segments)`` a file's text."""

    read: Callable[[Path], list[Segment]]
    write: Callable[[list[Segment]], str]
    suffixes: tuple[str, ...]
    one_recording: bool = False


def _span(start: str, end: str, where: str) -> tuple[float, float]:
    low = parse_seconds(start, "start", where)
    high = parse_seconds(end, "end", where)
    if high < low:
        raise DiarizeError(f"{where}: ends ({end}) before it begins ({start})")
    return low, high


def _text(path: Path) -> str:
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
    for number, line in enumerate(_text(path).split("\n"), 1):
        # A line that begins with a backslash contains frequencies of the preceding label.
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.rstrip("\r").split("\t")
        where = f"{path}:{number}"
        if len(fields) != 3 or not fields[2].strip():
            raise DiarizeError(f"{where}: not start, end and a label, divided by tabs")
        start, end = _span(fields[0].strip(), fields[1].strip(), where)
        out.append(Segment(path.stem, start, end, "_".join(fields[2].split())))
    return out


def write_audacity(segments: list[Segment]) -> str:
    """Return the text of an Audacity label track."""
    return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{s.label}\n" for s in sorted(segments))


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


def write_textgrid(segments: list[Segment]) -> str:
    """Return a TextGrid with a tier per label; a label's own overlaps are joined."""
    end = max((s.end for s in segments), default=0.0)
    labels = sorted({s.label for s in segments})
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    out += [f"xmax = {end:.6f}", "tiers? <exists>", f"size = {len(labels)}", "item []:"]
    for number, label in enumerate(labels, 1):
        rows: list[tuple[float, float, str]] = []
        at = 0.0
        for seg in merge_segments(s for s in segments if s.label == label):
            if seg.start > at:
                rows.append((at, seg.start, ""))
            rows.append((seg.start, seg.end, label))
            at = seg.end
        if at < end:
            rows.append((at, end, ""))
        quoted = label.replace('"', '""')
        out += [f"    item [{number}]:", '        class = "IntervalTier"']
        out += [f'        name = "{quoted}"', "        xmin = 0", f"        xmax = {end:.6f}"]
        out += [f"        intervals: size = {len(rows)}"]
        for place, (low, high, text) in enumerate(rows, 1):
            quoted = text.replace('"', '""')
            out += [f"        intervals [{place}]:", f"            xmin = {low:.6f}"]
            out += [f"            xmax = {high:.6f}", f'            text = "{quoted}"']
    return "\n".join(out) + "\n"


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


def write_ctm(segments: list[Segment]) -> str:
    """Return CTM lines with the label in place of the word, channel 1."""
    return "".join(
        f"{s.recording} 1 {s.start:.3f} {s.end - s.start:.3f} {s.label}\n" for s in sorted(segments)
    )


def read_stm(path: Path) -> list[Segment]:
    """Return the turns of ``<recording> <channel> <speaker> <start> <end> [<label>] [words]``."""
    out = []
    for number, fields in data_lines(path):
        where = f"{path}:{number}"
        if len(fields) < 5:
            raise DiarizeError(f"{where}: {len(fields)} fields where STM has 5 or more")
        start, end = _span(fields[3], fields[4], where)
        if fields[2].lower() not in ("inter_segment_gap", "ignore_time_segment_in_scoring"):
            out.append(Segment(fields[0], start, end, fields[2]))
    return out


def write_stm(segments: list[Segment]) -> str:
    """Return STM lines without words, channel 1."""
    return "".join(
        f"{s.recording} 1 {s.label} {s.start:.3f} {s.end:.3f} <NA>\n" for s in sorted(segments)
    )


# Names of fields: ours, meeteval's and lhotse's, pyannoteAI's.
_RECORDING = ("recording", "session_id", "recording_id", "uri", "file")
_LABEL = ("label", "speaker")
_START = ("start", "start_time")


def read_json_lines(path: Path) -> list[Segment]:
    """Return segments from JSON lines or one JSON list of objects.

    Each object has ``recording``, ``start``, ``end`` (or ``duration``) and ``label``, or the
    corresponding names of meeteval (``session_id``, ``start_time``), lhotse and pyannote.
    """
    out = []
    for where, row in _json_rows(path):
        if not isinstance(row, dict):
            raise DiarizeError(f"{where}: not an object with start, end and label")
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
        start, end = _span(str(start), str(last), where)
        name = next((str(row[k]) for k in _RECORDING if k in row), path.stem)
        out.append(Segment(name, start, end, "_".join(str(values["label"]).split())))
    return out


def _json_rows(path: Path) -> Iterator[tuple[str, object]]:
    text = _text(path)
    if text.lstrip()[:1] == "[":
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise DiarizeError(f"{path}: not JSON: {err}") from None
        yield from ((f"{path}: item {i}", row) for i, row in enumerate(rows, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except (ValueError, RecursionError) as err:
                raise DiarizeError(f"{path}:{number}: not JSON: {err}") from None


def write_json_lines(segments: list[Segment]) -> str:
    """Return one object per line: recording, start, end, label."""
    rows = (
        {"recording": s.recording, "start": round(s.start, 6), "end": round(s.end, 6),
         "label": s.label}
        for s in sorted(segments)
    )  # fmt: skip
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_rttm_text(segments: list[Segment]) -> str:
    """Return RTTM lines, sorted."""
    return "".join(format_rttm_line(s) + "\n" for s in sorted(segments))


FORMATS: dict[str, Format] = {
    "rttm": Format(read_rttm, write_rttm_text, (".rttm",)),
    "textgrid": Format(read_textgrid, write_textgrid, (".textgrid",), True),
    "ctm": Format(read_ctm, write_ctm, (".ctm",)),
    "stm": Format(read_stm, write_stm, (".stm",)),
    "audacity": Format(read_audacity, write_audacity, (".txt",), True),
    "jsonl": Format(read_json_lines, write_json_lines, (".jsonl", ".json")),
}


def format_of(path: str, given: str | None = None) -> str:
    """Return the name of the format: ``given``, else by the suffix or the name of the file.

    Files of a data directory are named ``rttm``, ``stm`` or ``ctm``; standard input is RTTM.
    """
    if given:
        return given
    name = Path(path).name.lower()
    suffix = Path(name).suffix
    if path == "-" or name.startswith("rttm."):  # rttm.annotation
        return "rttm"
    for form, kind in FORMATS.items():
        if name == form or suffix in kind.suffixes:
            return form
    raise DiarizeError(f"{path}: format unknown by the name; give one of {', '.join(FORMATS)}")


def read_annotation(path: str, given: str | None = None) -> list[Segment]:
    """Return the segments of a file of any known format."""
    return FORMATS[format_of(path, given)].read(Path(path))


def write_annotations(segments: Iterable[Segment], given: str) -> dict[str, str]:
    """Return the text by recording, or all under "" if a file may contain several recordings."""
    rows = list(segments)
    form = FORMATS[given]
    if not form.one_recording:
        return {"": form.write(rows)}
    names = sorted({s.recording for s in rows})
    return {name: form.write([s for s in rows if s.recording == name]) for name in names}
