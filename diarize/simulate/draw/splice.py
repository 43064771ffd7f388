"""A switch within a sentence: words of one utterance in the place of words of another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diarize.io.ctm import Word
from diarize.simulate.draw.utterances import Spoken

_MIN_PART = 0.06  # s: what would be shorter goes with its neighbour
_MIN_SPAN = 0.2  # s of foreign words: less is hardly a word
_SHARE = (0.15, 0.5)  # of the words of a sentence that give way
_TWO_SPANS_FROM = 6  # words


class Part(NamedTuple):
    """[start, end) seconds of an utterance, from its beginning; ``end`` None: to its end."""

    of: Spoken
    start: float = 0.0
    end: float | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.of.seconds if self.end is None else self.end) - self.start

    @property
    def whole(self) -> bool:
        """Whether it is the whole utterance."""
        return self.end is None and self.start == 0


def mixed_sentence(
    matrix: Spoken, others: Sequence[Spoken], rng: np.random.Generator
) -> list[Part]:
    """Return parts of ``matrix`` and, in place of some of its words, of one of ``others``.

    The other utterance is the parallel one where there is one, else the first that has words.
    [] where the words of either are not known, or are too few for a switch.
    """
    donors = [other for other in others if other.words and other.id != matrix.id]
    if len(matrix.words) < 2 or not donors:
        return []
    parallel = [
        donor
        for donor in donors
        if donor.sentence is not None and donor.sentence == matrix.sentence
    ]
    donor = (parallel or donors)[0 if parallel else rng.integers(len(donors))]
    parts: list[Part] = []
    done = 0.0
    for first, last in _spans(len(matrix.words), rng):
        begin, end = cut_times(matrix, first, last)
        foreign = _counterpart(matrix, donor, first, last)
        if begin - done > _MIN_PART:
            parts.append(Part(matrix, done, begin))
        parts.append(Part(donor, *cut_times(donor, *foreign)))
        done = end
    if matrix.seconds - done > _MIN_PART:
        parts.append(Part(matrix, done, matrix.seconds))
    if not any(part.of is matrix for part in parts):
        return []
    return [part for part in parts if part.seconds > _MIN_PART]


def cut_times(spoken: Spoken, first: int, last: int) -> tuple[float, float]:
    """Return where words [first, last) begin and end: in the middle of the gaps around them.

    At its first and last word that is the beginning and the end of the utterance.
    """

    def edge(before: Word, after: Word) -> float:
        return (min(before.end, after.start) + after.start) / 2

    words = spoken.words
    begin = 0.0 if first == 0 else edge(words[first - 1], words[first])
    end = spoken.seconds if last == len(words) else edge(words[last - 1], words[last])
    return begin, end


def _spans(count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return one or two spans [first, last) of ``count`` words, not touching, not all of them."""
    wanted = min(count - 1, max(1, round(count * rng.uniform(*_SHARE))))
    if count >= _TWO_SPANS_FROM and wanted >= 2 and rng.random() < 0.5:
        half = count // 2
        blocks = [(0, half, wanted // 2), (half, count, wanted - wanted // 2)]
    else:
        blocks = [(0, count, wanted)]
    spans = []
    for low, high, most in blocks:
        # Between two blocks a word stays, so that their spans do not touch.
        room = high - low - (1 if high < count else 0)
        size = max(1, min(most, room - 1 if len(blocks) > 1 else room))
        first = low + int(rng.integers(0, room - size + 1))
        spans.append((first, first + size))
    return spans


def _counterpart(matrix: Spoken, donor: Spoken, first: int, last: int) -> tuple[int, int]:
    """Return the words [first, last) of ``donor`` for those of ``matrix``.

    They begin with the same part of speech where tags are known, nearest to the same place in
    the sentence, and last _MIN_SPAN at least.
    """
    count, size = len(donor.words), min(last - first, len(donor.words))
    place = round(first / max(1, len(matrix.words) - 1) * (count - 1))
    if matrix.tags and donor.tags:
        same = [k for k, tag in enumerate(donor.tags) if tag == matrix.tags[first]]
        if same:
            place = min(same, key=lambda k: abs(k - place))
    begin = min(place, count - size)
    end = begin + size
    while np.subtract(*cut_times(donor, begin, end)[::-1]) < _MIN_SPAN and end - begin < count:
        if end < count:
            end += 1
        else:
            begin -= 1
    return begin, end
