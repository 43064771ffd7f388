"""The Transformer encoder: torch's own layers, and the same in pieces and without padding."""

import torch
from torch import nn

from diarize.nn.transformer import Transformer


def torch_layers(model, heads, ff_dim):
    """Return torch's post-norm layers with the weights of ``model``."""
    out = []
    for layer in model.layers:
        dim = layer.ff_norm.normalized_shape[0]
        other = nn.TransformerEncoderLayer(dim, heads, ff_dim, 0.0, batch_first=True).eval()
        a = layer.attention
        with torch.no_grad():
            projections = (a.query, a.key, a.value)
            other.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
            other.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        other.self_attn.out_proj.load_state_dict(a.output.state_dict())
        other.linear1.load_state_dict(layer.ff[0].state_dict())
        other.linear2.load_state_dict(layer.ff[3].state_dict())
        other.norm1.load_state_dict(layer.attention_norm.state_dict())
        other.norm2.load_state_dict(layer.ff_norm.state_dict())
        out.append(other)
    return out


def make(dropout=0.0):
    torch.manual_seed(0)
    model = Transformer(8, layers=2, heads=2, ff_dim=16, dropout=dropout)
    for parameter in model.parameters():  # no bias is 0, no norm the identity
        nn.init.normal_(parameter, std=0.5)
    return model


def test_the_layers_are_those_of_torch():
    model = make().eval()
    x, lengths = torch.randn(2, 30, 8), torch.tensor([30, 17])
    hidden = torch.arange(30) >= lengths[:, None]
    wanted = model.norm(x)
    for layer in torch_layers(model, 2, 16):
        wanted = layer(wanted, src_key_padding_mask=hidden)
    found = model(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length], wanted[row, :length], atol=1e-5, rtol=0)


def test_pieces_and_missing_lengths_change_nothing(monkeypatch):
    model = make().eval()
    x = torch.randn(2, 50, 8)
    wanted = model(x, torch.tensor([50, 50])).detach()
    for size in (7, 1000):
        monkeypatch.setattr("diarize.nn.pieces.CPU_PIECE", size)
        with torch.no_grad():
            torch.testing.assert_close(model(x), wanted, atol=1e-5, rtol=0)
            padded = model(x, torch.tensor([50, 31]))
            alone = model(x[1:, :31])
        torch.testing.assert_close(padded[1:, :31], alone, atol=1e-5, rtol=0)


def test_checkpointing_gives_the_same_gradients_dropout_included():
    model = make(dropout=0.3)
    x = torch.randn(2, 20, 8)
    found = []
    for model.checkpointing in (False, True):
        torch.manual_seed(1)
        loss = model(x).square().sum()
        found.append(torch.autograd.grad(loss, list(model.parameters())))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
