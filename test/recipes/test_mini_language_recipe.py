"""What the recipe of languages consists of besides data: configurations, ablations."""

import itertools
import os
import shutil
import subprocess
import sys

import pytest

from diarize.config import apply_overrides, read_yaml
from diarize.infer.config import load_inference_config
from diarize.tasks.registry import build_task, parse_config


@pytest.fixture
def recipe(repo_root):
    return repo_root / "egs/mini/langdiar1"


STUB = """#!/usr/bin/env bash
while [ "$#" -gt 0 ]; do [ "$1" != --tag ] || tag=$2; shift; done
mkdir -p "exp/$tag"
echo "stopped by a signal after 7 steps and 9 s, saved" > exp/$tag/train.log
"""


def ablations(recipe, *args, status=0):
    """What the script says, on both outputs."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = subprocess.run(
        [recipe / "local/run_ablations.sh", *args], capture_output=True, text=True,
        env={**os.environ, "PATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture
def copy(repo_root, recipe, tmp_path):
    """The recipe in a checkout of its own, where the other training sets are there."""
    path = tmp_path / "egs/mini/langdiar1"
    shutil.copytree(recipe, path, symlinks=True, ignore=shutil.ignore_patterns("data", "exp"))
    (tmp_path / "egs/TEMPLATE").symlink_to(repo_root / "egs/TEMPLATE")
    (tmp_path / "utils").symlink_to(repo_root / "utils")
    for name in ("train_naive", "adapt"):
        (path / "data" / name).mkdir(parents=True)
        (path / "data" / name / "mixture.scp").write_text("x {}\n")
    return path


@pytest.fixture
def variants(recipe):
    """The rows of the table of ablations: experiment, then table, variant, steps, set, start,
    overrides."""
    return [line.split("|") for line in ablations(recipe, "--list", "true").splitlines()]


def settings(recipe, overrides):
    return parse_config(apply_overrides(read_yaml(recipe / "conf/train.yaml"), overrides), "x")


def test_every_variant_is_another_training(recipe, variants):
    """Overrides that are misspelt, or say what is so anyhow, are found here and not hours later."""
    base = settings(recipe, [])
    seen = {}
    for tag, table, variant, steps, train_set, start, overrides in variants:
        found = settings(recipe, overrides.split())
        assert (found != base) == bool(overrides), (table, variant)
        key = (steps, train_set, start, overrides)
        assert seen.setdefault(tag, key) == key  # one experiment, one training
        assert (table, key) not in seen
        seen[table, key] = variant
        if start:
            assert start in {row[0] for row in variants}
    tables = {row[1] for row in variants}
    assert tables == {"pretraining", "frames", "loss", "front-end", "voices"}


def test_the_variants_of_frames_have_their_hops(recipe, variants):
    hops = {}
    for _, table, variant, *_, overrides in variants:
        if table in ("frames", "front-end"):
            config = settings(recipe, overrides.split())
            hops[variant] = round(1000 * build_task(config).grid.frame_seconds)
    assert hops == {
        "25 ms every 20 ms": 20, "105 ms every 100 ms": 100, "205 ms every 200 ms": 200,
        "log-mel, 20 ms": 20, "convolutional, 20 ms, without weights": 20,
    }  # fmt: skip


def test_what_is_trained_is_collected_in_one_table(copy, variants):
    """With every experiment done nothing is trained; each row has the figures of its own."""
    tags = list(dict.fromkeys(row[0] for row in variants))
    for number, tag in enumerate(tags):
        lines = [
            f"RESULT task=language set=test_{kind}_{length} collar=0.00 der={number}.{place} "
            f"miss=1 train_s=1 named_der=99.00 second_language={number}.9{place}\n"
            for place, (kind, length) in enumerate(itertools.product("abc", ("short", "long")))
        ]
        (copy / "exp" / tag).mkdir(parents=True)
        (copy / "exp" / tag / "result_lines.txt").write_text("".join(lines))
    page = ablations(copy)
    assert page == (copy / "exp/ablations.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    shutil.rmtree(copy / "exp" / tags[-1])
    partly = [x for x in ablations(copy, "--collect", "true").splitlines() if x.startswith("|")][2:]
    assert partly[:-1] == rows[:-1]
    assert partly[-1].endswith("| as conf/train.yaml |" + " – |" * 8)
    for row, (tag, table, variant, steps, *_) in zip(rows, variants, strict=True):
        n = tags.index(tag)
        shown = steps or "as conf/train.yaml"
        assert row == (
            f"| {table} | {variant} | {shown} | {n}.0 | {n}.1 | {n}.2 | {n}.3 "
            f"| {n}.94 | {n}.4 | {n}.95 | {n}.5 |"
        )


def test_a_training_that_was_stopped_is_no_row(copy):
    (copy / "run.sh").write_text(STUB)
    told = ablations(copy, "--only", "loss", status=1)
    assert "exp/ablation_300_train_criterion_tversky_0 was stopped before its end" in told
    assert not (copy / "exp/ablations.md").exists()


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
    assert 0 < config.postprocess.language_id_threshold < 1
    known = settings(recipe, []).options.model.languages
    asked = {
        lang
        for line in (recipe / "conf/simulate.conf").read_text().splitlines()
        if line.startswith("manifest") and "--languages" in line
        for pair in line.split("--languages ")[1].split()[0].split(",")
        for lang in pair.split(":")
    }
    assert asked == set(known)
