"""Conversion between seconds, samples and frames; no other module rounds times.

A frame ``t`` of a grid covers the samples ``[t * hop, (t + 1) * hop)``; features of
frame ``t`` are computed from a window centred on the middle of that span.  All rounding
is half-up: ``floor(x + 0.5)``.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Sums of decimal seconds carry errors of a few ulp; 1e-6 of a unit keeps 0.145 s at
# 100 frames/s (14.499999999999998) on the side of its decimal text.
_SLACK = 1e-6


def round_half_up(value: float) -> int:
    """Return the integer nearest to ``value``; halves go up.

    >>> round_half_up(2.5), round_half_up(-2.5), round_half_up(0.145 * 100)
    (3, -2, 15)
    """
    return math.floor(value + 0.5 + _SLACK)


@dataclass(frozen=True)
class FrameGrid:
    """Frames of ``hop`` samples at ``sample_rate`` Hz, the first one at time 0.

    >>> grid = FrameGrid(sample_rate=16000, hop=160)
    >>> grid.num_frames(16000), grid.to_frame(0.5), grid.to_seconds(50)
    (100, 50, 0.5)
    """

    sample_rate: int = 16000
    hop: int = 160

    def __post_init__(self) -> None:
        if self.sample_rate <= 0 or self.hop <= 0:
            raise ValueError(f"sample_rate and hop must be positive, not {self}")

    @property
    def frame_seconds(self) -> float:
        """Length of one frame in seconds."""
        return self.hop / self.sample_rate

    def num_frames(self, num_samples: int) -> int:
        """Return the number of frames of ``num_samples`` samples (nearest, half up)."""
        return (num_samples + self.hop // 2) // self.hop

    def to_samples(self, seconds: float) -> int:
        """Return the sample index nearest to ``seconds``."""
        return round_half_up(seconds * self.sample_rate)

    def to_samples_all(self, seconds: "np.ndarray") -> "np.ndarray":
        """Return `to_samples` of each of ``seconds``, int64; NaN, for no time, becomes 0."""
        import numpy as np

        rounded = np.floor(seconds * self.sample_rate + 0.5 + _SLACK)
        return np.nan_to_num(rounded, nan=0.0).astype(np.int64)

    def to_frame(self, seconds: float) -> int:
        """Return the index of the frame boundary nearest to ``seconds``."""
        return round_half_up(seconds * self.sample_rate / self.hop)

    def to_seconds(self, frame: int) -> float:
        """Return the start of ``frame`` in seconds."""
        return frame * self.hop / self.sample_rate
