"""The staged script of all recipes, up to the training, in a recipe that setup.sh makes."""

import os
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

DATA_SH = """#!/usr/bin/env bash
set -euo pipefail
echo "local/data.sh $*" >> calls
"""


@pytest.fixture
def root(repo_root, tmp_path) -> Path:
    """A checkout of its own: the template is copied, package and utils are linked."""
    (tmp_path / "egs").mkdir()
    shutil.copytree(repo_root / "egs/TEMPLATE", tmp_path / "egs/TEMPLATE", symlinks=True)
    for name in ("utils", "diarize"):
        (tmp_path / name).symlink_to(repo_root / name)
    return tmp_path


@pytest.fixture
def recipe(root) -> Path:
    """A recipe made by setup.sh, with voices that local/data.sh needs not make."""
    path = root / "egs/corpus/diar1"
    subprocess.run([root / "egs/TEMPLATE/setup.sh", path], check=True, capture_output=True)
    (path / "local/data.sh").write_text(DATA_SH)
    return path


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


def write_voices(data: Path, speakers: int) -> None:
    data.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"s{i}-u{j}" for i in range(speakers) for j in range(3)]
    for name in names:
        with wave.open(str(data / f"{name}.wav"), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", "NONE"))
            out.writeframes(rng.integers(-3000, 3000, 8000, dtype=np.int16).tobytes())
    (data / "wav.scp").write_text("".join(f"{n} {data}/{n}.wav\n" for n in names))
    (data / "utt2spk").write_text("".join(f"{n} {n[:2]}\n" for n in names))


def test_setup_makes_links_and_files(root, recipe):
    assert (recipe / "diar.sh").resolve() == root / "egs/TEMPLATE/diar.sh"
    assert (recipe / "utils").resolve() == (root / "utils").resolve()
    for name in ("run.sh", "local/data.sh"):
        assert os.access(recipe / name, os.X_OK)
    assert {"infer.yaml", "simulate.conf", "pretrain.yaml"} <= {
        path.name for path in (recipe / "conf").iterdir()
    }


def test_setup_overwrites_nothing(root, recipe):
    (recipe / "run.sh").write_text("mine\n")
    subprocess.run([root / "egs/TEMPLATE/setup.sh", recipe], check=True, capture_output=True)
    assert (recipe / "run.sh").read_text() == "mine\n"


def test_setup_refuses_another_place(root):
    done = call(root / "egs/TEMPLATE/setup.sh", str(root / "elsewhere"))
    assert done.returncode == 1
    assert "egs/CORPUS/NAME" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--no-such-option", "1"], "--no-such-option"),
        (["--stage", "x"], "'x'"),
        (["--stage=2"], "--stage=2"),
        (["--task", "music"], "music"),
        (["--ngpu", "-1"], "-1"),
        (["--gpu-inference", "yes"], "yes"),
        (["--num-nodes", "2", "--rendezvous", "host"], "--rendezvous"),
        (["word"], "word"),
    ],
)
def test_wrong_options_run_nothing(recipe, args, message):
    done = call(recipe / "run.sh", *args)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (recipe / "calls").exists()


def test_help(recipe):
    done = call(recipe / "run.sh", "--help")
    assert done.returncode == 0
    assert "Stages:" in done.stdout
    shown = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")}
    head = (recipe / "diar.sh").read_text().partition("help_message=")[0]
    options = re.findall(r"^([a-z_]+)=", head, re.MULTILINE)
    assert shown == {f"--{name.replace('_', '-')}" for name in options}


def test_options_of_local_data_are_passed_on(recipe):
    done = call(recipe / "run.sh", "--stop-stage", "1", "--local-data-opts", "--short true")
    assert done.returncode == 0, done.stderr
    assert (recipe / "calls").read_text() == "local/data.sh --data data --short true\n"


def test_options_of_local_data_may_hold_blanks(recipe):
    """They were split at blanks, so that no directory with a blank could be given."""
    (recipe / "local/data.sh").write_text('#!/bin/bash\nprintf "%s|" "$@" > calls\n')
    opts = "--audio '/my data/wav' --musan '' --allow-counts hours"
    done = call(recipe / "run.sh", "--stop-stage", "1", "--local-data-opts", opts)
    assert done.returncode == 0, done.stderr
    assert (recipe / "calls").read_text() == (
        "--data|data|--audio|/my data/wav|--musan||--allow-counts|hours|"
    )
    done = call(recipe / "run.sh", "--stop-stage", "1", "--local-data-opts", "--note it's")
    assert done.returncode == 1
    assert "error: No closing quotation" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--init-model", "none.pth"], "no initial weights none.pth"),
        (["--inference-config", "conf/none.yaml"], "--inference-config: no file conf/none.yaml"),
        (["--ngpu", "99"], "--ngpu 99, but this machine has"),
    ],
)
def test_what_stages_4_and_6_need_is_checked_before_stage_1(recipe, args, message):
    """A missing backbone was reported at stage 4, after hours of data preparation."""
    done = call(recipe / "run.sh", *args)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (recipe / "calls").exists()


@pytest.mark.parametrize(
    ("own", "training", "message"),
    [
        ([], ["--config", "none.yaml"], "none.yaml"),
        ([], ["--config", "CONFIG", "--set", "train.stepz=3"], "stepz"),
        (["--task", "language"], ["--config", "CONFIG"], "its task is speaker"),
        ([], ["--config", "CONFIG", "--init-model", "other.pth"], "other.pth does not fit"),
        (["--inference-config", "CONFIG"], ["--config", "CONFIG"], "train.yaml"),
    ],
)
def test_faults_that_the_check_at_the_start_names(
    repo_root, tmp_path, monkeypatch, capsys, own, training, message
):
    import torch

    from diarize.bin import check_start
    from diarize.train.checkpoint import save_model

    monkeypatch.chdir(tmp_path)
    save_model("other.pth", {"x.weight": torch.zeros(2)}, {})
    config = str(repo_root / "egs/mini/diar1/conf/train.yaml")
    words = [config if word == "CONFIG" else word for word in [*own, "--", *training]]
    assert check_start.main(words) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "args"), [("cuda_cmd", ["--stage", "4"]), ("decode_cmd", ["--stage", "6"]),
                       ("train_cmd", [])]
)
def test_a_command_that_is_not_there_is_named_at_the_start(recipe, name, args):
    with open(recipe / "cmd.sh") as handle:
        text = handle.read()
    (recipe / "cmd.sh").unlink()
    (recipe / "cmd.sh").write_text(f"{text}\n{name}='nosuch.py --mem 4G'\n")
    done = call(recipe / "run.sh", *args)
    assert done.returncode == 1
    assert f"{name}: no command 'nosuch.py'" in done.stderr
    assert not (recipe / "calls").exists()


def test_test_sets_that_no_stage_will_make_are_named_before_the_training(recipe):
    done = call(recipe / "run.sh", "--stage", "4", "--test-sets", "test other")
    assert done.returncode == 1
    assert re.search("no data/(dev|test|other)/wav.scp, which stage 6 needs", done.stderr)


def test_a_disk_that_is_too_small_for_the_simulation_is_reported(tmp_path, capsys):
    from diarize.bin import check_start

    assert check_start.main(["--datadir", str(tmp_path / "data"), "--mixtures", "5:10"]) == 0
    assert capsys.readouterr().err == ""
    many = ["100000000:10-20", "1:x"]
    assert check_start.main(["--datadir", str(tmp_path / "data"), "--mixtures", *many]) == 0
    assert "the simulation writes about 64000 GB" in capsys.readouterr().err


def test_config_of_options_and_config_of_training(recipe):
    (recipe / "my.conf").write_text("stop_stage=1\nlocal_data_opts=--mine\n")
    done = call(recipe / "run.sh", "--config", "my.conf")
    assert done.returncode == 0, done.stderr
    assert (recipe / "calls").read_text() == "local/data.sh --data data --mine\n"


def test_simulation_from_voices_to_manifest_and_data_directory(recipe):
    write_voices(recipe / "data/voices", 3)
    (recipe / "conf/simulate.conf").write_text(
        "manifest train voices 2 4 1 --min-utts 2 --max-utts 3  # comment\n"
        "manifest train voices 3 2 1 --min-utts 2 --max-utts 3\n"
        "write dev voices 1 2 1 --min-utts 2 --max-utts 3\n"
        "write test voices 2 2 1 --min-utts 2 --max-utts 3\n"
    )
    args = ["--stage", "2", "--stop-stage", "3"]
    done = call(recipe / "run.sh", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    manifest = (recipe / "data/train/mixture.scp").read_text()
    assert len(manifest.splitlines()) == 6
    assert not (recipe / "data/train/wav.scp").exists()
    for name in ("dev", "test"):
        assert len((recipe / f"data/{name}/wav.scp").read_text().splitlines()) == 2
        assert (recipe / f"data/{name}/rttm").exists()
    assert (recipe / "data/voices/reco2dur").read_text().splitlines()[0] == "s0-u0 0.500"
    # Again with other jobs: nothing changes.
    rttm = (recipe / "data/test/rttm").read_bytes()
    assert call(recipe / "run.sh", *args, "--nj", "1").returncode == 0
    assert (recipe / "data/train/mixture.scp").read_text() == manifest
    assert (recipe / "data/test/rttm").read_bytes() == rttm


def test_simulation_of_languages(recipe):
    write_voices(recipe / "data/voices", 2)
    names = [line.split()[0] for line in (recipe / "data/voices/utt2spk").open()]
    languages = {"u0": "en", "u1": "hi", "u2": "hi"}
    (recipe / "data/voices/utt2lang").write_text(
        "".join(f"{name} {languages[name[3:]]}\n" for name in names)
    )
    (recipe / "conf/simulate.conf").write_text(
        "manifest train voices 2 4 2-4 --intra 0 --languages en:hi\n"
        "manifest train voices 1 2 2 --intra 0\n"
        "write test voices 1 2 2 --intra 0 --voices differ --languages hi\n"
    )
    args = ["--task", "language", "--valid-set", "test", "--stage", "2", "--stop-stage", "3"]
    done = call(recipe / "run.sh", *args)
    assert done.returncode == 0, done.stderr
    manifest = (recipe / "data/train/mixture.scp").read_text().splitlines()
    assert [line.split()[0] for line in manifest] == [
        *(f"train_1lang_2_000000{n}" for n in (1, 2)),
        *(f"train_2lang_1_000000{n}" for n in (1, 2, 3, 4)),
    ]
    labels = {line.split()[7] for line in (recipe / "data/test/rttm").open()}
    assert labels == {"hi"}
    assert (recipe / "data/test/reco2num_spk").read_text().split()[1::2] == ["2", "2"]


def test_stage_2_names_the_fault(recipe):
    write_voices(recipe / "data/train", 2)
    for name in ("dev", "test"):
        shutil.copytree(recipe / "data/train", recipe / f"data/{name}")
    done = call(recipe / "run.sh", "--stage", "2", "--stop-stage", "2")
    assert done.returncode == 1
    assert "no reference" in done.stderr
    (recipe / "data/dev/wav.scp").unlink()
    done = call(recipe / "run.sh", "--stage", "2", "--stop-stage", "2")
    assert done.returncode == 1
    assert "data/dev/wav.scp" in done.stderr


def test_training_without_data_says_what_to_run(recipe):
    pytest.importorskip("torch")
    done = call(recipe / "run.sh", "--stage", "4", "--ngpu", "0")
    assert done.returncode == 1
    assert "run stages 1 to 3" in done.stderr


# A runner of somebody else's, which does not say why its job failed.
FAILING_JOB = """#!/usr/bin/env bash
while [[ "$1" != *.log ]]; do shift; done
cat > "${1/JOB/1}" <<'END'
step 1/9  validation  der 50
SAID
END
exit 1
"""
TYPE_ERROR = """\
Traceback (most recent call last):
  File "train.py", line 1, in <module>
TypeError: Got unsupported ScalarType BFloat16"""
ONE_RANK = """\
diarize-train: error: rank 1: lost contact with another rank, whose message states the reason
diarize-train: error: rank 0: recording r: x.wav: cut short
Traceback (most recent call last):
torch.distributed.elastic.multiprocessing.errors.ChildFailedError: error: many lines"""


def fail_with(recipe: Path, said: str) -> None:
    """Make all jobs of the recipe end with the lines ``said`` in their log."""
    job = recipe / "fail.sh"
    job.write_text(FAILING_JOB.replace("SAID", said))
    job.chmod(0o755)
    (recipe / "cmd.sh").unlink()
    (recipe / "cmd.sh").write_text(
        "export train_cmd=./fail.sh cuda_cmd=./fail.sh decode_cmd=./fail.sh\n"
    )


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (ONE_RANK, "diarize-train: error: rank 0: recording r: x.wav: cut short"),
        (TYPE_ERROR, "TypeError: Got unsupported ScalarType BFloat16"),
        ("bash: line 2: 77 Killed  python3", "bash: line 2: 77 Killed  python3"),
    ],
)
def test_a_training_that_fails_ends_with_the_line_that_explains_it(recipe, said, wanted):
    pytest.importorskip("torch")
    write_voices(recipe / "data/train", 1)
    fail_with(recipe, said)
    stages = ("--stage", "4", "--stop-stage", "5")
    done = call(recipe / "run.sh", *stages, "--ngpu", "0", "--num-processes", "2")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"diar.sh: error: stage failed: {wanted}; log: exp/{tag_of(recipe)}/train.log"
    assert "Traceback" not in done.stderr


def test_a_simulation_that_fails_ends_with_the_line_that_explains_it(recipe):
    write_voices(recipe / "data/voices", 2)
    (recipe / "conf/simulate.conf").write_text("write dev voices 1 2 1 --min-utts 2 --max-utts 3\n")
    fail_with(recipe, TYPE_ERROR)
    args = ["--train-set", "dev", "--test-sets", "dev"]
    done = call(recipe / "run.sh", "--stage", "2", "--stop-stage", "3", *args)
    assert done.returncode == 1
    assert "BFloat16; log: data/dev/log/simulate.1.log" in done.stderr.splitlines()[-1]


def test_an_inference_that_fails_ends_with_the_line_that_explains_it(recipe):
    pytest.importorskip("torch")
    write_voices(recipe / "data/dev", 1)
    (recipe / "model.pth").write_text("")
    fail_with(recipe, TYPE_ERROR)
    args = ["--test-sets", "dev", "--inference-model", "model.pth", "--ngpu", "0"]
    done = call(recipe / "run.sh", "--stage", "6", "--stop-stage", "6", *args)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "BFloat16; log: exp/" in last
    assert "/infer_dev/log/posteriors.1.log" in last


def tag_of(recipe: Path) -> str:
    return next(path.name for path in (recipe / "exp").iterdir())


def test_wav_scp_and_rttm_are_enough_for_conversations(recipe):
    """As the README says; without utt2spk the validation refused them."""
    write_voices(recipe / "data/real", 1)
    (recipe / "data/real/utt2spk").unlink()
    (recipe / "data/real/rttm").write_text("SPEAKER s0-u0 1 0 0.4 <NA> <NA> ann <NA> <NA>\n")
    (recipe / "conf/simulate.conf").write_text("")
    sets = ["--train-set", "real", "--valid-set", "real", "--test-sets", "real"]
    done = call(recipe / "run.sh", "--stage", "2", "--stop-stage", "2", *sets)
    assert done.returncode == 0, done.stderr
    utt2spk = (recipe / "data/real/utt2spk").read_text()
    assert utt2spk.splitlines()[0] == "s0-u0-ann-00000000-00000400 s0-u0-ann"
    assert (recipe / "data/real/uem").exists()


def test_stage_2_decodes_every_recording_and_leaves_out_bad_ones_if_asked(recipe):
    """A cut file ended the training at a later step, after stage 2 had passed."""
    for name in ("train", "dev", "test"):
        folder = recipe / "data" / name
        write_voices(folder, 2)
        names = [line.split()[0] for line in (folder / "wav.scp").read_text().splitlines()]
        (folder / "utt2spk").unlink()
        (folder / "rttm").write_text("".join(
            f"SPEAKER {n} 1 0 0.3 <NA> <NA> {s} <NA> <NA>\n" for n in names for s in "ab"
        ))
    bad = recipe / "data/train/s1-u1.wav"
    bad.write_bytes(bad.read_bytes()[:4000])
    (recipe / "conf/small.yaml").write_text(
        "model: {backbone: {dim: 16, layers: 1, heads: 2}, decoder: {queries: 4, heads: 2}}\n"
    )
    words = ["--stage", "2", "--stop-stage", "2", "--config", "conf/small.yaml"]
    done = call(recipe / "diar.sh", *words)
    assert done.returncode == 1
    assert "s1-u1" in done.stderr
    done = call(recipe / "diar.sh", *words, "--skip-bad", "1")
    assert done.returncode == 0, done.stderr
    assert "REMOVED from data/train" in done.stderr
    assert "s1-u1" in done.stderr
    assert (recipe / "data/test/store/decoded.json").exists()
    # A bad test recording is never left out.
    bad = recipe / "data/test/s1-u1.wav"
    bad.write_bytes(bad.read_bytes()[:4000])
    done = call(recipe / "diar.sh", *words, "--skip-bad", "9")
    assert done.returncode == 1
    assert "recording s1-u1" in done.stderr


def test_commands_in_wav_scp_are_run_unless_forbidden(recipe):
    write_voices(recipe / "data/voices", 2)
    scp = recipe / "data/voices/wav.scp"
    lines = [line.split() for line in scp.read_text().splitlines()]
    scp.write_text("".join(f"{name} cat {path} |\n" for name, path in lines))
    (recipe / "conf/simulate.conf").write_text("write dev voices 1 2 1 --min-utts 2 --max-utts 3\n")
    args = ["--stage", "2", "--stop-stage", "3", "--train-set", "dev", "--test-sets", "dev"]
    done = call(recipe / "run.sh", *args, "--allow-pipes", "false")
    assert done.returncode == 1
    assert "--allow-pipes" in done.stderr
    done = call(recipe / "run.sh", *args)
    assert done.returncode == 0, done.stderr
    assert len((recipe / "data/dev/wav.scp").read_text().splitlines()) == 2


@pytest.mark.parametrize("recipe_path", sorted(Path(__file__).parents[2].glob("egs/*/*/run.sh")))
def test_run_scripts_hold_options_only(recipe_path):
    lines = recipe_path.read_text().splitlines()
    assert any("./diar.sh" in line for line in lines)
    assert (recipe_path.parent / "diar.sh").resolve().name == "diar.sh"


HITACHI = (
    '{id} {{"speakers": [{{"spkid": "s0", "rir": null, "utts": ["{d}/s0-u0.wav", "{d}/s0-u1.wav"],'
    ' "intervals": [0.2, 0.5]}}, {{"spkid": "s1", "rir": null, "utts": ["{d}/s1-u0.wav"],'
    ' "intervals": [0.6]}}], "noise": "{d}/s2-u0.wav", "snr": 10, "recid": "{id}"}}\n'
)


@pytest.fixture
def manifest_alone(recipe) -> Path:
    """A recipe whose training set is hitachi's manifest, with a set to validate and score on."""
    write_voices(recipe / "voices", 3)
    for name in ("train", "dev"):
        (recipe / f"data/{name}").mkdir(parents=True)
    (recipe / "data/train/mixture.scp").write_text(
        "".join(HITACHI.format(id=f"mix_000000{i}", d=recipe / "voices") for i in (1, 2, 3))
    )
    (recipe / "data/dev/wav.scp").write_text(f"r {recipe}/voices/s0-u0.wav\n")
    (recipe / "data/dev/rttm").write_text("SPEAKER r 1 0.1 0.3 <NA> <NA> a <NA> <NA>\n")
    (recipe / "tiny.yaml").write_text(
        "task: speaker\n"
        "model:\n"
        "  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 16, kernel: 7}\n"
        "  decoder: {queries: 4, layers: 1, heads: 2, ff_dim: 16}\n"
        "data: {crop_seconds: 1}\n"
        "train: {steps: 2, batch_size: 2, valid_interval: 2, tensorboard: false}\n"
    )
    return recipe


ALONE = ["--stage", "2", "--simulate-config", "/dev/null", "--test-sets", "dev", "--ngpu", "0",
         "--config", "tiny.yaml"]


def test_training_on_a_manifest_alone_works_from_stage_2_on(manifest_alone):
    pytest.importorskip("torch")
    done = call(manifest_alone / "run.sh", *ALONE, "--stop-stage", "5")
    assert done.returncode == 0, done.stderr
    assert "mixture.scp: 3 mixtures of 4 files" in done.stderr
    assert (manifest_alone / "exp/tiny/final.pth").is_file()
    assert not (manifest_alone / "data/train/wav.scp").exists()


def test_a_fault_of_a_manifest_alone_is_named_at_stage_2(manifest_alone):
    manifest = manifest_alone / "data/train/mixture.scp"
    text = manifest.read_text()
    manifest.write_text(text + "mix_0000004 {}\n")
    done = call(manifest_alone / "run.sh", *ALONE, "--stop-stage", "2")
    assert done.returncode == 1
    assert "mixture.scp:4: key 'speakers' is missing" in done.stderr
    manifest.write_text(text.replace("s1-u0", "gone"))
    done = call(manifest_alone / "run.sh", *ALONE, "--stop-stage", "2")
    assert done.returncode == 1
    assert "mixture.scp: " in done.stderr
    assert "gone.wav" in done.stderr


def test_a_manifest_alone_is_no_set_to_score_on(manifest_alone):
    done = call(manifest_alone / "run.sh", *ALONE, "--valid-set", "train", "--stop-stage", "2")
    assert done.returncode == 1
    assert "data/train has mixture.scp but no wav.scp" in done.stderr


def test_training_sets_have_weights(manifest_alone):
    """Real recordings and mixtures in a stated proportion; the names lose their weights."""
    pytest.importorskip("torch")
    shutil.copytree(manifest_alone / "data/dev", manifest_alone / "data/real")
    sets = ["--train-set", "real:0.7 train:0.3"]
    done = call(manifest_alone / "run.sh", *ALONE, *sets, "--stop-stage", "4")
    assert done.returncode == 0, done.stderr
    assert (manifest_alone / "data/real/uem").is_file()
    log = (manifest_alone / "exp/tiny/train.log").read_text()
    assert "data/real:0.7 data/train/mixture.scp:0.3" in log


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("real:0.7 simulated", "for all sets or for none"),
        ("real:0.7 simulated:0", "'simulated:0' must be above 0"),
        ("real:-1 simulated:1", "'real:-1' must be above 0"),
    ],
)
def test_weights_that_make_no_sense_run_nothing(recipe, sets, message):
    done = call(recipe / "run.sh", "--train-set", sets)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (recipe / "calls").exists()


@pytest.mark.parametrize(
    ("option", "stages"),
    [("--skip-data-prep", (1, 3)), ("--skip-train", (4, 5)), ("--skip-eval", (6, 8)),
     ("--skip-packing", (9, 9))],
)  # fmt: skip
def test_the_skip_options_of_espnet(recipe, option, stages):
    first, last = map(str, stages)
    done = call(recipe / "run.sh", "--stage", first, "--stop-stage", last, option, "true")
    assert done.returncode == 0, done.stderr
    assert "stage" not in done.stderr


def test_stage_8_writes_a_page_of_each_drawn_recording_and_an_index(recipe):
    """The posteriors, the RTTM and the log are those that stages 4 to 7 would have left."""
    from diarize.io.ark import ArkWriter
    from diarize.io.rttm import write_rttm
    from diarize.segments import Segment

    exp = recipe / "exp/train"
    for name in ("dev", "test"):
        data, found = recipe / "data" / name, exp / f"infer_{name}"
        write_voices(data, 2)
        ids = [line.split()[0] for line in (data / "wav.scp").read_text().splitlines()]
        write_rttm(data / "rttm", [Segment(i, 0.1, 0.4, "A") for i in ids])
        (data / "uem").write_text("".join(f"{i} 1 0.0 0.5\n" for i in ids))
        with ArkWriter(found, "posteriors") as masks, ArkWriter(found, "activities") as active:
            for i in ids:
                masks.write(i, np.full((50, 2), 0.9, np.float32))
                active.write(i, np.array([0.9, 0.1], np.float32))
        write_rttm(found / "rttm", [Segment(i, 0.0, 0.4, "1") for i in ids])
    (exp / "train_log.jsonl").write_text('{"kind": "train", "step": 1, "loss": 2.0}\n')
    words = ["--stage", "8", "--stop-stage", "8", "--valid-set", "dev", "--test-sets", "test"]
    done = call(recipe / "run.sh", *words, "--tag", "train", "--num-images", "2")
    assert done.returncode == 0, done.stderr
    drawn = ["s0-u0", "s1-u0"]
    names = {"curves.png", *(f"{name}.{suffix}" for name in drawn for suffix in ("html", "png"))}
    assert {path.name for path in (exp / "images").iterdir()} == names
    page = (exp / "images/s1-u0.html").read_text(encoding="utf-8")
    assert "0.10 s (33.33 %)" in page  # false alarm
    index = (exp / "report.html").read_text(encoding="utf-8")
    assert all(f'href="images/{name}.html"' in index for name in drawn)
    assert "33.33 %" in index
    done = call(recipe / "run.sh", *words, "--tag", "train", "--num-images", "0")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("tool", "named"),
    [
        ('tar() { echo half > "$4"; return 2; }', "packed/m.tar.gz"),
        ('cp() { echo half > "$2"; return 1; }', "exp/best.yaml"),
    ],
)
def test_packing_that_fails_leaves_nothing_half_written(repo_root, tmp_path, tool, named):
    """A full disk during stage 9, after an earlier run was killed there."""
    exp = tmp_path / "exp"
    for name in ("final.pth", "config.yaml", "RESULTS.md", "infer_dev/best.yaml"):
        (exp / name).parent.mkdir(parents=True, exist_ok=True)
        (exp / name).write_text("x")
    (exp / "packed").mkdir()
    (exp / "packed/.model.tmp").write_text("half")
    script = """
        set -euo pipefail
        fail() { echo "error: $*" >&2; exit 1; }
        log() { :; }
        TOOL
        exp=$1 valid_set=dev tag=m
        . "$2"
        stage_9
    """
    stages = repo_root / "egs/TEMPLATE/stages/evaluation.sh"
    done = subprocess.run(
        ["bash", "-c", script.replace("TOOL", tool), "bash", exp, stages],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert named in done.stderr
    assert not list((exp / "packed").iterdir())
    best = exp / "best.yaml"
    assert not best.exists() or best.read_text() == "x"
