"""bench/gpu.sh: results as they come, steps that fail named at the end; .ci/run runs all."""

import os
import subprocess

import pytest


@pytest.fixture
def run(repo_root, tmp_path):
    """Run the script in miniature; results go to ``out`` below the test's folder."""
    (tmp_path / "out").mkdir()

    def start(*args, **env):
        return subprocess.run(
            ["bench/gpu.sh", "--miniature", "true", *args], cwd=repo_root, capture_output=True,
            text=True, check=False, env={**os.environ, "OUT": str(tmp_path / "out"), **env},
        )  # fmt: skip

    return start


def test_each_step_leaves_its_output(run, tmp_path):
    done = run("--steps", "env compile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing packages: " in done.stdout.splitlines()[0]
    assert sorted(os.listdir(tmp_path / "out")) == ["compile.txt", "env.txt"]
    text = (tmp_path / "out/env.txt").read_text()
    assert "torch" in text
    assert "env: exit status 0" in text.splitlines()[-1]


def test_a_step_that_fails_stops_no_other_and_is_named(run, tmp_path):
    """Here torch cannot be imported."""
    (tmp_path / "torch.py").write_text("raise ImportError('broken')\n")
    done = run("--steps", "env compile", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "compile: exit status 0" in done.stdout
    assert done.stdout.splitlines()[-1] == "gpu.sh: failed: env (1)"


def test_what_there_is_no_time_for_is_named(run, tmp_path):
    done = run("--steps", "env compile", "--minutes", "0")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].count("no time left") == 2
    assert os.listdir(tmp_path / "out") == []


def test_unknown_step(run):
    done = run("--steps", "env everything")
    assert done.returncode == 1
    assert "no step everything" in done.stderr
