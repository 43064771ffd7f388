"""Room impulse responses and background noises from numbers alone."""

import numpy as np

NOISE_KINDS = ("white", "pink", "brown", "hum", "gusts", "crackle")
_SOUND = 343.0  # m/s
_EARLY = 0.04  # s, up to which single reflections are placed
_MARGIN = np.array([0.11, 0.11, 0.09])  # smallest distance to a wall, share of the room


def room_response(rng: np.random.Generator, sample_rate: int = 16000) -> np.ndarray:
    """Return (n,) float64, the response of a random shoebox room, of energy 1.

    The direct sound is sample 0, so that labels need no shift.  Reflections of the first
    40 ms are those of the image method (Allen and Berkley 1979) with equal walls; then
    noise that decays by 60 dB in 0.15 to 0.6 s, as Eyring's formula ties to the walls.
    """
    return room_responses(rng, 1, sample_rate)[0]


def room_responses(
    rng: np.random.Generator, positions: int, sample_rate: int = 16000
) -> list[np.ndarray]:
    """Return the responses of ``positions`` talkers in one room, as `room_response` each.

    The room, its decay and the microphone are common; the first response is that of
    `room_response`.
    """
    size = rng.uniform([3.0, 2.5, 2.4], [9.0, 7.0, 3.8])
    decay = rng.uniform(0.15, 0.6)  # s, RT60
    source, ear = (size * rng.uniform(_MARGIN, 1 - _MARGIN) for _ in range(2))
    out = [_response(size, decay, source, ear, rng, sample_rate)]
    while len(out) < positions:
        source = size * rng.uniform(_MARGIN, 1 - _MARGIN)
        out.append(_response(size, decay, source, ear, rng, sample_rate))
    return out


def _response(
    size: np.ndarray, decay: float, source: np.ndarray, ear: np.ndarray,
    rng: np.random.Generator, sample_rate: int,
) -> np.ndarray:
    """Return the response from ``source`` to ``ear`` in a room of ``size`` (3,), in metres."""
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    wall = np.sqrt(np.exp(-0.161 * size.prod() / (surface * decay)))  # of the pressure
    steps = np.arange(-4, 5)
    mirror = np.stack(np.meshgrid(*[steps] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    odd = mirror % 2
    image = mirror * size + np.where(odd, size - source, source)
    path = np.maximum(np.linalg.norm(image - ear, axis=1), 0.3)
    gain = wall ** np.abs(mirror).sum(1) / path
    delay = np.rint((path - path[np.abs(mirror).sum(1) == 0]) / _SOUND * sample_rate).astype(int)
    early = round(_EARLY * sample_rate)
    response = np.zeros(round(decay * sample_rate))
    near = (delay >= 0) & (delay < early)
    np.add.at(response, delay[near], gain[near])
    time = np.arange(len(response)) / sample_rate
    tail = rng.standard_normal(len(response)) * 10 ** (-3 * time / decay)
    # The tail begins where the reflections end: as much energy as they have on average
    # over the last half, both reckoned back along the decay.
    half = slice(early // 2, early)
    tail *= np.sqrt(np.sum(response[half] ** 2) / np.sum(tail[half] ** 2))
    response[early:] = tail[early:]
    return response / np.sqrt(np.sum(response**2))


def noise(
    kind: str, rng: np.random.Generator, seconds: float, sample_rate: int = 16000
) -> np.ndarray:
    """Return (n,) float64 of background noise of one of NOISE_KINDS, at -30 dB RMS."""
    count = round(seconds * sample_rate)
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0, "hum": 0.8, "gusts": 0.8, "crackle": 0.3}
    wave = _coloured(rng, count, slope[kind] + rng.uniform(-0.1, 0.1))
    time = np.arange(count) / sample_rate
    if kind == "hum":
        base = rng.uniform(48.0, 62.0)
        for harmonic in range(1, 20):
            phase = rng.uniform(0, 2 * np.pi)
            loud = 2.0 * rng.uniform(0.2, 1.0) / harmonic
            wave += loud * np.sin(2 * np.pi * base * harmonic * time + phase)
    elif kind == "gusts":
        slow = np.interp(time, np.arange(0, seconds + 1, 0.5),
                         rng.normal(0, 6, size=len(np.arange(0, seconds + 1, 0.5))))
        wave *= 10 ** (slow / 20)
    elif kind == "crackle":
        clicks = rng.random(count) < rng.uniform(3, 15) / sample_rate
        shape = np.exp(-np.arange(400) / 60) * rng.standard_normal(400)
        wave += 8 * np.convolve(clicks * rng.normal(0, 1, count), shape)[:count]
    wave *= 10 ** (-30 / 20) / np.sqrt(np.mean(wave**2))
    return wave * min(1.0, 0.9 / np.abs(wave).max())


def _coloured(rng: np.random.Generator, count: int, slope: float) -> np.ndarray:
    """Return noise of unit power whose amplitude falls as frequency to the power ``slope``."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.arange(len(spectrum), dtype=float)
    corner = max(1.0, 30.0 * count / 16000)  # below 30 Hz it stays level
    spectrum *= np.maximum(frequency, corner) ** -slope
    spectrum[0] = 0
    wave = np.fft.irfft(spectrum, count)
    return wave / np.sqrt(np.mean(wave**2))
