"""Two runs of a recipe at once, and the data directory that all stages share."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EGS = Path(__file__).parents[2] / "egs"
DATA_SH = """#!/usr/bin/env bash
printf '%s|' "$@" >> calls
[ ! -f wait ] || { touch started; sleep 60; }
"""

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="no command flock")


@pytest.fixture
def recipe(repo_root, tmp_path) -> Path:
    """A recipe with a local/data.sh that notes its options, and waits if there is a file wait."""
    (tmp_path / "egs").mkdir()
    shutil.copytree(repo_root / "egs/TEMPLATE", tmp_path / "egs/TEMPLATE", symlinks=True)
    for name in ("utils", "diarize"):
        (tmp_path / name).symlink_to(repo_root / name)
    path = tmp_path / "egs/corpus/diar1"
    subprocess.run([tmp_path / "egs/TEMPLATE/setup.sh", path], check=True, capture_output=True)
    (path / "local/data.sh").write_text(DATA_SH)
    return path


def start(recipe: Path, *args: str) -> subprocess.Popen:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        [recipe / "run.sh", *args], cwd=recipe, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PATH": path},
    )  # fmt: skip


def run(recipe: Path, *args: str) -> tuple[int, str]:
    process = start(recipe, *args)
    err = process.communicate(timeout=60)[1]
    return process.returncode, err


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


def test_a_second_run_on_the_same_data_is_refused_until_the_first_has_ended(recipe):
    (recipe / "wait").touch()
    first = start(recipe, "--stop-stage", "1")
    try:
        wait_for(recipe / "started")
        status, err = run(recipe, "--stop-stage", "1")
        assert status == 1
        assert f"data is in use by process {first.pid} on {os.uname().nodename} since 20" in err
        assert "./diar.sh" in err
        # Other data and another experiment are free.
        (recipe / "wait").unlink()
        assert run(recipe, "--stop-stage", "1", "--datadir", "other")[0] == 0
        os.kill(first.pid, signal.SIGKILL)  # local/data.sh survives, and writes on
        first.wait()
        status, err = run(recipe, "--stop-stage", "1")
        assert status == 1
        assert f"a process started by {first.pid} on" in err
    finally:
        os.killpg(first.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert run(recipe, "--stop-stage", "1")[0] == 0


LOCKS = """
set -euo pipefail
. "$1/lock.sh"
take_lock "$2/.lock" "$3" "$2"
echo locked
[ -z "${4:-}" ] || sleep 30
"""


def lock(repo_root: Path, place: Path, kind: str, wait: str = "") -> subprocess.Popen:
    return subprocess.Popen(
        ["bash", "-c", LOCKS, "run.sh", str(repo_root / "utils"), str(place), kind, wait],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("held", "wanted", "free"),
    [
        ("shared", "shared", True),
        ("shared", "exclusive", False),
        ("exclusive", "shared", False),
        ("exclusive", "exclusive", False),
    ],
)
def test_readers_share_the_data_and_exclude_writers(repo_root, tmp_path, held, wanted, free):
    owner = lock(repo_root, tmp_path, held, "wait")
    try:
        assert owner.stdout.readline() == "locked\n"
        out, err = lock(repo_root, tmp_path, wanted).communicate(timeout=30)
        assert (out == "locked\n") == free
        assert (f"in use by process {owner.pid} on" in err) == (not free)
    finally:
        os.killpg(owner.pid, signal.SIGKILL)
    owner.wait()
    assert lock(repo_root, tmp_path, "exclusive").communicate(timeout=30)[0] == "locked\n"


def test_local_data_gets_the_data_directory(recipe):
    """Without --data, stage 1 replaced the data of another experiment."""
    assert run(recipe, "--stop-stage", "1", "--datadir", "my 'data'/x, y")[0] == 0
    assert (recipe / "calls").read_text() == "--data|my 'data'/x, y|"
    status, err = run(recipe, "--stop-stage", "1", "--local-data-opts", "--seed 1 --data old")
    assert status == 1
    assert "--data old" in err
    assert (recipe / "calls").read_text() == "--data|my 'data'/x, y|"


@pytest.mark.parametrize("script", sorted(EGS.glob("*/*/local/data.sh")), ids=str)
def test_all_recipes_prepare_into_the_data_directory(script):
    text = script.read_text()
    if "TEMPLATE/local/data.sh" in text:
        text = (EGS / "TEMPLATE/local/data.sh").read_text()
    assert "\ndata=data\n" in text
    assert '"$data' in text
    assert "parse_options.sh" in text


@pytest.mark.parametrize(
    "args",
    [
        ["--stage", "5", "--stop-stage", "5"],
        ["--stage", "6", "--stop-stage", "6"],
        ["--stage", "7", "--stop-stage", "7"],
        ["--stage", "8", "--stop-stage", "8"],
        ["--stage", "9", "--stop-stage", "9"],
        ["--stage", "4", "--stop-stage", "4", "--config", "none.yaml"],
        ["--stage", "10", "--stop-stage", "20"],
    ],
)
def test_a_wrong_stage_or_configuration_leaves_no_directory(recipe, args):
    pytest.importorskip("torch")
    status, err = run(recipe, *args, "--ngpu", "0")
    assert status == 1, err
    assert "Traceback" not in err
    assert not (recipe / "exp").exists(), list((recipe / "exp").rglob("*"))
    assert not (recipe / "data").exists()


def test_recordings_with_blanks_commas_and_quotes_in_their_path(recipe, repo_root, tmp_path):
    import numpy as np

    from diarize.io.audio import write_wav

    shutil.copy(repo_root / "egs/TEMPLATE/local/data.sh", recipe / "local/data.sh")
    root = tmp_path / "my, \"own\" corpus' ä $x *"
    for name in ("audio", "rttm"):
        (root / name).mkdir(parents=True)
    for number in range(3):
        write_wav(root / f"audio/r{number}.wav", np.full(16000, 0.1, np.float32), 16000)
        (root / f"rttm/r{number}.rttm").write_text(
            f"SPEAKER r{number} 1 0.1 0.8 <NA> <NA> s{number} <NA> <NA>\n"
        )
    audio, rttm = (shlex.quote(str(root / name)) for name in ("audio", "rttm"))
    options = f"--audio {audio} --rttm {rttm} --dev-share 0.34 --test-share 0.33"
    status, err = run(
        recipe, "--stop-stage", "2", "--datadir", "d, 'a' *", "--local-data-opts", options
    )
    assert status == 0, err
    for name in ("train", "dev", "test"):
        line = (recipe / f"d, 'a' */{name}/wav.scp").read_text()
        assert line.split(" ", 1)[1].startswith(f"{root}/audio/r")
        assert (recipe / f"d, 'a' */{name}/reco2dur").read_text().split()[1] == "1.000"
