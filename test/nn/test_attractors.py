"""Attractors: the two LSTMs step by step, true lengths, pieces."""

import math

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from diarize.nn import attractors
from diarize.nn.attractors import EncoderDecoderAttractors, in_order, mixed_order


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def step(lstm, x, h, c):
    """One step of an LSTM in Python numbers; gates in the order input, forget, cell, output."""
    dim = len(h)
    w, u = lstm.weight_ih_l0.tolist(), lstm.weight_hh_l0.tolist()
    b = (lstm.bias_ih_l0 + lstm.bias_hh_l0).tolist()
    gates = [
        b[k] + sum(w[k][i] * x[i] for i in range(dim)) + sum(u[k][i] * h[i] for i in range(dim))
        for k in range(4 * dim)
    ]
    new_h, new_c = [], []
    for i in range(dim):
        cell = sigmoid(gates[dim + i]) * c[i] + sigmoid(gates[i]) * math.tanh(gates[2 * dim + i])
        new_c.append(cell)
        new_h.append(sigmoid(gates[3 * dim + i]) * math.tanh(cell))
    return new_h, new_c


def slow_attractors(model, frames, number):
    """The attractors of one recording and their existence, as lists."""
    dim = len(frames[0])
    h = c = [0.0] * dim
    for frame in frames:
        h, c = step(model.encoder, frame, h, c)
    found, exists = [], []
    for _ in range(number):
        h, c = step(model.decoder, [0.0] * dim, h, c)
        found.append(h)
        weight, bias = model.existence.weight[0].tolist(), model.existence.bias.item()
        exists.append(bias + sum(a * b for a, b in zip(weight, h, strict=True)))
    return found, exists


@pytest.fixture
def model():
    torch.manual_seed(0)
    return EncoderDecoderAttractors(6)


def test_attractors_are_those_of_a_loop(model):
    frames, lengths = torch.randn(3, 20, 6), torch.tensor([20, 7, 1])
    found, exists = model(frames, lengths, 4)
    for b, length in enumerate(lengths.tolist()):
        wanted = slow_attractors(model, frames[b, :length].tolist(), 4)
        torch.testing.assert_close(found[b], torch.tensor(wanted[0]), atol=1e-6, rtol=0)
        torch.testing.assert_close(exists[b], torch.tensor(wanted[1]), atol=1e-6, rtol=0)


def test_padding_and_the_batch_change_nothing(model):
    frames = torch.randn(2, 20, 6)
    together, _ = model(frames, torch.tensor([20, 11]), 3)
    frames[1, 11:] = 1e6
    torch.testing.assert_close(model(frames, torch.tensor([20, 11]), 3)[0], together)
    alone, _ = model(frames[1:, :11], None, 3)
    torch.testing.assert_close(together[1:], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_change_nothing(model, monkeypatch, size):
    frames = torch.randn(1, 30, 6)
    wanted, _ = model(frames, None, 3)
    monkeypatch.setattr("diarize.nn.pieces.CPU_PIECE", size)
    with torch.no_grad():
        torch.testing.assert_close(model(frames, None, 3)[0], wanted, atol=1e-6, rtol=0)


def test_without_padding_nothing_is_packed(model, monkeypatch):
    """On a GPU packing waits for the lengths."""
    packed = []
    monkeypatch.setattr(attractors, "pack_padded_sequence",
                        lambda *a, **k: packed.append(1) or pack_padded_sequence(*a, **k))
    frames = torch.randn(2, 20, 6)
    model(frames, None, 3)
    assert packed == []
    model(frames, torch.tensor([20, 11]), 3)
    assert packed == [1]


def test_the_mixed_order_depends_on_the_number_of_frames_alone():
    lengths = torch.tensor([500, 37, 1])
    together = mixed_order(500, lengths, torch.device("cpu"))
    for row, length in zip(together, lengths.tolist(), strict=True):
        alone = mixed_order(length, None, torch.device("cpu"))[0]
        assert row[:length].tolist() == alone.tolist()
        assert sorted(alone.tolist()) == list(range(length))
        assert row[length:].tolist() == list(range(length, 500))
    # As in a random permutation, neighbours are a third of the length apart on average.
    assert 0.3 < together[0].diff().abs().float().mean() / 500 < 0.37


def test_frames_in_another_order():
    frames = torch.arange(12.0).reshape(2, 3, 2)
    found = in_order(frames, torch.tensor([[2, 0, 1], [0, 2, 1]]))
    assert found[0].tolist() == [[4, 5], [0, 1], [2, 3]]
    assert found[1].tolist() == [[6, 7], [10, 11], [8, 9]]
