"""Sources of training examples: manifests mixed on the fly, and data directories."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import numpy as np

from diarize.data.decoding import decode_all
from diarize.data.stretches import Stretches, stretches_of
from diarize.errors import DiarizeError, UnreadableAudio
from diarize.io.audio import read_audio
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.reference import MAX_OVERSHOOT
from diarize.segments import Segment, annotation_fault, clip_segments
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import (
    AudioKey,
    AudioStore,
    StoreOptions,
    check_faults,
    open_store,
)


class Source(Protocol):
    """Source of crops: a set of recordings.

    ``faults`` are the messages for recordings that cannot be read.
    """

    faults: dict[str, str]

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

    def segments(self, index: int) -> list[Segment]:
        """Return all segments of recording ``index``, in seconds."""

    def label_counts(self) -> np.ndarray:
        """Return the number of different labels of each recording, int64 (n,)."""

    def leave_out(self, names: Collection[str]) -> None:
        """Remove the recordings ``names``; indices are those of the others from then on."""


class MixtureSource:
    """Simulated mixtures of a manifest, mixed from the audio store in directory ``store``.

    Opening it decodes audio that is not in the store yet.  Raises DiarizeError for more than
    ``max_faults`` unreadable files; mixtures of fewer are in ``faults``, and must be left out.
    """

    def __init__(self, path: Path, store: Path, options: StoreOptions) -> None:
        self.mixer = Mixer(*open_layout(Manifest(path), store, options))
        self.layout = self.mixer.layout
        self.faults: dict[str, str] = {}
        for key, why in self.mixer.store.faults.items():
            for index in self.layout.using([self.layout.sources.index(key)]).tolist():
                self.faults[self.layout.name(index)] = why
        self._kept = np.arange(len(self.layout))

    def __len__(self) -> int:
        return len(self._kept)

    def name(self, index: int) -> str:
        return self.layout.name(self._kept[index])

    def num_samples(self, index: int) -> int:
        return self.layout.num_samples(self._kept[index])

    def evaluated(self, index: int) -> None:
        """Return None: all of a mixture is annotated."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        place = self._kept[index]
        stop = min(stop, self.layout.num_samples(place))
        return self.mixer.window(place, start, stop), self.layout.segments(place, start, stop)

    def segments(self, index: int) -> list[Segment]:
        place = self._kept[index]
        return self.layout.segments(place, 0, self.layout.num_samples(place))

    def label_counts(self) -> np.ndarray:
        return self.layout.label_counts()[self._kept]

    def leave_out(self, names: Collection[str]) -> None:
        left = [place for place in self._kept if self.layout.name(place) not in names]
        self._kept = np.array(left, np.int64)


class DataDirSource:
    """Recordings of a Kaldi data directory with a reference of speakers or languages.

    ``labels`` is "speaker" or "language", as in `DataDir.reference`.  The recordings are decoded
    when the source is opened.  Those that cannot be are in ``faults`` and not among the
    recordings; more than ``max_faults`` of them raise DiarizeError.  They are decoded into the
    audio store in directory ``store``, from which crops are read.  If ``stored`` is false, this
    is only a check (`decode_all`), and each crop is decoded from its file.  The samples of
    single-channel 16-bit recordings at ``sample_rate`` are the same either way; those of others
    differ by up to half a 16-bit step of their peak.
    """

    def __init__(
        self, path: Path, store: Path, options: StoreOptions, labels: str = "speaker",
        stored: bool = True,
    ) -> None:
        self.data = DataDir.load(path, allow_pipes=options.allow_pipes)
        self.data.require_reference(labels)
        self.sample_rate = options.sample_rate
        self.store: AudioStore | None = None
        self.keys: dict[str, AudioKey] = {}
        self.faults: dict[str, str] = {}
        lengths = self._decode(store, options, stored)
        self.faults |= self._short(lengths)
        check_faults(self.faults.values(), options.max_faults)
        # So that no pipe has to run once more for its duration.
        self._num_samples = {
            name: length for name, length in lengths.items()
            if self.data.source(name).is_pipe and name not in self.data.reco2dur
        }
        self.recordings = [name for name in self.data.recordings if name not in self.faults]
        self.reference = self.data.reference(labels)
        self._check_pipes()
        uem = self.data.evaluated()
        self._stretches: dict[str, Stretches] | None = None
        if uem is not None:
            lengths = {name: self.num_samples(i) for i, name in enumerate(self.recordings)}
            self._stretches = stretches_of(uem, lengths, self.sample_rate, str(self.data.uem))

    def __len__(self) -> int:
        return len(self.recordings)

    def name(self, index: int) -> str:
        return self.recordings[index]

    def num_samples(self, index: int) -> int:
        # Without reco2dur a duration is that of the audio, for which a pipe must run.
        name = self.recordings[index]
        if name not in self._num_samples:
            self._num_samples[name] = int(self.data.duration(name) * self.sample_rate)
        return self._num_samples[name]

    def evaluated(self, index: int) -> Stretches | None:
        """Return the stretches of the directory's ``uem``; None without a ``uem``."""
        return None if self._stretches is None else self._stretches[self.recordings[index]]

    def segments(self, index: int) -> list[Segment]:
        return self.reference[self.recordings[index]]

    def label_counts(self) -> np.ndarray:
        counts = [len({s.label for s in self.reference[name]}) for name in self.recordings]
        return np.array(counts, np.int64)

    def leave_out(self, names: Collection[str]) -> None:
        self.recordings = [name for name in self.recordings if name not in names]

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

    def _decode(self, folder: Path, options: StoreOptions, stored: bool) -> dict[str, int]:
        """Decode all recordings; return their lengths in samples, and collect ``faults``."""
        if not stored:
            sources = {name: self.data.source(name) for name in self.data.recordings}
            lengths, self.faults = decode_all(sources, folder, options.sample_rate)
            return lengths
        for name in self.data.recordings:
            try:
                self.keys[name] = AudioKey(self.data.source(name).resolved())
            except DiarizeError as err:
                self.faults[name] = str(err)
        check_faults(self.faults.values(), options.max_faults)
        try:
            self.store = open_store(folder, self.keys.values(), options)
        except UnreadableAudio as err:
            for name, key in self.keys.items():
                if str(err).startswith(f"{key.name}:"):
                    raise UnreadableAudio(f"recording {name}: {err}", err.count) from err
            raise
        for name, key in self.keys.items():
            if key in self.store.faults:
                self.faults[name] = f"recording {name}: {self.store.faults[key]}"
        return {name: self.store.entries[key].length for name, key in self.keys.items()
                if name not in self.faults}  # fmt: skip

    def _short(self, lengths: dict[str, int]) -> dict[str, str]:
        """Return a message for each recording that is shorter than reco2dur says."""
        out = {}
        for name, length in lengths.items():
            stated = float(self.data.reco2dur.get(name, 0.0))
            found = length / self.sample_rate
            if stated > found + MAX_OVERSHOOT:
                out[name] = (
                    f"recording {name}: {self.data.path}/reco2dur says {stated:.2f} s, the audio "
                    f"has {found:.2f} s: fetch the file again, or remove reco2dur"
                )
        return out

    def _check_pipes(self) -> None:
        """Raise DiarizeError for annotation mostly beyond the audio of a command.

        `DataDir.reference` knows the length of all other recordings.
        """
        for name, samples in self._num_samples.items():
            segments, length = self.reference[name], samples / self.sample_rate
            total = sum(s.duration for s in segments)
            inside = sum(s.duration for s in clip_segments(segments, 0.0, length))
            fault = annotation_fault(name, total, total - inside, length) if segments else None
            if fault:
                raise DiarizeError(f"{self.data.rttm or self.data.path / 'segments'}: {fault}")

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        recording = self.recordings[index]
        if self.store is not None:
            samples = self.store.read(self.keys[recording], start, stop)
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
    max_faults: int = 0,
) -> Source:
    """Return the source of ``path``, a data directory or a manifest file.

    ``labels`` selects the labels of a data directory; a manifest has its own.  Audio is decoded
    once, into the audio store in ``store_dir``, by default the directory ``store`` in the data
    directory or beside the manifest.  Without ``store``, the recordings of a data directory are
    decoded once as a check, and crops from the files; a manifest always uses the store.  Raises
    DiarizeError for more than ``max_faults`` unreadable recordings.
    """
    path, folder = Path(path), store_folder(path, store_dir)
    options = StoreOptions(sample_rate, allow_pipes, max_faults=max_faults)
    if path.is_dir():
        return DataDirSource(path, folder, options, labels, store)
    if path.is_file():
        return MixtureSource(path, folder, options)
    raise DiarizeError(f"no training data at {path}: neither a data directory nor a manifest")


def store_folder(path: str | Path, store_dir: str | Path | None = None) -> Path:
    """Return the directory of the audio store of ``path``, a data directory or a manifest."""
    if store_dir:
        return Path(store_dir)
    return (Path(path) if Path(path).is_dir() else Path(path).parent) / "store"
