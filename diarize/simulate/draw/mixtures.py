"""Speaker mixtures: speakers, times of utterances, noise and room impulse responses.

Algorithm 1 of Fujita et al., "End-to-end neural speaker diarization with
permutation-free objectives" (Interspeech 2019), for any number of speakers.  A mixture
is a plain dictionary with the keys of the hitachi-speech/EEND project::

    {"speakers": [{"spkid": name, "rir": rxfilename or null,
                   "utts": [rxfilename or [rxfilename, start, end], ...],
                   "intervals": [seconds of silence before each utterance, ...]}, ...],
     "noise": rxfilename or null, "snr": decibel or null, "recid": name}

:mod:`diarize.simulate.manifest` reads and writes files of such dictionaries,
:mod:`diarize.simulate.mix.layout` and :mod:`diarize.simulate.mix.mixer` make labels and waveforms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diarize.errors import DiarizeError

if TYPE_CHECKING:
    from diarize.kaldi.datadir import DataDir

# Silences are rounded to a microsecond, which is finer than a sample and halves the file size.
_INTERVAL_DECIMALS = 6


@dataclass(frozen=True)
class MixtureOptions:
    """Options of speaker mixtures; the defaults are those of hitachi-speech/EEND.

    ``beta`` is the mean of the silence before each utterance in seconds (exponentially
    distributed); Fujita et al. and the EEND-M2F paper use 2, 2, 5 and 9 for 1 to 4
    speakers.  ``rir_prob`` is the probability that a speaker is reverberated, ``snrs``
    are the possible SNRs of the noise in dB.  Raises DiarizeError for invalid values.
    """

    num_mixtures: int
    num_speakers: int
    beta: float
    min_utts: int = 10
    max_utts: int = 20
    rir_prob: float = 0.5
    snrs: tuple[float, ...] = (5.0, 10.0, 15.0, 20.0)
    seed: int = 0
    prefix: str = "mix_"

    def __post_init__(self) -> None:
        checks = [
            ("num_mixtures", self.num_mixtures >= 1, "at least 1"),
            ("num_speakers", self.num_speakers >= 1, "at least 1"),
            ("beta", math.isfinite(self.beta) and self.beta >= 0, "0 or more seconds"),
            ("min_utts", self.min_utts >= 1, "at least 1"),
            ("max_utts", self.max_utts >= self.min_utts, f"at least min_utts={self.min_utts}"),
            ("rir_prob", 0 <= self.rir_prob <= 1, "between 0 and 1"),
            ("snrs", bool(self.snrs) and all(map(math.isfinite, self.snrs)), "numbers in dB"),
            ("seed", self.seed >= 0, "0 or more"),
            ("prefix", _is_name(self.prefix), "non-empty, without spaces and '/'"),
        ]
        for name, good, wanted in checks:
            if not good:
                raise DiarizeError(
                    f"simulation: {name} must be {wanted}, not {getattr(self, name)!r}"
                )


def make_manifest(
    data: "DataDir",
    options: MixtureOptions,
    noises: "DataDir | None" = None,
    rirs: "DataDir | None" = None,
) -> Iterator[tuple[str, dict]]:
    """Yield (id, mixture) for each mixture, ids ``<prefix>0000001``... in C order.

    Mixture i depends on ``options.seed`` and i alone.  A longer manifest therefore begins
    with the shorter one, and noise and reverberation change neither speakers nor utterances
    nor silences.  A speaker with too few utterances repeats them after all have been used.
    Raises DiarizeError if ``data`` has too few speakers or a directory has no recordings.
    """
    voices = _utterances_by_speaker(data)
    if len(voices) < options.num_speakers:
        raise DiarizeError(
            f"{data.path}: {len(voices)} speakers, but {options.num_speakers} are wanted in "
            "each mixture; give a larger data directory or a smaller --num-speakers"
        )
    noise_names = _recordings(noises, "noise")
    rir_names = _recordings(rirs, "room impulse response")
    return _draw_all(voices, noise_names, rir_names, options)


def _draw_all(
    voices: dict[str, list], noises: list[str], rirs: list[str], options: MixtureOptions
) -> Iterator[tuple[str, dict]]:
    width = max(7, len(str(options.num_mixtures)))
    for index in range(options.num_mixtures):
        name = f"{options.prefix}{index + 1:0{width}d}"
        seeds = np.random.SeedSequence(options.seed, spawn_key=(index,))
        rng = np.random.default_rng(seeds)
        yield name, _draw(voices, noises, rirs, options, rng) | {"recid": name}


def _draw(
    voices: dict[str, list],
    noises: list[str],
    rirs: list[str],
    options: MixtureOptions,
    rng: np.random.Generator,
) -> dict:
    """Return one mixture without its id (the random draws of Alg. 1, lines 1 to 9)."""
    names = list(voices)
    chosen = rng.choice(len(names), size=options.num_speakers, replace=False)
    speakers = []
    for name in (names[i] for i in chosen):
        pool = voices[name]
        count = int(rng.integers(options.min_utts, options.max_utts + 1))
        order = np.resize(rng.permutation(len(pool)), count)
        silences = rng.exponential(options.beta, size=count)
        coin, pick = rng.random(2)
        wet = bool(rirs) and coin < options.rir_prob
        speakers.append(
            {
                "spkid": name,
                "rir": rirs[int(pick * len(rirs))] if wet else None,
                "utts": [pool[i] for i in order],
                "intervals": np.round(silences, _INTERVAL_DECIMALS).tolist(),
            }
        )
    noise = noises[rng.integers(len(noises))] if noises else None
    snr = options.snrs[rng.integers(len(options.snrs))] if noises else None
    return {"speakers": speakers, "noise": noise, "snr": snr}


def _utterances_by_speaker(data: "DataDir") -> dict[str, list]:
    """Return the utterances of each speaker in manifest form, speakers in C order."""
    voices: dict[str, list] = {}
    names: dict[str, str] = {}
    for utt in data.utterances:
        if not utt.speaker:
            raise DiarizeError(f"{data.path}: utterance {utt.id} has no speaker in utt2spk")
        if utt.recording not in names:
            names[utt.recording] = data.source(utt.recording).resolved()
        name = names[utt.recording]
        whole = utt.end is None and not utt.start
        item = name if whole else [name, utt.start, utt.end]
        voices.setdefault(utt.speaker, []).append(item)
    return {name: voices[name] for name in sorted(voices, key=str.encode)}


def _recordings(data: "DataDir | None", what: str) -> list[str]:
    if data is None:
        return []
    names = [data.source(recording).resolved() for recording in data.recordings]
    if not names:
        raise DiarizeError(f"{data.path}: no {what} recordings in it")
    return names


def _is_name(text: str) -> bool:
    return bool(text) and "/" not in text and not any(c.isspace() for c in text)
