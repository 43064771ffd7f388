"""Multi-head attention and the Conformer against slow references."""

import math

import pytest
import torch

from diarize.nn.attention import MultiHeadAttention, length_mask
from diarize.nn.conformer import Conformer, ConformerLayer


def slow_attention(layer, q, k, v, mask):
    """One head, one query at a time."""
    dim = q.shape[-1]
    size = dim // layer.heads
    pq, pk, pv = layer.query(q), layer.key(k), layer.value(v)
    out = torch.zeros_like(pq)
    for b in range(q.shape[0]):
        for h in range(layer.heads):
            part = slice(h * size, (h + 1) * size)
            for n in range(q.shape[1]):
                scores = pk[b, :, part] @ pq[b, n, part] / math.sqrt(size)
                scores = torch.where(mask[b, n], scores, torch.tensor(-math.inf))
                out[b, n, part] = scores.softmax(0) @ pv[b, :, part]
    return layer.output(out)


def test_attention_equals_the_loop():
    torch.manual_seed(0)
    layer = MultiHeadAttention(8, 2)
    q, k = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.rand(2, 3, 5) > 0.4
    mask[..., 0] = True
    torch.testing.assert_close(layer(q, k, k, mask), slow_attention(layer, q, k, k, mask))
    everywhere = torch.ones_like(mask)
    torch.testing.assert_close(layer(q, k, k), slow_attention(layer, q, k, k, everywhere))


def test_attention_needs_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="no multiple of 3 heads"):
        MultiHeadAttention(8, 3)


def test_length_mask():
    assert length_mask(torch.tensor([0, 2]), 2).tolist() == [[False, False], [True, True]]


def test_conformer_has_the_papers_parameter_count():
    model = Conformer(dim=256, layers=6, heads=4, ff_dim=1024, kernel=49, dropout=0.1)
    assert sum(p.numel() for p in model.parameters()) == 9_165_312


def test_conformer_layer_agrees_with_torchaudio():
    """The same weights in torchaudio's layer (batch norm replaced) give the same output."""
    models = pytest.importorskip("torchaudio.models.conformer")
    torch.manual_seed(0)
    ours = ConformerLayer(8, heads=2, ff_dim=16, kernel=5, dropout=0.0).eval()
    theirs = models.ConformerLayer(8, 16, 2, 5, use_group_norm=True).eval()
    # A group norm of one group sees all frames; ours normalises each frame by itself.
    theirs.conv_module.sequential[3] = _FrameNorm(ours.convolution.norm)
    _copy(theirs.ffn1.sequential[0], ours.ff_in_norm)
    _copy(theirs.ffn1.sequential[1], ours.ff_in[0])
    _copy(theirs.ffn1.sequential[4], ours.ff_in[3])
    _copy(theirs.ffn2.sequential[0], ours.ff_out_norm)
    _copy(theirs.ffn2.sequential[1], ours.ff_out[0])
    _copy(theirs.ffn2.sequential[4], ours.ff_out[3])
    _copy(theirs.self_attn_layer_norm, ours.attention_norm)
    attention = ours.attention
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        for conv, linear in ((0, ours.convolution.expand), (5, ours.convolution.project)):
            theirs.conv_module.sequential[conv].weight.copy_(linear.weight[..., None])
            theirs.conv_module.sequential[conv].bias.copy_(linear.bias)
    _copy(theirs.self_attn.out_proj, attention.output)
    _copy(theirs.conv_module.layer_norm, ours.convolution.norm_in)
    _copy(theirs.conv_module.sequential[2], ours.convolution.depthwise)
    _copy(theirs.final_layer_norm, ours.norm)
    x = torch.randn(2, 11, 8)
    padding = ~length_mask(torch.tensor([11, 11]), 11)
    expected = theirs(x.transpose(0, 1), padding).transpose(0, 1)
    torch.testing.assert_close(ours(x, padding), expected)


def _copy(target, source):
    with torch.no_grad():
        target.weight.copy_(source.weight)
        if source.bias is not None:
            target.bias.copy_(source.bias)


class _FrameNorm(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


def test_conformer_ignores_padding():
    torch.manual_seed(0)
    model = Conformer(dim=8, layers=2, heads=2, ff_dim=16, kernel=7, dropout=0.0)
    x = torch.randn(2, 20, 8)
    together = model(x, torch.tensor([20, 13]))
    alone = model(x[1:, :13], torch.tensor([13]))
    torch.testing.assert_close(together[1, :13], alone[0], atol=1e-5, rtol=0)
