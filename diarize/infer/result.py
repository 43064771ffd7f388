"""Result of the inference for one recording: its turns, and the output of the network."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from diarize.infer.predictor import Posteriors
from diarize.io.annotation import Media
from diarize.io.formats import annotation_text, write_annotation
from diarize.segments import Turn

_NUMBERED = re.compile(r"(spk|L)(\d+)")


@dataclass(frozen=True)
class Result:
    """Turns of one recording, sorted by time, as an iterable.

    recording: its id
    seconds: its length
    turns: the turns (`diarize.segments.Turn`): start, end (seconds), label, confidence (0..1)
    frame_seconds: frame shift of ``posteriors``
    path: the audio file, "" for samples
    """

    recording: str
    seconds: float
    turns: list[Turn]
    frame_seconds: float
    path: str = ""
    _parts: list["ChannelOutput"] = field(default_factory=list, repr=False)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def labels(self) -> list[str]:
        """The labels of the turns: the columns of ``posteriors`` and rows of ``queries``."""
        return [label for part in self._parts for label in part.queries]

    @cached_property
    def posteriors(self) -> np.ndarray:
        """Mask probability of each label in each frame, float32 (T, S)."""
        columns = [
            np.maximum.reduce([part.network.masks[:, query] for query in queries])
            for part in self._parts
            for queries in part.queries.values()
        ]
        num_frames = len(self._parts[0].network.masks) if self._parts else 0
        return np.stack(columns, axis=1) if columns else np.zeros((num_frames, 0), np.float32)

    @property
    def queries(self) -> np.ndarray:
        """Mask embedding of each label, float32 (S, D).

        A label of several queries (a language that the network has split) has the first one.
        """
        return np.concatenate([part.network.queries[part.first] for part in self._parts])

    @property
    def activities(self) -> np.ndarray:
        """Probability that the query of each label is active, float32 (S,)."""
        return np.concatenate([part.network.activities[part.first] for part in self._parts])

    def text(self, form: str = "rttm") -> str:
        """Return the text of a file in the format ``form``, as `write` writes it."""
        return annotation_text(form, self.turns, self.media)

    def write(self, path: str | os.PathLike) -> None:
        """Write the turns, atomically, in the format of the suffix of ``path``.

        The suffixes are those of `diarize.io.formats`: .rttm .TextGrid .eaf .txt .srt .vtt .csv
        .json .jsonl .ctm .stm.  Raises DiarizeError for another suffix, and if the file cannot be
        written.
        """
        write_annotation(path, self.turns, self.media)

    @property
    def media(self) -> Media:
        """The audio, for formats that link to it."""
        return Media(self.seconds, self.path)


@dataclass(frozen=True)
class ChannelOutput:
    """Output of the network for one channel, and the queries of each label."""

    network: Posteriors
    queries: dict[str, list[int]]

    @property
    def first(self) -> list[int]:
        """The first query of each label."""
        return [queries[0] for queries in self.queries.values()]


def renumbered(
    turns: list[Turn], queries: dict[str, list[int]], before: list[str]
) -> tuple[list[Turn], dict[str, list[int]]]:
    """Return turns and queries with labels such as spk1 and L1 numbered after those ``before``.

    Channels that are diarized on their own have no speaker in common; named languages keep
    their names.
    """
    taken = sum(bool(_NUMBERED.fullmatch(label)) for label in before)
    new = {}
    for label in queries:
        found = _NUMBERED.fullmatch(label)
        new[label] = f"{found[1]}{int(found[2]) + taken}" if found else label
    return (
        [turn._replace(label=new[turn.label]) for turn in turns],
        {new[label]: found for label, found in queries.items()},
    )
