"""Manifest of mixtures, ``mixture.scp``: one ``<id> <json>`` per line, ids in C order.

The JSON object has the keys of the hitachi-speech/EEND project
(:mod:`diarize.simulate.draw.mixtures`).  An utterance is a file name, ``[file, start, end]``, or,
for the simulation of code-switching, an object::

    {"file": name, "start": s, "end": s, "label": language, "speaker": voice,
     "sentence": number, "gain": decibel}

of which only ``file`` is required.  ``label`` replaces the speaker's name in the reference, and
adjacent utterances of one label form one segment.  A mixture may have a ``band`` [low, high] in
Hz, to which every utterance is filtered, and a ``fade`` in seconds at both ends of each.
"""

import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.json_text import parse_json
from diarize.io.numbers import MAX_INTEGER, MAX_SECONDS, is_finite

LONGEST = 86400.0
"""Longest silence before an utterance, and longest mixture: 5.5 GB of samples at 16 kHz."""


class UtteranceEntry(NamedTuple):
    """Utterance of a mixture: seconds [start, end) of ``file``, both None for the whole file.

    ``label`` and ``voice`` are None if they are those of the speaker entry; ``gain`` is in dB.
    """

    file: str
    start: float | None = None
    end: float | None = None
    label: str | None = None
    voice: str | None = None
    sentence: int | None = None
    gain: float = 0.0


def parse_utterance(utt: str | list | dict) -> UtteranceEntry:
    """Return an utterance of a checked manifest."""
    if isinstance(utt, str):
        return UtteranceEntry(utt)
    if isinstance(utt, list):
        return UtteranceEntry(*utt)
    renamed = {"voice" if key == "speaker" else key: value for key, value in utt.items()}
    return UtteranceEntry(**renamed)


def write_manifest(path: str | os.PathLike, mixtures: Iterable[tuple[str, dict]]) -> int:
    """Write the manifest ``path``, whole or not at all; return its number of mixtures.

    The ids must be in strictly rising C order.  Raises DiarizeError otherwise, and if ``path``
    cannot be written.
    """
    count, last = 0, b""
    with atomic_write(path) as handle:
        for name, mixture in mixtures:
            key = name.encode()
            if key <= last:
                raise DiarizeError(f"{path}: mixture {name} comes twice or out of order")
            last = key
            handle.write(f"{name} {json.dumps(mixture, ensure_ascii=False)}\n")
            count += 1
    return count


class Manifest(Sequence):
    """Mixtures of a manifest file as a sequence of (id, mixture).

    The file is mapped, and only the offset of each line is kept in memory (8 bytes per mixture);
    a line is parsed on access.  Opening checks the ids (unique, in C order), access checks the
    mixture; both raise DiarizeError with file and line.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        try:
            with open(self.path, "rb") as handle:
                if not os.fstat(handle.fileno()).st_size:
                    raise DiarizeError(f"{self.path}: no mixtures in it")
                self._text = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as err:
            raise DiarizeError(f"cannot read {self.path}: {err.strerror}") from err
        self._offsets = self._scan()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> tuple[str, dict]:
        place = range(len(self))[index]
        begin, end = self._offsets[place : place + 2]
        return self._parse(self._text[begin:end], place + 1)

    def ids(self) -> Iterator[str]:
        """Yield the ids in order, without parsing the mixtures."""
        for begin in self._offsets[:-1].tolist():
            yield self._text[begin : self._text.find(b" ", begin)].decode()

    def digest(self) -> str:
        """Return a checksum of the file."""
        return hashlib.blake2b(self._text, digest_size=16).hexdigest()

    def _scan(self) -> np.ndarray:
        """Return the offset of each line, and that of the end, int64."""
        offsets, last = [0], b""
        for number, line in enumerate(iter(self._text.readline, b""), 1):
            where = f"{self.path}:{number}"
            key, _, rest = line.partition(b" ")
            if not key.strip() or not rest.strip():
                raise DiarizeError(f"{where}: expected '<id> <json>'")
            if key <= last:
                raise DiarizeError(
                    f"{where}: id {key.decode(errors='replace')} comes twice or is not "
                    "in C order; sort the file with LC_ALL=C sort"
                )
            last = key
            offsets.append(offsets[-1] + len(line))
        return np.asarray(offsets, dtype=np.int64)

    def _parse(self, line: bytes, number: int) -> tuple[str, dict]:
        where = f"{self.path}:{number}"
        try:
            name, text = line.decode("utf-8").split(maxsplit=1)
        except UnicodeDecodeError as err:
            raise DiarizeError(f"{where}: not UTF-8: {err}") from err
        mixture = parse_json(text, self.path, number)
        check_mixture(mixture, where)
        if mixture["recid"] != name:
            raise DiarizeError(f"{where}: id {name}, but recid {mixture['recid']!r}")
        return name, mixture


def check_mixture(mixture: object, where: str) -> None:
    """Raise DiarizeError, beginning with ``where``, unless ``mixture`` is valid."""
    _require(mixture, ("speakers", "noise", "snr", "recid"), where)
    _check_name(mixture["recid"], f"{where}: recid")
    if not isinstance(mixture["speakers"], list) or not mixture["speakers"]:
        raise DiarizeError(f"{where}: speakers must be a list of at least one speaker")
    names = set()
    for number, speaker in enumerate(mixture["speakers"], 1):
        at = f"{where}: speaker {number}"
        _check_speaker(speaker, at)
        if speaker["spkid"] in names:
            raise DiarizeError(f"{at}: {speaker['spkid']} is in the mixture twice")
        names.add(speaker["spkid"])
    if mixture["noise"] is not None:
        _check_name(mixture["noise"], f"{where}: noise", "file name or null")
        if not _is_decibel(mixture["snr"]):
            raise DiarizeError(f"{where}: snr must be a number of dB in a mixture with noise")
    band, fade = mixture.get("band"), mixture.get("fade", 0.0)
    if band is not None:
        good = isinstance(band, list) and len(band) == 2 and all(map(is_finite, band))
        if not (good and 0 < band[0] < band[1] <= 1e6):
            raise DiarizeError(f"{where}: band must be [low, high] in Hz, not {band!r}")
    if not (is_finite(fade) and 0 <= fade <= 60):
        raise DiarizeError(f"{where}: fade must be 0 to 60 seconds, not {fade!r}")


def _check_speaker(speaker: object, where: str) -> None:
    _require(speaker, ("spkid", "rir", "utts", "intervals"), where)
    _check_name(speaker["spkid"], f"{where}: spkid")
    if speaker["rir"] is not None:
        _check_name(speaker["rir"], f"{where}: rir", "file name or null")
    utts, intervals = speaker["utts"], speaker["intervals"]
    if not isinstance(utts, list) or not isinstance(intervals, list) or not utts:
        raise DiarizeError(f"{where}: utts and intervals must be lists, utts not empty")
    if len(utts) != len(intervals):
        raise DiarizeError(f"{where}: {len(utts)} utts but {len(intervals)} intervals")
    for value in intervals:
        if not (_is_time(value) and value <= LONGEST):
            raise DiarizeError(f"{where}: interval {value!r} is not 0 to {LONGEST:g} seconds")
    for utt in utts:
        fault = _utterance_fault(utt)
        if fault:
            raise DiarizeError(f"{where}: utterance {utt!r}: {fault}")


def _utterance_fault(utt: object) -> str | None:
    if isinstance(utt, str):
        utt = {"file": utt}
    elif isinstance(utt, list) and len(utt) == 3:
        utt = dict(zip(("file", "start", "end"), utt, strict=True))
    elif not isinstance(utt, dict) or "file" not in utt:
        return "neither a file name, [file, start, end], nor an object with the key 'file'"
    for key, value in utt.items():
        if key not in _KEYS:
            return f"unknown key {key!r}"
        if not _KEYS[key](value):
            return f"{key} cannot be {value!r}"
    timed = "start" in utt or "end" in utt
    if timed and not utt.get("start", math.inf) < utt.get("end", -math.inf):
        return "0 <= start < end is required"
    return None


def _is_time(value: object) -> bool:
    return is_finite(value) and 0 <= value <= MAX_SECONDS


def _is_decibel(value: object) -> bool:
    return is_finite(value) and abs(value) <= 200


def _is_name_or_null(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.split() == [value])


# Keys of an utterance, and their valid values.
_KEYS: dict[str, Callable[[Any], bool]] = {
    "file": lambda value: isinstance(value, str) and bool(value),
    "start": _is_time,
    "end": _is_time,
    "label": _is_name_or_null,
    "speaker": _is_name_or_null,
    "sentence": lambda value: isinstance(value, int) and abs(value) <= MAX_INTEGER,
    "gain": _is_decibel,
}


def _require(value: object, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise DiarizeError(f"{where}: expected a JSON object, not {type(value).__name__}")
    for key in keys:
        if key not in value:
            raise DiarizeError(f"{where}: key {key!r} is missing")


def _check_name(value: object, where: str, noun: str = "name") -> None:
    if not isinstance(value, str) or not value:
        raise DiarizeError(f"{where} must be a {noun}, not {value!r}")
