"""Commands in the documents: each exists, and so does every option that it is given."""

import contextlib
import importlib
import io
import re
import runpy
import shlex
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "doc/**/*.md", "egs/*/README.md", "egs/*/*/README.md")
    for path in ROOT.glob(pattern)
)
# What a recipe has; documents are read as if they stood in one.
RECIPE = ROOT / "egs/mini/diar1"
OTHER_WORDS = {".", "cd", "git", "pip", "pre-commit", "python3", "LC_ALL=C", "export", "source"}
OUR_SPAN = re.compile(
    r"(diarize-(?!m2f)[a-z]|md-eval |make |\./|local/|utils/\S*\w( |$)|egs/\S*\.sh)"
)
OPTION = re.compile(r"(?<![\w-])--[a-zA-Z][\w-]*")


@cache
def commands() -> dict[str, str]:
    """Name -> module of the commands that setup.py installs."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **settings: found.update(settings))
        runpy.run_path(str(ROOT / "setup.py"))
    pairs = (line.split(" = ") for line in found["entry_points"]["console_scripts"])
    return {name: target.removesuffix(":main") for name, target in pairs}


@cache
def help_of(*words: str) -> str:
    """What ``command subcommand --help`` prints."""
    main = importlib.import_module(commands()[words[0]]).main
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        contextlib.suppress(SystemExit),
    ):
        main([*words[1:], "--help"])
    return out.getvalue()


@cache
def script_options(path: Path) -> set[str]:
    """The options of a script that sources parse_options.sh: its variables; of run.sh, its own."""
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"^([a-z_]+)=", text, re.MULTILINE) if "parse_options" in text else []
    options = {f"--{name.replace('_', '-')}" for name in names} | {"--help", "--config"}
    options |= set(re.findall(r"^ *(--[a-z-]+)\)", text, re.MULTILINE))
    if "./diar.sh" in text:
        options |= script_options(ROOT / "egs/TEMPLATE/diar.sh")
    if "TEMPLATE/ablations.sh" in text:
        options |= script_options(ROOT / "egs/TEMPLATE/ablations.sh")
    if "datadir.sh" in text:
        sub = re.search(r'datadir\.sh" (\S+)', text)
        options |= set(OPTION.findall(help_of("diarize-datadir", sub[1]) if sub else ""))
    return options


def lines_of(text: str) -> list[str]:
    """The command lines of indented and fenced blocks, continued lines joined."""
    text = text.replace("\\\n", " ")
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    indented = [
        line.strip()
        for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False)
        if line.startswith("    ") and not before.lstrip().startswith(("*", "-", "1"))
    ]
    return [line for line in [*indented, *fenced.splitlines()] if line]


def spans_of(text: str) -> list[str]:
    """The commands that stand inside of sentences."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [s for s in re.findall(r"`([^`\n]+)`", text) if OUR_SPAN.match(s)]


def is_command(line: str) -> bool:
    """Whether a line of a block is a command, and not output, a table or a file's content."""
    word = line.split(maxsplit=1)[0]
    return bool(OUR_SPAN.match(line)) or word in commands() or word in OTHER_WORDS


def script_at(word: str, folder: Path) -> Path | None:
    places = [folder / word, ROOT / word, RECIPE / word, ROOT / "egs/TEMPLATE" / word]
    return next((place for place in places if place.is_file()), None)


def faults_of(line: str, folder: Path = ROOT) -> list[str]:
    """What is wrong with one command line of a document in ``folder``."""
    words = shlex.split(line.replace("…", "x"), comments=True)
    if not words or words[0] in OTHER_WORDS:
        return []
    name, options = words[0], [w for w in words[1:] if OPTION.fullmatch(w.partition("=")[0])]
    if name == "make":
        makefile = (ROOT / "Makefile").read_text() + (ROOT / "tools/Makefile").read_text()
        goals = [w for w in words[1:] if "=" not in w and not w.startswith("-")]
        return [f"no goal {g}" for g in goals if not re.search(rf"^{g}:", makefile, re.MULTILINE)]
    if name in commands():
        text = help_of(name)
        word = words[1] if len(words) > 1 and words[1][0] != "-" else None
        if word and re.search(rf"[ {{,]{re.escape(word)}[ ,}}]", text):  # a subcommand
            text = help_of(name, word)
        known = set(OPTION.findall(text))
    else:
        script = script_at(name, folder)
        if script is None:
            return [f"no command or script {name}"]
        known = script_options(script)
    return [f"{name} has no option {o}" for o in options if o not in known]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_options_exist(path):
    text = path.read_text(encoding="utf-8")
    lines = [line for line in lines_of(text) if is_command(line)] + spans_of(text)
    faults = [f"{line!r}: {fault}" for line in lines for fault in faults_of(line, path.parent)]
    assert not faults, "\n".join(faults)


def test_options_that_a_recipe_takes_exist():
    text = (ROOT / "egs/TEMPLATE/README.md").read_text(encoding="utf-8")
    known = script_options(ROOT / "egs/TEMPLATE/diar.sh")
    known |= script_options(ROOT / "egs/TEMPLATE/local/data.sh")
    named = {o for span in re.findall(r"`(--[^`]+)`", text) for o in span.split()[:1]}
    assert len(named) > 10
    assert named <= known


def test_every_module_with_a_main_is_an_installed_command():
    modules = {
        f"diarize.bin.{path.stem}"
        for path in (ROOT / "diarize/bin").glob("*.py")
        if "\ndef main(" in path.read_text(encoding="utf-8")
    }
    assert set(commands().values()) == modules


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_installed_command_has_help(command):
    assert re.search(r"usage:", help_of(command), re.IGNORECASE)


def test_a_wrong_command_is_seen():
    assert faults_of("diarize-train --config x --no-such 1") == [
        "diarize-train has no option --no-such"
    ]
    assert faults_of("./run.sh --stages 4") == ["./run.sh has no option --stages"]
    assert faults_of("make dem") == ["no goal dem"]
    assert faults_of("utils/no_such.sh x") == ["no command or script utils/no_such.sh"]
    assert lines_of("    make test  # all\n\ntext\n    ./run.sh \\\n      --stage 4\n") == [
        "make test  # all",
        "./run.sh        --stage 4",
    ]
