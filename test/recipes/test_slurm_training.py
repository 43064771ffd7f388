"""Stage 4 of a recipe on a Slurm that runs: torchrun on one node and on two, stopped, resumed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diarize.io.audio import write_wav  # noqa: E402
from diarize.train.checkpoint import load_model  # noqa: E402

CONFIG = """
task: speaker
model:
  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.1}
  decoder: {queries: 3, layers: 1, heads: 2, ff_dim: 32}
data: {crop_seconds: 1}
train:
  steps: STEPS
  batch_size: 4
  log_interval: 1
  optimizer: {lr: 1e-3}
  schedule: {name: constant}
  tensorboard: false
"""


@pytest.fixture
def recipe(repo_root, tmp_path) -> Path:
    """A recipe with some noise for data; a job has a whole node."""
    (tmp_path / "egs").mkdir()
    for name in ("egs/TEMPLATE", "utils", "diarize"):
        (tmp_path / name).symlink_to(repo_root / name)
    path = tmp_path / "egs/corpus/diar1"
    (path / "conf").mkdir(parents=True)
    for name in ("diar.sh", "cmd.sh", "path.sh"):
        (path / name).symlink_to(repo_root / "egs/TEMPLATE" / name)
    (path / "utils").symlink_to(repo_root / "utils")
    (path / "conf/slurm.conf").write_text("command sbatch --export=ALL --exclusive\n")
    rng = np.random.default_rng(0)
    for name in ("train", "dev"):
        data = path / "data" / name
        data.mkdir(parents=True)
        for i in range(3):
            write_wav(data / f"r{i}.wav", 0.1 * rng.standard_normal(24000), 16000)
        (data / "wav.scp").write_text("".join(f"r{i} {data}/r{i}.wav\n" for i in range(3)))
        (data / "rttm").write_text(
            "".join(f"SPEAKER r{i} 1 0.1 1.1 <NA> <NA> s{i} <NA> <NA>\n" for i in range(3))
        )
        (data / "uem").write_text("".join(f"r{i} 1 0 1.5\n" for i in range(3)))
    return path


def train(recipe: Path, slurm, tag: str, *options: str, steps: int = 12) -> subprocess.Popen:
    (recipe / "conf/train.yaml").write_text(CONFIG.replace("STEPS", str(steps)))
    path = f"{Path(sys.executable).parent}:{slurm.environment['PATH']}"
    return subprocess.Popen(
        ["./diar.sh", "--stage", "4", "--stop-stage", "4", "--ngpu", "0", "--tag", tag, *options],
        cwd=recipe,
        env={**slurm.environment, "PATH": path, "cmd_backend": "slurm", "OMP_NUM_THREADS": "1",
             "DIARIZE_POLL_SECONDS": "0.2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def steps_of(log: Path) -> int:
    return log.read_text().count('"kind": "train"') if log.exists() else 0


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_node_stopped_and_resumed_is_two_nodes_undisturbed(recipe, slurm):
    """Two processes in one job, cancelled in the middle; two jobs of a process, each on its node.

    Cancelled, Slurm tells every process, and torchrun tells its own once more: they save.
    """
    exp = recipe / "exp"
    process = train(recipe, slurm, "one", "--num-processes", "2", steps=4000)
    wait_for(lambda: steps_of(exp / "one/train_log.jsonl") > 3)
    slurm.ask("scancel", *slurm.ask("squeue", "--noheader", "--format=%A", "--name=train").split())
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "(CANCELLED); log: exp/one/train.log" in errors
    assert "stopped by a signal" in (exp / "one/train.log").read_text()
    steps = load_model(exp / "one/last.pth")[1]["step"] + 4
    process = train(recipe, slurm, "one", "--num-processes", "2", steps=steps)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"going on from step {steps - 4}" in (exp / "one/train.log").read_text()

    process = train(recipe, slurm, "two", "--num-nodes", "2", steps=steps)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    jobs = slurm.ask("scontrol", "--oneliner", "show", "job").splitlines()
    nodes = [word for job in jobs if "JobName=train.JOB" in job
             for word in job.split() if word.startswith("NodeList=")]
    assert sorted(nodes) == ["NodeList=node1", "NodeList=node2"]
    assert not list((exp / "two").glob(".rendezvous*"))
    one, two = (load_model(exp / tag / "last.pth")[0] for tag in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_torchrun_started_by_srun_as_two_tasks(slurm, repo_root, tmp_path):
    """As one may do it without slurm.py: an allocation of two tasks on a node."""
    toy = repo_root / "test/train/toy.py"
    start = f"""
      exec {repo_root}/utils/torchrun_node.py $((SLURM_PROCID + 1)) $SLURM_NTASKS \\
        {tmp_path}/rendezvous --nproc-per-node 1 {toy} {tmp_path}/exp --options '{{"steps": 8}}'
    """
    path = f"{Path(sys.executable).parent}:{slurm.environment['PATH']}"
    done = subprocess.run(
        ["srun", "--nodes=1", "--ntasks=2", "bash", "-c", start],
        env={**slurm.environment, "PATH": path, "PYTHONPATH": str(repo_root),
             "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False, timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "node 2 of 2" in done.stdout
    assert load_model(tmp_path / "exp/last.pth")[1]["step"] == 8
    assert os.listdir(tmp_path / "exp")
