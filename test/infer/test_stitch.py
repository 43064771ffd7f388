"""Windows that become one table of speakers, on masks that are known."""

import itertools

import numpy as np
import pytest
import torch

from diarize.infer.stitch import (
    StitchedMasks,
    Stitcher,
    StitchOptions,
    Window,
    plan_windows,
)

FACTOR = 10


@pytest.mark.parametrize(
    ("frames", "window", "overlap"),
    [(1000, 500, 100), (1001, 500, 100), (8_640_000, 180_000, 12_000), (777, 700, 20), (50, 60, 5)],
)
def test_windows_cover_everything_and_overlap_enough(frames, window, overlap):
    found = plan_windows(frames, window, overlap, FACTOR)
    assert found[0][0] == 0
    assert found[-1][1] == frames
    for (a, b), (c, d) in itertools.pairwise(found):
        assert a < c < b < d
        assert b - c >= overlap - FACTOR
    assert all(first % FACTOR == 0 for first, _ in found)
    assert max(b - a for a, b in found) <= window + FACTOR
    lengths = [b - a for a, b in found]
    assert max(lengths) - min(lengths) <= 2 * FACTOR


def speech(num_frames, turns):
    """Masks (T, S) that are 1 in the turns (speaker, first, last)."""
    out = np.zeros((num_frames, 1 + max(s for s, _, _ in turns)), dtype=np.float32)
    for speaker, first, last in turns:
        out[first:last, speaker] = 1
    return out


def window(masks, first, last, order, activity=0.9, known=True):
    """A window in which query k is speaker ``order[k]``; every speaker has an axis of E."""
    part = masks[first:last]
    axes = 20 * torch.eye(masks.shape[1])
    coarse = torch.from_numpy(2 * part[::FACTOR] - 1)
    # Unknown: embeddings that say nothing from one window to the next.
    embeddings = axes[list(order)] if known else torch.zeros(len(order), masks.shape[1])
    activities = np.full(len(order), activity, dtype=np.float32)
    return Window(first, last, part[:, list(order)].copy(), activities, embeddings, coarse)


def stitched(windows, **options):
    stitcher = Stitcher(0, StitchOptions(**options))
    for one in windows:
        stitcher.add(one)
    return stitcher.finish(0.01, 8)


def same_up_to_order(found, masks):
    columns = {found[:, s].tobytes() for s in range(found.shape[1]) if found[:, s].any()}
    return columns == {np.ascontiguousarray(masks[:, s]).tobytes() for s in range(masks.shape[1])}


TURNS = [
    (0, 0, 300), (1, 250, 500), (0, 520, 700), (2, 700, 1100), (1, 1100, 1300), (0, 1300, 1500)
]


@pytest.mark.parametrize("known", [True, False])
def test_permuted_queries_become_the_same_speakers(known):
    """By the overlap alone where the embeddings say nothing: everybody speaks in each overlap."""
    masks = speech(1500, [(s, first, first + 60) for first in range(0, 1500, 60)
                          for s in [first // 60 % 3]])
    orders = list(itertools.permutations(range(3)))
    windows = [window(masks, a, b, orders[i % 6], known=known)
               for i, (a, b) in enumerate(plan_windows(1500, 600, 250, FACTOR))]
    assert len(windows) > 2
    found, activities, names, _ = stitched(windows)
    assert found.shape == (1500, 3)
    assert same_up_to_order(found, masks)
    np.testing.assert_allclose(activities, 0.9, atol=1e-6)
    assert names is None


def test_windows_of_silence_have_no_speaker():
    cuts = [(0, 600), (500, 1100)]
    windows = [window(np.zeros((1100, 3), np.float32), *cut, (0, 1, 2), 0.0) for cut in cuts]
    stitcher = Stitcher(0, StitchOptions())
    for one in windows:
        stitcher.add(one)
    masks, activities, names, embeddings = stitcher.finish(0.01, 0)
    assert masks.shape == (1100, 0)
    assert activities.shape == (0,)
    assert names is None
    assert embeddings.shape == (0, 3)


def test_a_speaker_silent_in_the_overlap_is_recalled_by_the_embedding():
    masks = speech(1500, TURNS)
    cuts = [(0, 600), (500, 1100), (1000, 1500)]
    orders = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]
    windows = [window(masks, *cut, order) for cut, order in zip(cuts, orders, strict=True)]
    found, *_ = stitched(windows)
    assert same_up_to_order(found, masks)


def test_without_a_memory_a_speaker_who_returns_is_somebody_new():
    """What is not possible: no speech in the overlap, and embeddings that say nothing."""
    masks = speech(1500, TURNS)
    cuts = [(0, 600), (500, 1100), (1000, 1500)]
    windows = [window(masks, *cut, (0, 1, 2), known=False) for cut in cuts]
    found, *_ = stitched(windows)
    assert np.count_nonzero(found[:].any(0)) > 3
    np.testing.assert_array_equal(found[:].sum(1), masks.sum(1))


def test_a_remembered_mask_that_fits_somebody_else_better_recalls_nobody():
    masks = speech(1000, [(0, 0, 400), (1, 500, 900), (2, 500, 760)])
    first = window(masks[:, :1], 0, 500, (0,))
    # In the second window the embedding of speaker 0 gives the mask of speaker 1.
    axes = 20 * torch.eye(3)
    coarse = torch.from_numpy(2 * masks[450::FACTOR][:, [1, 1, 2]] - 1)
    both = Window(450, 1000, masks[450:, [2, 1]].copy(), np.full(2, 0.9, np.float32),
                  axes[[2, 1]], coarse)
    first = Window(0, 500, first.masks, first.activities, axes[:1], coarse)
    stitcher = Stitcher(0, StitchOptions())
    stitcher.add(first)
    # The embedding of 0 equals both masks alike for query 1; query 0 (speaker 2) is new.
    stitcher.add(both)
    found, *_ = stitcher.finish(0.01, 8)
    assert sorted(int(found[:, s].sum()) for s in range(found.shape[1])) == [260, 800]


def test_the_table_is_bounded_and_the_least_likely_makes_place():
    masks = speech(1000, [(0, 0, 100), (1, 100, 200), (2, 400, 700), (3, 700, 1000)])
    early = window(masks, 0, 400, (0, 1), activity=0.3)
    late = window(masks, 350, 1000, (2, 3), activity=0.9)
    found, activities, *_ = stitched([early, late], most=3)
    assert found.shape == (1000, 3)
    np.testing.assert_allclose(sorted(activities), [0.3, 0.9, 0.9], atol=1e-6)
    assert sorted(found[:].sum(0).tolist()) == [100, 300, 300]
    found, activities, *_ = stitched([late_first(masks), early_last(masks)], most=2)
    np.testing.assert_allclose(activities, [0.9, 0.9], atol=1e-6)


def late_first(masks):
    return window(masks[::-1].copy(), 0, 600, (2, 3), activity=0.9)


def early_last(masks):
    return window(masks[::-1].copy(), 550, 1000, (0, 1), activity=0.3)


def test_fixed_queries_stay_first_and_names_are_averaged():
    masks = speech(800, [(0, 0, 800), (1, 0, 400), (2, 400, 800)])
    windows = []
    for (a, b), order in zip([(0, 500), (400, 800)], [(0, 1, 2), (0, 2, 1)], strict=True):
        one = window(masks, a, b, order)
        names = np.eye(3, dtype=np.float32)[list(order)]
        activities = np.array([0.1, 0.9, 0.8], np.float32)
        windows.append(Window(a, b, one.masks, activities, one.embeddings, one.coarse, names))
    stitcher = Stitcher(1)
    for one in windows:
        stitcher.add(one)
    found, activities, names, _ = stitcher.finish(0.01, 0)
    assert found.shape == (800, 3)
    np.testing.assert_array_equal(found[:, 0], 1)
    assert activities[0] == pytest.approx(0.1)
    assert names.shape == (3, 3)
    for s in range(3):  # who a column is, its mask and its name agree on
        speaker = int(names[s].argmax())
        np.testing.assert_array_equal(found[:, s], masks[:, speaker])


def test_stitched_masks_are_taken_apart_like_an_array():
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 65536, (50, 4)).astype(np.uint16)
    dense[:20, 3] = dense[20:, 1] = 0
    blocks = [
        (0, np.array([2, 0, 1]), dense[:20, [2, 0, 1]]),
        (20, np.array([3, 0, 2]), dense[20:, [3, 0, 2]]),
    ]
    masks, wanted = StitchedMasks(blocks, 4), dense.astype(np.float32) / 65535
    assert masks.shape == (50, 4)
    assert len(masks) == 50
    for key in (slice(None), slice(10, 33), (slice(None), 3), (slice(5, 25), slice(1, 3)),
                (slice(None), np.array([3, 0])), slice(60, 70), (slice(None), -1)):
        np.testing.assert_allclose(masks[key], wanted[key], atol=1e-7)
        assert masks[key].dtype == np.float32
    np.testing.assert_allclose(np.asarray(masks), wanted, atol=1e-7)
    with pytest.raises(TypeError):
        masks[3]


def test_the_embeddings_are_those_of_the_kept_speakers():
    masks = speech(1500, TURNS)
    cuts = [(0, 600), (500, 1100), (1000, 1500)]
    orders = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]
    windows = [window(masks, *cut, order) for cut, order in zip(cuts, orders, strict=True)]
    found, *_, embeddings = stitched(windows)
    assert embeddings.shape == (found.shape[1], windows[0].embeddings.shape[1])
    last = {tuple(row) for row in windows[-1].embeddings.tolist()}
    assert {tuple(row) for row in embeddings.tolist()} == last
