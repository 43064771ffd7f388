"""Each loss term against a reference written as loops over the paper's sums."""

import pytest
import torch
from plain import h, sigmoid, slow_bce, slow_dice

from diarize.losses import terms

T, N, S = 7, 4, 2


@pytest.fixture
def case():
    torch.manual_seed(0)
    logits = torch.randn(3, T, N)
    targets = (torch.rand(3, T, S) > 0.5).float()
    targets[:, 0] = 1.0
    lengths = [7, 5, 3]
    valid = torch.stack([(torch.arange(T) < n).float() for n in lengths])
    return logits, targets, valid, lengths


def test_pairwise_costs(case):
    logits, targets, valid, lengths = case
    bce = terms.pairwise_bce(logits, targets, valid)
    dice = terms.pairwise_dice(logits, targets, valid)
    for b, length in enumerate(lengths):
        for n in range(N):
            for s in range(S):
                slow = slow_bce(logits[b], targets[b], n, s, length) / length
                assert bce[b, n, s].item() == pytest.approx(slow, abs=1e-5)
                slow = slow_dice(logits[b], targets[b], n, s, length)
                assert dice[b, n, s].item() == pytest.approx(slow, abs=1e-5)


def test_class_cost_is_eq_7():
    cost = terms.matching_class_cost(torch.tensor([[0.0, 2.0]]), 3)
    assert cost.shape == (1, 2, 3)
    assert cost[0, 0].tolist() == [-0.5] * 3
    assert cost[0, 1, 0].item() == pytest.approx(-sigmoid(2.0))


def test_matched_sums_are_eqs_9_and_10(case):
    logits, targets, valid, lengths = case
    chosen = logits[..., :S]
    real = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    slow_9 = slow_10 = 0.0
    for b, length in enumerate(lengths):
        for s in range(int(real[b].sum())):
            slow_9 += slow_bce(chosen[b], targets[b], s, s, length)
            slow_10 += slow_dice(chosen[b], targets[b], s, s, length)
    assert terms.matched_bce(chosen, targets, valid, real).item() == pytest.approx(slow_9, rel=1e-5)
    got = terms.matched_dice(chosen, targets, valid, real).item()
    assert got == pytest.approx(slow_10, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_query_bce_is_eq_11(smoothing):
    logits = torch.tensor([1.0, -2.0, 0.5])
    matched = torch.tensor([1.0, 0.0, 0.0])
    loss = terms.query_bce(logits, matched, 0.2, smoothing)
    for i in range(3):
        p = matched[i].item()
        target = p * (1 - smoothing) + smoothing / 2
        slow = (1.0 * p + 0.2 * (1 - p)) * h(sigmoid(logits[i]), target)
        assert loss[i].item() == pytest.approx(slow, abs=1e-6)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[[200.0], [-200.0]]], requires_grad=True)
    targets = torch.tensor([[[0.0], [1.0]]])
    valid = torch.ones(1, 2)
    real = torch.ones(1, 1)
    loss = terms.matched_bce(logits, targets, valid, real)
    loss = loss + terms.matched_dice(logits, targets, valid, real)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(terms.pairwise_bce(logits, targets, valid)).all()
