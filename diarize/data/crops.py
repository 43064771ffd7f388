"""Random crops of recordings: the training examples."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from diarize.data.examples import Example
from diarize.data.sources import Source
from diarize.errors import DiarizeError
from diarize.io.audio import resample
from diarize.segments import Segment, segments_to_mask
from diarize.timebase import FrameGrid

_BUCKETS = 50  # that many batches are sorted together


class RandomCrops:
    """An endless, stateless sequence of random crops of some sources.

    Example ``index`` depends on the seed and ``index`` alone.  Each round of ``len(self)``
    examples takes every recording once, in an order of its own.  With ``speed`` (low, high)
    each crop is played at a speed drawn from that range, so that its voices are new ones
    (speed perturbation, Ko et al. 2015).  ``make`` turns a crop into an example, by
    default `make_example`.  With ``bucket`` above 1, so many examples in a row come from
    recordings of about the same length.
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
    ) -> None:
        if not sources or not sum(map(len, sources)):
            raise DiarizeError("no training recordings: every source is empty")
        self.sources = list(sources)
        self.crop_samples = grid.to_samples(crop_seconds)
        self.grid = grid
        self.seed = seed
        self.speed = speed
        self.make = make or make_example
        self.bucket = bucket
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
