"""Imports go one way: the table of allowed directions, checked on the source of every module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GROUND = {"errors", "checks", "timebase", "segments"}

# Part of the package -> the parts that it may import; its own modules always.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "checks": {"errors"},
    "timebase": {"errors"},
    "segments": {"errors", "timebase"},
    "progress": set(),
    # Files of tensors, read safely.
    "tensor_file": {"errors"},
    "config": {"errors", "io"},
    "config_help": {"config"},
    "io": GROUND,
    # Data directories; file formats and audio are those of io.
    "kaldi": GROUND | {"io"},
    "score": GROUND | {"io"},
    "simulate": GROUND | {"config", "io", "kaldi", "progress"},
    # From the archives of corpora to data directories: files in, files out.
    "prepare": GROUND | {"io", "kaldi"},
    "data": GROUND | {"config", "io", "kaldi", "progress", "simulate"},
    "features": {"errors", "checks", "timebase", "nn", "tensor_file"},
    "nn": {"errors"},
    "losses": {"errors", "checks", "nn.outputs", "nn.precision", "nn.attention.length_mask"},
    "models": {"errors", "checks", "timebase", "config", "features", "nn"},
    "report": GROUND | {"config", "io", "score"},
    # A model is handed in; what it gives, and how long a piece of a sequence is, are known.
    "infer": GROUND
    | {"config", "io", "kaldi", "progress", "nn.outputs", "nn.pieces", "nn.precision"},
    "train": GROUND | {"config", "io", "kaldi", "nn.precision", "tensor_file"},
    # The Python interface, of which the command of inference is a shell.
    "api": GROUND | {"infer", "tasks"},
    "tasks": GROUND
    | {"config", "data", "features", "io", "losses", "models", "nn"}
    # Each task has its post-processor, which validation decides with, too.
    | {"infer.postprocess", "infer.languages"}
    # How a mask is scored while training, and what a saved model looks like.
    | {"train.mask_der", "train.checkpoint", "train.options"},
}
WITHOUT_TORCH = ("errors", "checks", "timebase", "segments", "config", "config_help", "io", "kaldi",
                 "score", "simulate", "prepare", "report")
# Forced alignment runs a network; the mixer convolves with torch's FFT, faster than scipy's.
WITH_TORCH = {"diarize.prepare.align", "diarize.simulate.mix.mixer",
              "diarize.simulate.disk"}


def modules() -> list[Path]:
    return sorted((ROOT / "diarize").rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Line and full name of every import, those inside of functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def within(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def faults_of(path: Path) -> list[str]:
    module = name_of(path)
    part = module.split(".")[1] if "." in module else ""
    faults = []
    for line, name in imports_of(path):
        where = f"{path.relative_to(ROOT)}:{line}: {name}"
        if name.split(".")[0] in ("torch", "torchaudio") and part in WITHOUT_TORCH and (
            module not in WITH_TORCH
        ):
            faults.append(f"{where}: {part} does without torch")
        if not name.startswith("diarize.") or part in ("", "bin"):
            continue
        target = name.removeprefix("diarize.")
        if not within(target, ALLOWED[part] | {part, "__version__"}):
            faults.append(f"{where}: {part} may not import it")
    return faults


def test_every_part_has_its_rule():
    parts = {name_of(path).split(".")[1] for path in modules() if "." in name_of(path)}
    assert parts - {"bin"} <= ALLOWED.keys()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_one_way(path):
    assert faults_of(path) == []


def imports_a_command(module: str, name: str) -> bool:
    """Whether an import is of a command; parts of the same command and `common` are none.

    The scripts of recipes are commands, too, and run as such by ``common.run_command``.
    """
    parts, importer = name.split("."), module.split(".")
    if parts[:2] != ["diarize", "bin"]:
        return False
    if importer[0] == "diarize" and importer[:2] != ["diarize", "bin"]:
        return True
    return parts[2] != "common" and not parts[2].startswith(f"{importer[-1]}_")


def test_nothing_imports_a_command():
    """Tests and benchmarks run commands; the package and the recipes do not."""
    places = [path for folder in ("diarize", "egs", "utils", "tools")
              for path in (ROOT / folder).rglob("*.py") if "venv" not in path.parts]  # fmt: skip
    assert len(places) > 100
    assert [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in places
        for line, name in imports_of(path)
        if imports_a_command(name_of(path), name)
    ] == []


def test_the_check_of_commands_sees_a_fault():
    assert imports_a_command("diarize.report.results", "diarize.bin.common.run_command")
    assert imports_a_command("diarize.bin.train", "diarize.bin.infer.main")
    assert not imports_a_command("diarize.bin.train", "diarize.bin.common.run_command")
    assert not imports_a_command("diarize.bin.simulate", "diarize.bin.simulate_store.add_store")


def cycles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return what is left of a graph without its nodes outside of cycles, as components."""
    below = {node: reachable(graph, node) for node in graph}
    found = {frozenset(n for n in below[node] if node in below.get(n, ()))
             for node in graph if node in below[node]}  # fmt: skip
    return sorted(sorted(nodes) for nodes in found)


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def module_graph(paths: list[Path]) -> dict[str, set[str]]:
    """The imports between modules, those inside of functions too.

    The package itself is left out: it holds its version, and what it offers lazily.
    """
    names = {name_of(path) for path in paths}
    graph: dict[str, set[str]] = {}
    for path in paths:
        targets = set()
        for _, name in imports_of(path):
            # ``from package.module import name``: the module, or a module of that name.
            target = name if name in names else name.rpartition(".")[0]
            if target in names and target != "diarize":
                targets.add(target)
        graph[name_of(path)] = targets
    return graph


def part_graph(modules_graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports between parts of the package."""
    graph: dict[str, set[str]] = {}
    for module, targets in modules_graph.items():
        part = module.split(".")[1] if "." in module else ""
        graph.setdefault(part, set()).update(target.split(".")[1] for target in targets)
        graph[part].discard(part)
    return graph


def test_imports_have_no_circle():
    graph = module_graph(modules())
    assert sum(map(len, graph.values())) > 500
    assert cycles_of(graph) == []
    assert cycles_of(part_graph(graph)) == []
    assert cycles_of({part: {t.split(".")[0] for t in ts} for part, ts in ALLOWED.items()}) == []


def test_a_circle_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    for name, text in {
        "io/a": "from diarize.io.b import x", "io/b": "def f():\n    from diarize.io import c",
        "io/c": "import diarize.io.a", "io/d": "from diarize.io.a import y",
        "nn/e": "from diarize.io.d import z", "io/f": "from diarize.nn.e import z",
    }.items():  # fmt: skip
        path = tmp_path / f"diarize/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = module_graph(modules())
    assert cycles_of(graph) == [[f"diarize.io.{letter}" for letter in "abc"]]
    assert cycles_of(part_graph(graph)) == [["io", "nn"]]


def test_the_checker_sees_a_fault(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    place = tmp_path / "diarize/io"
    place.mkdir(parents=True)
    (place / "bad.py").write_text("import torch\n\n\ndef f():\n    from diarize.bin import train\n")
    faults = faults_of(place / "bad.py")
    assert len(faults) == 2
    assert "bad.py:1: torch" in faults[0]
    assert "bad.py:5: diarize.bin.train" in faults[1]
