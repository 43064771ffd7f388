"""Muon against singular values and torch's own."""

import math

import pytest
import torch

from diarize.train.muon import Muon, orthogonalize

SHAPES = [(6, 4), (4, 6), (6, 6), (6, 6), (4, 6), (12, 5), (1, 7)]


def weights(seed=0):
    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def test_singular_values_become_about_one_and_directions_stay():
    torch.manual_seed(0)
    matrices = torch.randn(3, 8, 20)
    for given in (matrices, matrices.mT, 1e3 * matrices):
        found = orthogonalize(given).double()
        u, _, v = torch.linalg.svd(given.double(), full_matrices=False)
        turned = u.mT @ found @ v.mT
        sizes = torch.diagonal(turned, dim1=1, dim2=2)
        assert ((sizes > 0.6) & (sizes < 1.3)).all()
        assert (turned - torch.diag_embed(sizes)).abs().max() < 0.05
    assert torch.equal(orthogonalize(torch.zeros(2, 3, 3)), torch.zeros(2, 3, 3))


def test_a_matrix_is_not_changed_by_those_beside_it():
    torch.manual_seed(1)
    matrices = torch.randn(5, 16, 32)
    alone = torch.cat([orthogonalize(m[None]) for m in matrices])
    assert (orthogonalize(matrices).float() - alone.float()).abs().max() < 0.02


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon is of torch 2.9")
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_steps_as_torch_does(decay):
    ours, theirs = weights(), weights()
    mine = Muon(ours, lr=0.02, weight_decay=decay)
    reference = torch.optim.Muon(
        theirs, lr=0.02, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(5):
        torch.manual_seed(10 + step)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        if step == 2:
            ours[1].grad = theirs[1].grad = None  # is left as it is
        mine.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.02 / (step + 1)
        mine.step()
        reference.step()
    moved = [(a - b).abs().max() for a, b in zip(ours, weights(), strict=True)]
    assert min(moved) > 0.005
    # A step's largest weight is some 0.2 sqrt(12) lr; bfloat16 rounds to 1/256 of that.
    allowed = 5 * 0.02 * 0.2 * math.sqrt(12) / 64
    assert all((a - b).abs().max() < allowed for a, b in zip(ours, theirs, strict=True))
