"""Schema of Kaldi data directories: the known files, and the reader of the tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.numbers import MAX_SECONDS, parse_integer
from diarize.io.rxfilename import split_offset
from diarize.io.table import Report, TableForm, parse_table, raise_fault, read_text

# Labels of a reference -> the table that has them for utterances.
LABEL_TABLES = {"speaker": "utt2spk", "language": "utt2lang"}

UTTERANCE, RECORDING, SPEAKER = "utterance", "recording", "speaker"
# Recordings, or the files of reco2file_and_channel, or utterances.
ANY_ID = "any"


class Table(NamedTuple):
    """What the keys of a table are, and the form of its lines."""

    keys: str
    form: TableForm = TableForm()


def is_positive(value: str) -> bool:
    """Whether the text is a number above 0, at most `MAX_SECONDS`."""
    try:
        return 0 < float(value) <= MAX_SECONDS
    except ValueError:
        return False


def _is_warp(value: str) -> bool:
    return is_positive(value) and 0.5 < float(value) < 1.5


def _is_span(value: str) -> bool:
    try:
        _, first, last = value.split()
        start, end = float(first), float(last)
    except ValueError:
        return False
    return 0 <= start < (MAX_SECONDS if end == -1 else end) <= MAX_SECONDS


_NAME = TableForm(2, names=True)
_SECONDS = TableForm(2, is_positive, "a positive number of seconds")
_WARP = TableForm(2, _is_warp, "a warp factor between 0.5 and 1.5")

SCHEMA: dict[str, Table] = {
    "wav.scp": Table(RECORDING, TableForm(None, lambda v: bool(v) and v[0] != "~",
                                          "a file or command (no tilde)")),
    "segments": Table(UTTERANCE, TableForm(4, _is_span, "a recording with 0 <= start < end (end "
                                           "-1: to the end)", names=True)),
    "utt2spk": Table(UTTERANCE, _NAME),
    "spk2utt": Table(SPEAKER, TableForm(names=True)),
    "text": Table(UTTERANCE, TableForm(valid=lambda value: True)),
    "utt2lang": Table(UTTERANCE, _NAME),
    "utt2uniq": Table(UTTERANCE, _NAME),
    "utt2dur": Table(UTTERANCE, _SECONDS),
    "utt2num_frames": Table(
        UTTERANCE,
        TableForm(2, lambda v: bool(parse_integer(v)), "a number of frames"),
    ),
    "utt2warp": Table(UTTERANCE, _WARP),
    "feats.scp": Table(UTTERANCE),
    "vad.scp": Table(UTTERANCE),
    "reco2dur": Table(RECORDING, _SECONDS),
    # 0: a recording without speech.
    "reco2num_spk": Table(
        RECORDING, TableForm(2, lambda v: parse_integer(v) is not None, "a number of speakers")
    ),
    "reco2file_and_channel": Table(
        RECORDING, TableForm(3, lambda v: v.split()[-1] in "AB1", "a file and a channel A or B")
    ),
    "cmvn.scp": Table(SPEAKER),
    "spk2gender": Table(SPEAKER, TableForm(2, lambda v: v in ("m", "f"), "m or f")),
    "spk2warp": Table(SPEAKER, _WARP),
}  # fmt: skip

WHOLE_FILES = ("frame_shift", "glm")
# By name or suffix: the field of the id, and what it names.
LINE_FILES = {
    "rttm": (1, RECORDING),
    "uem": (0, RECORDING),
    "stm": (0, ANY_ID),
    "ctm": (0, ANY_ID),
}


def read_tables(
    path: Path,
    names: Iterable[str] = SCHEMA,
    report: Report = raise_fault,
    check_sorted: bool = True,
) -> dict[str, dict[str, str]]:
    """Return the tables ``names`` that the directory has; faults go to ``report``.

    An empty file is a fault, and so is text that is not UTF-8.
    """
    out = {}
    for name in names:
        file = path / name
        if not file.exists():
            continue
        try:
            text = read_text(file)
        except DiarizeError as err:
            report(str(err), True)
            continue
        if not text:
            report(f"{file}: the file is empty; fill it or remove it", False)
        out[name] = parse_table(file, text, SCHEMA[name].form, report, check_sorted)
    return out


def spk2utt_of(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Return speaker -> utterances joined by blanks, both sorted.

    >>> spk2utt_of({"b-1": "b", "a-2": "a", "a-1": "a"})
    {'a': 'a-1 a-2', 'b': 'b-1'}
    """
    out: dict[str, list[str]] = {}
    for utterance in sorted(utt2spk):
        out.setdefault(utt2spk[utterance], []).append(utterance)
    return {speaker: " ".join(out[speaker]) for speaker in sorted(out)}


def utt2spk_of(spk2utt: Mapping[str, str]) -> dict[str, str]:
    """Return utterance -> speaker; DiarizeError where two speakers claim one utterance.

    >>> utt2spk_of({"a": "a-1 a-2", "b": "b-1"})
    {'a-1': 'a', 'a-2': 'a', 'b-1': 'b'}
    """
    out: dict[str, str] = {}
    for speaker, utterances in spk2utt.items():
        for utterance in utterances.split():
            if utterance in out:
                raise DiarizeError(f"utterance {utterance} is of {out[utterance]} and of {speaker}")
            out[utterance] = speaker
    return dict(sorted(out.items()))


def bare_path(rxfilename: str) -> str:
    """Return the file of ``path:offset``, and any other rxfilename unchanged."""
    ark = split_offset(rxfilename)
    return ark[0] if ark else rxfilename
