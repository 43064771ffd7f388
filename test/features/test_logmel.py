"""Log-mel features: frame count, alignment, values, padding."""

import pytest
import torch
import torchaudio

from diarize.errors import DiarizeError
from diarize.features.logmel import LogMel, LogMelOptions


@pytest.mark.parametrize("samples", [80, 160, 239, 240, 1000, 16_000, 16_079, 16_080])
def test_frames_are_samples_over_hop_rounded(samples):
    features, lengths = LogMel(LogMelOptions())(torch.randn(1, samples), torch.tensor([samples]))
    assert features.shape == (1, (samples + 80) // 160, 23)
    assert lengths.tolist() == [(samples + 80) // 160]


def test_a_click_is_seen_by_the_windows_around_it():
    options = LogMelOptions(normalize="none", floor=1e-12)
    waveform = torch.zeros(1, 16_000)
    waveform[0, 8_000 + 80] = 1.0  # the middle of frame 50
    features, _ = LogMel(options)(waveform, torch.tensor([16_000]))
    loudest = features[0].mean(-1)
    assert loudest.argmax().item() == 50
    # 25 ms windows every 10 ms: the click lies within 12.5 ms of the middles of 3 frames.
    assert (loudest > loudest.min() + 1.0).nonzero().flatten().tolist() == [49, 50, 51]


def test_values_are_the_log_of_torchaudios_mel_spectrogram():
    options = LogMelOptions(normalize="none", remove_offset=False)
    torch.manual_seed(0)
    waveform = torch.randn(1, 4_000)
    features, _ = LogMel(options)(waveform, torch.tensor([4_000]))
    reference = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=512, win_length=400, hop_length=160, f_min=20.0, n_mels=23, center=False,
        window_fn=lambda n: torch.hann_window(n, periodic=False),
    )
    # torch centres the window of 400 in the 512 of the transform: 56 samples on each side.
    padded = torch.nn.functional.pad(waveform, (120 + 56, 400))
    expected = reference(padded)[0].clamp(min=options.floor).log().T[:25]
    torch.testing.assert_close(features[0], expected, atol=1e-4, rtol=1e-4)


def plain_features(samples, options):
    """The features frame by frame, in double precision; the mean is that of each window."""
    layer, hop = LogMel(options), 160
    window = torch.hann_window(400, periodic=False, dtype=torch.float64)
    bank = layer.bank[::2].double()
    rows = []
    for t in range((len(samples) + hop // 2) // hop):
        first = t * hop + hop // 2 - 200
        low, high = max(first, 0), min(first + 400, len(samples))
        frame = torch.zeros(400, dtype=torch.float64)
        inside = samples[low:high].double()
        frame[low - first : high - first] = inside - inside.mean()
        rows.append((torch.fft.rfft(frame * window, 512).abs() ** 2) @ bank)
    return torch.stack(rows).clamp(min=options.floor).log()


@pytest.mark.parametrize("offset", [0.0, 0.1, -0.5])
@pytest.mark.parametrize("samples", [300, 4_000, 4_079, 4_080])
def test_an_offset_is_removed_from_each_window(samples, offset):
    """Also at the ends of a recording, by the mean of what lies inside of it."""
    options = LogMelOptions(normalize="none")
    torch.manual_seed(0)
    waveform = 0.05 * torch.randn(2, 5_000)
    waveform[0, :samples] += offset
    features, lengths = LogMel(options)(waveform, torch.tensor([samples, 5_000]))
    expected = plain_features(waveform[0, :samples], options)
    torch.testing.assert_close(features[0, : lengths[0]], expected.float(), atol=1e-3, rtol=1e-4)
    without = plain_features(waveform[0, :samples] - offset, options)
    torch.testing.assert_close(features[0, : lengths[0]], without.float(), atol=2e-3, rtol=1e-4)


class InBlocks:
    """A recording that is read in blocks, as `Samples`."""

    def __init__(self, samples, size):
        self.samples, self.size, self.num_samples = samples, size, len(samples)

    def blocks(self):
        return iter(self.samples.split(self.size))


@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("size", [100, 333, 1600, 100_000])
@pytest.mark.parametrize("samples", [641, 1_000, 20_011])
def test_a_stream_gives_the_features_of_the_whole(stack, size, samples):
    layer = LogMel(LogMelOptions(stack=stack, hop_ms=10.0 * stack))
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(samples) + 0.1
    whole, lengths = layer(waveform[None], torch.tensor([samples]))
    read = layer.open_recording(InBlocks(waveform, size))(0, int(lengths[0]))
    torch.testing.assert_close(read, whole, atol=1e-4, rtol=1e-4)


def test_padding_changes_nothing():
    layer = LogMel(LogMelOptions())
    waveforms = torch.randn(2, 8_000)
    together, lengths = layer(waveforms, torch.tensor([8_000, 5_050]))
    alone, own = layer(waveforms[1:, :5_050], torch.tensor([5_050]))
    assert lengths[1] == own[0] == 32
    torch.testing.assert_close(together[1, :32], alone[0], atol=1e-5, rtol=0)
    assert together[1, 32:].abs().max() == 0


def test_the_mean_is_removed_per_recording():
    features, _ = LogMel(LogMelOptions())(3.0 * torch.randn(1, 8_000), torch.tensor([8_000]))
    assert features[0].mean(0).abs().max() < 1e-5


@pytest.mark.parametrize("samples", [320, 639, 960, 8_000, 8_319, 8_320])
def test_stacked_windows_are_those_of_the_smaller_hop(samples):
    """Frame t holds windows 4 t .. 4 t + 3 of the features without stacking, in order."""
    options = {"hop_ms": 40.0, "num_mels": 7, "normalize": "none", "remove_offset": False}
    torch.manual_seed(0)
    waveform = torch.randn(1, samples)
    layer = LogMel(LogMelOptions(stack=4, **options))
    assert (layer.output_dim, layer.grid.hop) == (28, 640)
    features, lengths = layer(waveform, torch.tensor([samples]))
    assert lengths.tolist() == [features.shape[1]] == [layer.grid.num_frames(samples)]
    padded = torch.nn.functional.pad(waveform, (0, 640))
    fine, _ = LogMel(LogMelOptions(**{**options, "hop_ms": 10.0}))(
        padded, torch.tensor([samples + 640])
    )
    count = features.shape[1]
    expected = fine[0, : 4 * count].reshape(count, 28)
    torch.testing.assert_close(features[0], expected, atol=1e-4, rtol=1e-4)


def test_a_hop_that_cannot_be_divided_is_an_error():
    with pytest.raises(DiarizeError, match="hop of 160 samples cannot be divided into 3"):
        LogMel(LogMelOptions(stack=3))


def spliced(fine, samples, context, factor):
    """The frames of `LogMel` with splicing and subsampling, frame by frame from ``fine``."""
    count = (samples + 80 * factor) // (160 * factor)
    zeros = torch.zeros(fine.shape[1])
    rows = []
    for t in range(count):
        middle = t * factor + factor // 2
        near = range(middle - context, middle + context + 1)
        rows.append(torch.cat([fine[i] if 0 <= i < len(fine) else zeros for i in near]))
    return torch.stack(rows)


@pytest.mark.parametrize("samples", [850, 8_000, 8_799, 8_800, 16_079])
@pytest.mark.parametrize(("context", "factor"), [(7, 10), (2, 5), (3, 1), (1, 2)])
def test_spliced_frames_are_their_neighbours(samples, context, factor):
    torch.manual_seed(0)
    waveform = torch.randn(1, samples)
    layer = LogMel(LogMelOptions(context=context, subsampling=factor))
    found, lengths = layer(waveform, torch.tensor([samples]))
    assert layer.output_dim == 23 * (2 * context + 1) == found.shape[2]
    assert layer.grid.hop == 160 * factor
    assert lengths.tolist() == [layer.grid.num_frames(samples)] == [found.shape[1]]
    if factor % 2:  # the windows are those of the features without subsampling
        fine, _ = LogMel(LogMelOptions())(waveform, torch.tensor([samples]))
        expected = spliced(fine[0], samples, context, factor)
        torch.testing.assert_close(found[0], expected, atol=1e-4, rtol=1e-4)
    else:  # they are 80 samples earlier
        earlier = torch.nn.functional.pad(waveform, (80, 0))
        options = LogMelOptions(normalize="none", remove_offset=False)
        fine, _ = LogMel(options)(earlier, torch.tensor([samples + 80]))
        layer = LogMel(LogMelOptions(normalize="none", remove_offset=False, context=context,
                                     subsampling=factor))  # fmt: skip
        found, _ = layer(waveform, torch.tensor([samples]))
        expected = spliced(fine[0, : (samples + 80) // 160], samples, context, factor)
        torch.testing.assert_close(found[0], expected, atol=1e-3, rtol=1e-3)


def test_a_click_in_the_middle_of_a_subsampled_frame_is_in_its_middle():
    options = LogMelOptions(normalize="none", context=7, subsampling=10, remove_offset=False)
    waveform = torch.zeros(1, 16_000)
    waveform[0, 3 * 1600 + 800] = 1.0
    features, _ = LogMel(options)(waveform, torch.tensor([16_000]))
    energy = features[0].unflatten(1, (15, 23)).mean(-1)  # (T, windows)
    assert energy.flatten().argmax().item() == 3 * 15 + 7
    assert energy[3, 6] == pytest.approx(float(energy[3, 8]), abs=0.2)


@pytest.mark.parametrize("size", [333, 100_000])
@pytest.mark.parametrize("samples", [900, 4_000, 20_011])
def test_spliced_features_depend_neither_on_padding_nor_on_blocks(size, samples):
    layer = LogMel(LogMelOptions(context=7, subsampling=10))
    torch.manual_seed(0)
    waveforms = 0.1 * torch.randn(2, 24_000) + 0.1
    together, lengths = layer(waveforms, torch.tensor([samples, 24_000]))
    count = int(lengths[0])
    alone, _ = layer(waveforms[:1, :samples], torch.tensor([samples]))
    torch.testing.assert_close(together[0, :count], alone[0], atol=1e-4, rtol=1e-4)
    assert together[0, count:].abs().sum() == 0
    read = layer.open_recording(InBlocks(waveforms[0, :samples], size))
    parts = [read(t, min(t + 3, count)) for t in range(0, count, 3)]
    torch.testing.assert_close(torch.cat(parts, 1), alone, atol=1e-4, rtol=1e-4)


def test_subsampling_that_skips_frames_is_an_error():
    with pytest.raises(DiarizeError, match="context must be 5 or more"):
        LogMelOptions(context=4, subsampling=10)
