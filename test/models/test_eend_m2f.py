"""The whole EEND-M2F: parameter count, padding, batch composition, device-free facts."""

import pytest
import torch

from diarize.errors import DiarizeError
from diarize.features.ssl_conv import SslConvOptions
from diarize.features.ssl_full import SslFullOptions
from diarize.models.eend_m2f import BackboneOptions, DecoderOptions, EendM2f, EendM2fOptions

SMALL = EendM2fOptions(
    backbone=BackboneOptions(dim=16, layers=1, heads=2, ff_dim=32, kernel=7, dropout=0.0),
    decoder=DecoderOptions(queries=5, layers=2, heads=2, ff_dim=32),
)


def test_the_paper_model_has_16_2_million_parameters():
    model = EendM2f(EendM2fOptions())
    assert sum(p.numel() for p in model.parameters()) == 16_242_033
    assert sum(p.numel() for p in model.backbone.conformer.parameters()) == 9_165_312


@pytest.mark.parametrize("samples", [30_001, 25_333, 16_000, 1_600])
def test_padding_and_batch_composition_change_nothing(samples):
    torch.manual_seed(0)
    model = EendM2f(SMALL).eval()
    waveforms = torch.randn(3, 32_077)
    count = torch.tensor([32_077, samples, 20_000])
    with torch.no_grad():
        together = model(waveforms, count)
        alone = model(waveforms[1:2, :samples], count[1:2])
    frames = int(alone.lengths[0])
    assert frames == (samples + 80) // 160
    assert int(together.lengths[1]) == frames
    mask = together.mask_logits()[:, 1, :frames]
    torch.testing.assert_close(mask, alone.mask_logits()[:, 0], atol=1e-5, rtol=0)
    activity = together.activity_logits[:, 1]
    torch.testing.assert_close(activity, alone.activity_logits[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("front_end", ["ssl_conv", "ssl_full"])
def test_front_ends_are_shared_with_sage_ld(front_end):
    """Frames of 20 ms, encoder frames of 100 ms; nothing depends on the batch."""
    conv = SslConvOptions(norm="group", bias=False)
    torch.manual_seed(0)
    model = EendM2f(
        EendM2fOptions(
            front_end=front_end,
            ssl_conv=conv,
            ssl_full=SslFullOptions(
                conv, "wavlm", 32, 1, 2, 48, norm_first=False, weighted_sum=True
            ),
            backbone=BackboneOptions(
                dim=16, layers=1, heads=2, ff_dim=32, kernel=7, dropout=0.0,
                down_factor=5, down_kernel=7, up_kernels=[5], up_strides=[5],
            ),
            decoder=SMALL.decoder,
        )
    ).eval()  # fmt: skip
    assert (model.grid.hop, model.features.output_dim) == (
        320, {"ssl_conv": 512, "ssl_full": 32}[front_end])  # fmt: skip
    waveforms, count = torch.randn(2, 16_077), torch.tensor([16_077, 11_203])
    with torch.no_grad():
        together = model(waveforms, count)
        alone = model(waveforms[1:, :11_203], count[1:])
    frames = int(alone.lengths[0])
    assert frames == 35
    mask = together.mask_logits()[:, 1, :frames]
    torch.testing.assert_close(mask, alone.mask_logits()[:, 0], atol=2e-5, rtol=0)


def test_strides_must_undo_the_downsampling():
    with pytest.raises(DiarizeError, match="do not undo"):
        BackboneOptions(up_strides=[2, 4])
