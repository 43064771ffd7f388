"""The Conformer's depthwise convolution, and its layers in pieces and without padding."""

import pytest
import torch
from torch import nn

from diarize.nn.conformer import Conformer, DepthwiseConv


@pytest.mark.parametrize("kernel", [1, 7, 49])
def test_channels_last_is_the_same_convolution(kernel):
    torch.manual_seed(0)
    conv = DepthwiseConv(12, kernel)
    x = torch.randn(2, 40, 12, requires_grad=True)
    wanted = nn.Conv1d.forward(conv, x.transpose(1, 2)).transpose(1, 2)
    found = conv(x)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    weight = torch.randn_like(found)
    grads = [
        torch.autograd.grad((out * weight).sum(), (x, conv.weight, conv.bias), retain_graph=True)
        for out in (found, wanted)
    ]
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-5)


def test_pieces_and_missing_lengths_change_nothing(monkeypatch):
    torch.manual_seed(0)
    model = Conformer(8, layers=2, heads=2, ff_dim=16, kernel=5, dropout=0.0).eval()
    x = torch.randn(2, 50, 8)
    wanted = model(x, torch.tensor([50, 50])).detach()
    for size in (7, 1000):
        monkeypatch.setattr("diarize.nn.pieces.CPU_PIECE", size)
        with torch.no_grad():
            torch.testing.assert_close(model(x), wanted, atol=1e-6, rtol=0)
            padded = model(x, torch.tensor([50, 31]))
            alone = model(x[1:, :31])
        torch.testing.assert_close(padded[1:, :31], alone, atol=1e-6, rtol=0)
