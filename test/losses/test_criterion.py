"""Matching and the whole criterion, eqs. (6) to (11), against enumeration and loops."""

import itertools

import pytest
import torch
from plain import h, sigmoid, slow_bce, slow_dice, slow_mask_logits

from diarize.errors import DiarizeError
from diarize.losses.criterion import Criterion, CriterionOptions
from diarize.losses.matcher import match
from diarize.nn.outputs import QueryPredictions


def predictions(batch=3, frames=9, queries=4, layers=2, dim=6):
    torch.manual_seed(0)
    return QueryPredictions(
        frames=torch.randn(batch, frames, dim),
        mask_embeddings=torch.randn(layers, batch, queries, dim),
        activity_logits=torch.randn(layers, batch, queries),
        lengths=torch.tensor([9, 7, 4]),
    )


def labels(counts=(2, 3, 0), frames=9, lengths=(9, 7, 4)):
    torch.manual_seed(1)
    targets = torch.zeros(3, frames, 3)
    for b, (count, length) in enumerate(zip(counts, lengths, strict=True)):
        targets[b, :length, :count] = (torch.rand(length, count) > 0.5).float()
        targets[b, 0, :count] = 1.0
    return targets, list(counts)


def slow_loss(p, targets, counts, o):
    """Eq. (8) summed over the layers, by loops over frames and all matchings."""
    total = 0.0
    layers, batch, queries = p.activity_logits.shape
    for layer in range(layers):
        bce = dice = cls = 0.0
        frames = speakers = weight = 0.0
        for b in range(batch):
            length, count = int(p.lengths[b]), counts[b]
            x = slow_mask_logits(p.frames[b], p.mask_embeddings[layer, b])
            y = targets[b]
            active = [sigmoid(logit) for logit in p.activity_logits[layer, b]]
            # The matching has no smoothing of labels, eq. (6).
            costs = [
                [
                    o.bce * slow_bce(x, y, n, s, length) / length
                    + o.dice * slow_dice(x, y, n, s, length)
                    - o.cls * active[n]
                    for s in range(count)
                ]
                for n in range(queries)
            ]
            best = min(
                itertools.permutations(range(queries), count),
                key=lambda phi, costs=costs: sum(costs[n][s] for s, n in enumerate(phi)),
            )
            for s, n in enumerate(best):
                bce += slow_bce(x, y, n, s, length, o.mask_label_smoothing)
                dice += slow_dice(x, y, n, s, length)
            for n in range(queries):
                own = 1.0 if n in best else o.negative_weight
                target = (n in best) * (1 - o.label_smoothing) + o.label_smoothing / 2
                cls += own * h(active[n], target)
                weight += own
            frames += length * count
            speakers += count
        total += o.bce * bce / frames + o.dice * dice / speakers + o.cls * cls / weight
    return total


@pytest.mark.parametrize(
    "options",
    [
        CriterionOptions(),
        CriterionOptions(label_smoothing=0.1, mask_label_smoothing=0.05),
        CriterionOptions(negative_weight=0.7),
        CriterionOptions(dice=0.0),
        CriterionOptions(bce=0.0),
    ],
)
def test_loss_equals_brute_force(options):
    p, (targets, counts) = predictions(), labels()
    criterion = Criterion(options)
    normalizers = criterion.normalizers(p.lengths, counts, 4)
    loss, stats = criterion.loss(p, targets, counts, normalizers)
    assert loss.item() == pytest.approx(slow_loss(p, targets, counts, options), rel=1e-5)
    assert set(stats) == {"bce", "dice", "cls"}


def test_without_deep_supervision_only_the_last_layer_counts():
    p, (targets, counts) = predictions(), labels()
    criterion = Criterion(CriterionOptions(deep_supervision=False))
    normalizers = criterion.normalizers(p.lengths, counts, 4)
    loss, _ = criterion.loss(p, targets, counts, normalizers)
    p.mask_embeddings, p.activity_logits = p.mask_embeddings[-1:], p.activity_logits[-1:]
    slow = slow_loss(p, targets, counts, CriterionOptions())
    assert loss.item() == pytest.approx(slow, rel=1e-5)


def test_silence_contributes_the_class_loss_only():
    p, (targets, counts) = predictions(), labels(counts=(0, 0, 0))
    criterion = Criterion(CriterionOptions())
    normalizers = criterion.normalizers(p.lengths, counts, 4)
    p.activity_logits.requires_grad_()
    p.mask_embeddings.requires_grad_()
    loss, stats = criterion.loss(p, targets, counts, normalizers)
    loss.backward()
    assert stats["bce"] == 0
    assert stats["dice"] == 0
    assert stats["cls"] > 0
    assert p.mask_embeddings.grad.abs().max() == 0
    assert torch.isfinite(p.activity_logits.grad).all()


def test_a_batch_in_which_nobody_speaks_has_a_loss():
    """Its targets have no column at all."""
    p, counts = predictions(), [0, 0, 0]
    criterion = Criterion(CriterionOptions())
    normalizers = criterion.normalizers(p.lengths, counts, 4)
    narrow, _ = criterion.loss(p, torch.zeros(3, 9, 0), counts, normalizers)
    padded, _ = criterion.loss(p, torch.zeros(3, 9, 2), counts, normalizers)
    assert narrow == padded > 0


def test_padding_batch_composition_and_query_order_do_not_change_the_loss():
    p, (targets, counts) = predictions(), labels()
    criterion = Criterion(CriterionOptions())
    normalizers = criterion.normalizers(p.lengths, counts, 4)
    whole, _ = criterion.loss(p, targets, counts, normalizers)
    parts = 0.0
    for b, length in enumerate(p.lengths.tolist()):
        part = QueryPredictions(
            p.frames[b : b + 1, :length],
            p.mask_embeddings[:, b : b + 1],
            p.activity_logits[:, b : b + 1],
            p.lengths[b : b + 1],
        )
        own = targets[b : b + 1, :length, : max(counts[b], 1)]
        parts += criterion.loss(part, own, counts[b : b + 1], normalizers)[0]
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    order = torch.tensor([3, 1, 0, 2])
    shuffled = QueryPredictions(
        p.frames, p.mask_embeddings[:, :, order], p.activity_logits[:, :, order], p.lengths
    )
    again, _ = criterion.loss(shuffled, targets, counts, normalizers)
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-5)


def test_match_is_optimal():
    torch.manual_seed(0)
    for _ in range(20):
        cost = torch.randn(1, 5, 3)
        got = match(cost, [3])[0]
        value = sum(cost[0, got[s], s] for s in range(3))
        best = min(
            sum(cost[0, phi[s], s].item() for s in range(3))
            for phi in itertools.permutations(range(5), 3)
        )
        assert value.item() == pytest.approx(best)


def test_match_errors_name_the_recording():
    cost = torch.zeros(2, 3, 2)
    cost[1, 0, 0] = float("nan")
    with pytest.raises(DiarizeError, match=r"recording b: the matching cost is not finite"):
        match(cost, [2, 2], ["a", "b"])
    with pytest.raises(DiarizeError, match=r"recording a has 4 speakers .* 3 queries"):
        match(torch.zeros(1, 3, 4), [4], ["a"])


def test_padded_columns_may_hold_anything_finite():
    cost = torch.zeros(1, 3, 2)
    cost[0, 1, 0] = -1.0
    cost[0, :, 1] = float("nan")
    assert match(cost, [1])[0, 0].item() == 1


def test_options_refuse_nonsense():
    with pytest.raises(DiarizeError, match="bce must be 0 or more"):
        CriterionOptions(bce=-1.0)
    with pytest.raises(DiarizeError, match="both be 0"):
        CriterionOptions(bce=0.0, dice=0.0)
