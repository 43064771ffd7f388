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
    """Options of the network; ``auto`` is a GPU with bf16 if one is present, else the CPU.

    min_activity, min_queries: queries with an activity below ``min_activity`` are not stored,
        except the ``min_queries`` most active ones
    max_memory: memory limit in GB, of the GPU if one is used; null: 4, on a GPU 80 % of its
        free memory
    max_whole: recordings longer than this (s) are always processed in windows; null: the
        memory limit decides
    window, overlap: length and overlap (s) of the windows of long recordings
    batch_seconds: padded length (s) of a batch of recordings; null: 1200 on a GPU, on a CPU
        one recording at a time
    storage: ``float32``, or ``int16`` for Kaldi's compressed matrix of two bytes per value
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
    """Inference configuration; ``best.yaml`` has the same form.

    network: options of the network in diarize-posteriors and diarize-infer
    postprocess: options of the post-processing
    tune: values of the grid search of diarize-postprocess
    chosen, table: results of the search, for readers and for RESULTS.md
    """

    network: NetworkOptions = field(default_factory=NetworkOptions)
    postprocess: PostprocessOptions = field(default_factory=PostprocessOptions)
    tune: TuneOptions = field(default_factory=TuneOptions)
    chosen: dict[str, Any] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)


def load_inference_config(path: str | Path | None) -> InferenceConfig:
    """Return the config in ``path``, or the paper's values for None; DiarizeError for a fault."""
    return from_dict(InferenceConfig, read_yaml(path), str(path)) if path else InferenceConfig()


def override(options: PostprocessOptions, given: dict[str, Any]) -> PostprocessOptions:
    """Return ``options`` with the values of the command line; None means not given.

    A number of speakers replaces limits, and limits replace a number.
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
    """Return ``options`` with the values of the command line; None means not given.

    Recordings up to the length ``window`` are processed whole; the overlap is at most a
    quarter of it.
    """
    given = {"device": device, "max_memory": max_memory, "window": window, **others}
    given = {name: value for name, value in given.items() if value is not None}
    if window is not None:
        given |= {"max_whole": window, "overlap": min(options.overlap, window / 4)}
    return from_dict(NetworkOptions, {**asdict(options), **given}, "command line")
