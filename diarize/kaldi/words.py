"""Words of the utterances of a data directory, read from a CTM file."""

import os

from diarize.errors import DiarizeError
from diarize.io.ctm import Word, numbered_words
from diarize.kaldi.datadir import DataDir, Utterance

# Aligners work on frames: a word may end this much (seconds) after the audio, and is cut.
MAX_OVERSHOOT = 0.1


def read_utterance_words(path: str | os.PathLike, data: DataDir) -> dict[str, list[Word]]:
    """Return the words of each utterance of ``data``, times from the utterance's beginning.

    The keys of the CTM are utterances, or else all of them recordings, as Kaldi's
    ``get_ctm.sh`` writes them: then a word belongs to the utterance with its middle.  Utterances
    without words are left out.  Raises DiarizeError naming file and line for a key that ``data``
    does not have, and for a word beyond the audio.
    """
    found = numbered_words(path)
    utterances = {utt.id: utt for utt in data.utterances}
    if data.segments is not None and found.keys() <= set(data.recordings) - utterances.keys():
        return _cut_at_utterances(path, found, data)
    lengths: dict[str, float] = {}
    out = {}
    for key, numbered in found.items():
        if key not in utterances:
            raise DiarizeError(f"{path}:{numbered[0][1]}: {key} is not an utterance of {data.path}")
        lengths[key] = utterance_seconds(data, utterances[key])
        words = [_checked(word, lengths[key], f"{path}:{n}: {key}") for word, n in numbered]
        out[key] = sorted(words)
    return out


def utterance_seconds(data: DataDir, utt: Utterance) -> float:
    """Return the length of an utterance of ``data``: utt2dur, segments, or the audio's header."""
    if utt.end is not None:
        return utt.end - utt.start
    if utt.id in data.utt2dur:
        return float(data.utt2dur[utt.id])
    return data.duration(utt.recording)


def _cut_at_utterances(
    path: str | os.PathLike, found: dict[str, list[tuple[Word, int]]], data: DataDir
) -> dict[str, list[Word]]:
    """Return recording times as utterance times, without the words outside of all utterances."""
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
            "long; the CTM must be that of these utterances"
        )
    return word._replace(end=min(word.end, length))
