"""ConvDown, ConvUp and Downsample: lengths, alignment and independence of padding."""

import pytest
import torch
from torch.nn import functional as F

from diarize.nn.resample import ConvDown, ConvUp, downsample, transposed_product


@pytest.mark.parametrize("frames", [1, 9, 10, 11, 99, 100, 101, 137])
def test_lengths_go_down_by_ceil_and_up_to_the_frame(frames):
    x = torch.randn(1, frames, 23)
    down = ConvDown(23, 8, factor=10, kernel=15, dropout=0.0)
    up = ConvUp(8, [3, 5], [2, 5])
    low, lengths = down(x, torch.tensor([frames]))
    assert low.shape == (1, -(-frames // 10), 8)
    assert lengths.tolist() == [-(-frames // 10)]
    assert up(low, lengths, frames).shape == (1, frames, 8)


def test_conv_down_sees_the_frames_around_its_span():
    down = ConvDown(1, 4, factor=10, kernel=15, dropout=0.0)
    x = torch.randn(1, 60, 1, requires_grad=True)
    low, _ = down(x, torch.tensor([60]))
    low[0, 3, 0].backward()
    # Span [30, 40) with (15 - 10) // 2 = 2 frames before it and 3 behind.
    assert x.grad[0, :, 0].nonzero().flatten().tolist() == list(range(28, 43))


def test_conv_up_output_depends_on_its_own_span_and_neighbours():
    up = ConvUp(4, [3, 5], [2, 5])
    x = torch.randn(1, 8, 4, requires_grad=True)
    y = up(x, torch.tensor([8]), 80)
    y[0, 35].sum().backward()
    seen = x.grad[0].abs().sum(-1).nonzero().flatten().tolist()
    assert 3 in seen
    assert set(seen) <= {2, 3, 4}


@pytest.mark.parametrize(("kernels", "strides"), [([3, 5], [2, 5]), ([5], [5]), ([4], [2])])
def test_conv_up_multiplies_the_length_exactly(kernels, strides):
    up = ConvUp(4, kernels, strides)
    factor = torch.tensor(strides).prod().item()
    assert up(torch.randn(2, 7, 4), torch.tensor([7, 5]), 1000).shape == (2, 7 * factor, 4)


def test_downsample_is_linear_interpolation():
    x = torch.randn(2, 120, 5)
    expected = F.interpolate(
        x.transpose(1, 2), scale_factor=0.1, mode="linear", align_corners=False
    ).transpose(1, 2)
    torch.testing.assert_close(downsample(x, torch.tensor([120, 120]), 10), expected)


def test_downsample_takes_the_last_frame_at_a_cut_span():
    x = torch.arange(23.0)[None, :, None]
    low = downsample(x, torch.tensor([23]), 10)
    assert low[0, :, 0].tolist() == [4.5, 14.5, 22.0]


def test_downsample_commutes_with_the_mask_product():
    frames, queries = torch.randn(2, 50, 8), torch.randn(2, 3, 8)
    lengths = torch.tensor([50, 37])
    before = downsample(frames, lengths, 10) @ queries.transpose(1, 2)
    after = downsample(frames @ queries.transpose(1, 2), lengths, 10)
    torch.testing.assert_close(before, after)


def test_resampling_ignores_padding():
    down, up = ConvDown(3, 8, 10, 15, 0.0), ConvUp(8, [3, 5], [2, 5])
    x = torch.randn(2, 200, 3)
    lengths = torch.tensor([200, 123])
    low, low_lengths = down(x, lengths)
    high = up(low, low_lengths, 200)
    alone, alone_lengths = down(x[1:, :123], lengths[1:])
    torch.testing.assert_close(low[1, :13], alone[0])
    torch.testing.assert_close(high[1, :123], up(alone, alone_lengths, 123)[0])


def test_sizes_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="skips frames"):
        ConvDown(3, 8, 10, 7, 0.0)
    with pytest.raises(ValueError, match="leaves gaps"):
        ConvUp(8, [1], [2])
    with pytest.raises(ValueError, match="2 kernels but 1"):
        ConvUp(8, [3, 5], [2])


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 5), (4, 2), (7, 3), (3, 1)])
def test_the_product_is_the_transposed_convolution(kernel, stride):
    torch.manual_seed(0)
    conv = ConvUp(6, [kernel], [stride]).convs[0]
    for frames in (1, 2, 17):
        x = torch.randn(2, frames, 6)
        with torch.no_grad():
            wanted = conv(x.transpose(1, 2)).transpose(1, 2)
            torch.testing.assert_close(transposed_product(x, conv), wanted, atol=1e-6, rtol=0)


def test_a_part_of_conv_up_is_cut_out_of_the_whole():
    torch.manual_seed(0)
    up = ConvUp(6, [3, 5], [2, 5])
    x, lengths = torch.randn(2, 30, 6), torch.tensor([30, 13])
    with torch.no_grad():
        for valid in (None, lengths):
            whole = up(x, valid, 300)
            for first, last in ((0, 4), (4, 11), (11, 30), (29, 30)):
                part = up.part(x, valid, first, last)
                torch.testing.assert_close(part, whole[:, 10 * first : 10 * last])
    with torch.enable_grad():  # the convolution itself
        torch.testing.assert_close(up(x, lengths, 300), whole, atol=1e-6, rtol=0)
