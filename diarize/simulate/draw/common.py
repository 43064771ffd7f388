"""Parts that all simulations share: options, random generators, utterances, noise and rooms."""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np

from diarize.errors import DiarizeError
from diarize.kaldi.datadir import DataDir, Utterance

DECIMALS = 6
"""Decimals of silences in seconds: a microsecond is finer than a sample and halves the file."""


@dataclass(frozen=True)
class DrawOptions:
    """Options of all simulations; raises DiarizeError for invalid values.

    ``prefix`` begins the ids of the mixtures.
    """

    num_mixtures: int
    _: KW_ONLY
    seed: int = 0
    prefix: str = "mix_"

    def __post_init__(self) -> None:
        name = bool(self.prefix) and "/" not in self.prefix
        for field, good, wanted in (
            ("num_mixtures", self.num_mixtures >= 1, "at least 1"),
            ("seed", self.seed >= 0, "0 or more"),
            ("prefix", name and self.prefix.split() == [self.prefix],
             "non-empty, without spaces and '/'"),
            *self.checks(),
        ):  # fmt: skip
            if not good:
                raise DiarizeError(
                    f"simulation: {field} must be {wanted}, not {getattr(self, field)!r}"
                )

    def checks(self) -> Iterable[tuple[str, bool, str]]:
        """Return (option, whether it is valid, valid values) of the simulation's own options."""
        return ()

    def mixtures(self) -> Iterator[tuple[int, str, np.random.Generator]]:
        """Yield number, id and generator of each mixture, ids ``<prefix>0000001``... in C order.

        The generator of mixture i depends on ``seed`` and i alone.
        """
        width = max(7, len(str(self.num_mixtures)))
        for index in range(self.num_mixtures):
            seeds = np.random.SeedSequence(self.seed, spawn_key=(index,))
            yield index, f"{self.prefix}{index + 1:0{width}d}", np.random.default_rng(seeds)


@dataclass(frozen=True)
class SpeakerOptions(DrawOptions):
    """Options of mixtures and conversations of speakers; the defaults are hitachi-speech/EEND's.

    ``min_utts`` to ``max_utts`` utterances are drawn for each speaker.  ``rir_prob`` is the
    probability that a speaker is reverberated, ``snrs`` are the possible SNRs of the noise in dB.
    """

    _: KW_ONLY
    min_utts: int = 10
    max_utts: int = 20
    rir_prob: float = 0.5
    snrs: tuple[float, ...] = (5.0, 10.0, 15.0, 20.0)

    def checks(self) -> Iterable[tuple[str, bool, str]]:
        return (
            ("min_utts", self.min_utts >= 1, "at least 1"),
            ("max_utts", self.max_utts >= self.min_utts, f"at least min_utts={self.min_utts}"),
            ("rir_prob", 0 <= self.rir_prob <= 1, "between 0 and 1"),
            ("snrs", bool(self.snrs) and all(map(math.isfinite, self.snrs)), "numbers in dB"),
        )


def utterances_by_speaker(data: DataDir) -> dict[str, list[tuple[str | list, Utterance]]]:
    """Return (manifest form, utterance) of each speaker's utterances, speakers in C order.

    Raises DiarizeError for an utterance without a speaker.
    """
    voices: dict[str, list] = {}
    names: dict[str, str] = {}
    for utt in data.utterances:
        if not utt.speaker:
            raise DiarizeError(f"{data.path}: utterance {utt.id} has no speaker in utt2spk")
        if utt.recording not in names:
            names[utt.recording] = data.source(utt.recording).resolved()
        name = names[utt.recording]
        item = name if utt.end is None else [name, utt.start, utt.end]
        voices.setdefault(utt.speaker, []).append((item, utt))
    return {name: voices[name] for name in sorted(voices, key=str.encode)}


def audio_files(path: str | os.PathLike | None) -> list[str]:
    """Return the recordings of data directory ``path``, in manifest form; [] for None.

    Raises DiarizeError if there is none.
    """
    if path is None:
        return []
    data = DataDir.load(path)
    if not data.recordings:
        raise DiarizeError(f"{data.path}: no recordings in it")
    return [data.source(recording).resolved() for recording in data.recordings]
