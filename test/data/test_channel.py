"""Random recording channels: no effect moves sound, none changes the length."""

import numpy as np
import pytest

from diarize.data import channel

RATE = 16000


def bursts(seconds=2.0):
    """Quiet noise with a loud tone from 0.5 to 0.7 s and from 1.5 to 1.7 s."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 0.001 * rng.standard_normal(len(time))
    for start in (0.5, 1.5):
        inside = (time >= start) & (time < start + 0.2)
        wave[inside] += 0.3 * np.sin(2 * np.pi * 900 * time[inside])
    return wave.astype(np.float32)


def test_every_channel_keeps_length_and_times():
    wave = bursts()
    for seed in range(60):
        out = channel.random_channel(wave, RATE, np.random.default_rng(seed))
        assert out.shape == wave.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        power = (out.reshape(-1, 160) ** 2).mean(1)
        loud = power > 0.1 * np.median(power[52:68])
        for first, last in ((50, 70), (150, 170)):
            assert loud[first + 2 : last - 2].all()
            assert not loud[first - 15 : first - 3].any()
            assert not loud[last + 4 : last + 15].any()


def test_same_seed_same_channel_and_silence_stays():
    wave = bursts(1.0)
    once, again = (channel.random_channel(wave, RATE, np.random.default_rng(7)) for _ in "ab")
    np.testing.assert_array_equal(once, again)
    silence = np.zeros(800, np.float32)
    np.testing.assert_array_equal(
        channel.random_channel(silence, RATE, np.random.default_rng(1)), silence
    )


@pytest.mark.parametrize("telephone", [False, True])
def test_mu_law_has_the_error_of_eight_bits(telephone):
    time = np.arange(RATE) / RATE
    wave = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    out = channel.mu_law(wave, RATE, telephone)
    inner = slice(1000, -1000)
    noise = np.mean((out - wave)[inner] ** 2) / np.mean(wave[inner] ** 2)
    assert -45 < 10 * np.log10(noise) < -30


def test_telephone_has_no_treble():
    wave = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    power = np.abs(np.fft.rfft(channel.mu_law(wave, RATE, telephone=True))) ** 2
    assert power[4500:].mean() < 1e-3 * power[500:3500].mean()


def test_opus_at_its_lowest_rate_is_heard_but_not_moved():
    rng = np.random.default_rng(0)
    wave = np.repeat(rng.standard_normal(8000), 4).astype(np.float32)  # its band is below 2 kHz
    out = channel.opus(wave, RATE, 1.0)
    assert out.shape == wave.shape
    assert not np.array_equal(out, wave)
    shift = np.argmax(np.correlate(out, wave, "full")) - (len(wave) - 1)
    assert abs(int(shift)) <= 16  # 1 ms
    odd = wave[:11025]
    np.testing.assert_array_equal(channel.opus(odd, 11025, 1.0), odd)
