#!/usr/bin/env python3
"""Prints the versions in use; fails, with the remedy, for an unsuitable environment."""

import importlib
import importlib.metadata
import platform
import sys
from pathlib import Path

NEEDED = {
    "torch": "torch",
    "torchaudio": "torchaudio",
    "numpy": "numpy",
    "scipy": "scipy",
    "yaml": "pyyaml",
    "kaldiio": "kaldiio",
    "safetensors": "safetensors",
    "soundfile": "soundfile",
    "sentencepiece": "sentencepiece",
    "tensorboard": "tensorboard",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "diarize": "diarize-m2f",
}
OPTIONAL = {
    "espeakng_loader": ("espeakng-loader", "the mini recipes"),
    "babel": ("babel", "the mini recipes"),
    "pytest": ("pytest", "make test"),
    "xdist": ("pytest-xdist", "make test"),
    "hypothesis": ("hypothesis", "make test"),
}


def pinned() -> dict[str, str]:
    """Distribution name (lower case, dashes) -> version of requirements.txt."""
    text = (Path(__file__).parent / "requirements.txt").read_text(encoding="utf-8")
    rows = [line.split("==") for line in text.splitlines() if "==" in line]
    return {name.strip().lower().replace("_", "-"): version.strip() for name, version in rows}


def describe(module: str, distribution: str, pins: dict[str, str]) -> str:
    """One line about a module that can be imported; ImportError or OSError if it cannot."""
    found = importlib.import_module(module)
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # used from its sources
        version = getattr(found, "__version__", "unknown")
    wanted = pins.get(distribution.lower())
    tested = wanted is None or version.split("+")[0] == wanted
    return f"{distribution:<16} {version}" + ("" if tested else f"  (tested with {wanted})")


def foreign_package() -> list[str]:
    """A fault if ``import diarize`` finds the package of another project."""
    import diarize

    if getattr(diarize, "DISTRIBUTION", None) == "diarize-m2f":
        return []
    return [f"diarize: {diarize.__file__} is another project; run: pip uninstall diarize"]


def main() -> int:
    """0 if everything that is needed can be imported."""
    print(f"{'python':<16} {platform.python_version()} ({sys.executable})")
    pins = pinned()
    faults = []
    for module, distribution in NEEDED.items():
        try:
            print(describe(module, distribution, pins))
        except (ImportError, OSError) as err:
            faults.append(f"{distribution}: {err}")
    for module, (distribution, purpose) in OPTIONAL.items():
        try:
            print(describe(module, distribution, pins))
        except (ImportError, OSError):
            print(f"{distribution:<16} missing, needed for {purpose} only")
    faults += foreign_package()
    if faults:
        print("check_install: this environment is not complete:", file=sys.stderr)
        for fault in faults:
            print(f"  {fault}", file=sys.stderr)
        print("run 'make env' again, or 'pip install -e .' in your own", file=sys.stderr)
        return 1
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    print(f"{'GPUs':<16} {gpus or 'none, the CPU is used'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
