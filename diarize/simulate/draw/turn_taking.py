"""Turn-taking statistics of real conversations, estimated from a reference and kept as JSON.

After Landini et al., "From simulated mixtures to simulated conversations as training data for
end-to-end neural diarization" (Interspeech 2022, arXiv 2204.00890).  The segments of a recording,
those of one speaker joined where they overlap, are sorted by their beginnings.  Each is compared
with the earlier segment that ends last, which holds the floor:

* the same speaker continues (a hold), after a pause;
* another speaker begins (a switch), after a pause, or before the floor is free: an overlap,
  whose length is the time during which both speak.

The statistics are the probability of a hold, that of an overlap at a switch, and the
distributions of the three times.  The paper draws the order of speakers at random; the
probability of a hold is an addition to it.
"""

import bisect
import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from diarize.checks import fraction, require
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.json_text import parse_json
from diarize.io.table import read_text
from diarize.segments import Segment, by_recording, merge_segments

FORMAT = "turn-taking 1"
TIMES = ("pause_same", "pause_different", "overlap_seconds")
_MAX_QUANTILES = 200


class Distribution:
    """Distribution of times in seconds: quantiles (i + 0.5) / n for i < n, linear in between.

    >>> [Distribution([1.0, 3.0]).quantile(share) for share in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 1.0, 2.0, 3.0]
    >>> Distribution([1.0, 3.0]).share_below(2.0)
    0.5
    """

    def __init__(self, quantiles: Sequence[float], count: int | None = None,
                 mean: float | None = None) -> None:  # fmt: skip
        # Plain numbers: times are drawn one by one, for which numpy is ten times slower.
        self.quantiles = [float(value) for value in quantiles]
        self.count = len(self.quantiles) if count is None else count
        self.mean = float(np.mean(self.quantiles)) if mean is None else mean

    @classmethod
    def of(cls, values: Sequence[float]) -> "Distribution":
        """Return the distribution of ``values`` (n > 0), with at most 200 quantiles."""
        size = min(len(values), _MAX_QUANTILES)
        # Hazen's rule puts value k of n at (k + 0.5) / n, so that few values are kept exactly.
        places = (np.arange(size) + 0.5) / size
        quantiles = np.quantile(values, places, method="hazen")
        return cls(quantiles.tolist(), len(values), float(np.mean(values)))

    def quantile(self, share: float) -> float:
        """Return the quantile of ``share`` (0 to 1)."""
        values = self.quantiles
        place = share * len(values) - 0.5
        first = int(place) if place > 0 else 0
        if place <= 0 or first >= len(values) - 1:
            return values[first if place <= 0 else -1]
        return values[first] + (place - first) * (values[first + 1] - values[first])

    def share_below(self, time: float) -> float:
        """Return the share of all times that are at most ``time``, the inverse of `quantile`."""
        values = self.quantiles
        after = bisect.bisect_right(values, time)
        if after in (0, len(values)):
            return float(after > 0)
        step = values[after] - values[after - 1]
        return (after - 0.5 + (time - values[after - 1]) / step) / len(values)

    def draw(self, share: float, limit: float = math.inf) -> float:
        """Return the time at uniform number ``share``, drawn from the times up to ``limit``.

        If all times are longer, returns ``limit``.
        """
        if limit <= self.quantiles[0]:
            return max(limit, 0.0)
        if limit < self.quantiles[-1]:
            share *= self.share_below(limit)
        return min(self.quantile(share), limit)


@dataclass(frozen=True)
class TurnStatistics:
    """Turn-taking statistics; a distribution without observations is None.

    ``turn_hold``: probability that the next turn is of the same speaker; ``overlap``:
    probability that another speaker begins before the floor is free.
    """

    turn_hold: float
    overlap: float
    pause_same: Distribution | None
    pause_different: Distribution | None
    overlap_seconds: Distribution | None
    recordings: int = 0
    turns: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        fraction(turn_hold=self.turn_hold, overlap=self.overlap)
        needed = {
            "pause_same": self.turn_hold,
            "pause_different": (1 - self.turn_hold) * (1 - self.overlap),
            "overlap_seconds": (1 - self.turn_hold) * self.overlap,
        }
        for name, probability in needed.items():
            times = getattr(self, name)
            if times is None and probability > 0:
                raise DiarizeError(f"{name} is missing, though its probability is not 0")
            if times is not None:
                require(_is_distribution(times.quantiles), name, times.quantiles,
                        "numbers of 0 or more in ascending order")


def learn_statistics(
    segments: Iterable[Segment],
    speakers: tuple[int, int] = (1, 10**6),
    source: str = "",
) -> TurnStatistics:
    """Return the statistics of the recordings of a reference with ``speakers`` (low, high).

    Raises DiarizeError if there are no turns to count.
    """
    times: dict[str, list[float]] = {name: [] for name in TIMES}
    recordings = turns = 0
    for found in by_recording(segments).values():
        if not speakers[0] <= len({s.label for s in found}) <= speakers[1]:
            continue
        recordings += 1
        turns += len(merge_segments(found))
        for name, values in turn_times(found).items():
            times[name] += values
    holds, switches = len(times["pause_same"]), len(times["pause_different"])
    overlaps = len(times["overlap_seconds"])
    switches += overlaps
    if holds + switches == 0:
        raise DiarizeError(
            f"{source or 'reference'}: no turns to learn from in {recordings} recordings with "
            f"{speakers[0]} to {speakers[1]} speakers"
        )
    return TurnStatistics(
        holds / (holds + switches),
        overlaps / switches if switches else 0.0,
        *(Distribution.of(times[name]) if times[name] else None for name in TIMES),
        recordings=recordings,
        turns=turns,
        source=source,
    )


def turn_times(segments: Iterable[Segment]) -> dict[str, list[float]]:
    """Return the pauses and overlaps of one recording in seconds, by the names in ``TIMES``.

    >>> ann, bob = Segment("r", 0, 4, "ann"), Segment("r", 3, 5, "bob")
    >>> turn_times([ann, bob, Segment("r", 6, 7, "bob")])
    {'pause_same': [1], 'pause_different': [], 'overlap_seconds': [1]}
    """
    times: dict[str, list[float]] = {name: [] for name in TIMES}
    turns = merge_segments(segments)
    floor = turns[0]
    for turn in itertools.islice(turns, 1, None):
        pause = turn.start - floor.end
        if pause < 0:
            times["overlap_seconds"].append(min(turn.end, floor.end) - turn.start)
        else:
            name = "pause_same" if turn.label == floor.label else "pause_different"
            times[name].append(pause)
        if turn.end >= floor.end:
            floor = turn
    return times


def write_statistics(path: str | os.PathLike, statistics: TurnStatistics) -> None:
    """Write ``statistics`` as JSON, a line for each key; times in seconds."""
    content = {
        "format": FORMAT,
        "source": statistics.source,
        "recordings": statistics.recordings,
        "turns": statistics.turns,
        "turn_hold": round(statistics.turn_hold, 6),
        "overlap": round(statistics.overlap, 6),
    }
    for name in TIMES:
        times = getattr(statistics, name)
        content[name] = times and {
            "count": times.count,
            "mean": round(times.mean, 3),
            "quantiles": [round(value, 3) for value in times.quantiles],
        }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    with atomic_write(path) as handle:
        handle.write("{\n" + ",\n".join(lines) + "\n}\n")


def read_statistics(path: str | os.PathLike) -> TurnStatistics:
    """Return the statistics in a file; raises DiarizeError, naming the file, if it is invalid."""
    content = parse_json(read_text(path), path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DiarizeError(
            f"{path}: not a file of turn-taking statistics (format {FORMAT!r}); "
            "'diarize-simulate statistics' makes one"
        )
    try:
        times = {
            name: None if content[name] is None else Distribution(
                content[name]["quantiles"],
                int(content[name]["count"]),
                float(content[name]["mean"]),
            )
            for name in TIMES
        }  # fmt: skip
        return TurnStatistics(
            float(content["turn_hold"]),
            float(content["overlap"]),
            **times,
            recordings=int(content["recordings"]),
            turns=int(content["turns"]),
            source=str(content["source"]),
        )
    except KeyError as err:
        raise DiarizeError(f"{path}: key {err} is missing") from err
    except (TypeError, ValueError) as err:
        raise DiarizeError(f"{path}: a value is not what it should be: {err}") from err
    except DiarizeError as err:
        raise DiarizeError(f"{path}: {err}") from err


def _is_distribution(values: Sequence[float]) -> bool:
    rising = all(a <= b for a, b in itertools.pairwise(values))
    return bool(values) and values[0] >= 0 and rising and all(map(math.isfinite, values))
