"""Confidence interval of a DER and test of a difference, by resampling of recordings."""

from dataclasses import dataclass

import numpy as np

from diarize.errors import DiarizeError
from diarize.score.times import Scores

_ROUNDS_AT_ONCE = 1000
_EXACT_UP_TO = 14


@dataclass(frozen=True)
class ConfidenceInterval:
    """Confidence interval from ``low`` to ``high`` (fractions) at ``level``, and its origin."""

    low: float
    high: float
    level: float
    rounds: int
    seed: int


@dataclass(frozen=True)
class Comparison:
    """DER of system A minus that of B, its confidence interval, and the p-value of no difference.

    ``better``, ``worse``: the number of recordings on which A has less or more error than B.
    """

    difference: float
    interval: ConfidenceInterval
    p_value: float
    better: int
    worse: int


def _columns(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(times.error, times.scored_speech) for _, times in scores]
    table = np.array(pairs, float).reshape(-1, 2)
    if not table[:, 1].sum() > 0:
        raise DiarizeError("no reference speech is scored, so there is no DER; check the UEM")
    return table[:, 0], table[:, 1]


def _resampled(num: int, rounds: int, seed: int):
    """Yield tables (r, num) of the draws of each recording; the r sum to ``rounds``."""
    rng = np.random.default_rng(seed)
    share = np.full(num, 1 / num)
    for first in range(0, rounds, _ROUNDS_AT_ONCE):
        yield rng.multinomial(num, share, size=min(_ROUNDS_AT_ONCE, rounds - first))


def _interval(
    error: np.ndarray, speech: np.ndarray, rounds: int, seed: int, level: float
) -> ConfidenceInterval:
    rates = []
    for draws in _resampled(len(error), rounds, seed):
        below = draws @ speech
        rates.append((draws @ error)[below > 0] / below[below > 0])
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(np.concatenate(rates), [tail, 100 - tail])
    return ConfidenceInterval(float(low), float(high), level, rounds, seed)


def bootstrap(
    scores: Scores, rounds: int = 10000, seed: int = 0, level: float = 0.95
) -> ConfidenceInterval:
    """Return the percentile bootstrap interval of the pooled DER over recordings.

    Recordings are drawn and not segments, because errors within a recording are not independent
    (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR", ICASSP 2004).
    """
    error, speech = _columns(scores)
    return _interval(error, speech, rounds, seed, level)


def compare(
    a: Scores, b: Scores, rounds: int = 10000, seed: int = 0, level: float = 0.95
) -> Comparison:
    """Return the difference in pooled DER of two systems that were scored on the same recordings.

    The two-sided p-value is that of the paired randomisation test: without a difference, the errors
    of the systems on a recording are exchangeable.  Exact up to 14 recordings, otherwise from
    ``rounds`` random exchanges.
    """
    if a.recordings.keys() != b.recordings.keys():
        odd = min(a.recordings.keys() ^ b.recordings.keys())
        raise DiarizeError(
            f"recording {odd} is scored for one system only; use the same reference and UEM"
        )
    error_a, speech = _columns(a)
    error_b, speech_b = _columns(b)
    if not np.allclose(speech, speech_b, rtol=0, atol=1e-6):
        raise DiarizeError(
            "the systems were scored on different reference speech; use the same reference"
        )
    gap = error_a - error_b
    total = abs(gap.sum()) * (1 - 1e-12)
    if len(gap) <= _EXACT_UP_TO:
        signs = 1 - 2 * ((np.arange(2 ** len(gap))[:, None] >> np.arange(len(gap))) & 1)
        p_value = float(np.mean(np.abs(signs @ gap) >= total))
    else:
        rng = np.random.default_rng(seed)
        hits = 0
        for first in range(0, rounds, _ROUNDS_AT_ONCE):
            size = (min(_ROUNDS_AT_ONCE, rounds - first), len(gap))
            hits += int(np.sum(np.abs((1 - 2 * rng.integers(0, 2, size)) @ gap) >= total))
        p_value = (hits + 1) / (rounds + 1)
    return Comparison(
        float(gap.sum() / speech.sum()),
        _interval(gap, speech, rounds, seed, level),
        p_value,
        int(np.sum(gap < -1e-9)),
        int(np.sum(gap > 1e-9)),
    )
