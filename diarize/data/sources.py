"""Sources of training examples: manifests mixed on the fly, and data directories."""

from pathlib import Path
from typing import Protocol

import numpy as np

from diarize.data.stretches import Stretches, stretches_of
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.kaldi.datadir import DataDir
from diarize.segments import Segment, annotation_fault, clip_segments
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import AudioKey, AudioStore, StoreOptions, open_store


class Source(Protocol):
    """Source of crops: a set of recordings."""

    def __len__(self) -> int:
        """Return the number of recordings."""

    def name(self, index: int) -> str:
        """Return the name of recording ``index``."""

    def num_samples(self, index: int) -> int:
        """Return the length of recording ``index`` in samples at the model's sample rate."""

    def evaluated(self, index: int) -> Stretches | None:
        """Return the annotated stretches of recording ``index``; None: all of it."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        """Return samples [start, stop) as float32, and their segments in seconds from ``start``."""


class MixtureSource:
    """Simulated mixtures of a manifest, mixed from the audio store in directory ``store``.

    Opening it decodes audio that is not in the store yet.
    """

    def __init__(self, path: Path, store: Path, sample_rate: int, allow_pipes: bool) -> None:
        options = StoreOptions(sample_rate, allow_pipes)
        self.mixer = Mixer(*open_layout(Manifest(path), store, options))
        self.layout = self.mixer.layout

    def __len__(self) -> int:
        return len(self.layout)

    def name(self, index: int) -> str:
        return self.layout.name(index)

    def num_samples(self, index: int) -> int:
        return self.layout.num_samples(index)

    def evaluated(self, index: int) -> None:
        """Return None: all of a mixture is annotated."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        stop = min(stop, self.layout.num_samples(index))
        return self.mixer.window(index, start, stop), self.layout.segments(index, start, stop)


class DataDirSource:
    """Recordings of a Kaldi data directory with a reference of speakers or languages.

    ``labels`` is "speaker" or "language", as in `DataDir.reference`.  With ``store``, the
    recordings are decoded into the audio store in that directory when the source is opened, and
    crops are read from there; otherwise each crop is decoded from its file.  The samples of
    single-channel 16-bit recordings at ``sample_rate`` are the same either way; those of others
    differ by up to half a 16-bit step of their peak.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        allow_pipes: bool,
        labels: str = "speaker",
        store: Path | None = None,
    ) -> None:
        need = labels == "speaker"
        self.data = DataDir.load(path, allow_pipes=allow_pipes, need_reference=need)
        self.sample_rate = sample_rate
        self.recordings = self.data.recordings
        self._num_samples: dict[int, int] = {}
        self.reference = self.data.reference(labels)
        if labels == "language":
            self._check_languages()
        self._check_pipes()
        uem = self.data.evaluated()
        self._stretches: dict[str, Stretches] | None = None
        if uem is not None:
            lengths = {name: self.num_samples(i) for i, name in enumerate(self.recordings)}
            self._stretches = stretches_of(uem, lengths, sample_rate, str(self.data.uem))
        self.store: AudioStore | None = None
        if store is not None:
            self.keys = [AudioKey(self.data.source(name).resolved()) for name in self.recordings]
            self.store = self._open_store(store, StoreOptions(sample_rate, allow_pipes))

    def __len__(self) -> int:
        return len(self.recordings)

    def name(self, index: int) -> str:
        return self.recordings[index]

    def num_samples(self, index: int) -> int:
        # Without reco2dur a duration is that of the audio, for which a pipe must run.
        if index not in self._num_samples:
            duration = self.data.duration(self.recordings[index])
            self._num_samples[index] = int(duration * self.sample_rate)
        return self._num_samples[index]

    def evaluated(self, index: int) -> Stretches | None:
        """Return the stretches of the directory's ``uem``; None without a ``uem``."""
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
        """Return a message about the annotated part; '' if a UEM covers everything."""
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

    def _open_store(self, store: Path, options: StoreOptions) -> AudioStore:
        try:
            return open_store(store, self.keys, options)
        except DiarizeError as err:
            for name, key in zip(self.recordings, self.keys, strict=True):
                if str(err).startswith(f"{key.name}:"):
                    raise DiarizeError(f"recording {name}: {err}") from err
            raise

    def _check_pipes(self) -> None:
        """Raise DiarizeError for annotation mostly beyond the audio of a command.

        `DataDir.reference` knows the length of all other recordings.
        """
        for index, name in enumerate(self.recordings):
            segments = self.reference[name]
            if segments and self.data.source(name).is_pipe and name not in self.data.reco2dur:
                length = self.num_samples(index) / self.sample_rate
                total = sum(s.duration for s in segments)
                inside = sum(s.duration for s in clip_segments(segments, 0.0, length))
                fault = annotation_fault(name, total, total - inside, length)
                if fault:
                    raise DiarizeError(f"{self.data.rttm or self.data.path / 'segments'}: {fault}")

    def _check_languages(self) -> None:
        """Raise DiarizeError for an RTTM with labels other than languages, such as speakers."""
        known = set(self.data.utt2lang.values())
        for segment in (s for found in self.reference.values() for s in found):
            if known and segment.label not in known:
                raise DiarizeError(
                    f"{self.data.rttm}: recording {segment.recording}: {segment.label} is not a "
                    "language of utt2lang, so this may be the RTTM of the speakers. Make that of "
                    "the languages (utils/datadir.sh reference --labels language), or remove it"
                )

    def check_headers(self) -> None:
        """Open every recording; raises DiarizeError for an unusable recording.

        A permitted pipe is not run; recordings in the store were checked when decoded.
        """
        for recording in self.recordings if self.store is None else []:
            source = self.data.source(recording)
            if not (source.is_pipe and source.allow_pipes):
                source.info()

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        recording = self.recordings[index]
        if self.store is not None:
            samples = self.store.read(self.keys[index], start, stop)
        else:
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
    allow_pipes: bool = False,
    labels: str = "speaker",
    store_dir: str | Path | None = None,
    store: bool = True,
) -> Source:
    """Return the source of ``path``, a data directory or a manifest file.

    ``labels`` selects the labels of a data directory; a manifest has its own.  Audio is decoded
    once, into the audio store in ``store_dir``, by default the directory ``store`` in the data
    directory or beside the manifest.  Without ``store``, crops of a data directory are decoded
    from the files; a manifest always uses the store.
    """
    path = Path(path)
    folder = store_folder(path, store_dir)
    if path.is_dir():
        return DataDirSource(path, sample_rate, allow_pipes, labels, folder if store else None)
    if path.is_file():
        return MixtureSource(path, folder, sample_rate, allow_pipes)
    raise DiarizeError(f"no training data at {path}: neither a data directory nor a manifest")


def store_folder(path: str | Path, store_dir: str | Path | None = None) -> Path:
    """Return the directory of the audio store of ``path``, a data directory or a manifest."""
    if store_dir:
        return Path(store_dir)
    return (Path(path) if Path(path).is_dir() else Path(path).parent) / "store"
