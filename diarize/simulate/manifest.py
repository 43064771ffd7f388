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
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write

_KEYS = frozenset(("file", "start", "end", "label", "speaker", "sentence", "gain"))


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

    Only the offset of each line is kept in memory (8 bytes per mixture); a line is read and
    parsed on access.  Instances can be sent to worker processes.  Opening checks the ids
    (unique, in C order), access checks the mixture; both raise DiarizeError with file and line.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._file: int | None = None
        self._offsets = self._scan()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> tuple[str, dict]:
        if not isinstance(index, int | np.integer):
            raise TypeError(f"the index of a mixture is an integer, not {index!r}")
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"{self.path}: mixture {index} of {size}")
        index = int(index) % size
        begin, end = int(self._offsets[index]), int(self._offsets[index + 1])
        return self._parse(self._read(begin, end), f"{self.path}:{index + 1}")

    def ids(self) -> Iterator[str]:
        """Yield the ids in order, without parsing the mixtures."""
        with open(self.path, "rb") as handle:
            for line in handle:
                yield line.split(maxsplit=1)[0].decode()

    def digest(self) -> str:
        """Return a checksum of the file."""
        digest = hashlib.blake2b(digest_size=16)
        with open(self.path, "rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def __getstate__(self) -> dict:
        return {"path": self.path, "_file": None, "_offsets": self._offsets}

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)

    def _scan(self) -> np.ndarray:
        offsets, last, place = [0], b"", 0
        try:
            with open(self.path, "rb") as handle:
                for number, line in enumerate(handle, 1):
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
                    place += len(line)
                    offsets.append(place)
        except OSError as err:
            raise DiarizeError(f"cannot read {self.path}: {err.strerror}") from err
        if len(offsets) == 1:
            raise DiarizeError(f"{self.path}: no mixtures in it")
        return np.asarray(offsets, dtype=np.int64)

    def _read(self, begin: int, end: int) -> bytes:
        # pread has no file position, so one descriptor serves forked workers as well.
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._file, end - begin, begin)

    @staticmethod
    def _parse(line: bytes, where: str) -> tuple[str, dict]:
        try:
            name, text = line.decode("utf-8").split(maxsplit=1)
            mixture = json.loads(text)
        except UnicodeDecodeError as err:
            raise DiarizeError(f"{where}: not UTF-8: {err}") from err
        except json.JSONDecodeError as err:
            raise DiarizeError(f"{where}: bad JSON: {err}") from err
        check_mixture(mixture, where)
        if mixture["recid"] != name:
            raise DiarizeError(f"{where}: id {name}, but recid {mixture['recid']!r}")
        return name, mixture


def check_mixture(mixture: object, where: str) -> None:
    """Raise DiarizeError, beginning with ``where``, unless ``mixture`` is valid."""
    _require(mixture, ("speakers", "noise", "snr", "recid"), where)
    if not isinstance(mixture["recid"], str) or not mixture["recid"]:
        raise DiarizeError(f"{where}: recid must be a name, not {mixture['recid']!r}")
    if not isinstance(mixture["speakers"], list) or not mixture["speakers"]:
        raise DiarizeError(f"{where}: speakers must be a list of at least one speaker")
    names = set()
    for number, speaker in enumerate(mixture["speakers"], 1):
        at = f"{where}: speaker {number}"
        _check_speaker(speaker, at)
        if speaker["spkid"] in names:
            raise DiarizeError(f"{at}: {speaker['spkid']} is in the mixture twice")
        names.add(speaker["spkid"])
    _check_name_or_null(mixture["noise"], f"{where}: noise")
    if mixture["noise"] is not None and not _is_number(mixture["snr"]):
        raise DiarizeError(f"{where}: snr must be a number in a mixture with noise")
    _check_shaping(mixture, where)


def _check_speaker(speaker: object, where: str) -> None:
    _require(speaker, ("spkid", "rir", "utts", "intervals"), where)
    if not isinstance(speaker["spkid"], str) or not speaker["spkid"]:
        raise DiarizeError(f"{where}: spkid must be a name, not {speaker['spkid']!r}")
    _check_name_or_null(speaker["rir"], f"{where}: rir")
    utts, intervals = speaker["utts"], speaker["intervals"]
    if not isinstance(utts, list) or not isinstance(intervals, list) or not utts:
        raise DiarizeError(f"{where}: utts and intervals must be lists, utts not empty")
    if len(utts) != len(intervals):
        raise DiarizeError(f"{where}: {len(utts)} utts but {len(intervals)} intervals")
    for value in intervals:
        if not _is_number(value) or value < 0:
            raise DiarizeError(f"{where}: interval {value!r} is not 0 or more seconds")
    for utt in utts:
        _check_utterance(utt, where)


def _check_utterance(utt: object, where: str) -> None:
    if isinstance(utt, str) and utt:
        return
    if isinstance(utt, dict):
        _check_object(utt, where)
        if "start" not in utt and "end" not in utt:
            return
        utt = [utt["file"], utt.get("start"), utt.get("end")]
    if not (isinstance(utt, list) and len(utt) == 3 and isinstance(utt[0], str)):
        raise DiarizeError(
            f"{where}: utterance {utt!r} is neither a file name nor [file, start, end]"
        )
    if not (_is_number(utt[1]) and _is_number(utt[2]) and 0 <= utt[1] < utt[2]):
        raise DiarizeError(f"{where}: utterance {utt!r} needs 0 <= start < end")


def _check_object(utt: dict, where: str) -> None:
    unknown = utt.keys() - _KEYS
    if unknown:
        raise DiarizeError(f"{where}: utterance {utt!r} has the unknown key {min(unknown)!r}")
    checks = {
        "file": isinstance(utt.get("file"), str) and bool(utt["file"]),
        "label": _is_name_or_absent(utt.get("label")),
        "speaker": _is_name_or_absent(utt.get("speaker")),
        "sentence": isinstance(utt.get("sentence", 0), int),
        "gain": _is_number(utt.get("gain", 0)),
    }
    for key, good in checks.items():
        if not good:
            raise DiarizeError(f"{where}: utterance {utt!r}: {key} cannot be {utt.get(key)!r}")


def _check_shaping(mixture: dict, where: str) -> None:
    band, fade = mixture.get("band"), mixture.get("fade", 0.0)
    if band is not None:
        good = isinstance(band, list) and len(band) == 2 and all(map(_is_number, band))
        if not (good and 0 < band[0] < band[1]):
            raise DiarizeError(f"{where}: band must be [low, high] in Hz, not {band!r}")
    if not (_is_number(fade) and fade >= 0):
        raise DiarizeError(f"{where}: fade must be 0 or more seconds, not {fade!r}")


def _is_name_or_absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.split() == [value])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(value: object, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise DiarizeError(f"{where}: expected a JSON object, not {type(value).__name__}")
    for key in keys:
        if key not in value:
            raise DiarizeError(f"{where}: key {key!r} is missing")


def _check_name_or_null(value: object, where: str) -> None:
    if value is not None and not (isinstance(value, str) and value):
        raise DiarizeError(f"{where} must be a file name or null, not {value!r}")
