"""What the recipe of languages consists of besides data: configurations, ablations."""

import os
import subprocess
import sys

import pytest

from diarize.config import apply_overrides, read_yaml
from diarize.infer.config import load_inference_config
from diarize.tasks.registry import build_task, parse_config


@pytest.fixture
def recipe(repo_root):
    return repo_root / "egs/mini/langdiar1"


@pytest.fixture
def variants(recipe):
    """The rows of the table of ablations: table, variant, steps, set, start, overrides."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = subprocess.run(
        [recipe / "local/run_ablations.sh", "--list", "true"], capture_output=True, text=True,
        env={**os.environ, "PATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


def settings(recipe, overrides):
    return parse_config(apply_overrides(read_yaml(recipe / "conf/train.yaml"), overrides), "x")


def test_every_variant_is_another_training(recipe, variants):
    """Overrides that are misspelt, or say what is so anyhow, are found here and not hours later."""
    base = settings(recipe, [])
    seen = {}
    for table, variant, steps, train_set, start, overrides in variants:
        found = settings(recipe, overrides.split())
        assert (found != base) == bool(overrides), (table, variant)
        key = (table, steps, train_set, start, overrides)
        assert key not in seen
        seen[key] = variant
    tables = {row[0] for row in variants}
    assert tables == {"pretraining", "frames", "loss", "front-end", "voices"}


def test_the_variants_of_frames_have_their_hops(recipe, variants):
    hops = {}
    for table, variant, *_, overrides in variants:
        if table in ("frames", "front-end"):
            config = settings(recipe, overrides.split())
            hops[variant] = round(1000 * build_task(config).grid.frame_seconds)
    assert hops == {
        "25 ms every 20 ms": 20, "105 ms every 100 ms": 100, "205 ms every 200 ms": 200,
        "log-mel, 20 ms": 20, "convolutional, 20 ms, without weights": 20,
    }  # fmt: skip


def test_simulated_sets_are_those_that_run_sh_names(recipe):
    lines = {
        name: [line.split()[:3] for line in (recipe / "conf" / name).read_text().splitlines()
               if line.strip() and not line.startswith("#")]
        for name in ("simulate.conf", "simulate_short.conf", "simulate_ablations.conf")
    }  # fmt: skip
    script = (recipe / "run.sh").read_text()
    for name in ("simulate.conf", "simulate_short.conf"):
        sets = {row[1] for row in lines[name]}
        tests = {f"test_{kind}_{length}" for kind in "abc" for length in ("short", "long")}
        assert sets == {"train", "dev", *tests}
        assert all(one in script for one in sets)
        for how, one, voices in lines[name]:
            assert how == ("manifest" if one == "train" else "write")
            assert voices == f"{one.split('_')[0]}_voices"
    assert {row[1] for row in lines["simulate_ablations.conf"]} == {"train_naive", "adapt"}


def test_known_languages_are_called_by_name(recipe):
    config = load_inference_config(recipe / "conf/infer.yaml")
    assert config.postprocess.name_threshold is not None
    known = settings(recipe, []).options.model.languages
    asked = {
        lang
        for line in (recipe / "conf/simulate.conf").read_text().splitlines()
        if line.startswith("manifest") and "--languages" in line
        for pair in line.split("--languages ")[1].split()[0].split(",")
        for lang in pair.split(":")
    }
    assert asked == set(known)
