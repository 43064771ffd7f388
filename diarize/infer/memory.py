"""Memory that a recording requires: the formula of doc/performance.md, checked by a test."""

import os
import resource
import sys
from dataclasses import dataclass

import torch

GB = 1e9
_FLOAT = 4
# Sequences (T', D) held at once: in the attention of a Conformer layer input, norm, query, key,
# value, result, projection, sum; in the decoder memory, E, key and value.
_ENCODER, _DECODER = 8, 4
# Memory of the libraries, allocated at their first use.
_FIRST_USE = 120_000_000


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that determine its memory.

    features: numbers per frame of the front-end; ``kept``: whether all features stay in memory
        (log-mel) or are computed for each window (self-supervised front-ends)
    factor: frames per frame of the encoder, which has ``dim`` numbers
    piece: frames that are processed at a time in layers that can be computed in pieces
    """

    features: int
    kept: bool
    factor: int
    dim: int
    ff_dim: int
    queries: int
    piece: int

    def network(self, num_frames: int) -> int:
        """Return the bytes that the network needs for ``num_frames`` frames at once."""
        low = -(-num_frames // self.factor)
        sequence = _FLOAT * low * self.dim
        enter = 3 * _FLOAT * num_frames * self.features + sequence
        encode = _ENCODER * sequence
        # Logits, two boolean masks, and the attention mask as numbers.
        decode = _DECODER * sequence + 10 * low * self.queries
        masks = 2 * sequence + _FLOAT * num_frames * self.queries
        features = 0 if self.kept else _FLOAT * num_frames * self.features
        work = _FLOAT * min(num_frames, self.piece) * max(3 * self.ff_dim, 5 * self.dim)
        return features + max(enter, encode, decode, masks) + work + _FIRST_USE

    def recording(self, num_frames: int) -> int:
        """Return the bytes that ``num_frames`` frames occupy with any choice of windows."""
        return _FLOAT * num_frames * self.features if self.kept else 0

    def whole(self, num_frames: int) -> int:
        """Return the bytes for a recording in one pass, while another's masks are written."""
        waiting = _FLOAT * num_frames * self.queries
        return self.recording(num_frames) + self.network(num_frames) + waiting

    def windows(self, num_frames: int, window: int) -> int:
        """Return the bytes for a recording in windows, with masks of two bytes per value."""
        masks = 2 * num_frames * self.queries + 2 * _FLOAT * window * self.queries
        return self.recording(num_frames) + self.network(window) + masks


def resident_bytes() -> int:
    """Return the resident memory of the process in bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as handle:
            return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak_bytes()


def peak_bytes(device: torch.device | None = None) -> int:
    """Return the peak memory of the process so far in bytes; for a GPU, of its memory."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/status", encoding="ascii") as handle:
            # getrusage would include the memory of the parent at the fork.
            return next(int(x.split()[1]) for x in handle if x.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def memory_limit(device: torch.device, gigabytes: float | None) -> int:
    """Return the memory limit in bytes; by default 4 GB, on a GPU 80 % of its free memory."""
    if gigabytes is not None:
        return int(gigabytes * GB)
    if device.type == "cuda":
        return int(0.8 * torch.cuda.mem_get_info(device)[0])
    return int(4 * GB)
