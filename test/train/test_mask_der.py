"""Listing 1 on masks against a count by hand over all permutations."""

import itertools

import numpy as np
import pytest

from diarize.train.mask_der import collar_mask, mask_der_stats


def slow_stats(system, reference, scored):
    """Count frame by frame, with the best of all one-to-one mappings by whole overlap."""
    frames, num_sys = system.shape
    num_ref = reference.shape[1]
    size = max(num_sys, num_ref)
    best, best_overlap = None, -1
    for phi in itertools.permutations(range(size), num_ref):
        overlap = sum(
            int((system[:, n] & reference[:, s]).sum()) for s, n in enumerate(phi) if n < num_sys
        )
        if overlap > best_overlap:
            best, best_overlap = phi, overlap
    total = [0, 0, 0, 0]
    for t in range(frames):
        if not scored[t]:
            continue
        ref, sys = int(reference[t].sum()), int(system[t].sum())
        right = sum(
            bool(system[t, n] & reference[t, s]) for s, n in enumerate(best) if n < num_sys
        )
        total[0] += ref
        total[1] += max(0, ref - sys)
        total[2] += max(0, sys - ref)
        total[3] += min(ref, sys) - right
    return total


@pytest.mark.parametrize(("queries", "speakers"), [(2, 2), (4, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("frames", [30, 20, 1])
def test_equals_the_count_by_hand(queries, speakers, frames):
    rng = np.random.default_rng(queries * 10 + speakers)
    system = rng.random((frames, queries)) > 0.5
    reference = rng.random((frames, speakers)) > 0.5
    found = mask_der_stats(system, reference)
    assert found.tolist() == slow_stats(system, reference, [True] * frames)


def test_collar_takes_frames_on_both_sides_of_every_boundary():
    reference = np.zeros((12, 2), bool)
    reference[3:6, 0] = True
    reference[9:12, 1] = True  # ends with the recording: a boundary too
    assert collar_mask(reference, 1).astype(int).tolist() == [1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert collar_mask(reference, 2).astype(int).tolist() == [1] + [0] * 11


def test_no_reference_and_no_system():
    empty, full = np.zeros((5, 2), bool), np.ones((5, 1), bool)
    assert mask_der_stats(full, empty).tolist() == [0, 0, 5, 0]
    assert mask_der_stats(empty, full).tolist() == [5, 5, 0, 0]
    assert mask_der_stats(empty[:0], full[:0], 1).tolist() == [0, 0, 0, 0]
    assert mask_der_stats(empty[:, :0], full).tolist() == [5, 5, 0, 0]
    assert mask_der_stats(full, empty[:, :0]).tolist() == [0, 0, 5, 0]


def test_collar_errors_are_counted_outside_the_collar_only():
    rng = np.random.default_rng(5)
    reference = np.zeros((40, 2), bool)
    reference[5:20, 0] = True
    reference[18:33, 1] = True
    system = rng.random((40, 2)) > 0.4
    scored = collar_mask(reference, 3).tolist()
    expected = slow_stats(system, reference, scored)
    assert mask_der_stats(system, reference, 3).tolist() == expected


@pytest.mark.parametrize("collar", [0, 25])
def test_counts_of_long_masks_are_exact(collar):
    rng = np.random.default_rng(7)
    reference = np.repeat(rng.random((300, 3)) > 0.5, 100, axis=0)  # turns of a second
    system = reference[:, [2, 0, 1]] ^ (rng.random(reference.shape) > 0.9)
    found = mask_der_stats(system, reference, collar)
    scored = collar_mask(reference, collar)
    ref, sys = reference[scored].astype(int), system[scored].astype(int)
    right = (ref[:, [2, 0, 1]] * sys).sum()
    ref, sys = ref.sum(1), sys.sum(1)
    errors = [ref.sum(), (ref - sys).clip(0).sum(), (sys - ref).clip(0).sum()]
    assert found.tolist() == [*errors, ref.clip(max=sys).sum() - right]
    assert mask_der_stats(reference, reference, collar).tolist() == [ref.sum(), 0, 0, 0]


def test_the_collar_of_many_turns():
    reference = (np.arange(6000) % 20 < 10)[:, None]
    # The recording begins with speech and ends with silence.
    assert collar_mask(reference, 3).sum() == 600 * 4 + 3


@pytest.mark.parametrize("collar", [0, 2])
@pytest.mark.parametrize("frames", [40, 33, 20])
def test_only_evaluated_frames_count_and_collars_reach_in_from_outside(frames, collar):
    """Frame by frame, with boundaries taken from all of the reference."""
    rng = np.random.default_rng(frames + collar)
    system, reference = rng.random((frames, 3)) > 0.5, rng.random((frames, 2)) > 0.6
    reference[1:] |= reference[:-1]
    inside = np.repeat(rng.random(8) > 0.4, 5)[:frames]
    found = mask_der_stats(system, reference, collar, inside)
    if collar == 0:
        expected = slow_stats(system[inside], reference[inside], [True] * int(inside.sum()))
        assert found.tolist() == expected
    else:  # equally good mappings may differ inside collars
        scored = (inside & collar_mask(reference, collar)).tolist()
        assert found[:3].tolist() == slow_stats(system, reference, scored)[:3]
    nowhere, everywhere = np.zeros(frames, bool), np.ones(frames, bool)
    assert mask_der_stats(system, reference, collar, nowhere).tolist() == [0, 0, 0, 0]
    everything = mask_der_stats(system, reference, collar)
    assert everything.tolist() == mask_der_stats(system, reference, collar, everywhere).tolist()
