"""The query decoder: eqs. (2) to (5), masked attention, permutation, no NaN."""

import torch
from torch.nn import functional as F

from diarize.nn.query_decoder import QueryDecoder, QueryLayer, attention_mask, mask_module


def make(masked_attention=True, queries=4, layers=2):
    torch.manual_seed(0)
    return QueryDecoder(8, queries, layers, 2, 16, masked_attention=masked_attention)


def inputs(batch=2, frames=40, factor=10):
    torch.manual_seed(1)
    lengths = torch.tensor([frames, frames - 13][:batch])
    low = -(-lengths // factor)
    return torch.randn(batch, frames, 8), lengths, torch.randn(batch, frames // factor, 8), low


def test_mask_module_is_eq_2():
    frames, embeddings = torch.randn(1, 5, 3), torch.randn(1, 2, 3)
    logits = mask_module(frames, embeddings)
    for t in range(5):
        for n in range(2):
            expected = sum(frames[0, t, d] * embeddings[0, n, d] for d in range(3))
            torch.testing.assert_close(logits[0, t, n], expected)


def plain_attention(part, q, k, v, hidden=None):
    """The same weights in torch's attention; ``hidden`` (N, T) is True where it must not look."""
    weights = [part.query.weight, part.key.weight, part.value.weight]
    biases = [part.query.bias, part.key.bias, part.value.bias]
    output, _ = F.multi_head_attention_forward(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), q.shape[-1], part.heads,
        torch.cat(weights), torch.cat(biases), None, None, False, 0.0,
        part.output.weight, part.output.bias, attn_mask=hidden,
    )  # fmt: skip
    return output.transpose(0, 1)


def plain_norm(norm, x):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * norm.weight + norm.bias


def test_query_layer_is_eq_4():
    torch.manual_seed(0)
    layer = QueryLayer(8, 2, 16, 0.0)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "norm" in name or "bias" in name:  # at first 1 or 0, which would hide a mistake
                parameter.normal_()
    q, p, memory = torch.randn(1, 3, 8), torch.randn(3, 8), torch.randn(1, 5, 8)
    mask = torch.tensor([[[1, 1, 0, 0, 1], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]]).bool()
    attended = plain_attention(layer.cross_attention, q + p, memory, memory, ~mask[0])
    first = plain_norm(layer.cross_norm, attended + q)
    attended = plain_attention(layer.self_attention, first + p, first + p, first)
    second = plain_norm(layer.self_norm, attended + first)
    enter, leave = layer.ff[0], layer.ff[3]
    hidden = (second @ enter.weight.T + enter.bias).clamp(min=0)
    expected = plain_norm(layer.ff_norm, hidden @ leave.weight.T + leave.bias + second)
    torch.testing.assert_close(layer(q, p, memory, mask), expected)


def test_attention_mask_hides_where_the_logit_is_negative():
    logits = torch.tensor([[[1.0, -1.0], [-2.0, -3.0], [0.5, -0.1]]])  # (1, T' = 3, N = 2)
    valid = torch.tensor([[True, True, False]])
    mask = attention_mask(logits, valid)
    assert mask[0, 0].tolist() == [True, False, False]  # frame 2 is padding
    assert mask[0, 1].tolist() == [True, True, False]  # would see nothing: sees all valid


def test_a_query_that_masks_everything_gives_no_nan():
    decoder = make()
    with torch.no_grad():
        decoder.mask_mlp[-1].weight.zero_()
        decoder.mask_mlp[-1].bias.fill_(-10.0)
    frames, lengths, memory, low = inputs()
    predictions = decoder(frames.abs(), lengths, memory, low, 10)
    assert (predictions.mask_logits() < 0).all()
    loss = predictions.activity_logits.sum() + predictions.mask_logits().sum()
    loss.backward()
    assert torch.isfinite(predictions.activity_logits).all()
    assert all(torch.isfinite(p.grad).all() for p in decoder.parameters() if p.grad is not None)


def test_permuting_the_queries_permutes_the_predictions():
    decoder, permuted = make(), make()
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        permuted.queries.copy_(decoder.queries[order])
        permuted.position.copy_(decoder.position[order])
    one, other = decoder(*inputs(), 10), permuted(*inputs(), 10)
    torch.testing.assert_close(one.mask_logits()[..., order], other.mask_logits())
    torch.testing.assert_close(one.activity_logits[..., order], other.activity_logits)


def test_masked_attention_changes_what_queries_see():
    one, other = make(True)(*inputs(), 10), make(False)(*inputs(), 10)
    torch.testing.assert_close(one.mask_logits()[0], other.mask_logits()[0])
    assert (one.mask_logits()[1] - other.mask_logits()[1]).abs().max() > 1e-3


def test_the_attention_mask_carries_no_gradient():
    decoder = make(layers=1)
    frames, lengths, memory, low = inputs()
    frames.requires_grad_()
    decoder(frames, lengths, memory, low, 10).activity_logits[-1].sum().backward()
    assert frames.grad is None


def test_every_layer_is_predicted_by_the_same_head():
    decoder = make(layers=3)
    predictions = decoder(*inputs(), 10)
    assert len(predictions.mask_embeddings) == 4
    assert predictions.mask_logits().shape == (4, 2, 40, 4)
    for layer in range(4):
        hidden = predictions.queries[layer]
        for linear in decoder.mask_mlp[:3:2]:
            hidden = (hidden @ linear.weight.T + linear.bias).clamp(min=0)
        embedding = hidden @ decoder.mask_mlp[4].weight.T + decoder.mask_mlp[4].bias
        torch.testing.assert_close(predictions.mask_embeddings[layer], embedding)
        activity = predictions.queries[layer] @ decoder.class_head.weight[0]
        expected = activity + decoder.class_head.bias
        torch.testing.assert_close(predictions.activity_logits[layer], expected)
    torch.testing.assert_close(predictions.queries[0, 1], decoder.queries)
    last = predictions.last()
    torch.testing.assert_close(last.mask_logits()[0], predictions.mask_logits()[-1])
