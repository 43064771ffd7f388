"""The inference configuration: one YAML file for the network, the thresholds and their search."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from diarize.checks import at_least, non_negative, require
from diarize.config import from_dict, read_yaml
from diarize.infer.postprocess import PostprocessOptions
from diarize.infer.tune import TuneOptions


@dataclass(frozen=True)
class NetworkOptions:
    """Options of the network in inference."""

    device: str = "auto"
    """cpu, cuda, cuda:N, or auto: a GPU if one is present."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """fp32, bf16, or auto: bf16 if the GPU supports it."""
    min_activity: float = 0.01
    """Queries with a lower activity are not stored, except the ``min_queries`` most active."""
    min_queries: int = 8
    """Number of queries that are always stored."""
    max_memory: float | None = None
    """Memory limit in GB, of the GPU if one is used; null: 4, on a GPU 80 % of its free memory."""
    max_whole: float | None = None
    """Recordings longer than this (s) are always processed in windows; null: the memory limit
    decides.
    """
    window: float = 1800.0
    """Length (s) of the windows of long recordings."""
    overlap: float = 120.0
    """Overlap (s) of the windows."""
    batch_seconds: float | None = None
    """Padded length (s) of a batch of recordings; null: 1200 on a GPU, on a CPU one recording
    at a time.
    """
    storage: Literal["float32", "int16"] = "float32"
    """float32, or int16: Kaldi's compressed matrix of two bytes per value."""

    def __post_init__(self) -> None:
        non_negative(min_activity=self.min_activity, min_queries=self.min_queries)
        non_negative(max_memory=self.max_memory, batch_seconds=self.batch_seconds)
        at_least(10, window=self.window)
        require(1 <= self.overlap <= self.window / 2, "overlap", self.overlap,
                f"from 1 to half of the window ({self.window:g})")
        require(self.max_whole is None or self.max_whole >= self.window, "max_whole",
                self.max_whole, f"the window ({self.window:g}) or more")


@dataclass(frozen=True)
class InferenceConfig:
    """Inference configuration; ``best.yaml`` has the same form."""

    network: NetworkOptions = field(default_factory=NetworkOptions)
    """Options of the network in diarize-posteriors and diarize-infer."""
    postprocess: PostprocessOptions = field(default_factory=PostprocessOptions)
    """Options of the post-processing."""
    tune: TuneOptions = field(default_factory=TuneOptions)
    """Values of the grid search of diarize-postprocess."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """Result of the search, for readers and RESULTS.md."""
    table: list[dict[str, Any]] = field(default_factory=list)
    """All results of the search, for RESULTS.md."""


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
) -> NetworkOptions:
    """Return ``options`` with the values of the command line; None means not given.

    Recordings up to the length ``window`` are processed whole; the overlap is at most a
    quarter of it.
    """
    given = {"device": device, "max_memory": max_memory, "window": window}
    given = {name: value for name, value in given.items() if value is not None}
    if window is not None:
        given |= {"max_whole": window, "overlap": min(options.overlap, window / 4)}
    return from_dict(NetworkOptions, {**asdict(options), **given}, "command line")
