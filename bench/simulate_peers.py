"""Other ways to make a mixture of a manifest: a plain script, and lhotse (from PyPI)."""

import importlib.util
import math

import numpy as np
import soundfile
from scipy.signal import fftconvolve
from simulate_corpus import RATE

HAS_LHOTSE = importlib.util.find_spec("lhotse") is not None


def by_hand(mixture: dict) -> np.ndarray:
    """Return the waveform of ``mixture`` as a plain script makes it."""
    speakers = []
    for speaker in mixture["speakers"]:
        room = None if speaker["rir"] is None else soundfile.read(speaker["rir"])[0]
        pieces = []
        for name, silence in zip(speaker["utts"], speaker["intervals"], strict=True):
            wave = soundfile.read(name)[0]
            if room is not None:
                wet = fftconvolve(wave, room)[np.argmax(np.abs(room)) :][: len(wave)]
                wave = wet * np.sqrt(np.mean(wave**2) / np.mean(wet**2))
            pieces += [np.zeros(round(silence * RATE)), wave]
        speakers.append(np.concatenate(pieces))
    out = np.zeros(max(map(len, speakers)))
    for wave in speakers:
        out[: len(wave)] += wave
    noise = np.resize(soundfile.read(mixture["noise"])[0], len(out))
    level = np.sqrt(10 ** (-mixture["snr"] / 10) * np.mean(out**2) / np.mean(noise**2))
    return out + level * noise


class WithLhotse:
    """Mixtures as lhotse makes them out of cuts; headers are read once, audio each time."""

    def __init__(self) -> None:
        self._cuts: dict = {}

    def _cut(self, path: str):
        from lhotse import Recording

        if path not in self._cuts:
            self._cuts[path] = Recording.from_file(path, recording_id=path).to_cut()
        return self._cuts[path]

    def __call__(self, mixture: dict) -> np.ndarray:
        """Return the waveform of ``mixture``."""
        mixed = None
        for speaker in mixture["speakers"]:
            begin = 0.0
            room = None if speaker["rir"] is None else self._cut(speaker["rir"]).recording
            for name, silence in zip(speaker["utts"], speaker["intervals"], strict=True):
                begin += silence
                cut = self._cut(name)
                end = begin + cut.duration
                if room is not None:
                    cut = cut.reverb_rir(room, affix_id=False)
                if mixed is None:
                    mixed = cut.pad(end, direction="left")
                else:
                    mixed = mixed.mix(cut, offset_other_by=begin, allow_padding=True)
                begin = end
        noise = self._cut(mixture["noise"])
        times = math.ceil(mixed.duration / noise.duration)
        for _ in range(times - 1):
            noise = noise.append(self._cut(mixture["noise"]))
        noise = noise.truncate(duration=mixed.duration)
        return mixed.mix(noise, snr=mixture["snr"]).load_audio()[0]
