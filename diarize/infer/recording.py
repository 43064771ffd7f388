"""A recording as input of the network, decoded in blocks in advance."""

from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
import torch
from torch import Tensor

from diarize.errors import DiarizeError
from diarize.infer.domain import Meter
from diarize.infer.threads import Prefetcher
from diarize.io.audio import AudioSource, read_audio
from diarize.timebase import FrameGrid

BLOCK_SECONDS = 60


class Recording:
    """Samples of ``source`` at the rate of ``grid``, as `features.recording.Samples`.

    From construction on, ``pool`` decodes up to ``ahead`` seconds in advance.  Commands and
    members of an ark cannot be read in part and are decoded as a whole.
    Raises DiarizeError, naming ``name``, if the recording is shorter than half a frame.
    """

    def __init__(
        self,
        name: str,
        source: AudioSource | str | np.ndarray,
        grid: FrameGrid,
        pool: Executor | None = None,
        ahead: float = 300.0,
    ) -> None:
        self.name = name
        self.grid = grid
        self.device = torch.device("cpu")
        self._meter: Meter | None = None
        self._pool, self._ahead = pool, ahead
        self._whole: np.ndarray | None = None
        self._blocks: Prefetcher[np.ndarray] | None = None
        rate = grid.sample_rate
        if isinstance(source, str):
            source = AudioSource(source)
        self.source = source
        if isinstance(source, np.ndarray):
            self._whole = np.ascontiguousarray(source, dtype=np.float32)
        elif not source.is_seekable:
            self._whole = read_audio(source, sample_rate=rate)
        if self._whole is not None:
            self.num_samples = len(self._whole)
        else:
            self.num_samples = source.info().samples_at(rate)
        self.num_frames = grid.num_frames(self.num_samples)
        if self.num_frames == 0:
            raise DiarizeError(
                f"recording {name}: {self.num_samples} samples are shorter than one frame; "
                "leave it out of wav.scp"
            )
        if self._whole is None and pool is not None:
            self._blocks = self._start(pool)

    @property
    def seconds(self) -> float:
        """Length of the recording in seconds."""
        return self.num_samples / self.grid.sample_rate

    @property
    def resident_samples(self) -> int:
        """Number of samples that stay in memory."""
        return 0 if self._whole is None else self.num_samples

    def blocks(self) -> Iterator[Tensor]:
        """Yield all samples in consecutive blocks, on ``device``; they are measured."""
        self._meter = meter = Meter(self.grid.sample_rate)
        if self._whole is None:
            begun, self._blocks = self._blocks, None
            if begun is None and self._pool is not None:
                begun = self._start(self._pool)
            for block in begun or map(self._read, self._spans()):
                meter.add(block)
                yield self._tensor(block)
        else:
            for start, stop in self._spans():
                meter.add(self._whole[start:stop])
                yield self._tensor(self._whole[start:stop])

    def measures(self) -> dict[str, float] | None:
        """Return the measures of `diarize.infer.domain`; None if the samples were not read."""
        if self._meter is None and self._whole is not None:
            self._meter = Meter(self.grid.sample_rate)
            self._meter.add(self._whole)
        return None if self._meter is None else self._meter.values()

    def read(self, start: int, stop: int) -> Tensor:
        """Return the samples [start, stop), on ``device``."""
        return self._tensor(self._read((start, stop)))

    def all_samples(self) -> np.ndarray:
        """Return all samples, float32 (n,)."""
        if self._whole is not None:
            return self._whole
        return torch.cat(list(self.blocks())).cpu().numpy()

    def close(self) -> None:
        """Stop decoding in advance."""
        if self._blocks is not None:
            self._blocks.close()

    def _start(self, pool: Executor) -> Prefetcher[np.ndarray]:
        return Prefetcher(pool, self._read, self._spans(), int(self._ahead / BLOCK_SECONDS))

    def _spans(self) -> list[tuple[int, int]]:
        size = BLOCK_SECONDS * self.grid.sample_rate
        total = self.num_samples
        return [(start, min(start + size, total)) for start in range(0, total, size)]

    def _read(self, span: tuple[int, int]) -> np.ndarray:
        if self._whole is not None:
            return self._whole[span[0] : span[1]]
        return read_audio(self.source, *span, sample_rate=self.grid.sample_rate)

    def _tensor(self, samples: np.ndarray) -> Tensor:
        return torch.from_numpy(samples).to(self.device, non_blocking=True)
