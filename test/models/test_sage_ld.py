"""The whole SAGE-LD: size, padding, batch composition, the order of queries, front-ends."""

import pytest
import torch

from diarize.errors import DiarizeError
from diarize.features.logmel import LogMelOptions
from diarize.features.ssl_conv import SslConvOptions
from diarize.features.ssl_full import SslFullOptions
from diarize.models.eend_m2f import DecoderOptions
from diarize.models.sage_ld import EncoderOptions, SageLd, SageLdOptions

SMALL = {
    "encoder": EncoderOptions(dim=16, layers=1, heads=2, ff_dim=32, kernel=7, dropout=0.0),
    "decoder": DecoderOptions(queries=5, layers=2, heads=2, ff_dim=32),
    "languages": ["eng", "hin", "swa"],
    "ssl_full": SslFullOptions(SslConvOptions(pooling=5), dim=32, layers=1, heads=2, ff_dim=32),
}


def make(**options):
    torch.manual_seed(0)
    return SageLd(SageLdOptions(**{**SMALL, **options})).eval()


def test_the_defaults_are_the_papers():
    with torch.device("meta"):
        model = SageLd(SageLdOptions())
    parts = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert parts == {"features": 4_210_176, "encoder": 36_625_920, "decoder": 17_609_729}
    assert model.grid.hop == 320
    assert model.decoder.queries.shape == (5, 512)
    assert len(model.decoder.layers) == 4
    layer = model.encoder.conformer.layers[0]
    assert layer.attention.heads == 8
    assert layer.convolution.depthwise.kernel_size == (31,)
    assert model.language_head is None


@pytest.mark.parametrize("front_end", ["ssl_conv", "ssl_full", "log_mel"])
@pytest.mark.parametrize("samples", [12_001, 8_033])
def test_padding_and_batch_composition_change_nothing(front_end, samples):
    model = make(front_end=front_end)
    waveforms = torch.randn(2, 16_077)
    count = torch.tensor([16_077, samples])
    with torch.no_grad():
        together = model(waveforms, count)
        alone = model(waveforms[1:, :samples], count[1:])
    frames = model.grid.num_frames(samples)
    assert int(together.lengths[1]) == int(alone.lengths[0]) == frames
    mask = together.mask_logits()[:, 1, :frames]
    assert mask.shape == (3, frames, 5)
    torch.testing.assert_close(mask, alone.mask_logits()[:, 0], atol=1e-5, rtol=0)
    for one, other in (
        (together.activity_logits, alone.activity_logits),
        (together.label_logits, alone.label_logits),
    ):
        torch.testing.assert_close(one[:, 1], other[:, 0], atol=1e-5, rtol=0)


def test_the_order_of_queries_is_that_of_the_predictions():
    """Nothing in the network knows a query's place: the VAD slot is one by its training."""
    model, order = make(front_end="log_mel"), torch.tensor([0, 3, 1, 4, 2])
    waveforms, count = torch.randn(1, 9_000), torch.tensor([9_000])
    with torch.no_grad():
        before = model(waveforms, count)
        for rows in (model.decoder.queries, model.decoder.position):
            rows.copy_(rows[order])
        after = model(waveforms, count)
    torch.testing.assert_close(
        before.mask_logits()[..., order], after.mask_logits(), atol=1e-5, rtol=0
    )
    for name in ("activity_logits", "label_logits"):
        torch.testing.assert_close(
            getattr(before, name)[:, :, order], getattr(after, name), atol=1e-5, rtol=0
        )


def test_the_language_head_is_one_linear_of_the_queries():
    model = make(front_end="log_mel")
    with torch.no_grad():
        out = model(torch.randn(1, 9_000), torch.tensor([9_000]))
        expected = model.language_head(out.queries[-1])
    torch.testing.assert_close(out.last().label_logits[0], expected)
    assert out.label_logits.shape == (3, 1, 5, 3)
    assert out.frame_label_logits is None  # in training alone
    assert model.labels == ["eng", "hin", "swa"]


def test_in_training_the_head_names_the_frames_as_well():
    model = make(front_end="log_mel").train()
    out = model(torch.randn(1, 9_000), torch.tensor([9_000]))
    torch.testing.assert_close(out.frame_label_logits, model.language_head(out.frames))
    assert out.last().frame_label_logits.shape == (1, 28, 3)


@pytest.mark.parametrize(
    ("front_end", "hop"), [("ssl_conv", 320), ("ssl_full", 1600), ("log_mel", 320)]
)
def test_the_grid_is_the_front_ends(front_end, hop):
    assert make(front_end=front_end).grid.hop == hop
    assert make(front_end="log_mel", log_mel=LogMelOptions()).grid.hop == 160


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": DecoderOptions(queries=1)}, "one is the VAD slot"),
        ({"languages": ["eng", "eng"]}, "a name twice"),
        ({"languages": ["code switch"]}, "languages must be names without spaces"),
    ],
)
def test_options_refuse_nonsense(options, message):
    with pytest.raises(DiarizeError, match=message):
        SageLdOptions(**options)
