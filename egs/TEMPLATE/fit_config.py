#!/usr/bin/env python3
"""Configurations of the template with the sizes of an initial model: fit_config.py MODEL FROM TO.

Writes finetune.yaml and adapt.yaml to the directory TO, unless they exist: those of the
directory FROM, with the model, the criterion and the length of crops of the model's own training.
For a model of languages there is adapt.yaml only.
"""

import sys
from pathlib import Path

from diarize.bin.common import run_command
from diarize.config import dump_yaml, read_yaml
from diarize.errors import DiarizeError
from diarize.infer.pretrained import model_files
from diarize.io.atomic import atomic_write
from diarize.tasks.initial import SECTIONS, without_files
from diarize.train.checkpoint import load_model

FILES = {
    "speaker": {"finetune.yaml": "finetune.yaml", "adapt.yaml": "adapt.yaml"},
    "language": {"adapt.yaml": "language_adapt.yaml"},
}


def main(model: str, source: str, target: str) -> None:
    """Write the configurations; raises DiarizeError for a model without its configuration."""
    with model_files(Path(model)) as (path, _):
        own = load_model(path)[1].get("config")
    if not own:
        raise DiarizeError(f"{model} contains no configuration; train it with diarize-train")
    for name, template in FILES[own.get("task", "speaker")].items():
        written = Path(target) / name
        if written.exists():
            continue
        mapping = read_yaml(Path(source) / template)
        for section in SECTIONS:
            mapping[section] = own[section]
        mapping["model"] = without_files(mapping["model"])
        if "ssl_conv" in own["model"]:
            mapping["model"]["ssl_conv"]["weights"] = "init"
        mapping["data"]["crop_seconds"] = own["data"]["crop_seconds"]
        with atomic_write(written) as handle:
            handle.write(f"# {template} of egs/TEMPLATE, with the sizes and crops of {model}.\n")
            handle.write(dump_yaml(mapping))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(run_command(lambda: main(*sys.argv[1:]), "fit_config.py"))
