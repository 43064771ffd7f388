"""Documentation site: pages of the repository, and reference pages made from the code.

``make doc`` runs it and then mkdocs.  The pages keep their places, so that links between them hold
on the site and in the repository.
"""

import argparse
import contextlib
import io
import runpy
import shutil
import sys
from importlib import import_module
from pathlib import Path
from unittest import mock

from diarize.config_help import Key, keys
from diarize.infer.config import InferenceConfig
from diarize.tasks.registry import TASKS
from diarize.train.options import TrainOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "doc/*.md", "egs/*/README.md",
         "egs/*/*/*.md", "egs/*/*/model/*.md")
PICTURES = ("doc/*.png", "doc/*.svg", "egs/*/*/*.png")


def main() -> int:
    """Write pages and configuration of the site into ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/doc", help="directory")
    out = parser.parse_args().out
    pages = out / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    for pattern in (*PAGES, *PICTURES):
        for path in ROOT.glob(pattern):
            target = pages / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    reference = pages / "reference"
    reference.mkdir()
    (reference / "commands.md").write_text(commands_page(), encoding="utf-8")
    (reference / "configuration.md").write_text(configuration_page(), encoding="utf-8")
    (reference / "python.md").write_text(python_page(), encoding="utf-8")
    settings = (ROOT / "doc/mkdocs.yml").read_text(encoding="utf-8")
    settings = settings.replace("RECIPES\n", "".join(recipe_entries(pages)))
    (out / "mkdocs.yml").write_text(
        settings.replace("../build/doc/", "").replace("paths: [..]", f"paths: ['{ROOT}']"),
        encoding="utf-8",
    )
    return 0


def recipe_entries(pages: Path) -> list[str]:
    """Return the lines of the navigation for the pages of the recipes."""
    lines = []
    for readme in sorted(pages.glob("egs/*/*/README.md")):
        folder = readme.parent
        name = str(folder.relative_to(pages / "egs"))
        lines.append(f"      - {name}:\n")
        lines.append(f"          - Recipe: {readme.relative_to(pages)}\n")
        others = sorted(p for p in folder.rglob("*.md") if p != readme)
        lines += [f"          - {p.relative_to(folder).with_suffix('')}: {p.relative_to(pages)}\n"
                  for p in others]
    return lines


def installed_commands() -> dict[str, str]:
    """Return the commands that setup.py installs, with their modules."""
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    scripts = setup.call_args.kwargs["entry_points"]["console_scripts"]
    return dict(sorted(line.removesuffix(":main").split(" = ") for line in scripts))


def help_text(module: str, *words: str) -> str:
    """Return the output of ``--help`` of a command or subcommand, "" if there is none such."""
    out = io.StringIO()
    with (
        mock.patch.dict("os.environ", {"COLUMNS": "90"}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(SystemExit),
    ):
        import_module(module).main([*words, "--help"])
    return out.getvalue()


def subcommands(text: str) -> list[str]:
    """Return the subcommands in a help text: ``{a,b} ...`` of its usage."""
    usage = " ".join(text.partition("\n\n")[0].split())
    words, _, after = usage.partition("{")[2].partition("}")
    return words.split(",") if after.startswith(" ...") else []


def commands_page() -> str:
    """Return the page of all commands with their options."""
    parts = ["# Commands\n\nGenerated from `--help`. All commands accept `--version`.\n"]
    for name, module in installed_commands().items():
        text = help_text(module)
        parts.append(f"## {name}\n\n```text\n{text.rstrip()}\n```\n")
        for word in subcommands(text):
            inner = help_text(module, word)
            parts.append(f"### {name} {word}\n\n```text\n{inner.rstrip()}\n```\n")
    return "\n".join(parts)


def configuration_page() -> str:
    """Return the page of all configuration keys, from the dataclasses of the configuration."""
    parts = [
        "# Configuration\n\nGenerated from the definitions of the options. Keys are written in"
        " sections (`train: {optimizer: {lr: 1e-3}}`) or with `--set train.optimizer.lr=1e-3`."
        " Sections, equations and tables are those of the paper of the task.\n",
        "`diarize-train --config conf/train.yaml --print-config` writes a complete configuration"
        " with these descriptions as comments.\n",
        "## Training: optimisation\n\nBoth tasks.\n", table(keys(TrainOptions(), "train.")),
    ]
    titles = {"eend_m2f": "EEND-M2F", "eend_eda": "EEND-EDA", "sage_ld": "SAGE-LD"}
    for task, models in TASKS.items():
        for name, (options, _) in models.items():
            parts += [f"## Training: {titles[name]}\n\n`task: {task}`, `model: {{name: {name}}}`\n",
                      table(keys(options()))]
    parts += ["## Inference\n\n`conf/infer.yaml`, and `best.yaml` beside a model.\n",
              table(keys(InferenceConfig()))]
    return "\n".join(parts)


def table(rows: list[Key]) -> str:
    """Return a Markdown table of keys."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in rows:
        value = "null" if key.value is None else str(key.value).replace("|", "\\|")
        if isinstance(key.value, bool):
            value = value.lower()
        meaning = key.meaning.replace("|", "\\|")
        lines.append(f"| `{key.name}` | {key.type} | `{value}` | {meaning} |")
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """Return the page of the Python interface: directives for mkdocstrings."""
    modules = {
        "Diarization": "diarize.api",
        "Segments": "diarize.segments",
        "Frame grid": "diarize.timebase",
        "Scores": "diarize.score.der",
        "RTTM": "diarize.io.rttm",
        "Audio": "diarize.io.audio",
        "Data directories": "diarize.kaldi.datadir",
    }
    parts = ["# Python\n"]
    for title, module in modules.items():
        parts.append(f"## {title}\n\n::: {module}\n    options:\n      heading_level: 3\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
