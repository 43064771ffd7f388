"""CTM: when each word is said, ``<utterance> <channel> <start> <duration> <word> [confidence]``."""

import os
from collections.abc import Iterable, Mapping
from typing import IO, NamedTuple

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.datadir import DataDir, Utterance
from diarize.io.rttm import data_lines, parse_seconds

# Aligners work on frames: a word may end this much (seconds) after the audio, and is cut.
MAX_OVERSHOOT = 0.1


class Word(NamedTuple):
    """``text`` is said in [start, end) seconds, from the beginning of the utterance."""

    start: float
    end: float
    text: str


def read_ctm(path: str | os.PathLike) -> dict[str, list[Word]]:
    """Return the words of each utterance (or recording) of ``path``, sorted by start.

    Raises DiarizeError naming file and line for a line without 5 or 6 fields, and for times
    that are negative or no numbers.
    """
    return {
        key: [word for word, _ in sorted(words)] for key, words in _numbered_words(path).items()
    }


def read_utterance_words(path: str | os.PathLike, data: DataDir) -> dict[str, list[Word]]:
    """Return the words of each utterance of ``data``, times from the utterance's beginning.

    The keys of the CTM are utterances, or else all of them recordings, as Kaldi's
    ``get_ctm.sh`` writes them: then a word belongs to the utterance that its middle lies in.
    An utterance without words has none in the answer.  Raises DiarizeError naming file and
    line for a key that ``data`` does not have, and for a word beyond the audio.
    """
    found = _numbered_words(path)
    utterances = {utt.id: utt for utt in data.utterances}
    if data.segments is not None and found.keys() <= set(data.recordings) - utterances.keys():
        return _cut_at_utterances(path, found, data)
    lengths: dict[str, float] = {}
    out = {}
    for key, numbered in found.items():
        if key not in utterances:
            raise DiarizeError(f"{path}:{numbered[0][1]}: {key} is no utterance of {data.path}")
        lengths[key] = utterance_seconds(data, utterances[key])
        words = [_checked(word, lengths[key], f"{path}:{n}: {key}") for word, n in numbered]
        out[key] = sorted(words)
    return out


def write_ctm(path: str | os.PathLike | IO[str], words: Mapping[str, Iterable[Word]]) -> None:
    """Write the words, utterances in C order, channel 1, 3 decimals, as a whole file."""
    lines = []
    for key in sorted(words):
        for word in words[key]:
            if not word.text or word.text.split() != [word.text]:
                raise DiarizeError(f"{key}: {word.text!r} cannot stand in a CTM: empty or a blank")
            start = round(word.start * 1000)
            duration = round(word.end * 1000) - start
            lines.append(f"{key} 1 {start / 1000:.3f} {duration / 1000:.3f} {word.text}\n")
    if isinstance(path, str | os.PathLike):
        with atomic_write(path) as handle:
            handle.writelines(lines)
    else:
        path.writelines(lines)


def utterance_seconds(data: DataDir, utt: Utterance) -> float:
    """Return the length of an utterance of ``data``: utt2dur, segments, or the audio's header."""
    if utt.end is not None:
        return utt.end - utt.start
    if utt.id in data.utt2dur:
        return float(data.utt2dur[utt.id])
    return data.duration(utt.recording)


def _numbered_words(path: str | os.PathLike) -> dict[str, list[tuple[Word, int]]]:
    out: dict[str, list[tuple[Word, int]]] = {}
    for number, fields in data_lines(path):
        where = f"{path}:{number}"
        if len(fields) not in (5, 6):
            raise DiarizeError(f"{where}: {len(fields)} fields where CTM has 5 or 6")
        start = parse_seconds(fields[2], "field 3 (start)", where)
        duration = parse_seconds(fields[3], "field 4 (duration)", where)
        if start < 0 or duration < 0:
            raise DiarizeError(f"{where}: negative time: {fields[2]} {fields[3]}")
        out.setdefault(fields[0], []).append((Word(start, start + duration, fields[4]), number))
    return out


def _cut_at_utterances(
    path: str | os.PathLike, found: dict[str, list[tuple[Word, int]]], data: DataDir
) -> dict[str, list[Word]]:
    """Return recording times as utterance times; words outside of all utterances are left out."""
    spans: dict[str, list[Utterance]] = {}
    for utt in data.utterances:
        spans.setdefault(utt.recording, []).append(utt)
    out: dict[str, list[Word]] = {}
    for recording, numbered in found.items():
        length = data.duration(recording)
        for word, number in sorted(numbered):
            inside = _checked(word, length, f"{path}:{number}: {recording}")
            middle = (inside.start + inside.end) / 2
            for utt in spans.get(recording, []):
                if utt.start <= middle < utt.end:
                    start = max(inside.start, utt.start) - utt.start
                    end = min(inside.end, utt.end) - utt.start
                    out.setdefault(utt.id, []).append(Word(start, end, word.text))
    return out


def _checked(word: Word, length: float, where: str) -> Word:
    if word.start >= length or word.end > length + MAX_OVERSHOOT:
        raise DiarizeError(
            f"{where}: word {word.text} ends at {word.end:.3f} s, but the audio is {length:.3f} s "
            "long; is this the CTM of these utterances?"
        )
    return word._replace(end=min(word.end, length))
