"""Listing 1 on masks against a count by hand over all permutations."""

import itertools

import pytest
import torch

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
def test_equals_the_count_by_hand(queries, speakers):
    torch.manual_seed(queries * 10 + speakers)
    system = torch.rand(3, 30, queries) > 0.5
    reference = torch.rand(3, 30, speakers) > 0.5
    lengths = torch.tensor([30, 20, 1])
    stats = mask_der_stats(system, reference, lengths)
    for b, n in enumerate(lengths.tolist()):
        assert stats[b].tolist() == slow_stats(system[b, :n], reference[b, :n], [True] * n)


def test_collar_takes_frames_on_both_sides_of_every_boundary():
    reference = torch.zeros(1, 12, 2, dtype=torch.bool)
    reference[0, 3:6, 0] = True
    reference[0, 9:12, 1] = True  # ends with the recording: a boundary too
    scored = collar_mask(reference, torch.tensor([12]), 1)
    assert scored[0].int().tolist() == [1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]
    scored = collar_mask(reference, torch.tensor([12]), 2)
    assert scored[0].int().tolist() == [1] + [0] * 11


def test_no_reference_and_no_system():
    empty = torch.zeros(1, 5, 2, dtype=torch.bool)
    full = torch.ones(1, 5, 1, dtype=torch.bool)
    lengths = torch.tensor([5])
    assert mask_der_stats(full, empty, lengths).tolist() == [[0, 0, 5, 0]]
    assert mask_der_stats(empty, full, lengths).tolist() == [[5, 5, 0, 0]]
    assert mask_der_stats(empty[..., :0], full, lengths).tolist() == [[5, 5, 0, 0]]


def test_collar_errors_are_counted_outside_the_collar_only():
    torch.manual_seed(5)
    reference = torch.zeros(1, 40, 2, dtype=torch.bool)
    reference[0, 5:20, 0] = True
    reference[0, 18:33, 1] = True
    system = torch.rand(1, 40, 2) > 0.4
    lengths = torch.tensor([40])
    scored = collar_mask(reference, lengths, 3)[0].tolist()
    expected = slow_stats(system[0], reference[0], scored)
    assert mask_der_stats(system, reference, lengths, 3)[0].tolist() == expected


@pytest.mark.parametrize("collar", [0, 25])
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bf16"])
def test_counts_of_long_masks_are_exact_under_autocast(half, collar):
    torch.manual_seed(7)
    reference = torch.rand(2, 300, 3) > 0.5
    reference = reference.repeat_interleave(100, dim=1)  # 30,000 frames, turns of a second
    system = reference[..., [2, 0, 1]] ^ (torch.rand(reference.shape) > 0.9)
    lengths = torch.tensor([30000, 29999])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        found = mask_der_stats(system, reference, lengths, collar)
        same = mask_der_stats(reference, reference, lengths, collar)
        scored = collar_mask(reference, lengths, collar)
    for b, n in enumerate(lengths.tolist()):
        ref, sys = (masks[b, :n].double().numpy() for masks in (reference, system))
        inside = scored[b, :n].numpy()
        right = (ref[:, [2, 0, 1]] * sys)[inside].sum()
        ref, sys = ref[inside].sum(1), sys[inside].sum(1)
        errors = [ref.sum(), (ref - sys).clip(0).sum(), (sys - ref).clip(0).sum()]
        assert found[b].tolist() == [*errors, ref.clip(max=sys).sum() - right]
        assert same[b].tolist() == [ref.sum(), 0, 0, 0]


def test_the_collar_is_the_same_under_autocast_however_many_turns():
    reference = (torch.arange(6000) % 20 < 10)[None, :, None]
    lengths = torch.tensor([6000])
    plain = collar_mask(reference, lengths, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(collar_mask(reference, lengths, 3), plain)
    assert int(plain.sum()) == 600 * 4 + 3  # the recording begins with speech, ends with silence


@pytest.mark.parametrize("collar", [0, 2])
def test_only_evaluated_frames_count_and_collars_reach_in_from_outside(collar):
    """Frame by frame, with boundaries taken from all of the reference."""
    torch.manual_seed(collar)
    system, reference = torch.rand(4, 40, 3) > 0.5, torch.rand(4, 40, 2) > 0.6
    reference[:, 1:] |= reference[:, :-1]
    lengths = torch.tensor([40, 33, 20, 40])
    evaluated = torch.rand(4, 8) > 0.4
    evaluated[3] = False
    evaluated = evaluated.repeat_interleave(5, 1) & (torch.arange(40) < lengths[:, None])
    found = mask_der_stats(system, reference, lengths, collar, evaluated)
    free = collar_mask(reference, lengths, collar)
    for b, n in enumerate(lengths.tolist()):
        inside = evaluated[b, :n]
        if collar == 0:
            expected = slow_stats(system[b, :n][inside], reference[b, :n][inside], [True] * n)
            assert found[b].tolist() == expected
        else:  # equally good mappings may differ inside collars
            scored = (inside & free[b, :n]).tolist()
            expected = slow_stats(system[b, :n], reference[b, :n], scored)
            assert found[b, :3].tolist() == expected[:3]
    assert found[3].tolist() == [0, 0, 0, 0]
    everything = mask_der_stats(system, reference, lengths, collar)
    all_frames = torch.arange(40) < lengths[:, None]
    again = mask_der_stats(system, reference, lengths, collar, all_frames)
    assert torch.equal(again, everything)
