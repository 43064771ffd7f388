"""Wheel: built, installed into an environment of its own, and used away from the checkout."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "egs/speechocean762/diar1/model"


def run(*words: str | Path, cwd: Path, env: dict | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Environment with the wheel; the packages that it requires are those of this environment."""
    base = tmp_path_factory.mktemp("package")
    source, wheels, env = base / "source", base / "wheels", base / "venv"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "diarize", source / "diarize",
                    ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    built = run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source, cwd=base)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    assert wheel.name.startswith("diarize_m2f-")
    venv.create(env, with_pip=False, symlinks=True)
    (packages,) = env.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if path.endswith("site-packages") and Path(path).is_dir()]
    (packages / "shared.pth").write_text("\n".join(shared) + "\n")
    done = run(*pip, "--python", env / "bin/python", "install", "--no-deps", "--force-reinstall",
               "--no-index", wheel, cwd=base, env=clean())
    assert done.returncode == 0, done.stderr
    return env


def clean() -> dict[str, str]:
    """Environment variables without those that point to the checkout."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}


def test_the_wheel_is_used_and_not_the_checkout(installed, tmp_path):
    code = "import diarize, pathlib; print(pathlib.Path(diarize.__file__).parent)"
    found = run(installed / "bin/python", "-c", code, cwd=tmp_path, env=clean())
    assert Path(found.stdout.strip()).is_relative_to(installed), found.stdout + found.stderr


def test_every_file_of_the_package_is_in_the_wheel(installed):
    (packages,) = installed.glob("lib/python*/site-packages")
    there = {p.relative_to(packages) for p in (packages / "diarize").rglob("*") if p.is_file()}
    wanted = {
        p.relative_to(ROOT)
        for p in (ROOT / "diarize").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert sorted(map(str, wanted - there)) == []


def test_a_wheel_infers_and_scores_away_from_the_checkout(installed, tmp_path):
    import numpy as np
    import soundfile

    noise = np.random.default_rng(1).normal(0, 0.05, 16000 * 3)
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    bin_ = installed / "bin"
    inferred = run(bin_ / "diarize-infer", "a.wav", "--model", MODEL, "--out", "a.rttm",
                   cwd=tmp_path, env=clean())
    assert inferred.returncode == 0, inferred.stderr
    assert (tmp_path / "a.rttm").is_file()
    (tmp_path / "ref.rttm").write_text("SPEAKER a 1 0.5 1.5 <NA> <NA> x <NA> <NA>\n")
    scored = run(bin_ / "diarize-score", "-r", "ref.rttm", "-s", "ref.rttm",
                 cwd=tmp_path, env=clean())
    assert scored.returncode == 0, scored.stderr
    assert "0.00" in scored.stdout


def test_the_other_project_named_diarize_is_noticed(installed, tmp_path):
    """``pip install diarize`` writes its ``__init__.py`` over that of this package."""
    (packages,) = installed.glob("lib/python*/site-packages")
    init = packages / "diarize/__init__.py"
    own = init.read_text()
    init.write_text('"""Another project."""\n__version__ = "0.1.2"\n')
    try:
        done = run(installed / "bin/diarize-score", "--help", cwd=tmp_path, env=clean())
    finally:
        init.write_text(own)
    assert done.returncode == 1
    assert "pip uninstall diarize" in done.stderr
    assert "Traceback" not in done.stderr
    assert str(init) in done.stderr
