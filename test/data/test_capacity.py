"""Most labels in a crop, against a plain search over all crops."""

import numpy as np
import pytest

from diarize.data.capacity import crowded_recordings, most_labels
from diarize.data.crops import CropOptions, make_example
from diarize.data.stretches import crop_bounds
from diarize.segments import Segment, clip_segments
from diarize.timebase import FrameGrid

RATE, HOP = 100, 10
GRID = FrameGrid(RATE, HOP)


def slow_search(segments, stretches, total, wanted):
    """The labels of each crop that can be drawn, by the function that makes examples."""
    best = 0
    for stretch in stretches:
        low, high = crop_bounds(stretch, total, wanted)
        for start in range(low, high + 1):
            stop = min(total, start + wanted)
            inside = clip_segments(segments, start / RATE, stop / RATE)
            moved = [s._replace(start=s.start - start / RATE, end=s.end - start / RATE)
                     for s in inside]
            known = [((a - start) / RATE, (b - start) / RATE) for a, b in stretches
                     if a < stop and b > start]
            wave = np.zeros(stop - start, np.float32)
            best = max(best, make_example("r", wave, moved, GRID, known).activity.shape[1])
    return best


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_most_of_all_crops(seed):
    rng = np.random.default_rng(seed)
    total = int(rng.integers(300, 600))
    edges = np.sort(rng.choice(np.arange(1, total), 4, replace=False)).tolist()
    stretches = [(0, total)] if seed % 2 else [(edges[0], edges[1]), (edges[2], edges[3])]
    segments = []
    for _ in range(int(rng.integers(4, 14))):
        # On the frame grid and of whole frames, so that none is lost in rounding.
        start = int(rng.integers(0, total // HOP - 1))
        end = min(total // HOP, start + int(rng.integers(1, 8)))
        segments.append(Segment("r", start / 10, end / 10, "abcdef"[rng.integers(6)]))
    wanted = int(rng.integers(40, 200))
    found, _ = most_labels(segments, stretches, total, wanted, (RATE, HOP))
    slow = slow_search(segments, stretches, total, wanted)
    assert slow <= found <= slow + (0 if seed % 2 else 1)  # a stretch may end amid a frame


class Talk:
    """A source of one recording in which speaker i talks in second i."""

    def __init__(self, count):
        self._segments = [Segment("r", i, i + 1.0, f"s{i}") for i in range(count)]

    def label_counts(self):
        return np.array([len(self._segments)])

    def segments(self, index):
        return self._segments

    def num_samples(self, index):
        return 16000 * len(self._segments)

    def evaluated(self, index):
        return None

    def name(self, index):
        return "r"


@pytest.mark.parametrize(
    ("seconds", "speed", "bad"),
    [(4.0, None, False), (5.5, None, True), (3.9, (1.0, 2.0), True), (30.0, None, True)],
)
def test_speakers_are_counted_in_a_crop_not_in_the_recording(seconds, speed, bad):
    options = CropOptions(seconds, speed)
    key = "model.decoder.queries"
    found = crowded_recordings(Talk(20), options, FrameGrid(), 5, "speakers", key)
    assert set(found) == ({"r"} if bad else set())
    if bad:
        assert "speakers in the" in found["r"]
        assert "model.decoder.queries" in found["r"]
