"""Mixer: waveforms of mixtures, for training and for data directories.

* The utterances of a layout are added at their positions with their gains, and faded if the
  manifest has a fade.  The band-pass filter is applied once, in the audio store.
* Reverberation: an utterance is convolved with the speaker's room impulse response.  Its
  strongest sample is taken as the direct path and has delay 0.  The response before it is
  dropped where it precedes the label.  The tail after the label is kept, up to the end of the
  mixture, and not labelled.  Each utterance is scaled so that its energy, tail included, is that
  of the dry utterance, as by Kaldi's ``wav-reverberate``, which hitachi-speech/EEND uses.
* Noise is cut, or repeated with a short cross-fade, to the length of the mixture, and scaled so
  that the ratio of the mean powers of speech and noise over the whole mixture is the SNR.

The sum is neither clipped nor normalised: its samples may exceed 1.

The utterances of a reverberated speaker form a track of their own, and the whole track is
convolved with the room at once, by overlap-save in blocks of a power of two.  The blocks of all
speakers are transformed together, added as spectra, and transformed back once.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from diarize.simulate.mix.layout import MixtureLayout, Rows
from diarize.simulate.mix.store import AudioStore, Entry

_LOOP_FADE = 0.02  # s, cross-fade of the end of a repeated noise into its beginning
_MIN_FFT, _MAX_FFT = 1 << 14, 1 << 16
_SUM_BLOCK = 1024
_ROWS = 48  # transforms at once: more exceed a CPU's cache, fewer require too many plans


class Room(NamedTuple):
    """Room impulse response (n,), its strongest sample, and whether sound precedes it."""

    response: np.ndarray
    peak: int
    early: bool


class Mixer:
    """Mixer of the mixtures of a layout; each process has its own."""

    def __init__(self, layout: MixtureLayout, store: AudioStore) -> None:
        self.layout, self.store = layout, store
        self.entries: list[Entry] = [store.entries[source] for source in layout.sources]
        self._rooms: dict[int, Room] = {}

    def window(self, index: int, start: int, stop: int) -> np.ndarray:
        """Return samples [start, stop) of mixture ``index``, float32 (n,)."""
        layout = self.layout
        if not 0 <= start <= stop <= layout.num_samples(index):
            raise ValueError(f"window [{start}, {stop}) of {layout.num_samples(index)} samples")
        wet, noise = self.gains(index)
        out = np.zeros(stop - start, dtype=np.float32)
        rows = layout.rows(index)
        self._add_dry(out, rows, start)
        self._add_wet(out, rows, wet, start)
        if noise > 0:
            self._add_noise(out, index, start, noise)
        return out

    def gains(self, index: int) -> tuple[np.ndarray, float]:
        """Return the gains of a mixture's reverberated rows (1: no room) and of its noise.

        Unknown gains are computed from the whole mixture and stored in the layout.
        """
        found = self.layout.gains(index)
        if found is None:
            found = self._find_gains(index)
            self.layout.keep_gains(index, *found)
        return found

    def room(self, number: int) -> Room:
        """Return the room whose response is source ``number`` of the layout."""
        if number not in self._rooms:
            response = self.store.samples(self.entries[number])
            peak = int(np.argmax(np.abs(response)))
            self._rooms[number] = Room(response, peak, bool(np.any(response[:peak])))
        return self._rooms[number]

    def _put(self, out: np.ndarray, rows: Rows, row: int, skip: int = 0) -> None:
        """Write samples [skip, skip + len(out)) of an utterance to ``out``."""
        entry = self.entries[rows.source[row]]
        first = rows.first[row] + skip
        factor = np.float32(entry.scale) * rows.level[row]
        samples = self.store.samples(entry, first, first + len(out))
        np.multiply(samples, factor, out=out, dtype=np.float32)
        count = min(rows.fade, int(rows.length[row]) // 2)
        if count:
            at = np.arange(skip, skip + len(out), dtype=np.float32)
            edge = np.minimum(at + 0.5, rows.length[row] - 0.5 - at)
            out *= np.sin(np.pi / 2 * np.minimum(edge / count, 1.0)) ** 2

    def _add_dry(self, out: np.ndarray, rows: Rows, start: int) -> None:
        low = np.maximum(rows.begin - start, 0)
        high = np.minimum(rows.begin + rows.length - start, len(out))
        scratch = np.empty(len(out), dtype=np.float32)
        for row in np.flatnonzero((rows.room < 0) & (high > low)).tolist():
            lo, hi = int(low[row]), int(high[row])
            part = scratch[: hi - lo]
            self._put(part, rows, row, lo + start - int(rows.begin[row]))
            out[lo:hi] += part

    def _add_wet(self, out: np.ndarray, rows: Rows, gains: np.ndarray, start: int) -> None:
        """Add the reverberated speakers of samples [start, start + len(out)) to ``out``."""
        stop = start + len(out)
        rooms = {number: self.room(number) for number in set(rows.room[rows.room >= 0].tolist())}
        if not rooms or stop == start:
            return
        tail = max(len(room.response) for room in rooms.values()) - 1
        shift = np.array([rooms[n].peak if n >= 0 else 0 for n in rows.room.tolist()])
        # An utterance is advanced by the delay of its direct path.
        begin = rows.begin - shift - (start - tail)
        low, high = np.maximum(begin, 0), np.minimum(begin + rows.length, len(out) + tail)
        heard = (rows.room >= 0) & (high > low)
        speakers = np.unique(rows.speaker[heard]).tolist()
        if not speakers:
            return
        size = fft_size(len(out), tail)
        step = size - tail
        count = -(-len(out) // step)
        tracks = torch.zeros(len(speakers), tail + count * step)
        held = tracks.numpy()
        responses = torch.zeros(len(speakers), size)
        for track, speaker in enumerate(speakers):
            for row in np.flatnonzero(heard & (rows.speaker == speaker)).tolist():
                lo, hi = int(low[row]), int(high[row])
                part = held[track, lo:hi]
                self._put(part, rows, row, lo - int(begin[row]))
                part *= gains[row]
            response = rooms[int(rows.room[row])].response
            responses.numpy()[track, : len(response)] = response
        out += overlap_save(tracks, responses, tail).numpy()[: len(out)]
        self._take_early(out, rows, gains, start)

    def _take_early(self, out: np.ndarray, rows: Rows, gains: np.ndarray, start: int) -> None:
        """Remove the response before the direct path where it precedes a label."""
        chosen = []
        for row in np.flatnonzero(rows.room >= 0).tolist():
            room, begin = self.room(int(rows.room[row])), int(rows.begin[row]) - start
            if room.early and begin > 0 and begin - room.peak < len(out):
                chosen.append((row, room, begin))
        if not chosen:
            return
        longest = max(room.peak for _, room, _ in chosen)
        size = 1 << (2 * longest - 1).bit_length()
        both = torch.zeros(2, len(chosen), size)
        dry, answers = both.numpy()
        for at, (row, room, _) in enumerate(chosen):
            count = min(room.peak, int(rows.length[row]))
            self._put(dry[at, :count], rows, row)
            dry[at, :count] *= gains[row]
            answers[at, : room.peak] = room.response[: room.peak]
        spectra = torch.fft.rfft(both)
        early = torch.fft.irfft(spectra[0].mul_(spectra[1]), n=size).numpy()
        for at, (_, room, begin) in enumerate(chosen):
            lo, hi = max(begin - room.peak, 0), min(begin, len(out))
            out[lo:hi] -= early[at, lo - begin + room.peak : hi - begin + room.peak]

    def _find_gains(self, index: int) -> tuple[np.ndarray, float]:
        """Return the gains of a mixture, computed from the whole mixture."""
        layout, rows = self.layout, self.layout.rows(index)
        total, (noise, snr) = layout.num_samples(index), layout.noise(index)
        out = np.zeros(total, dtype=np.float32)
        gains = np.ones(len(rows.begin), dtype=np.float32)
        speakers = np.unique(rows.speaker[rows.room >= 0]).tolist()
        for speaker in speakers:
            chosen = np.flatnonzero(rows.speaker == speaker)
            self._reverberate_each(out, rows, chosen, gains)
        if noise < 0:
            return gains, 0.0
        self._add_dry(out, rows, 0)
        level = self._noise_energy(noise, total)
        if level == 0:
            return gains, 0.0
        return gains, float(np.sqrt(10 ** (-snr / 10) * _energy(out) / level))

    def _reverberate_each(
        self, out: np.ndarray, rows: Rows, chosen: np.ndarray, gains: np.ndarray
    ) -> None:
        """Add a speaker's utterances, convolved one by one, to ``out``; set their ``gains``.

        On the track, each utterance begins after the tail of the previous one.
        """
        room = self.room(int(rows.room[chosen[0]]))
        tail = len(room.response) - 1
        ends = np.cumsum(rows.length[chosen] + tail)
        size = fft_size(int(ends[-1]), tail)
        step = size - tail
        track = torch.zeros(1, tail + -(-int(ends[-1]) // step) * step)
        held = track.numpy()[0]
        response = torch.zeros(1, size)
        response.numpy()[0, : tail + 1] = room.response
        begins = (ends - rows.length[chosen] - tail).tolist()
        dry = []
        for row, begin in zip(chosen.tolist(), begins, strict=True):
            part = held[tail + begin : tail + begin + int(rows.length[row])]
            self._put(part, rows, row)
            dry.append(_energy(part))
        wet = overlap_save(track, response, tail).numpy()
        for row, begin, end, before in zip(
            chosen.tolist(), begins, ends.tolist(), dry, strict=True
        ):
            part = wet[begin + room.peak : end]
            after = _energy(part)
            if before > 0 and after > 0:
                gains[row] = np.sqrt(before / after)
            at = int(rows.begin[row])
            part = part[: len(out) - at]
            out[at : at + len(part)] += part * gains[row]

    def _noise_energy(self, number: int, total: int) -> float:
        """Return the energy of ``total`` samples of a noise, which is repeated if it is shorter."""
        entry = self.entries[number]
        period = entry.length - self._loop_fade(entry)
        if entry.length >= total:
            return _energy(self._noise(entry, 0, total))
        times, rest = divmod(total, period)
        energy = times * _energy(self._looped(entry, 0, period))
        return energy + (_energy(self._looped(entry, 0, rest)) if rest else 0.0)

    def _add_noise(self, out: np.ndarray, index: int, start: int, gain: float) -> None:
        entry = self.entries[self.layout.noise(index)[0]]
        cut = self._noise if entry.length >= self.layout.num_samples(index) else self._looped
        out += cut(entry, start, start + len(out), gain)

    def _loop_fade(self, entry: Entry) -> int:
        return min(int(_LOOP_FADE * self.layout.sample_rate), entry.length // 4)

    def _noise(self, entry: Entry, start: int, stop: int, gain: float = 1.0) -> np.ndarray:
        factor = np.float32(entry.scale) * np.float32(gain)
        return np.multiply(self.store.samples(entry, start, stop), factor, dtype=np.float32)

    def _looped(self, entry: Entry, start: int, stop: int, gain: float = 1.0) -> np.ndarray:
        """Return samples [start, stop) of a repeated noise, cross-faded from end to beginning."""
        fade = self._loop_fade(entry)
        period = entry.length - fade
        out = np.empty(stop - start, dtype=np.float32)
        rise = (np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1)  # share of the power
        at = start
        while at < stop:
            first = at % period
            last = min(period, first + stop - at)
            part = out[at - start : at - start + last - first]
            part[:] = self._noise(entry, first, last, gain)
            if first < fade:
                end = min(fade, last)
                up, down = np.sqrt(rise[first:end]), np.sqrt(1 - rise[first:end])
                tail = self._noise(entry, period + first, period + end, gain)
                part[: end - first] = up * part[: end - first] + down * tail
            at += last - first
        return out


def fft_size(length: int, tail: int) -> int:
    """Return the transform size, a power of two, that convolves ``length`` samples fastest.

    ``tail`` is the length of the response less 1.
    """
    first = max(_MIN_FFT, 1 << (2 * tail).bit_length())
    sizes = [first]
    while sizes[-1] < _MAX_FFT:
        sizes.append(2 * sizes[-1])

    def work(size: int) -> int:
        return -(-length // (size - tail)) * size * size.bit_length()

    return min(sizes, key=work)


def overlap_save(tracks: Tensor, responses: Tensor, tail: int) -> Tensor:
    """Return the sum of the tracks, each convolved with its response, float32 (n,).

    ``tracks`` is (S, tail + n), n a multiple of the step, which is the responses' second size
    (the transform size) less ``tail``; sample t of the result is at tail + t in the tracks.
    """
    size = responses.shape[1]
    blocks = tracks.unfold(1, size, size - tail)  # (S, n / step, size)
    speakers, count = blocks.shape[:2]
    runs = -(-speakers * count // _ROWS)
    parts, rooms = [], None
    for part in torch.tensor_split(blocks, runs, dim=1):
        # The responses are transformed with the first blocks: each call plans its transforms.
        held = part.reshape(-1, size)
        spectra = torch.fft.rfft(torch.cat([held, responses]) if rooms is None else held)
        if rooms is None:
            rooms = spectra[len(held) :]  # (S, size / 2 + 1)
        spectra = spectra[: len(held)].unflatten(0, (speakers, -1))
        total = spectra[0].mul_(rooms[0])
        for speaker in range(1, speakers):
            total.addcmul_(spectra[speaker], rooms[speaker])
        parts.append(torch.fft.irfft(total, n=size)[:, tail:].reshape(-1))
    return parts[0] if runs == 1 else torch.cat(parts)


def _energy(wave: np.ndarray) -> float:
    """Return the sum of squares: in float32 within short blocks, in float64 over blocks."""
    whole = len(wave) // _SUM_BLOCK * _SUM_BLOCK
    blocks = wave[:whole].reshape(-1, _SUM_BLOCK)
    rest = wave[whole:]
    sums = np.einsum("ij,ij->i", blocks, blocks)
    return float(sums.sum(dtype=np.float64)) + float(np.einsum("i,i->", rest, rest))
