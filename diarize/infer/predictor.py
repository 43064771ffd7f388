"""Waveforms to posteriors: one forward pass per recording."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diarize.errors import DiarizeError
from diarize.nn.outputs import QueryPredictions
from diarize.timebase import FrameGrid


@dataclass(frozen=True)
class Posteriors:
    """What the network says of one recording, before any threshold.

    ``masks`` (T, N) are the speech probabilities of N queries on the frame grid,
    ``activities`` (N,) the probabilities that a query stands for a speaker; float32, the
    most active query first, behind those with a place of their own (the VAD slot).
    ``names`` (N, C) are the probabilities of the names that a language head knows.
    """

    masks: np.ndarray
    activities: np.ndarray
    names: np.ndarray | None = None


class Predictor:
    """Applies a model to whole recordings.

    Queries whose activity is below ``min_activity`` are left out, but for the
    ``min_queries`` most active ones: nobody sets theta that low, and on disk they would
    be nine tenths of the posteriors.  The first ``fixed_queries`` stay, and stay first.
    """

    def __init__(
        self,
        forward: Callable[[Tensor, Tensor], QueryPredictions],
        grid: FrameGrid,
        device: torch.device | str = "cpu",
        bf16: bool = False,
        min_activity: float = 0.01,
        min_queries: int = 8,
        fixed_queries: int = 0,
    ) -> None:
        self.forward = forward
        self.grid = grid
        self.device = torch.device(device)
        self.bf16 = bf16
        self.min_activity = min_activity
        self.min_queries = min_queries
        self.fixed_queries = fixed_queries

    @torch.inference_mode()
    def __call__(self, waveform: np.ndarray, name: str = "input") -> Posteriors:
        """Return the posteriors of ``waveform``, float32 (n,) at the model's sample rate.

        Raises DiarizeError, naming the recording, where it is shorter than half a frame or
        the network's output is not finite.
        """
        if self.grid.num_frames(len(waveform)) == 0:
            raise DiarizeError(
                f"recording {name}: {len(waveform)} samples are shorter than one frame; "
                "leave it out of wav.scp"
            )
        samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
        samples = samples[None].to(self.device)
        count = torch.tensor([samples.shape[1]], device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            predictions = self.forward(samples, count).last()
        activity = predictions.activity_logits[0, 0].float().sigmoid()  # (N,)
        order = self._order(activity)
        # The product of eq. (2) only for the queries that are kept.
        embeddings = predictions.mask_embeddings[-1, 0, order].float()  # (K, D)
        masks = (predictions.frames[0].float() @ embeddings.T).sigmoid()  # (T, K)
        masks, activity = masks.cpu().numpy(), activity[order].cpu().numpy()
        names = None
        if predictions.label_logits is not None:
            names = predictions.label_logits[0, 0, order].float().softmax(-1).cpu().numpy()
        if not (np.isfinite(masks).all() and np.isfinite(activity).all()):
            raise DiarizeError(
                f"recording {name}: the network's output is not finite; the model or the "
                "precision is broken (try it without bf16)"
            )
        return Posteriors(masks, activity, names)

    def _order(self, activity: Tensor) -> Tensor:
        """Return the queries to keep: the fixed ones, then the others by ``activity`` (N,)."""
        fixed = self.fixed_queries
        free = activity[fixed:]
        kept = max(int((free >= self.min_activity).sum()), self.min_queries)
        order = free.argsort(descending=True, stable=True)[:kept] + fixed
        return torch.cat([torch.arange(fixed, device=order.device), order])
