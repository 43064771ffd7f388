"""Where training examples come from: manifests mixed on the fly, or data directories."""

from pathlib import Path
from typing import Protocol

import numpy as np

from diarize.data.stretches import Stretches, stretches_of
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.kaldi.datadir import DataDir
from diarize.segments import Segment, clip_segments
from diarize.simulate.cache import UtteranceCache
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import StoreOptions
from diarize.simulate.render import mixture_length, render


class Source(Protocol):
    """Recordings that crops can be taken from."""

    def __len__(self) -> int:
        """Return the number of recordings."""

    def name(self, index: int) -> str:
        """Return the name of recording ``index``."""

    def num_samples(self, index: int) -> int:
        """Return the length of recording ``index`` at the model's sample rate."""

    def evaluated(self, index: int) -> Stretches | None:
        """Return the stretches of recording ``index`` that are annotated, None: all of it."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        """Return samples [start, stop) as float32, and their segments in seconds from ``start``."""


class ArenaSource:
    """Simulated mixtures, put together from audio that was decoded once, into ``arena``.

    Opening it decodes what is not there yet; see :mod:`diarize.simulate.mix.store`.
    """

    def __init__(self, path: Path, arena: Path, sample_rate: int, allow_pipes: bool) -> None:
        options = StoreOptions(sample_rate, allow_pipes)
        self.plan, self.arena = open_layout(Manifest(path), arena, options)
        self.assembler = Mixer(self.plan, self.arena)

    def __len__(self) -> int:
        return len(self.plan)

    def name(self, index: int) -> str:
        return self.plan.name(index)

    def num_samples(self, index: int) -> int:
        return self.plan.num_samples(index)

    def evaluated(self, index: int) -> None:
        """Return None: all of a mixture is known."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        stop = min(stop, self.plan.num_samples(index))
        waveform = self.assembler.window(index, start, stop)
        return waveform, self.plan.segments(index, start, stop)


class ManifestSource:
    """Simulated mixtures, rendered from the files of their utterances whenever they are read."""

    def __init__(self, path: Path, sample_rate: int, cache_bytes: int, allow_pipes: bool) -> None:
        self.manifest = Manifest(path)
        self.sample_rate = sample_rate
        self._cache_bytes = cache_bytes
        self._allow_pipes = allow_pipes
        self._cache: UtteranceCache | None = None

    def __len__(self) -> int:
        return len(self.manifest)

    def name(self, index: int) -> str:
        return self.manifest[index][0]

    def num_samples(self, index: int) -> int:
        return mixture_length(self.manifest[index][1], self._reader(), self.sample_rate)

    def evaluated(self, index: int) -> None:
        """Return None: all of a mixture is known."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        mixture = render(
            self.manifest[index][1],
            sample_rate=self.sample_rate,
            reader=self._reader(),
            start=start,
            stop=stop,
        )
        return mixture.waveform, mixture.segments

    def _reader(self) -> UtteranceCache:
        # Made where it is used: each worker process keeps its own.
        if self._cache is None:
            self._cache = UtteranceCache(
                read_audio, self._cache_bytes, allow_pipes=self._allow_pipes
            )
        return self._cache


class DataDirSource:
    """Real recordings of a Kaldi data directory with a reference: who, or which language.

    ``labels`` is "speaker" or "language", as in `DataDir.reference`.
    """

    def __init__(
        self, path: Path, sample_rate: int, allow_pipes: bool, labels: str = "speaker"
    ) -> None:
        need = labels == "speaker"
        self.data = DataDir.load(path, allow_pipes=allow_pipes, need_reference=need)
        self.sample_rate = sample_rate
        self.recordings = self.data.recordings
        self.reference = self.data.reference(labels)
        if labels == "language":
            self._check_languages()
        uem = self.data.evaluated()
        self._stretches: dict[str, Stretches] | None = None
        if uem is not None:
            lengths = {name: self.num_samples(i) for i, name in enumerate(self.recordings)}
            self._stretches = stretches_of(uem, lengths, sample_rate, str(self.data.uem))

    def __len__(self) -> int:
        return len(self.recordings)

    def name(self, index: int) -> str:
        return self.recordings[index]

    def num_samples(self, index: int) -> int:
        return int(self.data.duration(self.recordings[index]) * self.sample_rate)

    def evaluated(self, index: int) -> Stretches | None:
        """Return the stretches that the directory's ``uem`` names, None without one."""
        return None if self._stretches is None else self._stretches[self.recordings[index]]

    def has_speech(self) -> bool:
        """Return whether the reference has a segment in the evaluated stretches."""
        for index, name in enumerate(self.recordings):
            stretches, rate = self.evaluated(index), self.sample_rate
            for segment in self.reference[name]:
                if stretches is None or any(
                    segment.start * rate < b and segment.end * rate > a for a, b in stretches
                ):
                    return True
        return False

    def notice(self) -> str:
        """Return a line for users about the annotated part; '' if a UEM covers everything."""
        if self._stretches is None:
            return f"{self.data.path}: no uem: the whole of each recording is taken as annotated"
        total = sum(map(self.num_samples, range(len(self))))
        found = sum(b - a for stretches in self._stretches.values() for a, b in stretches)
        if found == total:
            return ""
        hours = 3600 * self.sample_rate
        return (
            f"{self.data.path}: {found / hours:.2f} of {total / hours:.2f} h are annotated, "
            f"as {self.data.uem} says; nothing is learnt from the rest"
        )

    def _check_languages(self) -> None:
        """Raise DiarizeError for an RTTM of something else, such as speakers."""
        known = set(self.data.utt2lang.values())
        for segment in (s for found in self.reference.values() for s in found):
            if known and segment.label not in known:
                raise DiarizeError(
                    f"{self.data.rttm}: recording {segment.recording}: {segment.label} is no "
                    "language of utt2lang; is this the RTTM of the speakers? Make that of the "
                    "languages (utils/datadir.sh reference --labels language), or remove it"
                )

    def check_headers(self) -> None:
        """Open every recording; raises DiarizeError for one that is unusable.

        A pipe that is allowed is not run.
        """
        for recording in self.recordings:
            source = self.data.source(recording)
            if not (source.is_pipe and source.allow_pipes):
                source.info()

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        recording = self.recordings[index]
        source = self.data.source(recording)
        samples = read_audio(source, start, stop, sample_rate=self.sample_rate)
        offset = start / self.sample_rate
        inside = clip_segments(self.reference[recording], offset, stop / self.sample_rate)
        return samples, [
            s._replace(start=s.start - offset, end=s.end - offset) for s in inside
        ]


def open_source(
    path: str | Path,
    sample_rate: int,
    cache_bytes: int = 0,
    allow_pipes: bool = False,
    labels: str = "speaker",
    arena: str | Path | None = None,
) -> Source:
    """Return the source behind ``path``: a data directory, or a file with a manifest.

    ``labels`` says which ones a data directory is asked for; a manifest has its own.  The
    mixtures of a manifest are put together from the arena in directory ``arena``; without
    one they are rendered from their files, of which ``cache_bytes`` are kept in memory.
    """
    path = Path(path)
    if path.is_dir():
        return DataDirSource(path, sample_rate, allow_pipes, labels)
    if path.is_file() and arena is not None:
        return ArenaSource(path, Path(arena), sample_rate, allow_pipes)
    if path.is_file():
        return ManifestSource(path, sample_rate, cache_bytes, allow_pipes)
    raise DiarizeError(f"no training data at {path}: neither a data directory nor a manifest")
