"""EEND-EDA: sizes, padding, batch composition, the order of frames, steps of inference."""

import pytest
import torch

from diarize.config import from_dict
from diarize.models.eend_eda import EendEda, EendEdaOptions, existing
from diarize.nn.attractors import mixed_order

SMALL = {"encoder": {"dim": 16, "layers": 2, "heads": 2, "ff_dim": 32, "kernel": 7},
         "max_speakers": 4}


def make(kind="transformer", dropout=0.0, order="time"):
    torch.manual_seed(0)
    encoder = {**SMALL["encoder"], "type": kind, "dropout": dropout}
    return EendEda(from_dict(
        EendEdaOptions, {**SMALL, "encoder": encoder, "inference_order": order}, "test"
    ))


def test_the_published_number_of_parameters():
    """6.4 M: 4 layers of 256, 4 heads, 2048; 15 spliced frames of 23 mel bands; two LSTMs."""
    model = EendEda(EendEdaOptions())
    linear = 15 * 23 * 256 + 256
    attention, ff = 4 * (256 * 256 + 256), 256 * 2048 + 2048 + 2048 * 256 + 256
    lstm = 4 * (256 * 512 + 2 * 256)
    norms = 9 * 512
    expected = linear + 4 * (attention + ff) + norms + 2 * lstm + 257
    assert sum(p.numel() for p in model.parameters()) == expected == 6_402_305
    assert (model.grid.sample_rate, model.grid.hop) == (16000, 1600)


@pytest.mark.parametrize("kind", ["transformer", "conformer"])
@pytest.mark.parametrize("training", [True, False])
def test_padding_and_the_batch_change_nothing(kind, training):
    model = make(kind).train(training)
    waves, samples = 0.1 * torch.randn(3, 40_000), torch.tensor([40_000, 20_900, 33_000])
    orders = [torch.randperm((n + 800) // 1600) for n in samples.tolist()]
    padded = torch.arange(25).repeat(3, 1)
    for row, order in zip(padded, orders, strict=True):
        row[: len(order)] = order
    together = model(waves, samples, padded)
    for b, n in enumerate(samples.tolist()):
        count = (n + 800) // 1600
        for given in (None, torch.tensor([n])):
            alone = model(waves[b : b + 1, :n], given, orders[b][None])
            assert int(alone.lengths) == int(together.lengths[b]) == count
            close = {"atol": 1e-5, "rtol": 1e-5}
            torch.testing.assert_close(together.frames[b, :count], alone.frames[0], **close)
            for name in ("mask_embeddings", "activity_logits"):
                found = getattr(together, name)[:, b]
                torch.testing.assert_close(found, getattr(alone, name)[:, 0], **close)


def test_the_order_of_inference_is_that_of_the_option():
    in_time, shuffled = make().eval(), make(order="shuffled").eval()
    waves, samples = 0.1 * torch.randn(2, 40_000), torch.tensor([40_000, 25_000])
    order = mixed_order(25, torch.tensor([25, 16]), torch.device("cpu"))
    wanted = in_time(waves, samples, order).mask_embeddings
    torch.testing.assert_close(shuffled(waves, samples).mask_embeddings, wanted)
    alone = shuffled(waves[1:, :25_000]).mask_embeddings
    torch.testing.assert_close(alone[:, 0], wanted[:, 1], atol=1e-5, rtol=1e-5)
    assert (in_time(waves, samples).mask_embeddings - wanted).abs().max() > 1e-4
    shuffled.train()  # in training the order is an argument
    found = shuffled(waves, samples).mask_embeddings
    torch.testing.assert_close(found, in_time(waves, samples).mask_embeddings)


@pytest.mark.parametrize("kind", ["transformer", "conformer"])
@pytest.mark.parametrize("order", ["time", "shuffled"])
def test_the_steps_of_inference_give_the_forward_pass(kind, order):
    model = make(kind, order=order).eval()
    waves, samples = 0.1 * torch.randn(2, 40_000), torch.tensor([40_000, 25_000])
    with torch.no_grad():
        wanted = model(waves, samples)
        features, lengths = model.features(waves, samples)
        encoded = model.encode(features, lengths)
        queries, coarse = model.refine(encoded)
        frames = model.frames(encoded, 3, 9)
    torch.testing.assert_close(queries.mask_embeddings, wanted.mask_embeddings[0])
    torch.testing.assert_close(queries.activity_logits, wanted.activity_logits[0])
    torch.testing.assert_close(frames, wanted.frames[:, 3:9])
    assert coarse is encoded.memory


def test_the_order_reaches_the_attractors_and_not_the_frames():
    model = make()
    wave, order = 0.1 * torch.randn(1, 40_000), torch.randperm(25)[None]
    in_time, shuffled = model(wave), model(wave, None, order)
    torch.testing.assert_close(in_time.frames, shuffled.frames)
    assert (in_time.mask_embeddings - shuffled.mask_embeddings).abs().max() > 1e-4
    back = model(wave, None, torch.arange(25)[None])
    torch.testing.assert_close(back.mask_embeddings, in_time.mask_embeddings)


def test_activities_fall_in_evaluation_only():
    model = make()
    model.attractors.existence.weight.data *= 50
    wave = 0.1 * torch.randn(4, 40_000)
    trained = model(wave).activity_logits
    falling = model.eval()(wave).activity_logits
    assert (trained.diff() > 0).any()
    assert (falling.diff() <= 0).all()
    torch.testing.assert_close(falling, existing(trained))


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_speakers_are_the_attractors_before_the_first_that_does_not_exist(threshold):
    torch.manual_seed(0)
    for logits in torch.randn(50, 1, 6):
        below = [n for n in range(6) if logits[0, n] <= threshold]
        wanted = list(range(below[0] if below else 6))
        assert (existing(logits)[0] > threshold).nonzero().flatten().tolist() == wanted
