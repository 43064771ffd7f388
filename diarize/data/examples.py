"""Training examples and the batches they are collated into."""

from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """Crop of a recording with the activity of its speakers, or of its language slots.

    ``waveform`` is float32 (n,), ``activity`` bool (T, S) on the model's frame grid.  Every
    column has at least one active frame; the VAD slot of languages may have none.
    ``labels`` are the names of the columns.  ``evaluated``, bool (T,), is True in the annotated
    frames; None: all frames.  ``order``, int (T,), is that in which a model reads the frames;
    None: in time.
    """

    name: str
    waveform: np.ndarray
    activity: np.ndarray
    labels: tuple[str, ...] = ()
    evaluated: np.ndarray | None = None
    order: np.ndarray | None = None


@dataclass
class Batch:
    """Examples padded to one length: waveforms (B, n) and targets (B, T, S) with their sizes.

    ``label_ids`` (B, S) are the indices of the columns' labels in the task's list, if it has
    one; -1: not in the list.  ``evaluated``, bool (B, T), is True in the frames that losses and
    errors are computed from; None: all frames but the padding.  ``order``, int64 (B, T), is that
    of `Example`, padding last.  ``unpadded``: no example is padded; known on the host, without
    waiting for a GPU.
    """

    names: list[str]
    waveforms: Tensor
    num_samples: Tensor
    targets: Tensor
    num_frames: Tensor
    num_speakers: list[int]
    seconds: float = field(default=0.0)
    label_ids: Tensor | None = None
    evaluated: Tensor | None = None
    order: Tensor | None = None
    unpadded: bool = False

    @property
    def num_evaluated(self) -> Tensor:
        """Number of frames of each example that losses are computed from, (B,)."""
        return self.num_frames if self.evaluated is None else self.evaluated.sum(1)

    def evaluated_frames(self) -> Tensor:
        """Return the frames that errors are computed from, bool (B, T)."""
        times = torch.arange(self.targets.shape[1], device=self.targets.device)
        inside = times < self.num_frames[:, None]
        return inside if self.evaluated is None else inside & self.evaluated

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Return the batch on ``device``."""
        tensors = {
            name: getattr(self, name).to(device, non_blocking=non_blocking)
            for name in self._tensors()
        }
        return replace(self, **tensors)

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory (called by the DataLoader)."""
        for name in self._tensors():
            setattr(self, name, getattr(self, name).pin_memory())
        return self

    def _tensors(self) -> list[str]:
        return [f.name for f in fields(self) if isinstance(getattr(self, f.name), Tensor)]


def collate(examples: list[Example], sample_rate: int) -> Batch:
    """Return the examples as one zero-padded batch."""
    samples = [len(e.waveform) for e in examples]
    frames = [e.activity.shape[0] for e in examples]
    speakers = [e.activity.shape[1] for e in examples]
    waveforms = torch.zeros(len(examples), max(samples))
    targets = torch.zeros(len(examples), max(frames), max(speakers))
    evaluated = None
    if any(e.evaluated is not None for e in examples):
        evaluated = torch.zeros(len(examples), max(frames), dtype=torch.bool)
    for i, example in enumerate(examples):
        waveforms[i, : samples[i]] = torch.from_numpy(example.waveform)
        targets[i, : frames[i], : speakers[i]] = torch.from_numpy(example.activity)
        if evaluated is not None:
            known = example.evaluated
            evaluated[i, : frames[i]] = True if known is None else torch.from_numpy(known)
    return Batch(
        names=[e.name for e in examples],
        waveforms=waveforms,
        num_samples=torch.tensor(samples),
        targets=targets,
        num_frames=torch.tensor(frames),
        num_speakers=speakers,
        seconds=sum(samples) / sample_rate,
        evaluated=evaluated,
        order=_order(examples, max(frames)),
        unpadded=min(samples) == max(samples),
    )


def _order(examples: list[Example], frames: int) -> Tensor | None:
    """Return the order of the frames of all examples (B, T), None if all are in time."""
    if all(e.order is None for e in examples):
        return None
    out = torch.arange(frames).repeat(len(examples), 1)
    for row, example in zip(out, examples, strict=True):
        if example.order is not None:
            row[: len(example.order)] = torch.from_numpy(example.order)
    return out
