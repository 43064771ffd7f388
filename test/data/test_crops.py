"""Choice of crops: shares of recordings and sources, positions, reproducibility."""

from collections import Counter

import numpy as np
import pytest

from diarize.data.crops import CropOptions, RandomCrops, make_example, parse_weights
from diarize.errors import DiarizeError
from diarize.segments import Segment, clip_segments
from diarize.timebase import FrameGrid

GRID = FrameGrid(sample_rate=100, hop=10)


class Silence:
    """Recordings of the given lengths, in samples; a sample's value is its number."""

    def __init__(self, lengths, prefix="r", stretches=None, segments=()):
        self.lengths, self.prefix = list(lengths), prefix
        self.stretches, self.segments = stretches or {}, list(segments)

    def __len__(self):
        return len(self.lengths)

    def name(self, index):
        return f"{self.prefix}{index}"

    def num_samples(self, index):
        return self.lengths[index]

    def evaluated(self, index):
        return self.stretches.get(index)

    def read(self, index, start, stop):
        offset = start / GRID.sample_rate
        inside = clip_segments(self.segments, offset, stop / GRID.sample_rate)
        moved = [s._replace(start=s.start - offset, end=s.end - offset) for s in inside]
        return np.arange(start, stop, dtype=np.float32), moved


def crops_of(*sources, seconds=1.0, seed=0, weights=None, **options):
    return RandomCrops(sources, CropOptions(seconds, **options), GRID, seed, weights=weights)


def names_of(crops, first, last):
    return Counter(crops[i].name for i in range(first, last))


def test_callhome_gets_its_share_of_the_audio_by_duration():
    """300 short and 100 long recordings: 75 % of the crops by recording, 4.8 % by duration."""
    source = Silence([500] * 300 + [30000] * 100)
    short = 300 * 500 / (300 * 500 + 100 * 30000)
    by_recording = crops_of(source, seconds=5.0, sampling="recording")
    assert len(by_recording) == 400
    assert set(names_of(by_recording, 0, 400).values()) == {1}
    by_duration = crops_of(source, seconds=5.0)
    count = len(by_duration)
    assert count == 300 + 100 * 60
    found = sum(n for name, n in names_of(by_duration, 0, count).items() if int(name[1:]) < 300)
    assert found == pytest.approx(short * count, abs=1)


def test_by_duration_each_round_draws_the_expected_number_rounded_down_or_up():
    lengths = np.random.default_rng(1).integers(20, 3000, 50)
    crops = crops_of(Silence(lengths))
    count = len(crops)
    assert count == sum(-(-n // 100) for n in lengths)
    expected = lengths / lengths.sum() * count
    total = np.zeros(50)
    for epoch in range(20):
        found = names_of(crops, epoch * count, (epoch + 1) * count)
        drawn = np.array([found[f"r{i}"] for i in range(50)])
        assert (np.floor(expected) <= drawn).all()
        assert (drawn <= np.ceil(expected)).all()
        total += drawn
    # The rounds' first points are spread evenly, so that what is rounded away comes back.
    assert np.abs(total - 20 * expected).max() < 2.0


def test_sources_with_weights_get_their_shares_whatever_they_hold():
    real, simulated = Silence([30000, 500, 100]), Silence([900] * 40, "s")
    for sampling in ("duration", "recording"):
        crops = crops_of(real, simulated, weights=[0.7, 0.3], sampling=sampling)
        count = len(crops)
        found = names_of(crops, 0, 10 * count)
        part = sum(n for name, n in found.items() if name[0] == "r")
        assert part == pytest.approx(7 * count, abs=10)
        share = found["r0"] / part
        expected = 30000 / 30600 if sampling == "duration" else 1 / 3
        assert share == pytest.approx(expected, abs=0.02)
        # Within a source of equal recordings all come about equally often.
        drawn = [found[f"s{i}"] for i in range(40)]
        assert max(drawn) - min(drawn) <= 2


def test_an_example_does_not_depend_on_what_was_asked_before():
    """Any worker, rank or resumed training makes the same example of a number."""
    def make():
        return crops_of(Silence([700, 90, 2000]), Silence([300] * 5, "s"), weights=[0.5, 0.5],
                        speed=(0.9, 1.1))

    inorder = make()
    known = [inorder[i] for i in range(120)]
    shuffled = make()
    for i in np.random.default_rng(0).permutation(120).tolist():
        assert shuffled[i].name == known[i].name
        np.testing.assert_array_equal(shuffled[i].waveform, known[i].waveform)
    other = crops_of(Silence([700, 90, 2000]), seed=1)
    same = crops_of(Silence([700, 90, 2000]), seed=0)
    assert [other[i].name for i in range(40)] != [same[i].name for i in range(40)]


def test_crops_by_recording_are_those_of_trainings_before_there_was_a_choice():
    """Names and first samples as they were drawn when this was the only way."""
    grid = FrameGrid()
    source = Silence([80000, 32000, 480000])
    crops = RandomCrops([source], CropOptions(3.0, sampling="recording"), grid, 4)
    found = [(e.name, int(e.waveform[0])) for e in (crops[i] for i in (0, 1, 2, 3, 30))]
    assert found == [("r0", 14003), ("r1", 0), ("r2", 210574), ("r1", 0), ("r2", 188513)]
    crops = RandomCrops([source], CropOptions(3.0, bucket=2, sampling="recording"), grid, 4)
    found = [(e.name, int(e.waveform[0])) for e in (crops[i] for i in (0, 1, 31))]
    assert found == [("r1", 0), ("r0", 31971), ("r2", 400174)]


def test_starts_are_uniform_over_the_recording():
    crops = crops_of(Silence([150]))
    starts = Counter(int(crops[i].waveform[0]) for i in range(20400))
    assert set(starts) == set(range(51))
    assert max(abs(n - 400) for n in starts.values()) < 100  # five standard deviations


def test_buckets_keep_the_shares_and_hold_one_length():
    lengths = np.random.default_rng(2).permutation(60) * 10 + 30
    plain, bucketed = crops_of(Silence(lengths), seconds=4.0), crops_of(
        Silence(lengths), seconds=4.0, bucket=8)
    count = len(plain)
    assert len(bucketed) == count
    assert names_of(bucketed, 0, count) == names_of(plain, 0, count)

    def padding(crops):
        sizes = np.array([len(crops[i].waveform) for i in range(count // 8 * 8)]).reshape(-1, 8)
        return 1 - sizes.sum() / (8 * sizes.max(1).sum())

    assert padding(bucketed) < 0.1 < padding(plain)


def test_a_large_manifest_takes_little_memory():
    """400,000 mixtures of 100 s: a round is drawn in arrays of some MB."""
    import tracemalloc

    class Many(Silence):
        def __len__(self):
            return 400_000

        def num_samples(self, index):
            return 10_000

        def evaluated(self, index):
            return None

        def read(self, index, start, stop):
            return np.zeros(stop - start, dtype=np.float32), []

    source = Many([])
    tracemalloc.start()
    crops = crops_of(source, seconds=50.0)
    assert len(crops) == 800_000
    assert len(crops[3_000_000].waveform) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_only_a_number_after_the_last_colon_is_a_weight():
    assert parse_weights(["data/a:b", "s3:x.5/m"]) == (["data/a:b", "s3:x.5/m"], None)
    assert parse_weights(["real:0.7", "C:/x:y:.3"]) == (["real", "C:/x:y"], [0.7, 0.3])
    assert parse_weights(["a:2e1", "b:60"]) == (["a", "b"], [0.25, 0.75])
    assert parse_weights(["a:1:3", "b:1"]) == (["a:1", "b"], [0.75, 0.25])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["real:0.7", "simulated"], "training data simulated: no weight"),
        (["real:0", "simulated:1"], "training data real:0: .*above 0"),
        (["real:1", "simulated:-0.3"], "training data simulated:-0.3: .*above 0"),
        (["real:1e999", "simulated:1"], "training data real:1e999: .*finite"),
    ],
)
def test_weights_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(DiarizeError, match=message):
        parse_weights(arguments)


def slow_starts(stretches, total, wanted):
    """The probability of each start, by going through all evaluated instants and positions."""
    evaluated = [(t, a, b) for a, b in stretches for t in range(a, b)]
    out = np.zeros(max(1, total - wanted + 1))
    for _, a, b in evaluated:
        good = [
            s for s in range(len(out))
            if (a <= s and s + wanted <= b) or (s <= a and b <= s + wanted)
        ]  # fmt: skip
        for s in good:
            out[s] += 1 / len(good) / len(evaluated)
    return out


@pytest.mark.parametrize("sampling", ["duration", "recording"])
@pytest.mark.parametrize(
    "stretches",
    [
        [(40, 60)],
        [(0, 25), (60, 63), (70, 74)],  # a crop of one of the last holds the other as well
        [(2, 6), (90, 100)],
        [(0, 100)],
    ],
)
def test_starts_are_uniform_over_positions_within_a_stretch_or_around_it(stretches, sampling):
    source = Silence([100], stretches={0: stretches})
    crops = crops_of(source, seconds=0.15, sampling=sampling)
    count = 6000
    found = Counter(int(crops[i].waveform[0]) for i in range(count))
    expected = slow_starts(stretches, 100, 15) * count
    drawn = np.array([found[s] for s in range(len(expected))])
    assert drawn.sum() == count
    assert (drawn[expected == 0] == 0).all()
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected.max())


def test_no_crop_is_without_annotation():
    """Of 100 s, seconds 40 to 60 are annotated: drawn anywhere, 2 in 3 crops hold none of it."""
    speech = [Segment("r0", float(t), t + 0.8, "ab"[t % 2]) for t in range(100)]
    source = Silence([10000], stretches={0: [(4000, 6000)]}, segments=speech)
    crops = crops_of(source, seconds=10.0)
    examples = [crops[i] for i in range(200)]
    assert sum(not len(e.labels) for e in examples) == 0
    assert all(e.evaluated is None for e in examples)  # all of it is annotated
    starts = [int(e.waveform[0]) for e in examples]
    assert min(starts) >= 4000
    assert max(starts) <= 5000


def test_frames_that_are_not_annotated_are_marked_and_silent():
    """Two stretches in one crop; a speaker between them only is no target."""
    turns = [(1.0, 3.5, "a"), (2.0, 3.0, "b"), (3.2, 4.0, "c")]
    speech = [Segment("r0", *turn) for turn in turns]
    source = Silence([600], stretches={0: [(100, 200), (300, 450)]}, segments=speech)
    for index in range(10):
        example = crops_of(source, seconds=6.0)[index]
        assert len(example.waveform) == 600
        known = np.zeros(60, bool)
        known[10:20] = known[30:45] = True
        np.testing.assert_array_equal(example.evaluated, known)
        assert example.labels == ("a", "c")
        activity = np.zeros((60, 2), bool)
        activity[10:20, 0] = activity[30:35, 0] = activity[32:40, 1] = True
        np.testing.assert_array_equal(example.activity, activity)


def test_speed_moves_what_is_annotated_as_well():
    source = Silence([400], stretches={0: [(100, 300)]}, segments=[Segment("r0", 0.5, 2.5, "a")])
    for index in range(10):
        example = crops_of(source, seconds=5.0, speed=(0.8, 1.25))[index]
        factor = 40 / len(example.activity)
        edges = np.flatnonzero(np.diff(np.pad(example.evaluated, 1).astype(int)))
        np.testing.assert_allclose(edges * factor, [10, 30], atol=1.0)
        assert (example.activity[:, 0] <= example.evaluated).all()
        assert edges[0] <= np.flatnonzero(example.activity[:, 0])[0] <= edges[0] + 1


def test_partly_annotated_recordings_are_drawn_by_what_is_annotated():
    source = Silence([1000, 9000], stretches={1: [(100, 600), (8000, 8500)]})
    crops = crops_of(source)
    assert len(crops) == 20
    for epoch in range(5):
        assert names_of(crops, 20 * epoch, 20 * epoch + 20) == {"r0": 10, "r1": 10}


def test_examples_of_languages_know_what_is_annotated():
    from diarize.data.languages import make_language_example

    segments = [Segment("r", 0.0, 1.0, "en"), Segment("r", 1.0, 3.0, "hi")]
    wave = np.zeros(400, np.float32)
    example = make_language_example("r", wave, segments, GRID, [(0.5, 1.3), (3.5, 4.0)])
    assert example.labels == ("<speech>", "en", "hi")  # hi has more, but of it less is annotated
    assert example.activity[5:13].all(0).tolist() == [True, False, False]
    assert example.activity.sum(0).tolist() == [8, 5, 3]
    assert example.evaluated.sum() == 13
    plain = make_example("r", wave, segments, GRID)
    assert plain.evaluated is None


def test_a_channel_changes_neither_crops_nor_labels():
    plain = crops_of(Silence([500, 900]), speed=(0.9, 1.1))
    changed = crops_of(Silence([500, 900]), speed=(0.9, 1.1), channel=0.5)
    same = 0
    for index in range(40):
        one, other = plain[index], changed[index]
        assert one.name == other.name
        assert one.waveform.shape == other.waveform.shape
        np.testing.assert_array_equal(one.activity, other.activity)
        same += np.array_equal(one.waveform, other.waveform)
    assert 8 <= same <= 32
    with pytest.raises(DiarizeError, match="channel"):
        CropOptions(channel=1.5)
