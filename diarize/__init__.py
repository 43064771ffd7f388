"""End-to-end neural diarization as mask segmentation, with Kaldi-format recipes."""

__version__ = "0.1.0"

# Name on a package index, where "diarize" is another project.
DISTRIBUTION = "diarize-m2f"

# Names of the Python interface, imported on first use: `import diarize` needs no torch.
_LAZY = {
    "Diarizer": "diarize.api",
    "score": "diarize.score",  # the package itself, which can be called
    "Result": "diarize.infer.result",
    "Segment": "diarize.segments",
    "Turn": "diarize.segments",
    "DiarizeError": "diarize.errors",
}


def __getattr__(name: str):
    """Return a name of the Python interface."""
    if name not in _LAZY:
        raise AttributeError(f"module 'diarize' has no attribute '{name}'")
    import importlib

    module = importlib.import_module(_LAZY[name])
    return module if module.__name__ == f"diarize.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
