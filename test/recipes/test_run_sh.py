"""What run.sh of recipes with several trainings asks diar.sh for."""

import shlex
import subprocess

import pytest


@pytest.fixture
def calls(tmp_path, repo_root):
    """Run run.sh of a recipe beside a diar.sh that says its options; return them by call."""

    def run(recipe, *args, status=0):
        source = repo_root / "egs" / recipe / "diar1"
        place = tmp_path / recipe.replace("/", "_")
        (place / "conf").mkdir(parents=True, exist_ok=True)
        for conf in source.glob("conf/simulate*.conf"):
            (place / "conf" / conf.name).write_text(conf.read_text())
        (place / "db.sh").write_text("")
        if not (place / "utils").exists():
            (place / "utils").symlink_to(repo_root / "utils")
        (place / "local").mkdir(exist_ok=True)
        (place / "local/report.sh").write_text('#!/bin/bash\nprintf "%s\\n" "$@" > report\n')
        (place / "diar.sh").write_text('#!/bin/bash\nprintf "%s|" "$@"\necho\n')
        (place / "run.sh").write_text((source / "run.sh").read_text())
        (place / "local/more_queries.sh").write_text('#!/bin/bash\nprintf "%s\\n" "$@" > more\n')
        for name in ("diar.sh", "run.sh", "local/report.sh", "local/more_queries.sh"):
            (place / name).chmod(0o755)
        done = subprocess.run([place / "run.sh", *args], capture_output=True, text=True,
                              check=False)
        assert done.returncode == status, done.stderr
        if status:
            return done.stderr
        found = []
        for line in done.stdout.splitlines():
            words = line.split("|")[:-1]
            found.append(dict(zip(words[::2], words[1::2], strict=True)))  # the last one counts
        return found

    return run


def test_mini_demonstration_and_short_form(calls):
    (demo,) = calls("mini")
    assert (demo["--config"], demo["--train-set"]) == ("conf/train.yaml", "train four")
    (short,) = calls("mini", "--short", "true", "--stage", "3")
    assert short["--datadir"] == "data/short"
    assert (short["--expdir"], short["--stage"]) == ("exp/short", "3")
    assert short["--simulate-config"] == "conf/simulate_short.conf"
    (own,) = calls("mini", "--config", "conf/my.yaml", "--train-set", "train")
    assert (own["--config"], own["--train-set"]) == ("conf/my.yaml", "train")


def test_mini_long_training_is_adapted(calls):
    long, adapt = calls("mini", "--long", "true", "--expdir", "mine")
    assert (long["--config"], long["--stage"]) == ("conf/train_long.yaml", "1")
    assert long["--stop-stage"] == "5"
    assert (adapt["--config"], adapt["--stage"]) == ("conf/adapt_long.yaml", "4")
    assert "--stop-stage" not in adapt
    assert adapt["--init-model"] == "mine/train_long/final.pth"
    assert calls("mini", "--long", "true", "--stage", "7")[1]["--stage"] == "7"


def test_flags_want_true_or_false(calls):
    assert "not 'false' and 'yes'" in calls("mini", "--long", "yes", status=1)
    assert "not 'true' and 'true'" in calls("mini", "--long", "true", "--short", "true", status=1)
    assert "not '' and 'false'" in calls("mini", "--short", status=1)
    assert "not 'no'" in calls("speechocean762", "--librispeech-train", "no", status=1)


def test_speechocean_mixes_librispeech_where_it_is(calls, tmp_path):
    mixtures = tmp_path / "speechocean762/data/simulate.conf"
    parts = calls("speechocean762", "--data-root", "so")
    assert [part["--config"] for part in parts] == [
        "conf/start.yaml", "conf/train.yaml", "conf/adapt.yaml"]
    assert [part["--stage"] for part in parts] == ["1", "4", "4"]
    assert [part.get("--stop-stage") for part in parts] == ["5", "5", None]
    assert parts[2]["--test-sets"] == "test"
    assert parts[0]["--init-model"] == ""
    assert shlex.split(parts[0]["--local-data-opts"])[-2:] == ["--data-root", "so"]
    used = [x for x in mixtures.read_text().splitlines() if not x.startswith("#")]
    assert not any("libri" in line for line in used)

    both = ("--data-root", "so", "--librispeech-root", "ls")
    parts = calls("speechocean762", *both)
    assert parts[2]["--test-sets"] == "test libri_test"
    assert parts[2]["--init-model"] == "exp/train/final.pth"
    assert "libri_train_voices" in mixtures.read_text()

    calls("speechocean762", *both, "--librispeech-train", "false")
    text = mixtures.read_text()
    assert "libri_test_voices" in text
    assert "libri_train_voices" not in text


def test_ami_excerpts_start_from_a_model_that_is_there(calls, tmp_path):
    model = tmp_path / "base.pth"
    assert f"no file '{model}'" in calls(
        "ami_excerpts", "--data-root", "d", "--init-model", str(model), status=1
    )
    model.write_text("")
    where = ("--expdir", "mine", "--datadir", "here")
    parts = calls("ami_excerpts", "--data-root", "d", "--init-model", str(model), *where)
    assert [part.get("--config") for part in parts] == [
        None, None, "conf/finetune.yaml", "conf/adapt.yaml"
    ]
    assert parts[1]["--inference-model"] == parts[2]["--init-model"] == str(model)
    assert parts[3]["--init-model"] == "mine/finetune/final.pth"
    assert {(part["--expdir"], part["--datadir"]) for part in parts} == {("mine", "here")}
    words = shlex.split(parts[0]["--local-data-opts"])
    assert words[words.index("--rttm") + 1].startswith("d/train/rttm")
    report = (tmp_path / "ami_excerpts/report").read_text().split()
    assert report == ["d/dev", "mine", "here"]


def test_directories_with_blanks_reach_local_data(calls, monkeypatch):
    """Options were joined by blanks and split at blanks again."""
    monkeypatch.setenv("MUSAN", "/my data/musan")
    monkeypatch.setenv("LC_ALL", "C")  # there, printf %q writes letters as $'\\303'
    for recipe in ("librispeech", "mini_librispeech"):
        (part,) = calls(recipe, "--short", "true")
        words = shlex.split(part["--local-data-opts"])
        assert words[words.index("--musan") + 1] == "/my data/musan"
    part = calls("speechocean762", "--data-root", "/my data's ä/so")[0]
    words = shlex.split(part["--local-data-opts"])
    assert words[words.index("--data-root") + 1] == "/my data's ä/so"


@pytest.mark.parametrize(
    ("recipe", "args"),
    [
        ("mini", []),
        ("mini", ["--short", "true"]),
        ("librispeech", []),
        ("librispeech", ["--short", "true"]),
        ("mini_librispeech", []),
        ("mini_librispeech", ["--short", "true"]),
        ("speechocean762", ["--data-root", "d"]),
        ("ami", []),
        ("alimeeting", ["--condition", "far"]),
    ],
)
def test_options_of_local_data_are_added_to_those_of_the_recipe(calls, recipe, args):
    """They replaced those of the recipe, such as --short true."""
    before = calls(recipe, *args)[0].get("--local-data-opts", "")
    after = calls(recipe, *args, "--local-data-opts", "--seed '2 3'")[0]["--local-data-opts"]
    assert shlex.split(after) == [*shlex.split(before), "--seed", "2 3"]
    assert "--data" not in shlex.split(after)


def test_speechocean_long_training_is_rounds_that_are_not_repeated(calls, tmp_path):
    place = tmp_path / "speechocean762"
    more = ("--data-root", "so", "--librispeech-root", "ls", "--words-root", "w", "--long", "true")
    parts = calls("speechocean762", *more, "--long-rounds", "3")
    assert [part["--config"] for part in parts[:3]] == [
        "conf/start.yaml", "conf/train.yaml", "conf/adapt.yaml"]
    rounds = parts[3:]
    assert [part["--tag"] for part in rounds] == ["long_1", "long_2", "long_3"]
    assert [part["--init-model"] for part in rounds] == [
        "exp/long_0.pth", "exp/long_1/final.pth", "exp/long_2/final.pth"]
    assert [part.get("--stop-stage") for part in rounds] == ["5", "5", None]
    assert {part["--valid-set"] for part in rounds} == {"dev_long"}
    assert [part["--args"] for part in rounds] == [f"--set train.seed={n}" for n in (1, 2, 3)]
    assert (place / "more").read_text().split() == ["exp/adapt/final.pth", "exp/long_0.pth"]
    words = shlex.split(parts[0]["--local-data-opts"])
    assert words[-4:] == ["--long", "true", "--words-root", "w"]
    sets = {x.split()[1] for x in (place / "data/simulate.conf").read_text().splitlines()
            if not x.startswith("#")}  # fmt: skip
    assert {"train", "long", "dev_long"} <= sets
    for number in (1, 2, 3):
        (place / f"exp/long_{number}").mkdir(parents=True)
        (place / f"exp/long_{number}/final.pth").touch()
    own = calls("speechocean762", *more, "--long-from", "model/final.pth", "--long-rounds", "3")
    assert [part["--tag"] for part in own] == ["long_3"]
    assert own[0]["--stage"] == "1"
    assert "not 'yes'" in calls("speechocean762", "--long", "yes", status=1)
