"""Plain reference renderer of mixtures, which the mixer is compared with.

Slow on purpose: whole mixtures only, one utterance after the other, convolution by
`scipy.signal.fftconvolve`, everything in float64, nothing kept.  It shares no code with
`diarize.simulate`.
"""

import numpy as np
from scipy.signal import fftconvolve, firwin

from diarize.io.audio import read_audio
from diarize.segments import Segment


def plain_mixture(mixture: dict, rate: int = 16000) -> tuple[np.ndarray, list[Segment]]:
    """Return the waveform (float64) and the labels of ``mixture``."""
    parts, labels, total = [], [], 0
    for speaker in mixture["speakers"]:
        room = None if speaker["rir"] is None else read_audio(speaker["rir"], sample_rate=rate)
        at = 0
        for utt, silence in zip(speaker["utts"], speaker["intervals"], strict=True):
            said = as_object(utt)
            dry = utterance(mixture, said, rate)
            at += round(silence * rate)
            label = said.get("label", speaker["spkid"])
            first, last = sounding(dry, rate)
            if first < last:
                labels.append([at + first, at + last, label, "label" in said, speaker["spkid"]])
            parts.append((at, dry if room is None else reverberated(dry, room)))
            at += len(dry)
        total = max(total, at)
    speech = np.zeros(total)
    for at, wave in parts:
        speech[at : at + len(wave)] += wave[: total - at]
    if mixture["noise"] is not None:
        noise = repeated(read_audio(mixture["noise"], sample_rate=rate).astype(float), total, rate)
        power = np.sum(noise**2)
        if power > 0:
            speech += noise * np.sqrt(10 ** (-mixture["snr"] / 10) * np.sum(speech**2) / power)
    return speech, segments_of(mixture["recid"], labels, rate)


def as_object(utt: str | list | dict) -> dict:
    if isinstance(utt, list):
        return {"file": utt[0], "start": utt[1], "end": utt[2]}
    return {"file": utt} if isinstance(utt, str) else utt


def sounding(wave: np.ndarray, rate: int) -> tuple[int, int]:
    """Return the labelled samples of an utterance: without zeros of half a second at an edge."""
    found = np.flatnonzero(wave)
    if not found.size:
        return 0, 0
    first, last = found[0], found[-1] + 1
    return int(first) if first >= rate / 2 else 0, (
        int(last) if len(wave) - last >= rate / 2 else len(wave)
    )


def utterance(mixture: dict, utt: dict, rate: int) -> np.ndarray:
    """Return the dry utterance in its band, at its level, faded at both ends."""
    wave = read_audio(utt["file"], sample_rate=rate).astype(float)
    if mixture.get("band"):
        low, high = mixture["band"]
        taps = 2 * (round(0.05 * rate) // 2) + 1
        edges = [low, high] if high < 0.47 * rate else low
        wave = np.convolve(wave, firwin(taps, edges, pass_zero=False, fs=rate), "full")
        wave = wave[taps // 2 : len(wave) - taps // 2]
    if "start" in utt:
        wave = wave[round(utt["start"] * rate) : round(utt["end"] * rate)]
    wave = wave * 10 ** (utt.get("gain", 0.0) / 20)
    count = min(round(mixture.get("fade", 0.0) * rate), len(wave) // 2)
    for i in range(count):
        rise = np.sin(np.pi / 2 * (i + 0.5) / count) ** 2
        wave[i] *= rise
        wave[-1 - i] *= rise
    return wave


def reverberated(dry: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return ``dry`` with the tail of ``room``, direct path at delay 0, at the dry energy."""
    wet = fftconvolve(dry, room.astype(float))[np.argmax(np.abs(room)) :]
    before, after = np.sum(dry**2), np.sum(wet**2)
    return wet * np.sqrt(before / after) if before > 0 and after > 0 else wet


def repeated(noise: np.ndarray, total: int, rate: int) -> np.ndarray:
    """Return ``total`` samples of a noise; a shorter one's end is faded into its beginning."""
    if len(noise) >= total:
        return noise[:total]
    fade = min(int(0.02 * rate), len(noise) // 4)
    loop = noise[: len(noise) - fade].copy()
    for i in range(fade):
        share = (i + 0.5) / fade
        loop[i] = np.sqrt(share) * loop[i] + np.sqrt(1 - share) * noise[len(loop) + i]
    return np.resize(loop, total)


def segments_of(name: str, labels: list[list], rate: int) -> list[Segment]:
    """Return the labels as segments; labels of utterances that abut are joined."""
    joined: list[list] = []
    for begin, end, label, own, speaker in labels:
        if own and joined and joined[-1][1:] == [begin, label, own, speaker]:
            joined[-1][1] = end
        else:
            joined.append([begin, end, label, own, speaker])
    return sorted(Segment(name, b / rate, e / rate, label) for b, e, label, *_ in joined)


def window_of(segments: list[Segment], start: int, stop: int, rate: int) -> list[Segment]:
    """Return the labels of samples [start, stop), in seconds from ``start``."""
    out = []
    for s in segments:
        begin, end = max(round(s.start * rate), start), min(round(s.end * rate), stop)
        if end > begin:
            out.append(s._replace(start=(begin - start) / rate, end=(end - start) / rate))
    return sorted(out)
