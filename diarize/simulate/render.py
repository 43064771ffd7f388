"""From a mixture's description to its waveform and labels: one function for disk and training.

What is heard, and what is labelled:

* Each speaker is a row of silences and utterances.  Silences, and the edges of
  utterances given as ``[file, start, end]``, are rounded to samples; the labels are
  those very samples.  The mixture ends with the last utterance of all speakers.
* Reverberation: the utterance is convolved with the speaker's room impulse response,
  whose strongest sample stands for the direct path and is put at delay 0; what would
  come before the label's start is dropped.  The tail after the label's end is kept (to
  the end of the mixture) but not labelled.  Each utterance is scaled so that its energy,
  with the tail, is that of the dry one, as Kaldi's ``wav-reverberate`` does, with which
  hitachi-speech/EEND makes its mixtures; so the speakers' levels stay.
* Noise is cut, or repeated with a short cross-fade, to the mixture's length, and scaled
  so that mean power of speech / mean power of noise over the whole mixture is the SNR.

* Pieces that say so are put to a level of their own (``gain``); with ``band`` every piece is
  what the band-pass of its whole file has there, with ``fade`` its ends are faded.

The sum is not clipped and not normalised: its samples may pass 1.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.kaldi.reference import MAX_OVERSHOOT
from diarize.segments import Segment
from diarize.simulate.cache import Reader, UtteranceCache, as_reader, is_pipe
from diarize.simulate.labels import segments_of
from diarize.simulate.pieces import Piece, band_pass, fade_ends, margin, parse_piece
from diarize.timebase import FrameGrid

__all__ = [
    "Layout",
    "Mixture",
    "Placed",
    "UtteranceCache",
    "fade_rise",
    "loop_fade",
    "mixture_length",
    "noise_loop",
    "place",
    "render",
    "segments_of",
]

_FADE_SECONDS = 0.02
_WHOLE_SECONDS = 60  # files up to this long are kept whole where pieces of them are asked for


class Mixture(NamedTuple):
    """A waveform, float32 of shape (n,), and who speaks in it; times from its first sample."""

    waveform: np.ndarray
    segments: list[Segment]


class Placed(NamedTuple):
    """One utterance at its place: samples [begin, begin + length) of the mixture.

    ``first`` and ``last`` are the samples of the file (``last`` None: to its end), ``piece``
    what the manifest says of it.
    """

    begin: int
    length: int
    speaker: int
    name: str
    first: int
    last: int | None
    piece: Piece


class Layout(NamedTuple):
    """Where the utterances of a mixture of ``num_samples`` samples lie, speaker by speaker."""

    num_samples: int
    placed: list[Placed]


def place(mixture: dict, *, sample_rate: int = 16000, reader: Callable = read_audio) -> Layout:
    """Return where every utterance lies, in samples, from the headers of the files alone.

    Raises DiarizeError, with the mixture and the file, for what cannot be read, holds no
    samples, or passes the end of its file by more than half a second; within that it is
    taken to the end of the file, as Kaldi's ``extract-segments`` does.
    """
    source, grid = as_reader(reader), FrameGrid(sample_rate=sample_rate)
    placed, total = [], 0
    for number, speaker in enumerate(mixture["speakers"]):
        at = 0
        for utt, silence in zip(speaker["utts"], speaker["intervals"], strict=True):
            with _naming(mixture, speaker):
                piece = parse_piece(utt)
                name, first, last, length = _span(piece.source, grid, source)
            at += grid.to_samples(silence)
            placed.append(Placed(at, length, number, name, first, last, piece))
            at += length
        total = max(total, at)
    return Layout(total, placed)


def mixture_length(mixture: dict, reader: Callable = read_audio, sample_rate: int = 16000) -> int:
    """Return the length of ``mixture`` in samples; errors as :func:`place`."""
    return place(mixture, sample_rate=sample_rate, reader=reader).num_samples


def _span(utt: str | list, grid: FrameGrid, source: Reader) -> tuple[str, int, int | None, int]:
    """Return file, first and last sample (None: the end) and length of ``utt``."""
    if isinstance(utt, str):
        return utt, 0, None, source.num_samples(utt, grid.sample_rate)
    name, first, last = utt[0], grid.to_samples(utt[1]), grid.to_samples(utt[2])
    # A pipe would have to be run for its length; reading it will show a fault as well.
    total = last if is_pipe(name) else source.num_samples(name, grid.sample_rate)
    overshoot = (last - total) / grid.sample_rate
    if overshoot > MAX_OVERSHOOT:
        raise DiarizeError(
            f"{name}: segment {utt[1]} to {utt[2]} s ends {overshoot:.2f} s after the recording"
        )
    last = min(last, total)
    if last <= first:
        raise DiarizeError(f"{name}: segment {utt[1]} to {utt[2]} s holds no samples")
    return name, first, last, last - first


def render(
    mixture: dict,
    *,
    sample_rate: int = 16000,
    reader: Callable = read_audio,
    start: int | None = None,
    stop: int | None = None,
) -> Mixture:
    """Return waveform and labels of samples [start, stop) of ``mixture`` (default: all of it).

    ``stop`` beyond the end means the end.  The window is the same samples that the
    whole mixture has there, but only the utterances heard in it are decoded.  Noise is
    the exception: its gain depends on the power of the whole mixture, so the first
    window of a noisy mixture decodes all of it; an :class:`UtteranceCache` as
    ``reader`` remembers the gain, and decoded utterances as far as its memory goes.

    ``reader`` has the arguments of :func:`diarize.io.audio.read_audio`.  Raises
    DiarizeError, with the mixture and the file, for audio that cannot be used.
    """
    source = as_reader(reader)
    layout = place(mixture, sample_rate=sample_rate, reader=source)
    lo = 0 if start is None else start
    hi = layout.num_samples if stop is None else min(stop, layout.num_samples)
    if not 0 <= lo <= hi:
        raise ValueError(f"window [{lo}, {hi}) of {layout.num_samples} samples")
    renderer = _Renderer(mixture, layout, sample_rate, source)
    segments = segments_of(mixture, layout, sample_rate=sample_rate, start=lo, stop=hi)
    return Mixture(renderer.window(lo, hi), segments)


class _Renderer:
    """One mixture with all that its parts need."""

    def __init__(self, mixture: dict, layout: Layout, sample_rate: int, source: Reader) -> None:
        self.mixture, self.layout = mixture, layout
        self.sample_rate, self.source = sample_rate, source

    def window(self, lo: int, hi: int) -> np.ndarray:
        """Return samples [lo, hi), float32."""
        if self.mixture["noise"] is None:
            return self._speech(lo, hi)
        key = self._key()
        gain = self.source.gains.get(key)
        if gain is not None:
            wave = self._speech(lo, hi)
        else:
            wave = self._speech(0, self.layout.num_samples)
            gain = self._noise_gain(wave)
            self.source.gains.put(key, gain)
            wave = wave[lo:hi]
        if gain > 0:
            wave += np.float32(gain) * self._noise(lo, hi)
        return wave

    def _speech(self, lo: int, hi: int) -> np.ndarray:
        out = np.zeros(hi - lo, dtype=np.float32)
        rooms: dict[int, np.ndarray | None] = {}
        for utt in self.layout.placed:
            if utt.speaker not in rooms:
                rooms[utt.speaker] = self._room(utt.speaker)
            room = rooms[utt.speaker]
            tail = 0 if room is None else len(room) - 1
            if utt.begin >= hi or utt.begin + utt.length + tail <= lo:
                continue
            wave = self._utterance(utt)
            if room is not None:
                wave = _reverberate(wave, room)
            a, b = max(utt.begin, lo), min(utt.begin + len(wave), hi)
            if b > a:
                out[a - lo : b - lo] += wave[a - utt.begin : b - utt.begin]
        return out

    def _utterance(self, utt: Placed) -> np.ndarray:
        band, fade = self.mixture.get("band"), self.mixture.get("fade", 0.0)
        with _naming(self.mixture, self.mixture["speakers"][utt.speaker]):
            if band is None:
                wave = self.source(utt.name, utt.first, utt.last, self.sample_rate)
            else:
                wave = self._in_band(utt, band)
            if len(wave) != utt.length:
                raise DiarizeError(
                    f"{utt.name}: {utt.length} samples expected from sample {utt.first} at "
                    f"{self.sample_rate} Hz, but {len(wave)} are there; does the segment "
                    "pass the end of the recording?"
                )
        if utt.piece.gain:
            wave = wave * np.float32(10 ** (utt.piece.gain / 20))
        return fade_ends(wave, round(fade * self.sample_rate))

    def _in_band(self, utt: Placed, band: list) -> np.ndarray:
        """Return the samples of ``utt`` after the band-pass, as the whole file would have them."""
        rate, name = self.sample_rate, utt.name
        if utt.last is None:
            return band_pass(self.source(name, 0, None, rate), band, rate)
        total = self.source.num_samples(name, rate)
        lo, hi = max(0, utt.first - margin(rate)), min(total, utt.last + margin(rate))
        if total <= _WHOLE_SECONDS * rate:
            wave = self.source(name, 0, None, rate)[lo:hi]
        else:
            wave = self.source.window(name, lo, hi, rate)
        first = utt.first - lo
        return band_pass(wave, band, rate)[first : first + utt.length]

    def _room(self, number: int) -> np.ndarray | None:
        speaker = self.mixture["speakers"][number]
        if speaker["rir"] is None:
            return None
        with _naming(self.mixture, speaker):
            room = self.source(speaker["rir"], 0, None, self.sample_rate)
            if not np.any(room):
                raise DiarizeError(f"{speaker['rir']}: the impulse response is silent")
        return room

    def _noise_gain(self, speech: np.ndarray) -> float:
        """Return the factor that puts the noise at the SNR; 0 where either is silent."""
        total = self.layout.num_samples
        have = self._noise_length()
        if have >= total:
            noise = _energy(self._noise(0, total))
        else:
            loop = self._loop()
            times, rest = divmod(total, len(loop))
            noise = times * _energy(loop) + _energy(loop[:rest])
        if noise == 0:
            return 0.0
        return float(np.sqrt(10 ** (-self.mixture["snr"] / 10) * _energy(speech) / noise))

    def _noise(self, lo: int, hi: int) -> np.ndarray:
        if self._noise_length() >= self.layout.num_samples:
            with _naming(self.mixture):
                return self.source.window(self.mixture["noise"], lo, hi, self.sample_rate)
        return _repeat(self._loop(), lo, hi)

    def _noise_length(self) -> int:
        with _naming(self.mixture):
            length = self.source.num_samples(self.mixture["noise"], self.sample_rate)
            if length < 1:
                raise DiarizeError(f"{self.mixture['noise']}: the noise is empty")
        return length

    def _loop(self) -> np.ndarray:
        with _naming(self.mixture):
            noise = self.source(self.mixture["noise"], 0, None, self.sample_rate)
        return noise_loop(noise, self.sample_rate)

    def _key(self) -> bytes:
        text = repr((self.sample_rate, self.mixture)).encode()
        return hashlib.blake2b(text, digest_size=16).digest()


def noise_loop(noise: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return ``noise`` with its end faded into its beginning, so that it can be repeated."""
    fade = loop_fade(len(noise), sample_rate)
    period = len(noise) - fade
    loop = noise[:period].copy()
    if fade:
        rise = fade_rise(fade)
        loop[:fade] = np.sqrt(rise) * noise[:fade] + np.sqrt(1 - rise) * noise[period:]
    return loop


def loop_fade(num_samples: int, sample_rate: int) -> int:
    """Return how many samples of a noise's end are faded into its beginning."""
    return min(int(_FADE_SECONDS * sample_rate), num_samples // 4)


def fade_rise(fade: int) -> np.ndarray:
    """Return the share of the beginning's power in each sample of the fade, float32 (fade,)."""
    return (np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1)


def _repeat(loop: np.ndarray, lo: int, hi: int) -> np.ndarray:
    """Return samples [lo, hi) of ``loop`` repeated for ever."""
    pieces, at = [], lo
    while at < hi:
        first = at % len(loop)
        pieces.append(loop[first : first + hi - at])
        at += len(pieces[-1])
    return np.concatenate(pieces) if pieces else loop[:0]


def _reverberate(dry: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return ``dry`` in ``room``, direct path at delay 0, with the tail, at the dry energy."""
    # scipy.signal takes most of a second to import, and dry mixtures never need it.
    from scipy.signal import oaconvolve

    wet = oaconvolve(dry, room)[int(np.argmax(np.abs(room))) :]
    before, after = _energy(dry), _energy(wet)
    if before == 0 or after == 0:
        return wet
    return wet * np.float32(np.sqrt(before / after))


def _energy(wave: np.ndarray) -> float:
    # Not np.dot: its BLAS threads would fight with the other processes of a data loader.
    return float(np.einsum("i,i->", wave, wave, dtype=np.float64))


@contextmanager
def _naming(mixture: dict, speaker: dict | None = None) -> Iterator[None]:
    """Put the mixture, and the speaker if given, before the message of a DiarizeError."""
    try:
        yield
    except DiarizeError as err:
        who = f"speaker {speaker['spkid']}" if speaker else "noise"
        raise DiarizeError(f"mixture {mixture['recid']}, {who}: {err}") from err
