"""Diarization from Python: audio becomes turns.

    from diarize import Diarizer, score

    diarizer = Diarizer.from_pretrained("egs/speechocean762/diar1/model")
    result = diarizer("meeting.wav")
    for turn in result:
        print(turn.start, turn.end, turn.label, turn.confidence)
    result.write("meeting.rttm")
    score("reference.rttm", result).der
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diarize.errors import DiarizeError
from diarize.infer.config import (
    NetworkOptions,
    load_inference_config,
    override,
    override_network,
)
from diarize.infer.domain import warn_of_other_domain
from diarize.infer.inputs import MIX, Input, file_input, parse_channel, sample_input
from diarize.infer.limits import own_options, warn_of_exhausted_queries
from diarize.infer.loader import make_predictor
from diarize.infer.postprocess import PostprocessOptions
from diarize.infer.predictor import Posteriors
from diarize.infer.pretrained import model_files
from diarize.infer.recording import Recording
from diarize.infer.result import ChannelOutput, Result, renumbered
from diarize.infer.run import Failed, predict_all
from diarize.segments import Turn, clip_segments
from diarize.tasks.base import QueryTask
from diarize.tasks.registry import load_task

_log = logging.getLogger(__name__)

# Path of an audio file, or samples (n,), (C, n) or (n, C): an array or a tensor.
Audio = str | os.PathLike | np.ndarray | Any


class Diarizer:
    """A trained model, for speakers or for languages, ready for inference."""

    def __init__(
        self, task: QueryTask, network: NetworkOptions, options: PostprocessOptions
    ) -> None:
        self.options = options
        self._task = task
        self._predictor = make_predictor(task.model, task.grid, network)

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike,
        device: str | None = None,
        config: str | os.PathLike | None = None,
        max_memory: float | None = None,
        window: float | None = None,
    ) -> "Diarizer":
        """Return the model at ``path``.

        path: directory of an experiment or a packed model, its ``.tar.gz``, or a model file (.pth)
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``
        config: YAML with thresholds; by default the ``best.yaml`` beside the model
        max_memory: memory in GB that may be used
        window: seconds; longer recordings are processed in windows of this length
        Without ``device``, ``max_memory`` and ``window`` those of the configuration hold.
        Raises DiarizeError if there is no model, or it does not fit or is damaged.
        """
        with model_files(path) as (weights, tuned):
            found = load_inference_config(config or tuned)
            network = override_network(found.network, device, max_memory, window)
            return cls(load_task(weights), network, found.postprocess)

    @property
    def task(self) -> str:
        """``speaker`` or ``language``."""
        return self._task.name

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model in Hz; audio of other rates is resampled."""
        return self._task.grid.sample_rate

    @property
    def max_speakers(self) -> int:
        """Number of queries: the most speakers (or languages) that can be found in a recording."""
        return self._predictor.sizes.queries - self._predictor.fixed_queries

    def __call__(
        self,
        audio: Audio | list[Audio],
        sample_rate: int | None = None,
        *,
        recording: str | None = None,
        channel: str | int = MIX,
        **options: Any,
    ) -> Result | list[Result]:
        """Return the `Result` of a recording, or a list of them for a list of recordings.

        audio: path of an audio file (``-`` is standard input), or samples, an array or tensor
            (n,), (C, n) or (n, C) with ``sample_rate`` in Hz; or a list of either
        recording: id of the recording; by default from the name of the file
        channel: ``mix`` (mean of the channels), a number from 1, or ``each`` (every channel is
            diarized on its own; its number is in the turns)
        options: those of `PostprocessOptions`, instead of the tuned ones, such as
            ``num_speakers``, ``min_speakers``, ``max_speakers``, ``query_threshold``; for
            languages ``num_languages``, ``min_languages``, ``max_languages``
        Raises DiarizeError, naming the recording, for audio that cannot be read, and for options
        that the model cannot meet.
        """
        many = isinstance(audio, list | tuple)
        items = list(audio) if many else [audio]
        way = parse_channel(str(channel))
        inputs = []
        for number, item in enumerate(items, 1):
            if isinstance(item, str | os.PathLike):
                inputs.append(file_input(item, way, recording))
            else:
                name = recording or (f"recording{number}" if many else "recording")
                inputs.append(sample_input(item, sample_rate, self.sample_rate, name, way))
        found: dict[int, Result] = {}
        for number, result in self.stream(inputs, **options):
            found[number] = result
        results = [found[number] for number in range(len(inputs))]
        return results if many else results[0]

    def stream(
        self,
        inputs: list[Input],
        failed: Failed | None = None,
        on_pass: Callable[[str, float, float], None] | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of each of ``inputs`` when it is done, at most two in memory.

        The order is that of ``inputs``, except on a GPU.  A DiarizeError of a recording is
        passed to ``failed`` with the id, and the others follow; it is raised without ``failed``.
        ``on_pass`` is called before each pass of the network with the name and the seconds of the
        recording and the second at which the pass begins.
        """
        self._predictor.on_pass = on_pass
        chosen = override(self.options, self._own(options))
        pairs = [(index, ch) for index, one in enumerate(inputs) for ch in one.sources]
        keys = {_key(inputs, index, ch): (index, ch) for index, ch in pairs}
        wanted = [chosen.num_speakers, chosen.min_speakers, *(x.num_speakers for x in inputs)]
        self._keep_queries(max([count or 0 for count in wanted], default=0))
        waiting: dict[int, dict[str, _Channel]] = {}
        broken: set[int] = set()

        def fail(key: str, err: DiarizeError) -> None:
            index = keys[key][0]
            if failed is None:
                raise err
            if index not in broken:
                broken.add(index)
                failed(inputs[index].recording, err)

        def finish(key: str, recording: Recording, found: Posteriors) -> tuple[int, Result] | None:
            index, channel = keys[key]
            one = inputs[index]
            warn_of_other_domain(recording.name, recording.measures(), self._task.domain)
            try:
                part = self._decide(key, one, channel, chosen, found)
            except DiarizeError as err:
                fail(key, err)
                return None
            parts = waiting.setdefault(index, {})
            parts[channel] = part
            if len(parts) < len(one.sources) or index in broken:
                return None
            del waiting[index]
            ordered = [parts[name] for name in one.sources]
            return index, _joined(one, recording.seconds, ordered, self._task.grid.frame_seconds)

        sources = {key: inputs[i].sources[ch] for key, (i, ch) in keys.items()}
        # On a GPU the post-processing of a recording runs beside the network.
        depth = 1 if self._predictor.device.type == "cuda" else 0
        with ThreadPoolExecutor(1) if depth else nullcontext() as pool:
            behind: deque = deque()
            for recording, found in predict_all(self._predictor, sources, fail):
                if pool is None:
                    done = finish(recording.name, recording, found)
                    if done is not None:
                        yield done
                    continue
                behind.append(pool.submit(finish, recording.name, recording, found))
                while len(behind) > depth:
                    done = behind.popleft().result()
                    if done is not None:
                        yield done
            while behind:
                done = behind.popleft().result()
                if done is not None:
                    yield done

    def check_options(self, **options: Any) -> None:
        """Raise DiarizeError for options that the model cannot meet, before any audio is read."""
        override(self.options, self._own(options))

    def _own(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return own_options(options, self.task, self.max_speakers)

    def _keep_queries(self, count: int) -> None:
        """Let the predictor keep ``count`` queries at least."""
        options = self._predictor.options
        if count > options.min_queries:
            self._predictor.options = replace(options, min_queries=count)

    def _decide(
        self, name: str, one: Input, channel: str, options: PostprocessOptions, found: Posteriors
    ) -> "_Channel":
        """Return the turns and the network's output of one channel."""
        task = self._task
        automatic = options.num_speakers is None and one.num_speakers is None
        if one.num_speakers is not None and options.num_speakers is None:
            count = min(one.num_speakers, len(found.activities) - self._predictor.fixed_queries)
            if count < one.num_speakers:
                _log.warning(
                    "recording %s: %d %ss are known, but the model has %d queries; all are taken",
                    name, one.num_speakers, task.name, count,
                )  # fmt: skip
            options = replace(options, num_speakers=count, min_speakers=None, max_speakers=None)
        labels = getattr(task.model, "labels", [])
        turns, queries = task.postprocessor.decide(
            found.masks, found.activities, name, options, task.grid,
            (found.language_probs, labels) if labels else None,
        )  # fmt: skip
        if automatic:
            warn_of_exhausted_queries(name, queries, self.max_speakers, task.name)
        if one.regions is not None:
            turns = sorted(t for a, b in one.regions for t in clip_segments(turns, a, b))
        if not turns:
            _log.warning("recording %s: no speech found", name)
        kept = {turn.label for turn in turns}
        return _Channel(
            [turn._replace(recording=one.recording, channel=channel) for turn in turns],
            {label: found for label, found in queries.items() if label in kept},
            found,
        )


@dataclass(frozen=True)
class _Channel:
    turns: list[Turn]
    queries: dict[str, list[int]]
    network: Posteriors


def _key(inputs: list[Input], index: int, channel: str) -> str:
    """Return the name of one channel of an input in messages, different for each."""
    one = inputs[index]
    name = one.recording if len(one.sources) == 1 else f"{one.recording} channel {channel}"
    same = sum(other.recording == one.recording for other in inputs[:index])
    return name if not same else f"{name} ({same + 1})"


def _joined(one: Input, seconds: float, channels: list[_Channel], shift: float) -> Result:
    turns: list[Turn] = []
    parts: list[ChannelOutput] = []
    for channel in channels:
        before = [label for part in parts for label in part.queries]
        own, queries = renumbered(channel.turns, channel.queries, before)
        turns += own
        parts.append(ChannelOutput(channel.network, queries))
    return Result(one.recording, seconds, sorted(turns), shift, one.path, parts)
