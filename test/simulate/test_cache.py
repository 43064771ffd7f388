"""Decoded audio that is kept."""

import numpy as np

from diarize.simulate.cache import Gains, UtteranceCache


def reader_of(waves, calls):
    def read(name, start=0, stop=None, sample_rate=16000):
        calls.append((name, start, stop, sample_rate))
        return waves[name][start:stop].copy()

    return read


def test_kept_is_exactly_what_was_read():
    rng = np.random.default_rng(0)
    waves = {
        "int16": (rng.integers(-32768, 32768, 500) / 32768).astype(np.float32),
        "float": rng.standard_normal(500).astype(np.float32) * 1e-3,
        "loud": np.array([-1.5, 1.0, 2.0], np.float32),
    }
    calls = []
    cache = UtteranceCache(reader_of(waves, calls))
    for _ in range(3):
        for name, wave in waves.items():
            kept = cache(name)
            assert kept.dtype == np.float32
            np.testing.assert_array_equal(kept, wave)
            kept[:] = 7  # what the caller does with it stays with the caller
    assert len(calls) == 3
    assert (cache.hits, cache.misses) == (6, 3)
    assert cache.held_bytes < 1000 + 2000 + 12 + 3 * 300


def test_the_longest_unused_is_given_up():
    waves = {name: np.zeros(1000, np.float32) for name in "abc"} | {"big": np.zeros(10**5)}
    calls = []
    cache = UtteranceCache(reader_of(waves, calls), max_bytes=5000)
    for name in "abacabig":
        cache("big" if name in "ig" else name)
        assert cache.held_bytes <= 5000
    assert [call[0] for call in calls] == ["a", "b", "c", "b", "big", "big"]


def test_parts_and_rates_are_kept_apart():
    calls = []
    cache = UtteranceCache(reader_of({"a": np.arange(10, dtype=np.float32)}, calls))
    assert cache("a", 2, 4, 16000).tolist() == [2, 3]
    assert cache("a", 2, 4, 8000).tolist() == [2, 3]
    assert cache.window("a", 5, 7, 16000).tolist() == [5, 6]
    assert cache.window("a", 5, 7, 16000).tolist() == [5, 6]
    assert len(calls) == 4
    cache("a", 0, None, 16000)
    assert cache.window("a", 5, 7, 16000).tolist() == [5, 6]
    assert len(calls) == 5
    assert cache.num_samples("a", 16000) == 10


def test_gains_are_bounded():
    gains = Gains(max_entries=2)
    for i in range(4):
        gains.put(bytes([i]), i)
    assert [gains.get(bytes([i])) for i in range(4)] == [None, None, 2, 3]
