"""The audio of one speaker: the speech of all utterances, at one level, at one or more speeds."""

import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.data.channel import equalize
from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import read_audio, resample, write_wav
from diarize.io.filename import file_name
from diarize.prepare.energy_sad import SadOptions, energy_sad

RATE = 16000
LEVEL, LEVEL_SPREAD = -26.0, 3.0  # dB below full scale, of a speaker's speech: mean, deviation
MIN_STRETCH = 0.5  # s; shorter stretches of speech are left out
WORDS = (2, 5)  # single words in a stretch
WORD_PAUSE = (0.03, 0.2)  # s, between two of them
FLOOR = (-70.0, -45.0)  # dB below full scale, of the noise under an equalised voice
SAD = SadOptions(split_pause=0.25)
VERSION = 1  # of the making: other audio is made again
_PEAK = np.float32(0.99)


class Utterance(NamedTuple):
    """An utterance of the corpus: its id without the speaker, its speaker, its file."""

    id: str
    speaker: str
    path: str


class Person(NamedTuple):
    """A speaker of the corpus, and the speeds in percent; each speed is a separate voice.

    ``words``: the utterances are single words, which are strung together.  ``equalised``: each
    voice has a frequency response and a noise floor of its own, so that the microphone does not
    tell the corpus.
    """

    name: str
    utterances: tuple[Utterance, ...]
    speeds: tuple[int, ...]
    words: bool = False
    equalised: bool = False


class Row(NamedTuple):
    """One stretch of speech as it is written: id, voice, path, seconds."""

    id: str
    voice: str
    path: str
    seconds: float


def voice_of(person: str, speed: int) -> str:
    """Return the name of the voice that ``person`` has at ``speed`` percent.

    >>> voice_of("so0001", 100), voice_of("so0001", 90)
    ('so0001', 'so0001_90')
    """
    return person if speed == 100 else f"{person}_{speed}"


def stretches(person: Person) -> list[tuple[str, np.ndarray]]:
    """Return (name, samples) of each stretch of speech; DiarizeError where there is none."""
    found = []
    for utterance in person.utterances:
        wave = read_audio(utterance.path, sample_rate=RATE)
        for number, (start, end) in enumerate(energy_sad(wave, RATE, SAD), 1):
            if person.words or end - start >= MIN_STRETCH:
                samples = wave[round(start * RATE) : round(end * RATE)]
                found.append((f"{utterance.id}-{number}", samples))
    if person.words and found:
        return string_words([wave for _, wave in found], person.name)
    if not found:
        raise DiarizeError(f"speaker {person.name}: no stretch of {MIN_STRETCH} s of speech found")
    return found


def string_words(words: list[np.ndarray], name: str) -> list[tuple[str, np.ndarray]]:
    """Return (name, samples) of stretches of two to five ``words`` with short pauses."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    out, place = [], 0
    while place < len(words):
        count = int(rng.integers(WORDS[0], WORDS[1] + 1))
        parts: list[np.ndarray] = []
        for word in words[place : place + count]:
            parts += [word, np.zeros(round(rng.uniform(*WORD_PAUSE) * RATE), np.float32)]
        out.append((f"{place + 1:02d}", np.concatenate(parts[:-1])))
        place += count
    return out


def equalised(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ``wave`` at the same power through a response of its own, with a noise floor."""
    out = equalize(wave, RATE, rng)
    power = float(np.mean(out**2, dtype=np.float64))
    out = out * np.float32(np.sqrt(np.mean(wave**2, dtype=np.float64) / power)) if power else out
    floor = np.float32(10 ** (rng.uniform(*FLOOR) / 20))
    return out + floor * rng.standard_normal(len(out), dtype=np.float32)


def gain_of(person: str, speech: list[tuple[str, np.ndarray]], seed: int) -> np.float32:
    """Return the factor that puts all of a person's speech to the level drawn for it."""
    energy = sum(float(np.sum(np.square(wave, dtype=np.float64))) for _, wave in speech)
    power = energy / sum(len(wave) for _, wave in speech)
    rng = np.random.default_rng((seed, zlib.crc32(person.encode())))
    level = LEVEL + LEVEL_SPREAD * rng.standard_normal()
    return np.float32(10 ** (level / 20) / np.sqrt(power))


def make_person(person: Person, directory: Path, seed: int) -> list[Row]:
    """Write the audio of all voices of ``person``, unless it is there; return what there is."""
    note = directory / file_name(person.name, ".json")
    how = [person.words, person.equalised] if person.words or person.equalised else []
    key = json.dumps(
        [VERSION, seed, person.speeds, [(s.id, s.path) for s in person.utterances], *how]
    )
    if note.is_file():
        kept = json.loads(note.read_text())
        if kept["key"] == key and all(Path(row[2]).is_file() for row in kept["rows"]):
            return [Row(*row) for row in kept["rows"]]
    speech = stretches(person)
    gain = gain_of(person.name, speech, seed)
    rows = []
    for speed in person.speeds:
        voice = voice_of(person.name, speed)
        folder = directory / file_name(voice)
        folder.mkdir(parents=True, exist_ok=True)
        for name, wave in speech:
            played = resample(wave * gain, speed, 100)
            if person.equalised:  # one response for all stretches of a voice
                drawn = np.random.default_rng((seed, zlib.crc32(voice.encode())))
                played = equalised(played, drawn)
            peak = np.abs(played).max()
            utt = f"{voice}-{name}"
            path = folder / file_name(utt, ".wav")
            write_wav(path, played * min(np.float32(1), _PEAK / peak), RATE)
            rows.append(Row(utt, voice, str(path), round(len(played) / RATE, 4)))
    with atomic_write(note) as handle:
        json.dump({"key": key, "rows": rows}, handle)
    return rows
