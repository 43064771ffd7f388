"""Where training examples come from: manifests mixed on the fly, or data directories."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from diarize.data.assemble import Assembler
from diarize.data.device import Request, register, request
from diarize.data.examples import Example
from diarize.errors import DiarizeError
from diarize.io.audio import read_audio, resample
from diarize.io.datadir import DataDir
from diarize.segments import Segment, clip_segments, segments_to_mask
from diarize.simulate.arena import ArenaOptions
from diarize.simulate.cache import UtteranceCache
from diarize.simulate.manifest import Manifest
from diarize.simulate.plan import open_plan
from diarize.simulate.render import mixture_length, render
from diarize.timebase import FrameGrid

_BUCKETS = 50  # that many batches are sorted together


class Source(Protocol):
    """Recordings that crops can be taken from."""

    def __len__(self) -> int:
        """Return the number of recordings."""

    def name(self, index: int) -> str:
        """Return the name of recording ``index``."""

    def num_samples(self, index: int) -> int:
        """Return the length of recording ``index`` at the model's sample rate."""

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        """Return samples [start, stop) as float32, and their segments in seconds from ``start``."""


class ArenaSource:
    """Simulated mixtures, put together from audio that was decoded once, into ``arena``.

    Opening it decodes what is not there yet; see :mod:`diarize.simulate.arena`.
    """

    def __init__(self, path: Path, arena: Path, sample_rate: int, allow_pipes: bool) -> None:
        options = ArenaOptions(sample_rate, allow_pipes)
        self.plan, self.arena = open_plan(Manifest(path), arena, options)
        self.assembler = Assembler(self.plan, self.arena)
        register(self.assembler)

    def __len__(self) -> int:
        return len(self.plan)

    def name(self, index: int) -> str:
        return self.plan.name(index)

    def num_samples(self, index: int) -> int:
        return self.plan.num_samples(index)

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, list[Segment]]:
        stop = min(stop, self.plan.num_samples(index))
        waveform = self.assembler.window(index, start, stop)
        return waveform, self.plan.segments(index, start, stop)

    def request(self, index: int, start: int, stop: int) -> tuple[Request, list[Segment]]:
        """Return what makes the same samples on another device, and their segments."""
        made = request(self.assembler, index, start, stop)
        return made, self.plan.segments(index, start, stop)


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

    def __len__(self) -> int:
        return len(self.recordings)

    def name(self, index: int) -> str:
        return self.recordings[index]

    def num_samples(self, index: int) -> int:
        return int(self.data.duration(self.recordings[index]) * self.sample_rate)

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


class RandomCrops:
    """An endless, stateless sequence of random crops of some sources.

    Example ``index`` depends on the seed and ``index`` alone.  Each round of ``len(self)``
    examples takes every recording once, in an order of its own.  With ``speed`` (low, high)
    each crop is played at a speed drawn from that range, so that its voices are new ones
    (speed perturbation, Ko et al. 2015).  ``make`` turns a crop into an example, by
    default `make_example`.  With ``on_device``, of manifests with an arena and without
    ``speed``, examples have a request instead of a waveform.  With ``bucket`` above 1, so many
    examples in a row come from recordings of about the same length.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        crop_seconds: float,
        grid: FrameGrid,
        seed: int,
        speed: tuple[float, float] | None = None,
        make: "MakeExample | None" = None,
        bucket: int = 0,
        on_device: bool = False,
    ) -> None:
        if not sources or not sum(map(len, sources)):
            raise DiarizeError("no training recordings: every source is empty")
        if on_device and (speed or not all(isinstance(s, ArenaSource) for s in sources)):
            raise DiarizeError(
                "data.simulation: device makes mixtures of manifests only, and without data.speed; "
                "use data.simulation: arena"
            )
        self.sources = list(sources)
        self.crop_samples = grid.to_samples(crop_seconds)
        self.grid = grid
        self.seed = seed
        self.speed = speed
        self.make = make or make_example
        self.bucket = bucket
        self.on_device = on_device
        self._lengths: np.ndarray | None = None
        self._ends = np.cumsum([len(s) for s in sources]).tolist()
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Example:
        epoch, place = divmod(index, len(self))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self._draw_order(epoch)
        source, item = self._locate(int(self._order[1][place]))
        rng = np.random.default_rng([self.seed, 1, index])
        percent = 100 if self.speed is None else round(100 * rng.uniform(*self.speed))
        wanted = self.crop_samples * percent // 100
        total = source.num_samples(item)
        start = int(rng.integers(0, max(1, total - wanted + 1)))
        stop = min(total, start + wanted)
        if self.on_device:
            made, segments = source.request(item, start, stop)
            silence = np.zeros(stop - start, dtype=np.float32)
            example = self.make(source.name(item), silence, segments, self.grid)
            return replace(example, waveform=silence[:0], request=made)
        waveform, segments = source.read(item, start, stop)
        if percent != 100:
            waveform, segments = change_speed(waveform, segments, percent)
        return self.make(source.name(item), waveform[: self.crop_samples], segments, self.grid)


    def _locate(self, item: int) -> tuple[Source, int]:
        """Return the source that recording ``item`` of all is in, and its number there."""
        which = bisect_right(self._ends, item)
        return self.sources[which], item - (self._ends[which - 1] if which else 0)

    def _draw_order(self, epoch: int) -> np.ndarray:
        """Return the recordings in the order of a round.

        With buckets, stretches of many of them are sorted by length (a crop's at most) and cut
        into buckets, which then come in any order.
        """
        rng = np.random.default_rng([self.seed, 0, epoch])
        order = rng.permutation(len(self))
        if self.bucket < 2:
            return order
        if self._lengths is None:
            places = map(self._locate, range(len(self)))
            self._lengths = np.array([source.num_samples(item) for source, item in places])
        capped = np.minimum(self._lengths, self.crop_samples)
        buckets = []
        for first in range(0, len(order), self.bucket * _BUCKETS):
            part = order[first : first + self.bucket * _BUCKETS]
            part = part[np.argsort(capped[part], kind="stable")]
            whole = len(part) // self.bucket * self.bucket
            cut = [part[i : i + self.bucket] for i in range(0, whole, self.bucket)]
            buckets += [cut[i] for i in rng.permutation(len(cut))]
            buckets.append(part[whole:])
        return np.concatenate(buckets)


MakeExample = Callable[[str, np.ndarray, list[Segment], FrameGrid], Example]


def change_speed(
    waveform: np.ndarray, segments: list[Segment], percent: int
) -> tuple[np.ndarray, list[Segment]]:
    """Return both as played at ``percent`` of the speed; pitch and formants move with it."""
    factor = percent / 100
    return resample(waveform, percent, 100), [
        s._replace(start=s.start / factor, end=s.end / factor) for s in segments
    ]


def make_example(
    name: str, waveform: np.ndarray, segments: list[Segment], grid: FrameGrid
) -> Example:
    """Return the example of ``waveform`` with ``segments`` in seconds from its first sample.

    A speaker without an active frame in it is no target.
    """
    num_frames = grid.num_frames(len(waveform))
    if num_frames == 0:
        raise DiarizeError(f"recording {name}: {len(waveform)} samples are less than one frame")
    labels = sorted({s.label for s in segments})
    activity = segments_to_mask(segments, labels, num_frames, grid)
    present = activity.any(0)
    here = tuple(label for label, found in zip(labels, present, strict=True) if found)
    waveform = np.ascontiguousarray(waveform, dtype=np.float32)
    return Example(name, waveform, activity[:, present], here)
