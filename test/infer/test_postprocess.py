import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import medfilt

from diarize.config import from_dict
from diarize.errors import DiarizeError
from diarize.infer.masks import binary_median, clean_runs, mask_runs
from diarize.infer.postprocess import (
    SPEAKER,
    PostprocessOptions,
    select_queries,
)
from diarize.segments import Segment
from diarize.timebase import FrameGrid


def decided(processor, *arguments):
    """Return the segments of a decision."""
    return [turn.segment for turn in processor.decide(*arguments).turns]

GRID = FrameGrid()


def columns(*spans, frames=100):
    """Posteriors 0.9 inside the (query, first, last + 1) spans, else 0.1."""
    out = np.full((frames, 1 + max(q for q, _, _ in spans)), 0.1, dtype=np.float32)
    for query, lo, hi in spans:
        out[lo:hi, query] = 0.9
    return out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [2, 0]),  # the paper: p > 0.8
        ({"query_threshold": 0.9}, [2]),
        ({"query_threshold": 0.95}, []),  # not above
        ({"query_threshold": 0.0}, [2, 0, 1, 4]),  # query 3 has exactly 0
        ({"num_speakers": 3}, [2, 0, 1]),
        ({"num_speakers": 1}, [2]),
        ({"num_speakers": 0}, []),
        ({"min_speakers": 4}, [2, 0, 1, 4]),
        ({"min_speakers": 1}, [2, 0]),
        ({"max_speakers": 1}, [2]),
        ({"min_speakers": 3, "max_speakers": 4, "query_threshold": 0.0}, [2, 0, 1, 4]),
    ],
)
def test_select_queries(options, expected):
    activities = np.array([0.85, 0.3, 0.95, 0.0, 0.3])
    assert select_queries(activities, PostprocessOptions(**options)) == expected


def test_more_speakers_than_queries_is_an_error():
    three = PostprocessOptions(num_speakers=3)
    with pytest.raises(DiarizeError, match=r"rec: at least 3 speakers .* only 2 queries; "):
        decided(SPEAKER, np.zeros((4, 2)), np.ones(2), "rec", three, GRID)
    assert select_queries(np.ones(2), PostprocessOptions(max_speakers=9)) == [0, 1]


@given(
    mask=st.lists(st.booleans(), max_size=40),
    length=st.sampled_from([1, 3, 5, 7, 11, 61]),
)
def test_binary_median_is_the_median_with_silence_outside(mask, length):
    mask = np.array(mask, dtype=bool)
    expected = medfilt(np.pad(mask, 31).astype(float), length)[31:-31] > 0.5
    np.testing.assert_array_equal(binary_median(mask, length), expected)


@settings(max_examples=50)
@given(st.lists(st.booleans(), max_size=40), st.integers(0, 6), st.integers(0, 6))
def test_clean_runs_equals_filling_frame_by_frame(bits, gap, shortest):
    mask = np.array(bits, dtype=bool)
    expected = mask.copy()
    for lo, hi in mask_runs(~mask):
        if lo > 0 and hi < len(mask) and hi - lo < gap:
            expected[lo:hi] = True
    for lo, hi in mask_runs(expected):
        if hi - lo < shortest:
            expected[lo:hi] = False
    result = np.zeros_like(mask)
    for lo, hi in clean_runs(mask_runs(mask), gap, shortest):
        result[lo:hi] = True
    np.testing.assert_array_equal(result, expected)


def test_segments_are_labelled_by_first_appearance():
    posteriors = columns((0, 50, 70), (1, 10, 30), (1, 60, 80), (2, 10, 20), (3, 0, 100))
    activities = np.array([0.99, 0.9, 0.95, 0.2])  # query 3 is no speaker
    got = decided(SPEAKER, posteriors, activities, "rec", PostprocessOptions(), GRID)
    assert got == [
        Segment("rec", 0.1, 0.2, "spk1"),  # query 2: begins with query 1, but is more active
        Segment("rec", 0.1, 0.3, "spk2"),
        Segment("rec", 0.5, 0.7, "spk3"),
        Segment("rec", 0.6, 0.8, "spk2"),
    ]


def test_an_empty_mask_gives_no_segment_and_takes_no_number():
    posteriors = columns((0, 0, 0), (1, 5, 10))
    got = decided(SPEAKER, posteriors, np.array([0.99, 0.9]), "rec", PostprocessOptions(), GRID)
    assert got == [Segment("rec", 0.05, 0.1, "spk1")]
    empty = decided(SPEAKER, np.zeros((0, 2)), np.ones(2), "rec", PostprocessOptions(), GRID)
    assert empty == []


def test_masks_are_those_of_the_kept_queries_in_their_order():
    runs = SPEAKER.runs(np.array([[0.9, 0.2, 0.6], [0.4, 0.7, 0.5]]), 0.5, 1)
    assert SPEAKER.masks(runs, [2, 0]).tolist() == [[True, True], [False, False]]
    assert SPEAKER.masks(runs, []).shape == (2, 0)


def test_threshold_is_strict():
    posteriors = np.array([[0.5], [0.6], [0.5]])
    got = decided(SPEAKER, posteriors, np.ones(1), "rec", PostprocessOptions(), GRID)
    assert got == [Segment("rec", 0.01, 0.02, "spk1")]


def test_gaps_are_filled_before_short_turns_are_dropped():
    posteriors = columns((0, 0, 4), (0, 6, 10), (0, 50, 53))
    options = PostprocessOptions(min_gap=0.03, min_duration=0.05)
    assert decided(SPEAKER, posteriors, np.ones(1), "rec", options, GRID) == [
        Segment("rec", 0.0, 0.1, "spk1")
    ]
    # A gap of exactly min_gap stays, a turn of exactly min_duration too.
    options = PostprocessOptions(min_gap=0.02, min_duration=0.03)
    got = decided(SPEAKER, posteriors, np.ones(1), "rec", options, GRID)
    assert [(s.start, s.end) for s in got] == [(0.0, 0.04), (0.06, 0.1), (0.5, 0.53)]


def test_grid_of_20_ms_gives_times_of_20_ms():
    grid = FrameGrid(sample_rate=16000, hop=320)
    got = decided(SPEAKER, columns((0, 5, 10)), np.ones(1), "rec", PostprocessOptions(), grid)
    assert got == [Segment("rec", 0.1, 0.2, "spk1")]


def test_merge_iou_keeps_the_most_active_of_duplicates_only_when_asked():
    posteriors = columns((0, 0, 20), (1, 0, 18), (2, 18, 40))
    activities = np.array([0.9, 0.95, 0.85])
    plain = decided(SPEAKER, posteriors, activities, "rec", PostprocessOptions(), GRID)
    assert {s.label for s in plain} == {"spk1", "spk2", "spk3"}
    options = PostprocessOptions(merge_iou=0.8)
    merged = decided(SPEAKER, posteriors, activities, "rec", options, GRID)
    assert merged == [Segment("rec", 0.0, 0.18, "spk1"), Segment("rec", 0.18, 0.4, "spk2")]
    # IoU of queries 0 and 1 is exactly 0.9: not above.
    same = decided(SPEAKER, posteriors, activities, "rec", PostprocessOptions(merge_iou=0.9), GRID)
    assert same == plain


def test_merge_iou_with_num_speakers_goes_on_to_the_next_distinct_query():
    posteriors = columns((0, 0, 20), (1, 0, 20), (2, 30, 40))
    options = PostprocessOptions(merge_iou=0.5, num_speakers=2)
    got = decided(SPEAKER, posteriors, np.array([0.9, 0.8, 0.1]), "rec", options, GRID)
    assert got == [Segment("rec", 0.0, 0.2, "spk1"), Segment("rec", 0.3, 0.4, "spk2")]


@pytest.mark.parametrize(
    ("posteriors", "activities", "message"),
    [
        (np.full((3, 2), np.nan), np.ones(2), "recording rec: .*NaN or Inf"),
        (np.zeros((3, 2)), np.array([0.5, np.inf]), "recording rec: .*NaN or Inf"),
        (np.zeros((3, 2)), np.ones(3), r"recording rec: .*\(3, 2\).*\(3,\)"),
        (np.zeros(3), np.ones(3), "recording rec"),
    ],
)
def test_bad_network_output_names_the_recording(posteriors, activities, message):
    with pytest.raises(DiarizeError, match=message):
        decided(SPEAKER, posteriors, activities, "rec", PostprocessOptions(), GRID)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"query_threshold": 1.2}, "query_threshold must be between 0 and 1"),
        ({"median": 10}, "odd"),
        ({"median": -1}, "odd"),
        ({"min_duration": -0.1}, "min_duration"),
        ({"num_speakers": 2, "max_speakers": 3}, "excludes"),
        ({"min_speakers": 4, "max_speakers": 3}, "min_speakers must be .*3.* or less"),
        ({"merge_iou": 1.0}, "merge_iou"),
        ({"query_treshold": 0.5}, "did you mean 'query_threshold'"),
        ({"median": 3.0}, "median: expected int"),
    ],
)
def test_bad_options(mapping, message):
    with pytest.raises(DiarizeError, match=f"(?s)conf/infer.yaml.*{message}"):
        from_dict(PostprocessOptions, mapping, "conf/infer.yaml: postprocess")


def test_an_hour_with_50_queries_takes_well_under_a_few_seconds():
    rng = np.random.default_rng(0)
    posteriors = rng.random((360_000, 50), dtype=np.float32)
    began = time.process_time()
    options = PostprocessOptions(median=101, min_duration=0.1)
    got = decided(SPEAKER, posteriors, np.ones(50), "rec", options, GRID)
    assert time.process_time() - began < 10
    assert len({s.label for s in got}) == 50
