"""Sounds that are not speech, from numbers alone: room noise, hum, impacts, breath, laughter.

Each function returns float64 samples (n,) at 16 kHz with an RMS of 1 over the sound (`babble` and
`scene` over the whole).  The ranges are wide on purpose: a network that has heard many kinds of
each sound as silence does not depend on the details of one.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import fftconvolve

RATE = 16000


def shaped(rng: np.random.Generator, count: int, bands: np.ndarray) -> np.ndarray:
    """Return Gaussian noise whose spectrum follows ``bands``: rows of (frequency, dB), rising."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    spectrum *= 10 ** (np.interp(frequency, bands[:, 0], bands[:, 1]) / 20)
    spectrum[0] = 0
    return unit(np.fft.irfft(spectrum, count))


def unit(wave: np.ndarray) -> np.ndarray:
    """Return ``wave`` at an RMS of 1; silence unchanged."""
    power = float(np.mean(wave**2))
    return wave / np.sqrt(power) if power > 0 else wave


def slow_level(rng: np.random.Generator, count: int, deviation: float) -> np.ndarray:
    """Return gains (n,) that wander by ``deviation`` dB over about three seconds."""
    knots = rng.normal(0, deviation, size=3 + count // (3 * RATE))
    return 10 ** (np.interp(np.linspace(0, len(knots) - 1, count), range(len(knots)), knots) / 20)


def room_noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return the noise of a room: falling spectrum, a few resonances, perhaps no treble."""
    frequency = np.array([0, 30, 60, 125, 250, 500, 1000, 2000, 3000, 4000, 5500, 8000])
    octaves = np.log2(np.maximum(frequency, 60) / 60)
    level = -rng.uniform(0, 8) * octaves + rng.normal(0, 4, size=len(frequency))
    level[0] = level[1] = level[2] - rng.uniform(0, 20)
    if rng.random() < 0.3:
        level[frequency > rng.uniform(3000, 7500)] -= 30
    wave = shaped(rng, count, np.stack([frequency, level], axis=1))
    return unit(wave * slow_level(rng, count, rng.uniform(0, 3)))


def hum(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return mains hum: 50 or 60 Hz and harmonics of random strength, slightly unsteady."""
    base = rng.choice([50.0, 60.0]) * (1 + rng.normal(0, 0.001))
    time = np.arange(count) / RATE
    wave, slope = np.zeros(count), rng.uniform(0.3, 1.5)
    for harmonic in range(1, int(rng.integers(3, 30))):
        size = harmonic**-slope * rng.lognormal(0, 0.8)
        wave += size * np.sin(2 * np.pi * (base * harmonic * time + rng.random()))
    return unit(wave * slow_level(rng, count, rng.uniform(0, 1)))


def music(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return a texture of tones: chords of harmonic or bell-like notes, a new one every beat."""
    wave, beat = np.zeros(count), int(rng.uniform(0.15, 0.8) * RATE)
    root, bell = rng.uniform(55, 440), rng.random() < 0.3
    decay, slope = rng.uniform(0.2, 3.0), rng.uniform(0.5, 2.0)
    for start in range(0, count, beat):
        size = min(count - start, int(3 * decay * RATE) + 1)
        time = np.arange(size) / RATE
        envelope = np.exp(-time / decay) * np.minimum(1, time / rng.uniform(0.002, 0.1))
        for _ in range(int(rng.integers(1, 4))):
            pitch = root * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 12, 14, 16, 19]) / 12)
            for harmonic in range(1, 12):
                at = pitch * (harmonic**1.1 if bell else harmonic)
                if at > 7500:
                    break
                tone = np.sin(2 * np.pi * (at * time + rng.random()))
                wave[start : start + size] += envelope * tone * harmonic**-slope
    return unit(wave)


def impact(rng: np.random.Generator) -> np.ndarray:
    """Return a knock, a click or a rattle: damped resonances after a short burst of noise."""
    size = int(rng.uniform(0.02, 0.5) * RATE)
    time = np.arange(size) / RATE
    wave = np.zeros(size)
    for _ in range(int(rng.integers(1, 7))):
        frequency, decay = np.exp(rng.uniform(np.log(80), np.log(6000))), rng.uniform(0.002, 0.08)
        wave += rng.normal() * np.exp(-time / decay) * np.sin(2 * np.pi * frequency * time)
    wave += rng.uniform(0, 1) * rng.standard_normal(size) * np.exp(-time / rng.uniform(0.001, 0.02))
    again = np.zeros(int(rng.integers(1, 6)) * int(rng.uniform(0.05, 0.25) * RATE) + 1)
    again[:: max(1, int(rng.uniform(0.05, 0.25) * RATE))] = 1
    return unit(fftconvolve(wave, again * rng.uniform(0.3, 1, size=len(again))))


def rustle(rng: np.random.Generator) -> np.ndarray:
    """Return paper or cloth: bright noise in quick irregular strokes."""
    count = int(rng.uniform(0.2, 2.0) * RATE)
    bands = np.array([
        [0, -40], [300, -20], [rng.uniform(1000, 4000), 0], [8000, rng.uniform(-15, 0)],
    ])  # fmt: skip
    strokes = rng.normal(0, 8, size=3 + count // int(0.03 * RATE))
    at = np.linspace(0, len(strokes) - 1, count)
    gain = 10 ** (np.interp(at, range(len(strokes)), strokes) / 20)
    return unit(shaped(rng, count, bands) * gain * np.hanning(count))


def breath(rng: np.random.Generator) -> np.ndarray:
    """Return an intake of breath: noise with the resonances of an open throat, rising, falling."""
    count = int(rng.uniform(0.2, 1.3) * RATE)
    top = rng.uniform(900, 2800)
    bands = np.array([
        [0, -50], [rng.uniform(100, 300), -15], [rng.uniform(400, 800), rng.uniform(-8, 2)],
        [top, rng.uniform(-5, 5)], [top + 1200, rng.uniform(-10, 0)], [6000, rng.uniform(-25, -5)],
        [8000, rng.uniform(-40, -15)],
    ])  # fmt: skip
    peak = rng.uniform(0.2, 0.9)
    at = np.linspace(0, 1, count)
    envelope = np.where(at < peak, at / peak, (1 - at) / (1 - peak)) ** rng.uniform(0.6, 2)
    return unit(shaped(rng, count, bands) * envelope)


def voiced(rng: np.random.Generator, count: int, pitch: np.ndarray, noise: float) -> np.ndarray:
    """Return pulses of fundamental ``pitch`` (n,) Hz, with ``noise``, through random formants."""
    phase = np.cumsum(pitch) / RATE
    pulses = np.zeros(count)
    pulses[1:] = np.floor(phase[1:]) > np.floor(phase[:-1])
    source = unit(pulses) * (1 - noise) + noise * rng.standard_normal(count)
    time = np.arange(int(0.03 * RATE)) / RATE
    answer = np.zeros(len(time))
    for low, high, width in ((400, 1000, 100), (1000, 1900, 130), (2200, 3200, 200)):
        frequency = rng.uniform(low, high)
        answer += np.exp(-np.pi * width * time) * np.sin(2 * np.pi * frequency * time)
    return fftconvolve(source, answer)[:count]


def laughter(rng: np.random.Generator) -> np.ndarray:
    """Return laughter: 3 to 12 bursts a quarter to a sixth of a second apart, falling off."""
    period = rng.uniform(0.15, 0.28)
    bursts = int(rng.integers(3, 13))
    count = int(bursts * period * RATE) + RATE // 10
    at = np.arange(count) / RATE
    pitch = rng.uniform(130, 450) * 2 ** (rng.uniform(-0.8, 0.2) * at / at[-1])
    wave = voiced(rng, count, pitch, rng.uniform(0.15, 1.0))
    share = (at / period) % 1
    size = np.sin(np.pi * np.minimum(share / rng.uniform(0.4, 0.8), 1)) ** 1.5
    return unit(wave * size * np.exp(-at / rng.uniform(0.5, 4)))


def cough(rng: np.random.Generator) -> np.ndarray:
    """Return one to three coughs: an explosion, a noisy tail, perhaps a voiced end."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        count = int(rng.uniform(0.15, 0.45) * RATE)
        at = np.arange(count) / RATE
        bands = np.array([
            [0, -30], [200, -5], [rng.uniform(500, 1500), 4], [3000, -3],
            [8000, rng.uniform(-20, -5)],
        ])  # fmt: skip
        wave = shaped(rng, count, bands)
        if rng.random() < 0.5:
            pitch = np.full(count, rng.uniform(90, 300))
            wave += rng.uniform(0.2, 1) * unit(voiced(rng, count, pitch, 0.4))
        parts.append(wave * np.minimum(at / 0.006, 1) * np.exp(-at / rng.uniform(0.04, 0.15)))
        parts.append(np.zeros(int(rng.uniform(0.05, 0.5) * RATE)))
    return unit(np.concatenate(parts[:-1]))


EVENTS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "impact": impact, "rustle": rustle, "breath": breath, "laughter": laughter, "cough": cough,
}  # fmt: skip


def add_at(out: np.ndarray, wave: np.ndarray, start: int) -> None:
    """Add ``wave`` to ``out`` from sample ``start`` on, as far as it lies inside."""
    part = wave[: len(out) - start]
    out[start : start + len(part)] += part


def babble(
    rng: np.random.Generator, count: int, voices: Sequence[np.ndarray], rooms: Sequence[np.ndarray]
) -> np.ndarray:
    """Return many far voices at once: 6 to 16 at a time, each in a room, without its treble."""
    wave = np.zeros(count)
    for _ in range(int(rng.integers(6, 17))):
        track, place = np.zeros(count), -int(rng.uniform(0, 3) * RATE)
        voice = int(rng.integers(len(voices)))
        while place < count:
            part = voices[(voice + int(rng.integers(8))) % len(voices)]
            add_at(track, part[max(0, -place) :], max(0, place))
            place += len(part) + int(rng.exponential(0.5) * RATE)
        wave += unit(track) * 10 ** (rng.normal(0, 4) / 20)
    if rooms:
        wave = fftconvolve(wave, rooms[int(rng.integers(len(rooms)))])[:count]
    cut = rng.uniform(1200, 7000)
    spectrum = np.fft.rfft(wave)
    spectrum /= 1 + (np.fft.rfftfreq(count, 1 / RATE) / cut) ** 2
    return unit(np.fft.irfft(spectrum, count))
