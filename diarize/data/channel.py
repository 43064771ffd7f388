"""Random recording channels: what a microphone, its amplifier and a codec do to a crop.

Equalisation, a limited band, a wandering level, clipping, the noise of the recorder, mu-law and
Opus at low rates.  Labels do not change: no effect moves sound in time.
"""

import io

import numpy as np

from diarize.io.resample import resample

_MU = 255.0
_TELEPHONE = 8000
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


def random_channel(
    waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Return ``waveform`` (n,) through a channel drawn by ``rng``, float32 (n,)."""
    size = len(waveform)
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak == 0:
        return waveform
    coins = rng.random(6)
    wave = waveform.astype(np.float32)
    if coins[0] < 0.8:
        wave = equalize(wave, sample_rate, rng)
    if coins[1] < 0.3:
        wave = wave * drift(size, sample_rate, rng)
    if coins[2] < 0.4:
        floor = 10 ** (rng.uniform(-75, -45) / 20) * np.abs(wave).max()
        wave = wave + np.float32(floor) * rng.standard_normal(size, dtype=np.float32)
    if coins[3] < 0.1:
        limit = np.quantile(np.abs(wave), rng.uniform(0.99, 0.9999))
        wave = np.clip(wave, -limit, limit) if limit > 0 else wave
    if coins[4] < 0.1:
        wave = mu_law(wave, sample_rate, telephone=bool(coins[5] < 0.5))
    elif coins[4] < 0.2:
        wave = opus(wave, sample_rate, rng.uniform(0.85, 1.0))
    return wave.astype(np.float32)


def equalize(wave: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``wave`` with a smooth random frequency response, perhaps of a limited band."""
    half = sample_rate / 2
    centres = np.geomspace(60, half, 9)
    level = rng.normal(0, rng.uniform(1, 5), size=len(centres))
    level += rng.uniform(-3, 3) * np.log2(centres / 1000)
    frequency = np.fft.rfftfreq(len(wave), 1 / sample_rate)
    gain = np.interp(np.maximum(frequency, 1), centres, level)
    if rng.random() < 0.3:
        low = rng.uniform(60, 350)
        gain -= 12 * np.maximum(0, np.log2(low / np.maximum(frequency, 1)))
    if rng.random() < 0.25:
        gain -= 48 * np.maximum(0, np.log2(np.maximum(frequency, 1) / rng.uniform(0.4, 1) / half))
    gain = np.clip(gain, -80, 30)
    spectrum = np.fft.rfft(wave) * 10 ** (gain / 20)
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def drift(size: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return gains (n,) that wander by up to about 6 dB over five seconds."""
    knots = rng.normal(0, rng.uniform(0.5, 4), size=3 + size // (5 * sample_rate))
    at = np.linspace(0, len(knots) - 1, size)
    return (10 ** (np.interp(at, range(len(knots)), knots) / 20)).astype(np.float32)


def mu_law(wave: np.ndarray, sample_rate: int, telephone: bool = False) -> np.ndarray:
    """Return ``wave`` coded in 8 bits by the mu-law (ITU-T G.711), its peak at full scale.

    ``telephone``: at 8 kHz.
    """
    size, peak = len(wave), np.abs(wave).max()
    if peak == 0:
        return wave
    if telephone and sample_rate > _TELEPHONE:
        wave = resample(wave, sample_rate, _TELEPHONE)
    scaled = np.clip(wave / peak, -1, 1)
    code = np.sign(scaled) * np.log1p(_MU * np.abs(scaled)) / np.log1p(_MU)
    code = np.round(code * 127) / 127
    out = peak * np.sign(code) * ((1 + _MU) ** np.abs(code) - 1) / _MU
    if telephone and sample_rate > _TELEPHONE:
        out = resample(out.astype(np.float32), _TELEPHONE, sample_rate)
    return _fit(out, size)


def opus(wave: np.ndarray, sample_rate: int, compression: float) -> np.ndarray:
    """Return ``wave`` after Opus; ``compression`` is libsndfile's, 1: the lowest rate, 6 kbit/s.

    At a sample rate that Opus does not have, returns ``wave`` unchanged.
    """
    import soundfile

    peak = np.abs(wave).max()
    if sample_rate not in _OPUS_RATES or peak == 0:
        return wave
    held = io.BytesIO()
    soundfile.write(
        held, wave * (0.5 / peak), sample_rate, format="OGG", subtype="OPUS",
        compression_level=compression,
    )  # fmt: skip
    held.seek(0)
    return _fit(soundfile.read(held, dtype="float32")[0] * (peak / 0.5), len(wave))


def _fit(wave: np.ndarray, size: int) -> np.ndarray:
    """Return ``wave`` with ``size`` samples: cut, or followed by silence."""
    return np.pad(wave[:size], (0, max(0, size - len(wave)))).astype(np.float32)
