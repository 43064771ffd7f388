"""Switches within a sentence: words of one utterance replaced by words of another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diarize.io.ctm import Word
from diarize.simulate.draw.utterances import Spoken

_MIN_FRAGMENT = 0.06  # s: shorter fragments are dropped
_MIN_SPAN = 0.2  # s of inserted words: less is hardly a word
_SHARE = (0.15, 0.5)  # of the words of a sentence that are replaced
_TWO_SPANS_FROM = 6  # words


class Fragment(NamedTuple):
    """Part [start, end) of an utterance, seconds from its beginning; ``end`` None: to its end."""

    of: Spoken
    start: float = 0.0
    end: float | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.of.seconds if self.end is None else self.end) - self.start

    @property
    def whole(self) -> bool:
        """True for the whole utterance."""
        return self.end is None and self.start == 0


def mixed_sentence(
    matrix: Spoken, others: Sequence[Spoken], rng: np.random.Generator
) -> list[Fragment]:
    """Return parts of ``matrix``, with some of its words replaced by parts of one of ``others``.

    The other utterance is a parallel one if there is any, else a random one with known words.
    Returns [] if the words of either are unknown or too few for a switch.
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
    fragments: list[Fragment] = []
    done = 0.0
    for first, last in _spans(len(matrix.words), rng):
        begin, end = cut_times(matrix, first, last)
        foreign = _counterpart(matrix, donor, first, last)
        if begin - done > _MIN_FRAGMENT:
            fragments.append(Fragment(matrix, done, begin))
        fragments.append(Fragment(donor, *cut_times(donor, *foreign)))
        done = end
    if matrix.seconds - done > _MIN_FRAGMENT:
        fragments.append(Fragment(matrix, done, matrix.seconds))
    if not any(fragment.of is matrix for fragment in fragments):
        return []
    return [fragment for fragment in fragments if fragment.seconds > _MIN_FRAGMENT]


def cut_times(spoken: Spoken, first: int, last: int) -> tuple[float, float]:
    """Return the times at which to cut out words [first, last): the middles of the gaps around.

    For the first and the last word these are the beginning and the end of the utterance.
    """

    def edge(before: Word, after: Word) -> float:
        return (min(before.end, after.start) + after.start) / 2

    words = spoken.words
    begin = 0.0 if first == 0 else edge(words[first - 1], words[first])
    end = spoken.seconds if last == len(words) else edge(words[last - 1], words[last])
    return begin, end


def _spans(count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return one or two separate spans [first, last) that leave out some of ``count`` words."""
    wanted = min(count - 1, max(1, round(count * rng.uniform(*_SHARE))))
    if count >= _TWO_SPANS_FROM and wanted >= 2 and rng.random() < 0.5:
        half = count // 2
        blocks = [(0, half, wanted // 2), (half, count, wanted - wanted // 2)]
    else:
        blocks = [(0, count, wanted)]
    spans = []
    for low, high, most in blocks:
        # A word between two blocks is kept, so that their spans are not adjacent.
        room = high - low - (1 if high < count else 0)
        size = max(1, min(most, room - 1 if len(blocks) > 1 else room))
        first = low + int(rng.integers(0, room - size + 1))
        spans.append((first, first + size))
    return spans


def _counterpart(matrix: Spoken, donor: Spoken, first: int, last: int) -> tuple[int, int]:
    """Return the words [first, last) of ``donor`` that replace those of ``matrix``.

    They begin near the same position in the sentence, at the same part of speech if tags are
    known, and last at least _MIN_SPAN, if the donor is that long.
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
