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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diarize.checks import at_least, non_negative
from diarize.errors import DiarizeError
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.common import DECIMALS, SpeakerOptions, utterances_by_speaker


@dataclass(frozen=True)
class MixtureOptions(SpeakerOptions):
    """Options of speaker mixtures.

    ``beta`` is the mean of the silence before each utterance in seconds (exponentially
    distributed); Fujita et al. and the EEND-M2F paper use 2, 2, 5 and 9 for 1 to 4
    speakers.
    """

    num_speakers: int
    beta: float

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, num_speakers=self.num_speakers)
        non_negative(beta=self.beta)


def make_manifest(
    data: DataDir,
    options: MixtureOptions,
    noises: Sequence[str] = (),
    rirs: Sequence[str] = (),
    rooms: Sequence[Sequence[str]] = (),
) -> Iterator[tuple[str, dict]]:
    """Yield (id, mixture) for each mixture, ids ``<prefix>0000001``... in C order.

    Mixture i depends on ``options.seed`` and i alone.  A longer manifest therefore begins
    with the shorter one, and noise and reverberation change neither speakers nor utterances
    nor silences.  A speaker with too few utterances repeats them after all have been used.
    ``noises`` and ``rirs`` are audio files, ``rooms`` those of `SpeakerOptions.place`.
    Raises DiarizeError if ``data`` has too few speakers.
    """
    voices = {
        name: [item for item, _ in found] for name, found in utterances_by_speaker(data).items()
    }
    if len(voices) < options.num_speakers:
        raise DiarizeError(
            f"{data.path}: {len(voices)} speakers, but {options.num_speakers} are wanted in "
            "each mixture; give a larger data directory or a smaller --num-speakers"
        )
    return _draw_all(voices, noises, rirs, rooms, options)


def _draw_all(
    voices: dict[str, list],
    noises: Sequence[str],
    rirs: Sequence[str],
    rooms: Sequence[Sequence[str]],
    options: MixtureOptions,
) -> Iterator[tuple[str, dict]]:
    for index, name, rng in options.mixtures():
        mixture = _draw(voices, noises, rirs, options, rng)
        options.place(index, mixture["speakers"], rooms)
        yield name, mixture | {"recid": name}


def _draw(
    voices: dict[str, list],
    noises: Sequence[str],
    rirs: Sequence[str],
    options: MixtureOptions,
    rng: np.random.Generator,
) -> dict:
    """Return one mixture without its id (the random draws of Alg. 1, lines 1 to 9)."""
    names = list(voices)
    chosen = options.choose(names, options.num_speakers, rng)
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
                "intervals": np.round(silences, DECIMALS).tolist(),
            }
        )
    noise = noises[rng.integers(len(noises))] if noises else None
    snr = options.snrs[rng.integers(len(options.snrs))] if noises else None
    return {"speakers": speakers, "noise": noise, "snr": snr}
