"""Mixtures made on the device that trains: the arena lies in its memory, a batch is a recipe.

A data worker sends what :class:`Request` holds, some kB a crop: which samples of the arena go to
which place of which track.  `DeviceArena.render` gathers all of a batch by index arithmetic, and
then convolves, adds and scales as :mod:`diarize.data.assemble` does, with the same result to
rounding.  Nothing here waits for the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor

from diarize.data.assemble import Assembler, fft_size
from diarize.data.examples import Batch, Example, targets_of
from diarize.simulate.render import fade_rise, loop_fade

# Crops at a time: their indices take most of the memory.
_TOGETHER = {"cuda": 16, "cpu": 1}
PLAIN, ENDS, RISE, FALL = range(4)

# The assembler of each open source by its plan's directory, in the process that trains.
_OPEN: dict[str, Assembler] = {}
_ARENAS: dict[tuple[str, torch.device], "DeviceArena"] = {}


@dataclass
class Request:
    """What makes the crop of ``length`` samples; one value per piece of audio and array.

    ``source`` is the first sample's number in the arena, ``count`` the number of samples,
    ``track`` and ``place`` where they go (tracks begin ``tail`` samples before the crop),
    ``gain`` their factor.  ``shape`` says how it changes: not at all, at both ends of an
    utterance of ``total`` samples over ``fade`` of them, rising or falling as noise does where
    it is repeated; ``skip`` samples of the whole lie before the piece.  ``rooms`` are those of
    the tracks (-1: none).  ``early_*`` are utterances in rooms that answer before their peak.
    """

    key: str
    length: int
    rooms: np.ndarray
    pieces: dict[str, np.ndarray]
    early: dict[str, np.ndarray]


def request(assembler: Assembler, index: int, start: int, stop: int) -> Request:
    """Return what makes samples [start, stop) of mixture ``index``."""
    plan, rows = assembler.plan, assembler.plan.rows(index)
    base, tail = assembler.addresses, assembler.longest_tail
    wet, noise = assembler.gains(index)
    length = stop - start
    peaks = assembler.peaks[rows.room]  # the last, for no room, is 0
    begin = rows.begin - start - peaks + tail
    inside = np.where(rows.room < 0, tail, 0)
    low = np.maximum(begin, inside)
    high = np.minimum(begin + rows.length, length + tail)
    here = np.flatnonzero(high > low)
    skip = (low - begin)[here]
    fade = np.minimum(plan.fade(index), rows.length[here] // 2)
    gain = assembler.scales[rows.source] * rows.level * wet
    pieces = {
        "source": base[rows.source[here]] + rows.first[here] + skip,
        "count": (high - low)[here],
        "track": rows.speaker[here].astype(np.int64),
        "place": low[here],
        "gain": gain[here],
        "skip": skip,
        "fade": fade,
        "total": rows.length[here],
        "shape": np.where(fade > 0, ENDS, PLAIN),
    }
    speakers = int(rows.speaker[-1]) + 1
    rooms = np.full(speakers + 2, -1)
    rooms[rows.speaker] = rows.room
    if noise > 0:
        extra = _noise_pieces(assembler, index, start, stop, noise, speakers)
        pieces = {name: np.concatenate([held, extra[name]]) for name, held in pieces.items()}
    before = rows.begin - start
    early = (rows.room >= 0) & assembler.early[rows.room]
    early &= (before > 0) & (before - peaks < length)
    early = np.flatnonzero(early)
    parts = {
        "source": base[rows.source[early]] + rows.first[early],
        "count": np.minimum(peaks, rows.length)[early],
        "place": before[early],
        "gain": gain[early],
        "room": rows.room[early].astype(np.int64),
        "total": rows.length[early],
        "fade": np.minimum(plan.fade(index), rows.length[early] // 2),
    }
    return Request(str(plan.path), length, rooms, pieces, parts)


def _noise_pieces(
    assembler: Assembler, index: int, start: int, stop: int, gain: float, track: int
) -> dict[str, np.ndarray]:
    """Return the pieces of the noise: one, or those of a shorter noise that is repeated."""
    plan, number = assembler.plan, assembler.plan.noise(index)[0]
    entry, tail = assembler.entries[number], assembler.longest_tail
    source, factor = int(assembler.addresses[number]), assembler.scales[number] * gain
    table = []

    def add(first: int, at: int, count: int, track: int, shape: int, skip: int) -> None:
        table.append((source + first, count, track, at - start + tail, skip, shape))

    if entry.length >= plan.num_samples(index):
        add(start, start, stop - start, track, PLAIN, 0)
        fade = 0
    else:
        fade = loop_fade(entry.length, plan.sample_rate)
        period, at = entry.length - fade, start
        while at < stop:
            first = at % period
            end = fade if first < fade else period
            count = min(end - first, stop - at)
            if first < fade:
                add(first, at, count, track, RISE, first)
                add(period + first, at, count, track + 1, FALL, first)
            else:
                add(first, at, count, track, PLAIN, 0)
            at += count
    columns = np.array(table, dtype=np.int64).reshape(-1, 6).T
    names = ("source", "count", "track", "place", "skip", "shape")
    out = dict(zip(names, columns, strict=True))
    count = columns.shape[1]
    out["gain"] = np.full(count, factor, dtype=np.float32)
    out["fade"] = np.full(count, fade)
    out["total"] = out["count"]
    return out


class DeviceArena:
    """The audio that one plan needs, on ``device``."""

    def __init__(self, assembler: Assembler, device: torch.device) -> None:
        self.assembler, self.device = assembler, device
        arena, numbers = assembler.arena, assembler.shards
        shards = [torch.from_numpy(np.array(arena.shard(n))).to(device) for n in numbers]
        self.samples = torch.cat(shards) if shards else torch.zeros(0, dtype=torch.int16)
        self.tail = assembler.longest_tail
        self.numbers = {number: i for i, number in enumerate(assembler.rooms)}
        responses = np.zeros((len(self.numbers), self.tail + 1), dtype=np.float32)
        for number, row in self.numbers.items():
            response = assembler.room(number).response
            responses[row, : len(response)] = response
        self.responses = torch.from_numpy(responses).to(device)
        peaks = [assembler.room(number).peak for number in self.numbers]
        self.peaks = torch.tensor(peaks, dtype=torch.long, device=device)
        self.longest_peak = max(peaks, default=0)
        self.rise = torch.from_numpy(fade_rise(1)).to(device)

    def render(self, requests: Sequence[Request], length: int) -> Tensor:
        """Return the crops, float32 (B, length), on the device."""
        few = _TOGETHER.get(self.device.type, 16)
        parts = [
            self._some(requests[first : first + few], length)
            for first in range(0, len(requests), few)
        ]
        return torch.cat(parts)

    def _some(self, requests: Sequence[Request], length: int) -> Tensor:
        size = fft_size(length, self.tail)
        step = size - self.tail
        width = self.tail + -(-length // step) * step if self.tail else length
        heads = np.cumsum([0] + [len(r.rooms) for r in requests])
        tracks = torch.zeros(int(heads[-1]), width, device=self.device)
        owners = np.repeat(np.arange(len(requests)), np.diff(heads))
        rooms = np.concatenate([r.rooms for r in requests])
        pieces = _join(requests, "pieces")
        counts = pieces["count"]
        offset = np.repeat(heads[:-1], [len(r.pieces["count"]) for r in requests])
        pieces["place"] = (pieces.pop("track") + offset) * width + pieces["place"]
        piece, at, held = self._spread(pieces, counts)
        values = self._shaped(piece, at, held)
        # No place is written to twice: a speaker's utterances follow one another.
        tracks.view(-1)[held["place"][piece] + at] = values
        out = torch.zeros(len(requests), length, device=self.device)
        self._sum(out, tracks[:, self.tail : self.tail + length], owners, rooms < 0)
        if (rooms >= 0).any():
            self._reverberate(out, tracks, owners, rooms, size)
            self._take_early(out, requests)
        return out

    def _spread(
        self, pieces: dict[str, np.ndarray], counts: np.ndarray
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return for every sample the number of its piece and its place in that."""
        held = {name: self._send(value) for name, value in pieces.items()}
        total = int(counts.sum())
        numbers = torch.arange(len(counts), device=self.device)
        piece = torch.repeat_interleave(numbers, held["count"], output_size=total)
        starts = held["count"].cumsum(0) - held["count"]
        return piece, torch.arange(total, device=self.device) - starts[piece], held

    def _shaped(self, piece: Tensor, at: Tensor, held: dict[str, Tensor]) -> Tensor:
        """Return the values of samples, scaled and faded."""
        values = self.samples[held["source"][piece] + at].float() * held["gain"][piece]
        where, fade = at + held["skip"][piece], held["fade"][piece].clamp(min=1)
        shape = held["shape"][piece]
        edge = torch.minimum(where + 0.5, held["total"][piece] - where - 0.5)
        ends = torch.sin(torch.pi / 2 * (edge / fade).clamp(max=1.0)) ** 2
        rise = ((where + 0.5) / fade).clamp(max=1.0)
        values = torch.where(shape == ENDS, values * ends, values)
        values = torch.where(shape == RISE, values * rise.sqrt(), values)
        return torch.where(shape == FALL, values * (1 - rise).sqrt(), values)

    def _sum(self, out: Tensor, tracks: Tensor, owners: np.ndarray, chosen: np.ndarray) -> None:
        """Add the chosen tracks (K, n) to their owners' rows of ``out``, in a fixed order."""
        chosen = np.flatnonzero(chosen)
        # The first of each owner, then the second of each: no row is added to twice at once.
        order = np.array([np.sum(owners[chosen[:i]] == owners[c]) for i, c in enumerate(chosen)])
        for turn in range(int(order.max(initial=-1)) + 1):
            now = chosen[order == turn]
            out.index_add_(0, self._send(owners[now]), tracks[self._send(now)])

    def _reverberate(
        self, out: Tensor, tracks: Tensor, owners: np.ndarray, rooms: np.ndarray, size: int
    ) -> None:
        wet = np.flatnonzero(rooms >= 0)
        numbers = self._send(np.array([self.numbers[n] for n in rooms[wet].tolist()]))
        spectra = torch.fft.rfft(self.responses, n=size)
        blocks = tracks[self._send(wet)].unfold(1, size, size - self.tail)  # (K, count, size)
        product = torch.fft.rfft(blocks) * spectra[numbers][:, None]
        sound = torch.fft.irfft(product, n=size)[..., self.tail :].flatten(1)
        self._sum(out, sound[:, : out.shape[1]], owners[wet], np.ones(len(wet), dtype=bool))

    def _take_early(self, out: Tensor, requests: Sequence[Request]) -> None:
        """Take out what rooms answer before the direct path, as `Assembler` does."""
        early = _join(requests, "early")
        if not len(early["count"]) or not self.longest_peak:
            return
        owners = np.repeat(np.arange(len(requests)), [len(r.early["count"]) for r in requests])
        longest = self.longest_peak
        size = 1 << (2 * longest - 1).bit_length()
        rooms = self._send(np.array([self.numbers[n] for n in early["room"].tolist()]))
        at = torch.arange(longest, device=self.device)
        held = {name: self._send(value) for name, value in early.items()}
        address = held["source"][:, None] + torch.minimum(at, held["count"][:, None] - 1)
        fade = held["fade"][:, None]
        edge = torch.minimum(at + 0.5, held["total"][:, None] - at - 0.5)
        shape = torch.sin(torch.pi / 2 * (edge / fade.clamp(min=1)).clamp(0, 1)) ** 2
        dry = self.samples[address].float() * held["gain"][:, None]
        dry = torch.where(fade > 0, dry * shape, dry) * (at < held["count"][:, None])
        peaks = self.peaks[rooms][:, None]
        answers = self.responses[rooms][:, :longest] * (at < peaks)
        both = torch.fft.rfft(dry, n=size) * torch.fft.rfft(answers, n=size)
        sound = torch.fft.irfft(both, n=size)[:, :longest]
        place = held["place"][:, None] - peaks + at
        good = (at < peaks) & (place >= 0) & (place < out.shape[1])
        place = self._send(owners)[:, None] * out.shape[1] + place
        place = torch.where(good, place, 0)
        out.view(-1).index_add_(0, place.flatten(), -(sound * good).flatten())

    def _send(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, non_blocking=True)


def _join(requests: Sequence[Request], name: str) -> dict[str, np.ndarray]:
    tables = [getattr(r, name) for r in requests]
    return {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}


@dataclass
class PlannedBatch(Batch):
    """A batch whose waveforms are made where it is brought to; ``requests`` say how."""

    requests: list[Request] = field(default_factory=list)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on ``device``, with its waveforms."""
        device = torch.device(device)
        names = {f.name for f in fields(Batch)}
        plain = Batch(**{name: getattr(self, name) for name in names})
        plain = replace(plain, waveforms=torch.zeros(0)).to(device, non_blocking)
        length = max(r.length for r in self.requests)
        waveforms = torch.zeros(len(self.requests), length, device=device)
        for key in sorted({r.key for r in self.requests}):
            rows = [i for i, r in enumerate(self.requests) if r.key == key]
            made = device_arena(key, device).render([self.requests[i] for i in rows], length)
            waveforms[torch.tensor(rows, device=device)] = made
        inside = torch.arange(length, device=device) < plain.num_samples[:, None]
        plain.waveforms = waveforms * inside
        return plain


def register(assembler: Assembler) -> None:
    """Make known the assembler of a source, in the process that trains."""
    _OPEN[str(assembler.plan.path)] = assembler


def device_arena(key: str, device: torch.device) -> DeviceArena:
    """Return the arena behind ``key`` on ``device``, brought there the first time."""
    if (key, device) not in _ARENAS:
        _ARENAS[key, device] = DeviceArena(_OPEN[key], device)
    return _ARENAS[key, device]


def collate_planned(examples: list[Example], sample_rate: int) -> PlannedBatch:
    """Return the examples, of which no waveform is there yet, as one batch."""
    samples = [e.request.length for e in examples]
    frames, speakers, targets = targets_of(examples)
    return PlannedBatch(
        names=[e.name for e in examples],
        waveforms=torch.zeros(0),
        num_samples=torch.tensor(samples),
        targets=targets,
        num_frames=torch.tensor(frames),
        num_speakers=speakers,
        seconds=sum(samples) / sample_rate,
        whole=min(samples) == max(samples),
        requests=[e.request for e in examples],
    )
