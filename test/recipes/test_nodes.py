"""Stage 4 of a recipe by torchrun: two agents here, two network namespaces, and a real Slurm."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diarize.io.audio import write_wav  # noqa: E402
from diarize.train.checkpoint import load_model  # noqa: E402

# As run.py, but each job in a network of its own, where 10.97.0.JOB is its only address.
IN_NAMESPACES = """#!/usr/bin/env bash
set -euo pipefail
options=()
while [[ $1 != *.log ]]; do options+=("$1") && shift; done
log=$1 && shift
exec utils/run.py "${options[@]}" "$log" \\
  ip netns exec PREFIXJOB env DIARIZE_NODE_ADDRESS=10.97.0.JOB GLOO_SOCKET_IFNAME=vethJOB "$@"
"""


CONFIG = """
task: speaker
model:
  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.1}
  decoder: {queries: 3, layers: 1, heads: 2, ff_dim: 32}
data: {crop_seconds: 1}
train:
  steps: 12
  batch_size: 4
  log_interval: 1
  optimizer: {lr: 1e-3}
  schedule: {name: constant}
  tensorboard: false
"""


@pytest.fixture
def recipe(repo_root, tmp_path) -> Path:
    """A recipe with some noise for data and twelve steps of training."""
    (tmp_path / "egs").mkdir()
    for name in ("egs/TEMPLATE", "utils", "diarize"):
        (tmp_path / name).symlink_to(repo_root / name)
    path = tmp_path / "egs/corpus/diar1"
    (path / "conf").mkdir(parents=True)
    for name in ("diar.sh", "cmd.sh", "path.sh"):
        (path / name).symlink_to(repo_root / "egs/TEMPLATE" / name)
    (path / "utils").symlink_to(repo_root / "utils")
    (path / "conf/train.yaml").write_text(CONFIG)
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


@pytest.fixture
def namespaces():
    """The prefix of two network namespaces that are joined by a cable; a skip without them."""
    prefix = f"node{os.getpid()}-"
    steps = [f"ip netns add {prefix}1", f"ip netns add {prefix}2",
             f"ip -n {prefix}1 link add veth1 type veth peer name veth2 netns {prefix}2"]
    for i in (1, 2):
        steps += [f"ip -n {prefix}{i} address add 10.97.0.{i}/24 dev veth{i}",
                  f"ip -n {prefix}{i} link set veth{i} up", f"ip -n {prefix}{i} link set lo up"]
    try:
        if not shutil.which("ip"):
            pytest.skip("no network namespaces: ip is not installed (Debian: iproute2)")
        for step in steps:
            done = subprocess.run(step.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespaces: {step}: {done.stderr.strip()}")
        yield prefix
    finally:
        for i in (1, 2):
            subprocess.run(["ip", "netns", "del", f"{prefix}{i}"], capture_output=True, check=False)


def train(recipe: Path, tag: str, *options: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        ["./diar.sh", "--stage", "4", "--stop-stage", "4", "--ngpu", "0", "--tag", tag, *options],
        cwd=recipe,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
             "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    return errors


def test_two_agents_on_one_machine(recipe):
    with socket.socket() as held:
        held.bind(("", 0))
        port = held.getsockname()[1]
    finish(train(recipe, "two", "--num-nodes", "2", "--rendezvous", f"localhost:{port}"))
    log = (recipe / "exp/two/train.2.log").read_text()
    assert f"node 2 of 2, rendezvous at localhost:{port}" in log
    assert load_model(recipe / "exp/two/last.pth")[1]["step"] == 12


def test_two_nodes_in_networks_of_their_own(recipe, namespaces):
    (recipe / "in_ns.sh").write_text(IN_NAMESPACES.replace("PREFIX", namespaces))
    (recipe / "in_ns.sh").chmod(0o755)
    (recipe / "cmd.sh").unlink()
    (recipe / "cmd.sh").write_text("export cuda_cmd=./in_ns.sh\n")
    finish(train(recipe, "two", "--num-nodes", "2"))
    for i in (1, 2):
        log = (recipe / f"exp/two/train.{i}.log").read_text()
        assert f"node {i} of 2, rendezvous at 10.97.0.1:" in log
    assert load_model(recipe / "exp/two/last.pth")[1]["step"] == 12


def steps_of(log: Path) -> int:
    return log.read_text().count('"kind": "train"') if log.exists() else 0


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_slurm_one_node_stopped_and_resumed_is_two_nodes_undisturbed(recipe, slurm):
    """Two processes in one job, cancelled in the middle; two jobs of a process, each on its node.

    Cancelled, Slurm tells every process, and torchrun tells its own once more: they save.
    """
    (recipe / "conf/slurm.conf").write_text("command sbatch --export=ALL --exclusive\n")
    exp = recipe / "exp"
    env = {"SLURM_CONF": slurm.environment["SLURM_CONF"], "cmd_backend": "slurm",
           "DIARIZE_POLL_SECONDS": "0.2"}
    one = ["one", "--num-processes", "2", "--args"]
    process = train(recipe, *one, "--set train.steps=4000", **env)
    wait_for(lambda: steps_of(exp / "one/train_log.jsonl") > 3)
    slurm.ask("scancel", *slurm.ask("squeue", "--noheader", "--format=%A", "--name=train").split())
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "(CANCELLED); log: exp/one/train.log" in errors
    assert "stopped by a signal" in (exp / "one/train.log").read_text()
    steps = load_model(exp / "one/last.pth")[1]["step"] + 4
    finish(train(recipe, *one, f"--set train.steps={steps}", **env))
    assert f"going on from step {steps - 4}" in (exp / "one/train.log").read_text()

    finish(train(recipe, "two", "--num-nodes", "2", "--args", f"--set train.steps={steps}", **env))
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


def test_two_jobs_of_a_grid_engine(recipe, with_cluster):
    with with_cluster("sge", cpus=2) as engine:
        names = [name for name in engine.environment if name.startswith(("SGE_", "LD_"))]
        env = {name: engine.environment[name] for name in names}
        path = f"{Path(sys.executable).parent}:{engine.environment['PATH']}"
        finish(train(recipe, "two", "--num-nodes", "2", cmd_backend="sge", PATH=path, **env))
    assert "node 2 of 2" in (recipe / "exp/two/train.2.log").read_text()
    assert load_model(recipe / "exp/two/last.pth")[1]["step"] == 12
