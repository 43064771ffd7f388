"""The inference configuration: one YAML file for the network, the thresholds and their search."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from diarize.config import from_dict, read_yaml
from diarize.errors import require_at_least
from diarize.infer.postprocess import PostprocessOptions
from diarize.infer.tune import TuneOptions


@dataclass(frozen=True)
class NetworkOptions:
    """Where and how the network runs; ``auto`` is the GPU with bf16 where there is one.

    min_activity, min_queries: of queries below the one, only as many as the other are stored
    max_memory: GB that may be used, of a GPU: its own; null: 4, on a GPU 80 % of what is free
    max_whole: recordings longer than this (s) are never taken whole; null: memory decides
    window, overlap: seconds, of what is not taken whole
    batch_seconds: recordings are padded and taken together up to this; null: 1200 on a GPU,
        on a CPU one at a time
    storage: ``float32``, or ``int16`` for Kaldi's compressed matrix of two bytes a value
    """

    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    min_activity: float = 0.01
    min_queries: int = 8
    max_memory: float | None = None
    max_whole: float | None = None
    window: float = 1800.0
    overlap: float = 120.0
    batch_seconds: float | None = None
    storage: Literal["float32", "int16"] = "float32"

    def __post_init__(self) -> None:
        require_at_least(0, min_activity=self.min_activity, min_queries=self.min_queries)
        for name in ("max_memory", "max_whole", "batch_seconds"):
            if getattr(self, name) is not None:
                require_at_least(0, **{name: getattr(self, name)})
        require_at_least(10, window=self.window)
        require_at_least(1, overlap=self.overlap)
        if self.overlap > self.window / 2:
            raise ValueError(f"overlap {self.overlap} is above half of the window {self.window}")
        if self.max_whole is not None and self.max_whole < self.window:
            raise ValueError(f"max_whole {self.max_whole} is below the window {self.window}")


@dataclass(frozen=True)
class InferenceConfig:
    """What an inference config may hold; ``best.yaml`` has the same form.

    network: how diarize-posteriors and diarize-infer run the model
    postprocess: from its output to segments
    tune: the values that diarize-make-rttm tries
    chosen, table: how they came out, for people and for RESULTS.md
    """

    network: NetworkOptions = field(default_factory=NetworkOptions)
    postprocess: PostprocessOptions = field(default_factory=PostprocessOptions)
    tune: TuneOptions = field(default_factory=TuneOptions)
    chosen: dict[str, Any] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)


def load_inference_config(path: str | Path | None) -> InferenceConfig:
    """Return the config in ``path``, the paper's values without one; DiarizeError for a fault."""
    return from_dict(InferenceConfig, read_yaml(path), str(path)) if path else InferenceConfig()


def override(options: PostprocessOptions, given: dict[str, Any]) -> PostprocessOptions:
    """Return ``options`` with what the command line gives; None stands for not given.

    A number of speakers takes the place of limits, and limits that of a number.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return options
    limits = {"min_speakers": None, "max_speakers": None}
    if "num_speakers" in given:
        given = {**limits, **given}
    elif given.keys() & limits.keys():
        given = {"num_speakers": None, **given}
    return from_dict(PostprocessOptions, {**asdict(options), **given}, "command line")


def override_network(
    options: NetworkOptions,
    device: str | None,
    max_memory: float | None,
    window: float | None,
    **others: Any,
) -> NetworkOptions:
    """Return ``options`` with what the command line gives; None stands for not given.

    ``window`` is also the length up to which recordings are taken whole; the overlap is at
    most a quarter of it.
    """
    given = {"device": device, "max_memory": max_memory, "window": window, **others}
    given = {name: value for name, value in given.items() if value is not None}
    if window is not None:
        given |= {"max_whole": window, "overlap": min(options.overlap, window / 4)}
    return from_dict(NetworkOptions, {**asdict(options), **given}, "command line")
