"""Confidence of a turn: the share of its time in which its label is expected to be right.

The raw confidence is the mean mask probability of the label's query over the frames of the turn,
times the probability that the query is active.  Tuning fits a slope and an offset of its log-odds
on the validation set (Platt 1999), with the turns weighted by their duration.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from diarize.segments import Segment
from diarize.timebase import FrameGrid

_EDGE = 1e-6  # log-odds are finite


def turn_probabilities(
    posteriors: np.ndarray,
    activities: np.ndarray,
    turns: Sequence[Segment],
    queries: Mapping[str, Sequence[int]],
    grid: FrameGrid,
) -> list[float]:
    """Return the raw confidence of each turn.

    posteriors: (T, N) mask probabilities on the frames of ``grid``
    activities: (N,) probabilities that a query is active
    queries: the queries of each label; of several, the most probable one in each frame counts
    """
    out = [0.0] * len(turns)
    of_label: dict[str, list[int]] = {}
    for index, turn in enumerate(turns):
        of_label.setdefault(turn.label, []).append(index)
    for label, indices in of_label.items():
        columns = [posteriors[:, q] * np.float32(activities[q]) for q in queries[label]]
        column = columns[0] if len(columns) == 1 else np.maximum.reduce(columns)
        for index in indices:
            turn = turns[index]
            span = column[grid.to_frame(turn.start) : grid.to_frame(turn.end)]
            out[index] = float(span.mean(dtype=np.float64))
    return out


def calibrated(raw: float, line: tuple[float, float] | None) -> float:
    """Return the confidence of ``raw``, with ``line`` (slope, offset) applied to its log-odds.

    >>> calibrated(0.5, (2.0, 0.0)), calibrated(0.9, None)
    (0.5, 0.9)
    """
    if line is None:
        return min(1.0, max(0.0, raw))
    return 1.0 / (1.0 + math.exp(-(line[0] * _log_odds(raw) + line[1])))


def fit_calibration(
    raw: Sequence[float], correct: Sequence[float], seconds: Sequence[float]
) -> tuple[float, float] | None:
    """Return the slope and offset of greatest likelihood, None where they are not determined.

    raw: raw confidence of each turn; correct: the share of its time that is right, 0..1;
    seconds: its duration.  They are not determined without wrong time, without right time,
    and if the slope would not be positive.
    """
    from scipy.optimize import minimize  # slow to import

    x = np.array([_log_odds(value) for value in raw])
    y, weight = np.asarray(correct, float), np.asarray(seconds, float)
    total = weight.sum()
    if not total or not 0 < (weight * y).sum() < total:
        return None

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the negative log-likelihood and its gradient."""
        odds = line[0] * x + line[1]
        # The weak pull towards slope 1 keeps separable data finite.
        pull = line - (1.0, 0.0)
        value = (weight * (np.logaddexp(0.0, odds) - y * odds)).sum() + 0.5 * pull @ pull
        wrong = weight * (1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500))) - y)
        return value / total, (np.array([wrong @ x, wrong.sum()]) + pull) / total

    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x.tolist()
    return (slope, offset) if slope > 0 else None


def _log_odds(value: float) -> float:
    value = min(1 - _EDGE, max(_EDGE, value))
    return math.log(value / (1 - value))
