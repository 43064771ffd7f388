"""Random crops of recordings: the training examples."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diarize.checks import fraction, non_negative, positive, require
from diarize.data.channel import random_channel
from diarize.data.examples import Example
from diarize.data.sources import Source
from diarize.data.stretches import Stretches, clip_stretches, crop_bounds
from diarize.errors import DiarizeError
from diarize.io.audio import resample
from diarize.segments import Regions, Segment, segments_to_mask
from diarize.timebase import FrameGrid

MakeExample = Callable[[str, np.ndarray, list[Segment], FrameGrid, Regions | None], Example]

_BATCHES = 50  # number of batches that are sorted by length together
_GOLDEN = (math.sqrt(5) - 1) / 2
_WEIGHTED = re.compile(r"(?P<path>.+):(?P<weight>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)")


@dataclass(frozen=True)
class CropOptions:
    """Length, speed and choice of training crops."""

    crop_seconds: float = 50.0
    """Length of a crop (s); a shorter recording is one crop."""
    speed: tuple[float, float] | None = None
    """Range (low, high) of speed perturbation; null: none, as in the paper."""
    bucket: int = 0
    """Above 1: number of consecutive examples of about equal length (the size of a batch), which
    reduces padding if recordings are shorter than a crop.
    """
    sampling: Literal["duration", "recording"] = "duration"
    """duration: recordings are drawn in proportion to their annotated length, so that all seconds
    are equally frequent; recording: all equally often.
    """
    channel: float = 0.0
    """Probability that a crop passes a random recording channel: equalisation, drifting level,
    clipping, noise, codecs.
    """

    def __post_init__(self) -> None:
        positive(crop_seconds=self.crop_seconds)
        non_negative(bucket=self.bucket)
        fraction(channel=self.channel)
        low, high = self.speed or (1.0, 1.0)
        require(0.5 <= low <= high <= 2.0, "speed", self.speed, "a range within 0.5 to 2")


def parse_weights(arguments: Sequence[str]) -> tuple[list[str], list[float] | None]:
    """Return the paths of ``PATH`` or ``PATH:WEIGHT``, and their shares; None without weights.

    The shares are the weights divided by their sum.  Only a colon before a number at the end
    begins a weight.  Raises DiarizeError for a weight that is not positive, and if only some of
    the paths have one.

    >>> parse_weights(["real:7", "sim/mixture.scp:3"])
    (['real', 'sim/mixture.scp'], [0.7, 0.3])
    >>> parse_weights(["a:b", "c"])
    (['a:b', 'c'], None)
    """
    found = [_WEIGHTED.fullmatch(text) for text in arguments]
    if not any(found):
        return list(arguments), None
    for text, match in zip(arguments, found, strict=True):
        if match is None:
            raise DiarizeError(
                f"training data {text}: no weight, where others have one; "
                "write PATH:WEIGHT for all of them or for none"
            )
        if not 0 < float(match["weight"]) < math.inf:
            raise DiarizeError(f"training data {text}: the weight must be above 0 and finite")
    weights = [float(match["weight"]) for match in found if match]
    total = math.fsum(weights)
    return [match["path"] for match in found if match], [w / total for w in weights]


class RandomCrops:
    """Endless, stateless sequence of random crops of one or more sources.

    Example ``index`` is a function of the seed and ``index`` alone: it is the same for any
    number of processes, and after a resume.

    The recordings are concatenated on a line.  The length of each is the duration of its
    evaluated stretches (``sampling: duration``) or 1 (``recording``); with ``weights``, it is
    scaled so that each source has its share.  A round of ``len(self)`` examples is a systematic
    sample of this line: equally spaced points with a random first point, in random order.  A
    recording with the share p is drawn p times the round's length, rounded down or up.  With
    ``recording`` and without weights each is drawn once.

    A point is an evaluated instant and determines an evaluated stretch.  The start of the crop
    is uniform over the positions at which the crop is within that stretch.  If the stretch is
    shorter than a crop, it is uniform over those at which the stretch is within the crop, which
    may then contain parts of other stretches (`crop_bounds`).

    ``make`` converts a crop to an example, by default `make_example`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        options: CropOptions,
        grid: FrameGrid,
        seed: int,
        make: MakeExample | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        if not sources or not all(map(len, sources)):
            raise DiarizeError("no training recordings: a source is empty")
        self.sources = list(sources)
        self.options = options
        self.crop_samples = grid.to_samples(options.crop_seconds)
        self.grid = grid
        self.seed = seed
        self.make = make or make_example
        self._last = np.cumsum([len(s) for s in sources]).tolist()
        # Measured only if required: this may read the headers of many files.
        self._evaluated = self._capped = None
        if options.sampling == "duration":
            self._evaluated = self._measure(_evaluated_samples)
        if options.bucket > 1:
            lengths = self._measure(lambda source, item: source.num_samples(item))
            self._capped = np.minimum(lengths, self.crop_samples)
        self._ends = self._lay_out(weights)
        # The crops that cover all recordings, or one of each.
        self._size = self._last[-1]
        if self._evaluated is not None:
            self._size = int(np.ceil(self._evaluated / self.crop_samples).sum())
        self._offset = float(np.random.default_rng([seed, 2]).random())
        self._round: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Example:
        epoch, place = divmod(index, len(self))
        if self._round is None or self._round[0] != epoch:
            self._round = epoch, self._draw_round(epoch)
        source, item, instant = self._find(float(self._round[1][place]))
        rng = np.random.default_rng([self.seed, 1, index])
        speed = self.options.speed
        percent = 100 if speed is None else round(100 * rng.uniform(*speed))
        wanted = self.crop_samples * percent // 100
        total = source.num_samples(item)
        stretches = source.evaluated(item) or [(0, total)]
        low, high = crop_bounds(_stretch_at(stretches, instant), total, wanted)
        start = low + int(rng.integers(0, high - low + 1))
        stop = min(total, start + wanted)
        waveform, segments = source.read(item, start, stop)
        inside = clip_stretches(stretches, start, stop)
        rate = self.grid.sample_rate * percent / 100
        evaluated = [(a / rate, b / rate) for a, b in inside]
        if percent != 100:
            waveform, segments = change_speed(waveform, segments, percent)
        if self.options.channel:
            # Numbers of its own, so that the option changes neither crops nor speeds.
            rng = np.random.default_rng([self.seed, 3, index])
            if rng.random() < self.options.channel:
                waveform = random_channel(waveform, self.grid.sample_rate, rng)
        return self.make(
            source.name(item),
            waveform[: self.crop_samples],
            segments,
            self.grid,
            None if inside == [(0, stop - start)] else evaluated,
        )

    def _find(self, point: float) -> tuple[Source, int, float]:
        """Return source, index and position (share of the length) of a point on the line."""
        item = min(int(np.searchsorted(self._ends, point, side="right")), len(self._ends) - 1)
        begin = self._ends[item - 1] if item else 0.0
        return *self._locate(item), (point - begin) / (self._ends[item] - begin)

    def _locate(self, item: int) -> tuple[Source, int]:
        """Return the source of recording ``item`` of all recordings, and the index in it."""
        which = bisect_right(self._last, item)
        return self.sources[which], item - (self._last[which - 1] if which else 0)

    def _measure(self, length: Callable[[Source, int], int]) -> np.ndarray:
        """Return ``length`` of each recording, int64."""
        places = map(self._locate, range(self._last[-1]))
        return np.fromiter((length(*place) for place in places), np.int64, self._last[-1])

    def _lay_out(self, weights: Sequence[float] | None) -> np.ndarray:
        """Return the end of each recording on the line, float64."""
        shares = np.ones(self._last[-1])
        if self._evaluated is not None:
            shares *= self._evaluated
        if weights is not None:
            begin = 0
            for end, weight in zip(self._last, weights, strict=True):
                shares[begin:end] *= weight / shares[begin:end].sum()
                begin = end
        return np.cumsum(shares)

    def _draw_round(self, epoch: int) -> np.ndarray:
        """Return the points of a round in their order, float64.

        With buckets, blocks of points are sorted by recording length (at most that of a crop)
        and divided into buckets, whose order is random.
        """
        rng = np.random.default_rng([self.seed, 0, epoch])
        # The first points of successive rounds are evenly spread as well.
        first = (self._offset + epoch * _GOLDEN) % 1.0
        points = (rng.permutation(len(self)) + first) * (self._ends[-1] / len(self))
        return points if self._capped is None else self._bucketed(points, rng)

    def _bucketed(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = self.options.bucket
        items = np.searchsorted(self._ends, points, side="right")
        lengths = self._capped[np.minimum(items, len(self._ends) - 1)]
        buckets = []
        for first in range(0, len(points), size * _BATCHES):
            chosen = slice(first, first + size * _BATCHES)
            part = points[chosen][np.argsort(lengths[chosen], kind="stable")]
            whole = len(part) // size * size
            cut = [part[i : i + size] for i in range(0, whole, size)]
            buckets += [cut[i] for i in rng.permutation(len(cut))]
            buckets.append(part[whole:])
        return np.concatenate(buckets)


def _evaluated_samples(source: Source, item: int) -> int:
    stretches = source.evaluated(item)
    return source.num_samples(item) if stretches is None else sum(b - a for a, b in stretches)


def _stretch_at(stretches: Stretches, part: float) -> tuple[int, int]:
    """Return the stretch at position ``part`` (below 1), a share of all stretches together."""
    left = part * sum(b - a for a, b in stretches)
    for start, stop in stretches:
        left -= stop - start
        if left < 0:
            break
    return start, stop


def change_speed(
    waveform: np.ndarray, segments: list[Segment], percent: int
) -> tuple[np.ndarray, list[Segment]]:
    """Return waveform and segments at ``percent`` of the speed; pitch and formants change too.

    Speed perturbation, Ko et al. 2015: it creates new voices.
    """
    factor = percent / 100
    return resample(waveform, percent, 100), [
        s._replace(start=s.start / factor, end=s.end / factor) for s in segments
    ]


def make_example(
    name: str,
    waveform: np.ndarray,
    segments: list[Segment],
    grid: FrameGrid,
    evaluated: Regions | None = None,
) -> Example:
    """Return the example of ``waveform`` with ``segments`` in seconds from its first sample.

    ``evaluated`` are the annotated regions, also in seconds; None: everything.  Activity outside
    of them is removed.  A speaker without an active frame is not a target.
    """
    num_frames = grid.num_frames(len(waveform))
    if num_frames == 0:
        raise DiarizeError(f"recording {name}: {len(waveform)} samples are less than one frame")
    labels = sorted({s.label for s in segments})
    activity = segments_to_mask(segments, labels, num_frames, grid)
    known = None if evaluated is None else regions_to_mask(evaluated, num_frames, grid)
    if known is not None:
        activity &= known[:, None]
    present = activity.any(0)
    here = tuple(label for label, found in zip(labels, present, strict=True) if found)
    waveform = np.ascontiguousarray(waveform, dtype=np.float32)
    return Example(name, waveform, activity[:, present], here, known)


def regions_to_mask(regions: Regions, num_frames: int, grid: FrameGrid) -> np.ndarray:
    """Return the mask of the frames in any of the (start, end) seconds, bool (num_frames,)."""
    segments = [Segment("", start, end, "") for start, end in regions]
    return segments_to_mask(segments, [""], num_frames, grid)[:, 0]
