"""Kaldi data directory: its tables, checked against each other."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.uem import read_uem
from diarize.kaldi.reference import Overshoot, read_reference, single_speaker_fault
from diarize.kaldi.schema import LABEL_TABLES, read_tables
from diarize.kaldi.tables import DirTables
from diarize.kaldi.validate import segment_faults, table_faults
from diarize.segments import Segment, merge_segments

_LOADED = ("wav.scp", "segments", "utt2spk", "spk2utt", "utt2lang", "text", "reco2dur",
           "utt2dur", "reco2num_spk")  # fmt: skip


class Utterance(NamedTuple):
    """[start, end) seconds of ``recording``, spoken by ``speaker`` ('' where unknown).

    ``end`` is None without a ``segments`` file: the utterance is the whole recording.
    """

    id: str
    recording: str
    start: float
    end: float | None
    speaker: str


@dataclass(frozen=True)
class DataDir:
    """Tables of a Kaldi data directory as ``{key: rest of the line}``.

    A table that the directory does not have is empty; ``segments``, ``rttm`` and ``uem`` are
    None.  Made by ``DataDir.load``, which checks it.
    """

    raw: DirTables = field(repr=False)
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
        """Return the directory ``path``, its tables read and checked; no audio is read.

        ``need_reference`` requires an ``rttm``, or ``segments`` with ``utt2spk``.  Raises
        DiarizeError naming ``file:line`` for unsorted or repeated keys, keys that differ
        between tables, and segments that are empty or outside of their recording.
        """
        path = Path(path)
        if not path.is_dir():
            raise DiarizeError(f"{path}: no such data directory")
        if not (path / "wav.scp").exists():
            raise DiarizeError(f"{path}: not a data directory: it has no wav.scp")
        raw = DirTables(path, read_tables(path, _LOADED))
        for fault in table_faults(raw):
            raise DiarizeError(fault)
        loaded = cls(
            raw,
            **{name.replace(".", "_"): table for name, table in raw.tables.items()},
            rttm=path / "rttm" if (path / "rttm").exists() else None,
            uem=path / "uem" if (path / "uem").exists() else None,
            allow_pipes=allow_pipes,
        )
        if need_reference:
            loaded.require_reference()
        return loaded

    @property
    def path(self) -> Path:
        """The directory."""
        return self.raw.path

    @property
    def recordings(self) -> list[str]:
        """The keys of wav.scp, in its order."""
        return list(self.wav_scp)

    @cached_property
    def utterances(self) -> list[Utterance]:
        """The lines of segments, or, without it, the recordings of wav.scp.

        An end of -1 in segments is the end of the recording.
        """
        speaker = self.utt2spk.get
        if self.segments is None:
            return [Utterance(key, key, 0.0, None, speaker(key, "")) for key in self.wav_scp]
        out = []
        for key, value in self.segments.items():
            recording, start, last = value.split()
            end = float(last)
            if end == -1:
                end = self.duration(recording)
            out.append(Utterance(key, recording, float(start), end, speaker(key, "")))
        return out

    def source(self, recording: str) -> AudioSource:
        """Return the source of the audio of ``recording``, for ``read_audio``.

        A relative path in wav.scp is relative to the current directory, as in Kaldi, and where
        it does not exist, to this directory.
        """
        try:
            rxfilename = self.wav_scp[recording]
        except KeyError:
            raise DiarizeError(f"{self.path}/wav.scp: no recording {recording}") from None
        return AudioSource(rxfilename, self.allow_pipes, self.path, recording)

    def duration(self, recording: str) -> float:
        """Return the length of ``recording`` in seconds, from reco2dur, else from its header."""
        if recording in self.reco2dur:
            return float(self.reco2dur[recording])
        return self.source(recording).info().duration

    def reference(self, labels: str = "speaker") -> dict[str, list[Segment]]:
        """Return the segments of every recording, sorted; [] for a recording without speech.

        They come from ``rttm``, else from ``segments`` with ``utt2spk`` (``utt2lang`` for
        ``labels="language"``), those of one label joined where they overlap.  Raises
        DiarizeError where there is neither; for an RTTM with a recording that is not in wav.scp,
        or turns beyond the audio; and where utt2spk has the recordings as speakers.
        """
        return self.reference_and_overshoot(labels)[0]

    def reference_and_overshoot(
        self, labels: str = "speaker"
    ) -> tuple[dict[str, list[Segment]], Overshoot]:
        """Return the reference, and what of its RTTM was cut at the end of the audio."""
        overshoot = Overshoot()
        if self.rttm is not None:
            segments, overshoot = read_reference(self.rttm, self.wav_scp, self.raw.seconds)
        else:
            # Loading has compared them with reco2dur only.
            for fault in segment_faults(self.raw, headers=True):
                raise DiarizeError(fault)
            segments = merge_segments(self._labelled_utterances(labels))
        out: dict[str, list[Segment]] = {recording: [] for recording in self.wav_scp}
        for segment in segments:
            out[segment.recording].append(segment)
        by_speaker = LABEL_TABLES[labels] == "utt2spk"
        if by_speaker and (self.rttm is None or not self.utt2lang):
            fault = single_speaker_fault(self.raw, out, from_rttm=self.rttm is not None)
            if fault:
                raise DiarizeError(fault)
        return {recording: sorted(found) for recording, found in out.items()}, overshoot

    @cached_property
    def reference_file(self) -> str | None:
        """The name of the file that makes the directory a reference, None without one.

        It is ``rttm``, else ``utt2spk`` or ``utt2lang`` where they name the speakers or languages
        of ``segments``.  They do not if each utterance has its recording or itself as speaker, as
        in Kaldi's directories for diarization, and each recording one language.
        """
        if self.rttm is not None:
            return "rttm"
        languages: dict[str, str] = {}
        for key, value in (self.segments or {}).items():
            recording = value.split()[0]
            if self.utt2spk.get(key, key) not in (key, recording):
                return "utt2spk"
            language = self.utt2lang.get(key, "")
            if languages.setdefault(recording, language) != language:
                return "utt2lang"
        return None

    def evaluated(self) -> dict[str, list[tuple[float, float]]] | None:
        """Return the evaluated regions of each recording in seconds, None without a ``uem``."""
        return None if self.uem is None else read_uem(self.uem)

    def _labelled_utterances(self, labels: str) -> list[Segment]:
        self.require_reference(labels)
        table = getattr(self, LABEL_TABLES[labels])
        return [
            Segment(utt.recording, utt.start, utt.end, table[utt.id])
            for utt in self.utterances
            if utt.end is not None
        ]

    def require_reference(self, labels: str = "speaker") -> None:
        """Raise DiarizeError without an ``rttm``, and without ``segments`` that have ``labels``."""
        name = LABEL_TABLES[labels]
        if self.rttm is None and (self.segments is None or not getattr(self, name)):
            raise DiarizeError(
                f"{self.path}: no reference: neither rttm nor segments with {name}; add one"
            )
