"""Monolingual utterances by language and voice, with word times, levels and translations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.audio import read_audio
from diarize.io.ctm import Word
from diarize.io.table import line_of, read_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.words import utterance_seconds
from diarize.simulate.band_pass import band_pass

_LEVEL_RATE = 16000  # Hz, at which levels are measured


class Spoken(NamedTuple):
    """Utterance of one voice in one language: [start, end) seconds of ``file``.

    ``whole``: the file contains nothing else.  The times of ``words`` count from the beginning
    of the utterance; ``tags`` are their parts of speech; both are empty if unknown.
    ``sentence`` is the same for translations of each other.
    """

    id: str
    file: str
    start: float
    end: float
    whole: bool
    voice: str
    language: str
    words: tuple[Word, ...] = ()
    tags: tuple[str, ...] = ()
    sentence: str | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass
class Corpus:
    """Utterances of a data directory by (language, voice), each list in C order of ids."""

    path: Path
    spoken: dict[tuple[str, str], list[Spoken]]
    allow_pipes: bool = False
    levels: dict[str, float] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        """All languages, sorted."""
        return sorted({language for language, _ in self.spoken})

    def voices(self, language: str) -> list[str]:
        """Return the voices that speak ``language``, sorted."""
        return sorted(voice for spoken, voice in self.spoken if spoken == language)

    def voices_of_all(self, languages: Sequence[str]) -> list[str]:
        """Return the voices that speak all ``languages``, sorted."""
        common = set.intersection(*(set(self.voices(language)) for language in languages))
        return sorted(common)

    def check_languages(self, languages: Sequence[str]) -> None:
        """Raise DiarizeError, with the known languages, unless all ``languages`` are spoken."""
        missing = [language for language in languages if language not in self.languages]
        if missing:
            raise DiarizeError(
                f"{self.path}: no utterance in {', '.join(missing)} (wanted as "
                f"{':'.join(languages)}); utt2lang has {', '.join(self.languages)}"
            )

    def level(self, spoken: Spoken, band: tuple[float, float] | None) -> float:
        """Return the level of an utterance within ``band`` in dB re full scale, measured once.

        The level of a silent utterance is -inf.
        """
        if spoken.id not in self.levels:
            first, last = round(spoken.start * _LEVEL_RATE), round(spoken.end * _LEVEL_RATE)
            stop = None if spoken.whole else last
            wave = read_audio(spoken.file, first, stop, _LEVEL_RATE, self.allow_pipes)
            if band is not None:
                wave = band_pass(wave, band, _LEVEL_RATE)
            power = float(np.mean(np.square(wave, dtype=np.float64)))
            self.levels[spoken.id] = 10 * math.log10(power) if power > 0 else -math.inf
        return self.levels[spoken.id]


def load_corpus(data: DataDir, words: Mapping[str, Sequence[Word]] | None = None) -> Corpus:
    """Return the utterances of ``data``, which must have utt2lang and utt2spk.

    ``words`` are the word times of each utterance.  Two optional tables are read:
    ``utt2sentence`` (the same value for translations of each other) and ``pos`` (a part of
    speech for each word).  Raises DiarizeError for an unknown language or speaker, and for
    tables that disagree.
    """
    for name in ("utt2lang", "utt2spk"):
        if not getattr(data, name):
            raise DiarizeError(
                f"{data.path}: no {name}: code-switching is made of utterances whose language "
                "and speaker are known"
            )
    sentences, tags = _optional(data, "utt2sentence"), _optional(data, "pos")
    files: dict[str, str] = {}
    spoken: dict[tuple[str, str], list[Spoken]] = {}
    for utt in data.utterances:
        if utt.recording not in files:
            files[utt.recording] = data.source(utt.recording).resolved()
        whole = utt.end is None
        end = utterance_seconds(data, utt) if whole else utt.end
        said = tuple((words or {}).get(utt.id, ()))
        parts = tuple(tags[utt.id].split()) if utt.id in tags else ()
        if parts and said and len(parts) != len(said):
            raise DiarizeError(
                f"{line_of(data.path / 'pos', utt.id)}: {utt.id}: {len(parts)} parts of speech, "
                f"but {len(said)} words in the CTM"
            )
        key = (data.utt2lang[utt.id], utt.speaker)
        spoken.setdefault(key, []).append(
            Spoken(
                utt.id,
                files[utt.recording],
                utt.start,
                end,
                whole,
                utt.speaker,
                key[0],
                said,
                parts,
                sentences.get(utt.id),
            )
        )
    return Corpus(data.path, {key: spoken[key] for key in sorted(spoken)}, data.allow_pipes)


def _optional(data: DataDir, name: str) -> dict[str, str]:
    return read_table(data.path / name) if (data.path / name).exists() else {}
