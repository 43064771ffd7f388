"""Encoder-decoder attractors: EEND-EDA (Horiguchi et al. 2020, arXiv 2005.09921)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from diarize.nn.pieces import piece_size

State = tuple[Tensor, Tensor]


class EncoderDecoderAttractors(nn.Module):
    """Two LSTMs: one reads the frames, the other emits attractors from the last state of the first.

    The second has no input.  The existence of an attractor is a linear function of it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(dim, dim, batch_first=True)
        self.decoder = nn.LSTM(dim, dim, batch_first=True)
        self.existence = nn.Linear(dim, 1)

    def forward(
        self, frames: Tensor, lengths: Tensor | None, number: int
    ) -> tuple[Tensor, Tensor]:
        """Return ``number`` N attractors (B, N, D) and the logits of their existence (B, N).

        ``frames`` (B, T, D) are read in their order, of each recording the first ``lengths``
        (B,); None: all.
        """
        zeros = frames.new_zeros(frames.shape[0], number, frames.shape[2])
        attractors, _ = self.decoder(zeros, final_state(self.encoder, frames, lengths))
        return attractors, self.existence(attractors).squeeze(-1)


def final_state(lstm: nn.LSTM, frames: Tensor, lengths: Tensor | None) -> State:
    """Return the state (1, B, D), (1, B, D) of ``lstm`` after the last valid frame.

    Without gradients and ``lengths``, ``frames`` (B, T, D) are read in pieces, so that the
    memory does not grow with the length of a recording.
    """
    if lengths is not None:
        packed = pack_padded_sequence(
            frames, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        return lstm(packed)[1]
    if torch.is_grad_enabled():
        return lstm(frames)[1]
    state = None
    for piece in frames.split(piece_size(frames), dim=1):
        state = lstm(piece, state)[1]
    return state


def mixed_order(num_frames: int, lengths: Tensor | None, device: torch.device) -> Tensor:
    """Return a fixed pseudo-random order of T frames, int64 (B or 1, T), padding last.

    The order of a recording is a function of its number of frames alone: frames are sorted by a
    hash of their number (the last step of MurmurHash3 for 32 bits, a bijection).

    >>> mixed_order(5, torch.tensor([3, 5]), torch.device("cpu")).tolist()
    [[0, 2, 1, 3, 4], [0, 4, 2, 1, 3]]
    """
    number = torch.arange(num_frames, device=device)
    key = number
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        key = ((key ^ (key >> shift)) * factor) & 0xFFFFFFFF
    if lengths is None:
        return key.argsort()[None]
    padding = number >= lengths[:, None]
    return torch.where(padding, number + (1 << 32), key).argsort(-1)


def in_order(frames: Tensor, order: Tensor) -> Tensor:
    """Return the frames (B, T, D) of each recording in the order of its indices (B, T)."""
    return frames.gather(1, order[..., None].expand(-1, -1, frames.shape[2]))
