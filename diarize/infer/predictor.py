"""Posteriors of recordings: short ones in batches, others whole, long ones in windows."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from diarize.errors import DiarizeError
from diarize.infer.config import NetworkOptions
from diarize.infer.memory import GB, Sizes, memory_limit, peak_bytes, resident_bytes
from diarize.infer.recording import Recording
from diarize.infer.stitch import StitchedMasks, Stitcher, StitchOptions, Window, plan_windows
from diarize.nn.outputs import Encoded, Queries
from diarize.nn.precision import network_precision
from diarize.timebase import FrameGrid

_log = logging.getLogger(__name__)


class Network(Protocol):
    """Interface of a model for inference; see EendM2f."""

    features: Any
    factor: int
    dim: int
    num_queries: int

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Encoded: ...

    def refine(self, encoded: Encoded) -> tuple[Queries, Tensor]: ...

    def frames(self, encoded: Encoded, first: int, last: int) -> Tensor: ...


@dataclass(frozen=True)
class Posteriors:
    """Output of the network for one recording, before any threshold.

    ``masks`` (T, N) are the speech probabilities of N queries on the frame grid,
    ``activities`` (N,) the probabilities that a query represents a speaker; float32, in
    descending order of activity after the fixed queries (the VAD slot).
    ``language_probs`` (N, C) are the probabilities of the languages known to the language head,
    ``queries`` (N, D) the mask embeddings, float32.
    """

    masks: np.ndarray | StitchedMasks
    activities: np.ndarray
    language_probs: np.ndarray | None = None
    queries: np.ndarray | None = None


class Predictor:
    """Application of a model to recordings.

    Queries with an activity below ``min_activity`` are omitted, except the ``min_queries``
    most active ones: useful query thresholds are higher, and on disk these queries would be
    nine tenths of the posteriors.  The first ``fixed_queries`` are kept and remain first.
    """

    def __init__(
        self,
        model: Network,
        grid: FrameGrid,
        device: torch.device,
        bf16: bool,
        sizes: Sizes,
        options: NetworkOptions,
        fixed_queries: int = 0,
    ) -> None:
        self.model = model
        self.grid = grid
        self.device = device
        self.bf16 = bf16
        self.sizes = sizes
        self.options = options
        self.fixed_queries = fixed_queries
        # Memory before any recording, including the model.
        self.base_bytes = resident_bytes() if device.type == "cpu" else 0
        self.limit = memory_limit(device, options.max_memory)
        # Largest prediction for any recording so far.
        self.foreseen = self.base_bytes
        # Called before each pass: name and seconds of the recording, second of the first frame.
        self.on_pass: Callable[[str, float, float], None] | None = None
        # Frames of each pass over the previous recording.
        self.passes: list[tuple[int, int]] = []

    def __call__(self, waveform: np.ndarray, name: str = "input") -> Posteriors:
        """Return the posteriors of ``waveform``, float32 (n,) at the model's sample rate.

        Raises DiarizeError, naming the recording, if it is shorter than half a frame or the
        network's output is not finite.
        """
        return self.predict(Recording(name, waveform, self.grid))

    def predicted_bytes(self, recording: Recording, window: int | None = None) -> int:
        """Return the peak memory for a recording, whole or in windows of ``window`` frames."""
        frames = recording.num_frames
        need = self.sizes.whole(frames) if window is None else self.sizes.windows(frames, window)
        return self.base_bytes + 4 * recording.resident_samples + need

    def windows(self, recording: Recording) -> list[tuple[int, int]]:
        """Return the frames [first, last) of each pass over a recording, one if it is whole.

        Raises DiarizeError if windows do not fit into the memory limit either.
        """
        o = self.options
        fits = self.predicted_bytes(recording) <= self.limit
        if fits and (o.max_whole is None or recording.seconds <= o.max_whole):
            return [(0, recording.num_frames)]
        window, overlap = (self.grid.to_frame(seconds) for seconds in (o.window, o.overlap))
        window = min(window, recording.num_frames)
        while self.predicted_bytes(recording, window) > self.limit:
            window = window * 4 // 5
            if window < 2 * overlap:
                need = self.predicted_bytes(recording, 2 * overlap)
                raise DiarizeError(
                    f"recording {recording.name}: {recording.seconds / 3600:.1f} h need "
                    f"{need / GB:.1f} GB even in windows, but max_memory is "
                    f"{self.limit / GB:.1f} GB; allow more, or cut the recording"
                )
        return plan_windows(recording.num_frames, window, overlap, self.model.factor)

    def memory_line(self) -> str:
        """Return a line with the peak memory so far and the predicted peak."""
        return (
            f"peak memory {peak_bytes(self.device) / GB:.2f} GB, "
            f"foreseen {self.foreseen / GB:.2f} GB, allowed {self.limit / GB:.2f} GB"
        )

    @torch.inference_mode()
    def predict(self, recording: Recording) -> Posteriors:
        """Return the posteriors of one recording, computed in windows if it is too long."""
        recording.device = self.device
        windows = self.passes = self.windows(recording)
        longest = windows[0][1] if len(windows) > 1 else None
        self.foreseen = max(self.foreseen, self.predicted_bytes(recording, longest))
        features = self.model.features.open_recording(recording)
        if len(windows) == 1:
            self._report(recording, 0)
            masks, chosen, (embeddings, _) = self._pass(features, *windows[0], recording.name)
            return Posteriors(masks, *chosen, embeddings.cpu().numpy())
        _log.info("recording %s: %d windows", recording.name, len(windows))
        most = self.sizes.queries - self.fixed_queries
        options = StitchOptions(evidence=self.grid.to_frame(0.5), most=most)
        stitcher = Stitcher(self.fixed_queries, options)
        for first, last in windows:
            self._report(recording, first)
            masks, queries, rest = self._pass(features, first, last, recording.name)
            activities, language_probs = queries
            stitcher.add(Window(first, last, masks, activities, *rest, language_probs))
        o = self.options
        return Posteriors(*stitcher.finish(o.min_activity, o.min_queries))

    def _report(self, recording: Recording, frame: int) -> None:
        if self.on_pass is not None:
            self.on_pass(recording.name, recording.seconds, self.grid.to_seconds(frame))

    @torch.inference_mode()
    def predict_batch(self, recordings: Sequence[Recording]) -> list[Posteriors]:
        """Return the posteriors of recordings, which are padded to the longest.

        The other recordings affect the result only by the rounding of sums.
        """
        if len(recordings) == 1:
            return [self.predict(recordings[0])]
        counts = [recording.num_samples for recording in recordings]
        padded = len(counts) * max(recording.num_frames for recording in recordings)
        need = self.sizes.whole(padded) + 8 * len(counts) * max(counts)
        self.foreseen = max(self.foreseen, self.base_bytes + need)
        samples = np.zeros((len(counts), max(counts)), dtype=np.float32)
        for row, recording in zip(samples, recordings, strict=True):
            row[: recording.num_samples] = recording.all_samples()
        waveforms = torch.from_numpy(samples).to(self.device)
        with self._autocast():
            features, lengths = self.model.features(
                waveforms, torch.tensor(counts, device=self.device)
            )
            same = len({recording.num_frames for recording in recordings}) == 1
            encoded = self.model.encode(features, None if same else lengths)
            queries, _ = self.model.refine(encoded)
            frames = self.model.frames(encoded, 0, features.shape[1])  # (B, T, D)
        out = []
        for i, recording in enumerate(recordings):
            order = self._order(queries.activity_logits[i].float().sigmoid())
            embeddings = queries.mask_embeddings[i, order].float()
            masks = (frames[i, : recording.num_frames].float() @ embeddings.T).sigmoid()
            chosen = self._chosen(queries, i, order)
            masks = _checked(masks.cpu().numpy(), chosen, recording.name)
            out.append(Posteriors(masks, *chosen, embeddings.cpu().numpy()))
        return out

    def _pass(
        self, features: Callable[[int, int], Tensor], first: int, last: int, name: str
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray | None], tuple[Tensor, Tensor]]:
        """Return the output for the frames [first, last), as in `Window`.

        It consists of masks, (activities, language_probs), and (embeddings, coarse).
        """
        with self._autocast():
            encoded = self.model.encode(features(first, last))
            queries, coarse = self.model.refine(encoded)
        # The product of eq. (2) only for the queries that are kept.
        order = self._order(queries.activity_logits[0].float().sigmoid())
        embeddings = queries.mask_embeddings[0, order].float()  # (K, D)
        masks = torch.empty(last - first, len(order), device=self.device)
        factor = self.model.factor
        step = max(1, self.sizes.piece // factor) * factor
        for low in range(0, last - first, step):
            high = min(low + step, last - first)
            with self._autocast():
                part = self.model.frames(encoded, low, high)[0]
            torch.sigmoid(part.float() @ embeddings.T, out=masks[low:high])
        chosen = self._chosen(queries, 0, order)
        return _checked(masks.cpu().numpy(), chosen, name), chosen, (embeddings, coarse[0])

    def _chosen(
        self, queries: Queries, row: int, order: Tensor
    ) -> tuple[np.ndarray, np.ndarray | None]:
        activities = queries.activity_logits[row, order].float().sigmoid().cpu().numpy()
        if queries.label_logits is None:
            return activities, None
        language_probs = queries.label_logits[row, order].float().softmax(-1).cpu().numpy()
        return activities, language_probs

    def _order(self, activity: Tensor) -> Tensor:
        """Return the queries to keep: the fixed ones, then the others by ``activity`` (N,)."""
        fixed = self.fixed_queries
        free = activity[fixed:]
        kept = max(int((free >= self.options.min_activity).sum()), self.options.min_queries)
        order = free.argsort(descending=True, stable=True)[:kept] + fixed
        return torch.cat([torch.arange(fixed, device=order.device), order])

    def _autocast(self) -> AbstractContextManager:
        return network_precision(self.device, self.bf16)


def _checked(
    masks: np.ndarray, chosen: tuple[np.ndarray, np.ndarray | None], name: str
) -> np.ndarray:
    """Return ``masks``; raises DiarizeError if the output has NaN or Inf."""
    # A sum is finite only if all its terms are, and requires no memory.
    if not (np.isfinite(masks.sum(dtype=np.float64)) and np.isfinite(chosen[0]).all()):
        raise DiarizeError(
            f"recording {name}: the network's output is not finite; the model or the "
            "precision is broken (try it without bf16)"
        )
    return masks
