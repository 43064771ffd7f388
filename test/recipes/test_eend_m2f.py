"""The paper's schedule: sets of several corpora joined, the table, the lists of ablations."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import pytest

from diarize.kaldi.validate import validate_data_dir

# What a corpus's own recipe leaves behind: one recording for each set.
RECIPE = """#!/usr/bin/env bash
cd "$(dirname "$0")"
echo "$*" >> calls
"""
RECORDINGS = ("m1", "m2")
LOOSE = {"feats": False, "text": False, "spk_sort": False}


@pytest.fixture
def root(repo_root, tmp_path) -> Path:
    """A checkout of its own with the recipe, and two corpora that are prepared already."""
    (tmp_path / "egs").mkdir()
    for name in ("TEMPLATE", "eend_m2f"):
        ignored = shutil.ignore_patterns("data", "exp")
        shutil.copytree(
            repo_root / "egs" / name, tmp_path / "egs" / name, symlinks=True, ignore=ignored
        )
    for name in ("utils", "diarize"):
        (tmp_path / name).symlink_to(repo_root / name)
    for recipe in ("ami/diar1", "ramc/diar1"):
        folder = tmp_path / "egs" / recipe
        folder.mkdir(parents=True)
        (folder / "run.sh").write_text(RECIPE)
        (folder / "run.sh").chmod(0o755)
    for part in ("train", "dev", "test"):
        for recipe, name in (("ami", f"{part}_mix"), ("ami", f"{part}_sdm"), ("ramc", part)):
            write_set(tmp_path / "egs" / recipe / "diar1/data" / name, f"{part}-")
    return tmp_path


def write_set(data: Path, prefix: str) -> None:
    data.mkdir(parents=True)
    names = [f"{prefix}{name}" for name in RECORDINGS]
    for name in names:
        with wave.open(str(data / f"{name}.wav"), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", "NONE"))
            out.writeframes(bytes(32000))
    lines = {
        "wav.scp": "{0} {1}/{0}.wav",
        "utt2spk": "{0} {0}",
        "spk2utt": "{0} {0}",
        "reco2dur": "{0} 1.000",
        "uem": "{0} 1 0.000 1.000",
        "rttm": "SPEAKER {0} 1 0.000 0.500 <NA> <NA> ann <NA> <NA>",
    }
    for name, line in lines.items():
        (data / name).write_text("".join(line.format(n, data) + "\n" for n in names))


def call(script: Path, *args: str):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(script), *args],
        cwd=script.parent,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def keys(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()]


def test_sets_of_all_corpora_and_together(root):
    recipe = root / "egs/eend_m2f/diar1"
    done = call(recipe / "run.sh", "--corpora", "ami_mix,ami_sdm,ramc", "--stop-stage", "1")
    assert done.returncode == 0, done.stderr
    calls = (root / "egs/ami/diar1/calls").read_text().splitlines()
    assert calls == ["--stop-stage 1 --mic mix", "--stop-stage 1 --mic sdm"]
    # Each set keeps its names; together the same meeting of two microphones is two recordings.
    assert keys(recipe / "data/ami_sdm_test/wav.scp") == ["test-m1", "test-m2"]
    assert keys(recipe / "data/train/wav.scp") == [
        f"{corpus}-train-{name}" for corpus in ("ami_mix", "ami_sdm", "ramc") for name in RECORDINGS
    ]
    assert "SPEAKER ramc-test-m2 1 0.000 0.500" in (recipe / "data/test_all/rttm").read_text()
    assert keys(recipe / "data/dev/uem") == keys(recipe / "data/dev/wav.scp")
    for name in ("train", "dev", "test_all", "ami_mix_test"):
        assert validate_data_dir(recipe / "data" / name, **LOOSE) == []
    # Once more with other corpora: nothing of the others is left in what is together.
    done = call(recipe / "run.sh", "--corpora", "ramc", "--stop-stage", "1")
    assert done.returncode == 0, done.stderr
    assert keys(recipe / "data/train/wav.scp") == ["ramc-train-m1", "ramc-train-m2"]


def test_unknown_corpus_and_one_that_is_not_prepared(root):
    recipe = root / "egs/eend_m2f/diar1"
    done = call(recipe / "run.sh", "--corpora", "icsi", "--stop-stage", "1")
    assert done.returncode == 1
    assert "'icsi' is not in conf/corpora.txt" in done.stderr
    done = call(recipe / "run.sh", "--corpora", "voxconverse", "--stop-stage", "1")
    assert done.returncode == 1
    assert "no recipe egs/voxconverse/diar1" in done.stderr


def test_schedule_passes_options_with_blanks(root):
    """Options were split at blanks: none of local/data.sh could be given."""
    recipe = root / "egs/eend_m2f/diar1"
    (recipe / "run.sh").write_text('#!/bin/bash\nprintf "%s|" "$@" >> words; echo >> words\n')
    (root / "model.pth").touch()
    options = ["--corpora", "ramc", "--local-data-opts", "--allow-counts 'hours recordings'",
               "--opts", "--ngpu 0 --args '--set train.steps=2 train.seed=3'"]  # fmt: skip
    done = call(recipe / "local/schedule.sh", *options, "--pretrained", str(root / "model.pth"))
    assert done.returncode == 0, done.stderr
    finetune, adapt = (recipe / "words").read_text().splitlines()
    for line in (finetune, adapt):
        assert "|--ngpu|0|--args|--set train.steps=2 train.seed=3|" in line
    assert "|--local-data-opts|--allow-counts 'hours recordings'|" in finetune
    assert "--local-data-opts" not in adapt


def test_schedule_checks_at_the_start_what_its_last_step_needs(root):
    recipe = root / "egs/eend_m2f/diar1"
    (recipe / "run.sh").write_text("#!/bin/bash\ntouch called\n")
    done = call(recipe / "local/schedule.sh", "--published-output", "none")
    assert done.returncode == 1
    assert "--published-output: no directory none" in done.stderr
    adapt = recipe / "conf/adapt.yaml"
    text = adapt.read_text()
    adapt.unlink()
    adapt.write_text(text.replace("train:", "trian:"))
    done = call(recipe / "local/schedule.sh", "--corpora", "ramc")
    assert done.returncode == 1
    assert "trian" in done.stderr
    assert not (recipe / "called").exists()


def test_a_missing_backbone_is_named_before_any_data_are_prepared(root):
    recipe = root / "egs/eend_m2f/diar1"
    done = call(recipe / "local/schedule.sh", "--corpora", "ramc", "--pretrained", "none.pth")
    assert done.returncode == 1
    assert "no initial weights none.pth" in done.stderr
    assert not (root / "egs/ramc/diar1/calls").exists()


def test_roots_of_all_corpora_are_checked_before_the_first_is_prepared(root, monkeypatch):
    recipe = root / "egs/eend_m2f/diar1"
    for name, variable in (("ami", "AMI"), ("ramc", "RAMC")):
        place = root / f"egs/{name}/diar1/local"
        place.mkdir()
        (place / "data.sh").write_text(f'diarize-prepare {name} --root "${variable}"\n')
    monkeypatch.setenv("AMI", str(root))
    monkeypatch.setenv("RAMC", str(root / "none"))
    done = call(recipe / "run.sh", "--corpora", "ami_mix,ramc", "--stop-stage", "1")
    assert done.returncode == 1
    assert "egs/ramc/diar1: no directory" in done.stderr
    assert "correct RAMC in db.sh" in done.stderr
    assert not (root / "egs/ami/diar1/calls").exists()


def test_table_without_any_training(root):
    recipe = root / "egs/eend_m2f/diar1"
    done = call(recipe / "local/schedule.sh", "--only-table", "true")
    assert done.returncode == 0, done.stderr
    assert "| EEND-M2F, ours |" + " – |" * 9 in done.stdout
    assert "| EEND-M2F + FT, the paper | 13.98 |" in done.stdout


SMALL = """
task: speaker
model:
  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.0}
  decoder: {queries: 4, layers: 1, heads: 2, ff_dim: 32}
data: {crop_seconds: 0.5}
train: {steps: 1, batch_size: 2, tensorboard: false}
"""


def test_finetuning_on_other_corpora_is_not_taken_for_this_one(root):
    """exp/finetune has results of ami_mix and ramc: with ramc alone it is refused by name."""
    recipe = root / "egs/eend_m2f/diar1"
    (recipe / "conf/finetune.yaml").unlink()
    (recipe / "conf/finetune.yaml").write_text(SMALL)
    args = ["--init-model", "", "--ngpu", "0", "--tag", "finetune", "--stop-stage", "4"]
    done = call(recipe / "run.sh", "--corpora", "ami_mix,ramc", *args)
    assert done.returncode == 0, done.stderr
    (recipe / "exp/finetune/RESULTS.md").touch()
    script = recipe / "local/schedule.sh"  # here without a pretrained model
    script.write_text(script.read_text().replace('--init-model "$pretrained"', '--init-model ""'))
    done = call(script, "--corpora", "ramc", "--opts", "--ngpu 0")
    assert done.returncode == 1
    assert "4 recordings, now 2, missing: ami_mix-train-m1 and 1 more" in done.stderr
    assert "exp/finetune" in done.stderr.splitlines()[-1]


def test_schedule_checks_what_has_results_and_scores_it_no_more(root):
    recipe = root / "egs/eend_m2f/diar1"
    (recipe / "run.sh").write_text(STUB.replace('echo "$1" >> words', 'printf "%s " "$1" >> words')
                                   .replace("mkdir", "echo >> words\nmkdir"))  # fmt: skip
    (recipe / "exp/finetune").mkdir(parents=True)
    (recipe / "exp/finetune/RESULTS.md").touch()
    done = call(recipe / "local/schedule.sh", "--corpora", "ramc")
    assert done.returncode == 0, done.stderr
    finetune, adapt = (recipe / "words").read_text().splitlines()
    assert finetune.endswith("--stop-stage 4 ")
    assert "adapt_ramc" in adapt
    assert "--stop-stage" not in adapt


def test_every_row_of_corpora_has_a_column_of_the_table(repo_root):
    conf = repo_root / "egs/eend_m2f/diar1/conf"
    names = [line.split()[0] for line in (conf / "corpora.txt").read_text().splitlines()
             if line[0] != "#"]  # fmt: skip
    columns = re.findall(r": (\w+)_test$", (conf / "table1.yaml").read_text(), re.MULTILINE)
    assert names == columns


@pytest.fixture(scope="module")
def ablations(repo_root):
    """The check of lists of ablations, which is a script of the template."""
    path = repo_root / "egs/TEMPLATE/check_ablations.py"
    return SimpleNamespace(**runpy.run_path(str(path)))


@pytest.mark.parametrize(
    ("recipe", "config", "rows"),
    [("mini/diar1", "train.yaml", 17), ("eend_m2f/diar1", "finetune.yaml", 19)],
)
def test_every_ablation_differs_from_the_base(repo_root, ablations, recipe, config, rows):
    conf = repo_root / "egs" / recipe / "conf"
    variants = ablations.read_variants(str(conf / "ablations.txt"))
    assert len(variants) == rows
    ablations.check(str(conf / config), variants)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("5|N = 5||model.decoder.queries=5", "changes nothing"),
        ("5|N = 8||model.decoder.queries=8\n5|again||model.decoder.queries=8", "the same as"),
        ("5|N = 8||model.decoder.queries=8 model.decoder.layers=3", "layers=3 is what"),
        ("5|N = 8||model.decoder.query=8", "unknown key"),
        ("5|N = 8|model.decoder.queries=8", "not 'table|variant"),
    ],
)
def test_ablation_that_is_none(repo_root, ablations, tmp_path, rows, message, capsys):
    (tmp_path / "list").write_text(rows + "\n")
    config = repo_root / "egs/mini/diar1/conf/train.yaml"
    assert ablations.main([str(config), str(tmp_path / "list")]) == 1
    assert message in capsys.readouterr().err


def test_number_of_queries_of_the_mini_recipe(repo_root):
    """The base had been changed to 5 queries, and the row "N = 8" was trained with 5."""
    conf = repo_root / "egs/mini/diar1/conf"
    rows = [line.split("|") for line in (conf / "ablations.txt").read_text().splitlines()]
    named = {row[1]: row[3] for row in rows if row[0].startswith("5 ")}
    assert "queries: 5" in (conf / "train.yaml").read_text()
    assert named.pop("N = 5") == ""
    assert named == {f"N = {n}": f"model.decoder.queries={n}" for n in (4, 8, 10, 20)}


# A recipe whose training is a line of text: its options, and a DER that tells them apart.
STUB = """#!/usr/bin/env bash
while [ $# -gt 0 ]; do [ "$1" = --tag ] && tag=$2; echo "$1" >> words; shift; done
mkdir -p exp/$tag
echo "RESULT task=speaker set=test der=${#tag}.00 miss=1.00 fa=2.00 conf=3.00 count_acc=4.00"
"""


def test_ablations_in_one_table(root):
    recipe = root / "egs/eend_m2f/diar1"
    (recipe / "run.sh").write_text(STUB)
    (root / "egs/TEMPLATE/check_ablations.py").write_text("")  # has tests of its own, above
    (root / "egs/librispeech/diar1/exp/pretrain").mkdir(parents=True)
    (root / "egs/librispeech/diar1/exp/pretrain/final.pth").touch()
    args = ["--only", "5 queries", "--steps", "7"]
    done = call(recipe / "local/run_ablations.sh", *args)
    assert done.returncode == 0, done.stderr
    tags = ["ablation_7_model_decoder_queries_25", "ablation_7_base"]
    rows = (recipe / "exp/ablations.md").read_text().splitlines()
    for name, tag, published in (("N = 25", tags[0], "15.23"), ("N = 50", tags[1], "15.17")):
        der = f"{len(tag)}.00"
        assert f"| 5 queries | {name} | 1.00 | 2.00 | 3.00 | {der} | {published} | 4.00 |" in rows
    words = (recipe / "words").read_text().splitlines()
    assert "--set train.steps=7 model.decoder.queries=25" in words
    assert words[words.index("--init-model") + 1].endswith("diar1/exp/pretrain/final.pth")
    assert words[words.index("--test-sets") + 1] == "test_all"
    # What is done is not done again; what has no pretrained model is not begun.
    before = (recipe / "words").read_text()
    assert call(recipe / "local/run_ablations.sh", *args).returncode == 0
    assert (recipe / "words").read_text() == before
    done = call(recipe / "local/run_ablations.sh", "--only", "backbone 4, mask module 4")
    assert done.returncode == 1
    assert "pretrain_backbone4/final.pth is missing" in done.stderr
