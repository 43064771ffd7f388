"""Kaldi data directories: the tables of one directory, checked against each other."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.rttm import read_rttm
from diarize.io.table import line_of, read_table
from diarize.io.uem import read_uem
from diarize.segments import Segment, merge_segments

# Kaldi's extract-segments takes segments that end up to half a second late, and cuts them.
MAX_OVERSHOOT = 0.5


class Utterance(NamedTuple):
    """[start, end) seconds of ``recording``, spoken by ``speaker`` ('' where not known).

    ``end`` is None where there is no ``segments`` file: the utterance is the whole recording.
    """

    id: str
    recording: str
    start: float
    end: float | None
    speaker: str


@dataclass(frozen=True)
class DataDir:
    """The tables of a Kaldi data directory as ``{key: rest of the line}``.

    A table that is not in the directory is empty, ``segments``, ``rttm`` and ``uem`` are
    None.  Make it by ``DataDir.load``, which checks it.
    """

    path: Path
    wav_scp: dict[str, str]
    segments: dict[str, str] | None = None
    utt2spk: dict[str, str] = field(default_factory=dict)
    spk2utt: dict[str, str] = field(default_factory=dict)
    utt2lang: dict[str, str] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    reco2dur: dict[str, str] = field(default_factory=dict)
    utt2dur: dict[str, str] = field(default_factory=dict)
    reco2num_spk: dict[str, str] = field(default_factory=dict)
    rttm: Path | None = None
    uem: Path | None = None
    allow_pipes: bool = False

    @classmethod
    def load(
        cls, path: str | os.PathLike, allow_pipes: bool = False, need_reference: bool = False
    ) -> "DataDir":
        """Return the directory ``path``, its tables read and checked; no audio is touched.

        ``need_reference`` asks for an ``rttm``, or ``segments`` with ``utt2spk``.  Raises
        DiarizeError naming ``file:line`` for unsorted or repeated keys, keys that differ
        between tables, and segments that have no length, no recording or lie outside it.
        """
        path = Path(path)
        if not path.is_dir():
            raise DiarizeError(f"{path}: no such data directory")
        if not (path / "wav.scp").exists():
            raise DiarizeError(f"{path}: not a data directory: it has no wav.scp")
        loaded = cls(
            path,
            wav_scp=_table(path, "wav.scp"),
            segments=_table(path, "segments", 4) if (path / "segments").exists() else None,
            utt2spk=_table(path, "utt2spk", 2),
            spk2utt=_table(path, "spk2utt"),
            utt2lang=_table(path, "utt2lang"),
            text=_table(path, "text"),
            reco2dur=_table(path, "reco2dur", 2),
            utt2dur=_table(path, "utt2dur", 2),
            reco2num_spk=_table(path, "reco2num_spk", 2),
            rttm=path / "rttm" if (path / "rttm").exists() else None,
            uem=path / "uem" if (path / "uem").exists() else None,
            allow_pipes=allow_pipes,
        )
        loaded._check()
        if need_reference and loaded.rttm is None:
            loaded._need_segments()
        return loaded

    @property
    def recordings(self) -> list[str]:
        """The keys of wav.scp, in its order."""
        return list(self.wav_scp)

    @cached_property
    def utterances(self) -> list[Utterance]:
        """The lines of segments, or, without it, the recordings of wav.scp."""
        speaker = self.utt2spk.get
        if self.segments is None:
            return [Utterance(key, key, 0.0, None, speaker(key, "")) for key in self.wav_scp]
        out = []
        for key, value in self.segments.items():
            recording, start, end = value.split()
            out.append(Utterance(key, recording, float(start), float(end), speaker(key, "")))
        return out

    def source(self, recording: str) -> AudioSource:
        """Return where the audio of ``recording`` comes from, for ``read_audio``.

        A relative path in wav.scp is taken from the current directory, as Kaldi does, and
        where it is not there, from this directory.
        """
        return AudioSource(self._rxfilename(recording), self.allow_pipes, self.path, recording)

    def duration(self, recording: str) -> float:
        """Return the length of ``recording`` in seconds, from reco2dur, else from its header."""
        if recording in self.reco2dur:
            return float(self.reco2dur[recording])
        return self.source(recording).info().duration

    def reference(self, labels: str = "speaker") -> dict[str, list[Segment]]:
        """Return the segments of every recording, sorted; a recording without any has [].

        They come from ``rttm``; where there is none, from ``segments`` with ``utt2spk``, or
        with ``utt2lang`` for ``labels="language"``, those of one label joined where they
        overlap.  Raises DiarizeError where there is neither, or where the RTTM names a
        recording that wav.scp does not have.
        """
        if self.rttm is not None:
            segments = read_rttm(self.rttm)
        else:
            segments = merge_segments(self._labelled_utterances(labels))
        out: dict[str, list[Segment]] = {recording: [] for recording in self.wav_scp}
        for segment in segments:
            if segment.recording not in out:
                raise DiarizeError(
                    f"{self.rttm}: recording {segment.recording} is not in {self.path}/wav.scp; "
                    "remove its lines, or add the recording"
                )
            out[segment.recording].append(segment)
        return {recording: sorted(found) for recording, found in out.items()}

    def evaluated(self) -> dict[str, list[tuple[float, float]]] | None:
        """Return the regions to score of each recording, in seconds, None without a ``uem``."""
        return None if self.uem is None else read_uem(self.uem)

    def _labelled_utterances(self, labels: str) -> list[Segment]:
        tables = {"speaker": ("utt2spk", self.utt2spk), "language": ("utt2lang", self.utt2lang)}
        name, table = tables[labels]
        self._need_segments(name)
        return [
            Segment(utt.recording, utt.start, utt.end, table[utt.id])
            for utt in self.utterances
            if utt.end is not None
        ]

    def _need_segments(self, name: str = "utt2spk") -> None:
        if self.segments is None or not getattr(self, name):
            raise DiarizeError(
                f"{self.path}: no reference: there is neither rttm nor segments with {name}"
            )

    def _rxfilename(self, recording: str) -> str:
        try:
            return self.wav_scp[recording]
        except KeyError:
            raise DiarizeError(f"{self.path}/wav.scp: no recording {recording}") from None

    def _check(self) -> None:
        recordings = self.wav_scp.keys()
        self._check_numbers("reco2dur", self.reco2dur)
        self._check_numbers("utt2dur", self.utt2dur)
        self._check_counts()
        for name in ("reco2dur", "reco2num_spk"):
            self._check_same_keys(name, recordings, "wav.scp")
        if self.segments is not None:
            self._check_segments()
        utterances, source = recordings, "wav.scp"
        if self.segments is not None:
            utterances, source = self.segments.keys(), "segments"
        for name in ("utt2spk", "utt2lang", "text", "utt2dur"):
            self._check_same_keys(name, utterances, source)
        if self.spk2utt:
            self._check_spk2utt()

    def _check_numbers(self, name: str, table: dict[str, str]) -> None:
        for key, value in table.items():
            number = _number(value)
            if not 0 < number < math.inf:
                raise DiarizeError(
                    f"{line_of(self.path / name, key)}: {key}: {value} is not a positive number"
                )

    def _check_counts(self) -> None:
        for key, value in self.reco2num_spk.items():
            # 0 is what our own output says of a recording without speech.
            if not (value.isascii() and value.isdigit()):
                raise DiarizeError(
                    f"{line_of(self.path / 'reco2num_spk', key)}: {key}: {value} is not a number "
                    "of speakers"
                )

    def _check_same_keys(self, name: str, keys: Iterable[str], source: str) -> None:
        table = getattr(self, name)
        if not table or table.keys() == keys:
            return
        for key in table:
            if key not in keys:
                raise DiarizeError(
                    f"{line_of(self.path / name, key)}: {key} is not in {self.path / source}; "
                    "utils/fix_data_dir.sh keeps what all files have"
                )
        for key in keys:
            if key not in table:
                raise DiarizeError(
                    f"{line_of(self.path / source, key)}: {key} is not in {self.path / name}; "
                    "utils/fix_data_dir.sh keeps what all files have"
                )

    def _check_segments(self) -> None:
        path = self.path / "segments"
        limits = {key: float(value) + MAX_OVERSHOOT for key, value in self.reco2dur.items()}
        for key, value in self.segments.items():
            recording, start_text, end_text = value.split()
            start, end = _number(start_text), _number(end_text)
            if not 0 <= start < end < math.inf:
                what = f"[{start_text}, {end_text}) is not a stretch of time: 0 <= start < end"
            elif recording not in self.wav_scp:
                what = f"recording {recording} is not in {self.path / 'wav.scp'}"
            elif end > limits.get(recording, math.inf):
                what = (
                    f"ends at {end_text} s, more than {MAX_OVERSHOOT} s after the end of "
                    f"{recording}, which is {self.reco2dur[recording]} s long by reco2dur"
                )
            else:
                continue
            raise DiarizeError(f"{line_of(path, key)}: {key}: {what}")

    def _check_spk2utt(self) -> None:
        path = self.path / "spk2utt"
        seen = 0
        for speaker, value in self.spk2utt.items():
            for utterance in value.split():
                seen += 1
                if self.utt2spk.get(utterance) != speaker:
                    raise DiarizeError(
                        f"{line_of(path, speaker)}: {utterance} is not of speaker {speaker} in "
                        "utt2spk; make spk2utt from it again (utils/utt2spk_to_spk2utt.sh)"
                    )
        if seen != len(self.utt2spk):
            raise DiarizeError(
                f"{path}: {seen} utterances, but utt2spk has {len(self.utt2spk)}; make spk2utt "
                "from it again (utils/utt2spk_to_spk2utt.sh)"
            )


def _table(path: Path, name: str, fields: int | None = None) -> dict[str, str]:
    if not (path / name).exists():
        return {}
    table = read_table(path / name, fields=fields, check_sorted=True, allow_empty=name == "text")
    if not table:
        raise DiarizeError(f"{path / name}: an empty file; fill it or remove it")
    return table


def _number(text: str) -> float:
    """Return the number, NaN where ``text`` is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
