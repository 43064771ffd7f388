"""Parts that all simulations share: options, random generators, utterances, noise and rooms."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from diarize.checks import at_least, fraction, non_negative, require
from diarize.errors import DiarizeError
from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir, Utterance

_TRIES = 100

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
        at_least(1, num_mixtures=self.num_mixtures)
        non_negative(seed=self.seed)
        name = self.prefix.split() == [self.prefix] and "/" not in self.prefix
        require(name, "prefix", self.prefix, "non-empty, without spaces and '/'")

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
    ``one_room`` is the probability that all speakers are in one room, each at a place of its own;
    ``level_spread`` is the standard deviation of the speakers' levels in dB.  ``persons`` are those
    of voices that belong to one person, such as one played at several speeds: a mixture has no
    two voices of one person.
    """

    _: KW_ONLY
    min_utts: int = 10
    max_utts: int = 20
    rir_prob: float = 0.5
    snrs: tuple[float, ...] = (5.0, 10.0, 15.0, 20.0)
    one_room: float = 0.0
    level_spread: float = 0.0
    persons: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, min_utts=self.min_utts)
        require(self.max_utts >= self.min_utts, "max_utts", self.max_utts,
                f"min_utts ({self.min_utts}) or more")
        fraction(rir_prob=self.rir_prob, one_room=self.one_room)
        non_negative(level_spread=self.level_spread)
        finite = bool(self.snrs) and all(map(math.isfinite, self.snrs))
        require(finite, "snrs", self.snrs, "numbers in dB")

    def choose(self, names: Sequence[str], count: int, rng: np.random.Generator) -> list[int]:
        """Return ``count`` different indices of the voices ``names``, of different persons.

        Raises DiarizeError if a hundred draws do not find them.
        """
        for _ in range(_TRIES):
            chosen = rng.choice(len(names), size=count, replace=False).tolist()
            if len({self.persons.get(names[i], names[i]) for i in chosen}) == count:
                return chosen
        raise DiarizeError(
            f"simulation: {count} voices of different persons are not found among {len(names)}; "
            "give more persons, or fewer speakers in a mixture"
        )

    def place(self, index: int, speakers: list[dict], rooms: Sequence[Sequence[str]]) -> None:
        """Put the ``speakers`` of mixture ``index`` in one of the ``rooms``, and at their levels.

        A room is a list of impulse responses, one for each place.  The random numbers are others
        than those of `mixtures`, so that neither option changes speakers, utterances or times.
        """
        if not (self.one_room or self.level_spread):
            return
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index, 1)))
        coin, pick = rng.random(2)
        gains = np.round(self.level_spread * rng.standard_normal(len(speakers)), 2).tolist()
        if rooms and coin < self.one_room:
            room = rooms[int(pick * len(rooms))]
            places = np.resize(rng.permutation(len(room)), len(speakers))
            for speaker, place in zip(speakers, places, strict=True):
                speaker["rir"] = room[place]
        if self.level_spread:
            for speaker, gain in zip(speakers, gains, strict=True):
                speaker["utts"] = [with_gain(utt, gain) for utt in speaker["utts"]]


def with_gain(utt: str | list, gain: float) -> dict:
    """Return an utterance in manifest form with a ``gain`` in dB.

    >>> with_gain(["a.wav", 0.0, 1.5], -3.0)
    {'file': 'a.wav', 'start': 0.0, 'end': 1.5, 'gain': -3.0}
    """
    times = zip(("file", "start", "end"), [utt] if isinstance(utt, str) else utt, strict=False)
    return {**dict(times), "gain": gain}


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
    """Return the recordings of data directory ``path``, in manifest form; [] for None."""
    if path is None:
        return []
    data = DataDir.load(path)
    return [data.source(recording).resolved() for recording in data.recordings]


def rooms_of(path: str | os.PathLike | None) -> list[list[str]]:
    """Return the impulse responses of each room of data directory ``path``; [] for None.

    The room is the speaker in utt2spk.
    """
    rooms: dict[str, list[str]] = {}
    if path is not None:
        data = DataDir.load(path)
        for recording in data.recordings:
            room = data.utt2spk.get(recording, recording)
            rooms.setdefault(room, []).append(data.source(recording).resolved())
    return list(rooms.values())


def persons_of(path: str | os.PathLike | None) -> dict[str, str]:
    """Return speaker -> person of the table ``path``; {} for None."""
    return {} if path is None else read_table(path, fields=2)
