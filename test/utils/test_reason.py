"""What reaches the terminal when a job dies: its exception, its message, or its signal."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

TORCHRUN_END = """\
Traceback (most recent call last):
  File "/venv/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-01-01_00:00:00
  host      : node7
  rank      : 1 (local_rank: 1)
  exitcode  : {code} (pid: 12)
  error_file: <N/A>
============================================================
"""
RAISED = """\
{rank}Traceback (most recent call last):
{rank}  File "train.py", line 1, in <module>
{rank}    main()
{rank}{line}
"""
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
LOST = (
    "diarize-train: error: rank 0: lost contact with another rank, whose message states the "
    "reason\n"
)
CASES = {
    "message": (1, "step 3\nx: error: r1: x.wav: cut short\nlast words\n", "x: error: r1: x.wav"),
    "exception": (1, RAISED.format(rank="", line="TypeError: bad") + "bye\n", "TypeError: bad"),
    "exception without a message": (1, RAISED.format(rank="", line="MemoryError"), "MemoryError"),
    "two ranks": (
        1,
        RAISED.format(rank="[rank1]:", line=f" {OOM}") + LOST + TORCHRUN_END.format(code=1),
        OOM,
    ),
    "a rank that is killed": (
        1,
        "step 1/9\n" + LOST + TORCHRUN_END.format(code=-9),
        "rank 1 on node7: killed by signal 9 (SIGKILL)",
    ),
    "echoes of other ranks": (
        1,
        RAISED.format(rank="[rank0]:", line=" RuntimeError: Connection closed by peer [1.2.3.4]")
        + RAISED.format(rank="[rank1]:", line=" ValueError: why")
        + TORCHRUN_END.format(code=1),
        "ValueError: why",
    ),
    "raised from another": (
        1,
        RAISED.format(rank="", line="KeyError: 'a'")
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + RAISED.format(rank="", line="ValueError: what matters"),
        "ValueError: what matters",
    ),
    "a worker's": (
        1,
        RAISED.format(rank="", line="TypeError: Caught TypeError in DataLoader worker process 0.")
        + "Original "
        + RAISED.format(rank="", line="TypeError: the worker's own"),
        "TypeError: the worker's own",
    ),
    "ignored ones do not count": (
        1,
        "Exception ignored in: <function f>\n"
        + RAISED.format(rank="", line="AttributeError: late")
        + RAISED.format(rank="", line="OSError: disk"),
        "OSError: disk",
    ),
    "shell": (127, "bash: line 2: nosuch: command not found\n", "nosuch: command not found"),
    "killed": (137, "step 3\n", "request more memory or use fewer jobs; its last line: step 3"),
    "killed by name": (-11, "", "signal 11 (SIGSEGV)"),
    "anything": (3, "10 %\r20 %\rterminate called\n\n", "terminate called"),
}  # fmt: skip


@pytest.fixture(scope="module")
def explain(repo_root):
    def call(*logs: Path) -> str:
        script = repo_root / "utils/runners/reason.py"
        done = subprocess.run(
            [sys.executable, script, *logs], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return call


def write_log(path: Path, code: int, text: str) -> Path:
    ended = f"# Ended (code {code}) at now, elapsed time 0 seconds\n"
    path.write_text(f"# command\n# Started at now\n#\n{text}# Accounting: time=0\n{ended}")
    return path


@pytest.mark.parametrize("case", CASES)
def test_the_line_that_explains(explain, tmp_path, case):
    code, text, wanted = CASES[case]
    log = write_log(tmp_path / "x.log", code, text)
    found = explain(log)
    assert wanted in found
    assert found.endswith(f"; log: {log}")
    assert len(found.splitlines()) == 1


def test_jobs_that_ended_well_are_not_blamed(explain, tmp_path):
    good = write_log(tmp_path / "1.log", 0, "x: error: but went on\n")
    bad = write_log(tmp_path / "2.log", 1, "what it said\n")
    better = write_log(tmp_path / "3.log", 1, "x: error: the cause\n")
    assert explain(good, bad) == f"what it said; log: {bad}"
    assert explain(good, bad, better) == f"x: error: the cause; log: {better}"
    assert explain(good, tmp_path / "missing.log") == ""


def test_a_log_that_was_cut_off_is_read_too(explain, tmp_path):
    (tmp_path / "x.log").write_bytes(b"# command\nstep 1\nstep \xff2")
    assert explain(tmp_path / "x.log").startswith("step \ufffd2; log: ")


SCRIPTS = {
    "TypeError: no such dtype": "raise TypeError('no such dtype')",
    "MemoryError": "raise MemoryError",
    "signal 9 (SIGKILL": "import os; print('at work', flush=True); os.kill(os.getpid(), 9)",
    "signal 6 (SIGABRT)": "import os; os.abort()",
}


@pytest.mark.parametrize("wanted", SCRIPTS)
def test_run_py_ends_with_it(repo_root, tmp_path, wanted):
    command = [sys.executable, str(repo_root / "utils/run.py"), "JOB=1:2", "x.JOB.log"]
    done = subprocess.run(
        [*command, sys.executable, "-c", SCRIPTS[wanted]],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "job 1 ended with code" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("run.py: ")
    assert wanted in last
    assert last.endswith("; log: x.1.log")


TRAINING = """
import os, sys, torch
torch.distributed.init_process_group("gloo")
if os.environ["RANK"] == "1":
    KILL
torch.distributed.barrier()
"""


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("raise TypeError('Got unsupported ScalarType')", "TypeError: Got unsupported ScalarType"),
        ("os.kill(os.getpid(), 9)", "rank 1 on "),
    ],
)
def test_a_rank_of_torchrun_that_dies_is_named(repo_root, tmp_path, how, wanted):
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(TRAINING.replace("KILL", how))
    command = [sys.executable, str(repo_root / "utils/run.py"), "x.log", sys.executable, "-m"]
    command += ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert wanted in done.stderr.splitlines()[-1]


@pytest.fixture
def memory(repo_root, monkeypatch):
    monkeypatch.syspath_prepend(str(repo_root / "utils/runners"))
    return importlib.import_module("memory")


@pytest.mark.parametrize(
    ("line", "folder", "events", "limit"),
    [
        ("0::/job", "sys/fs/cgroup/job", "memory.events", "memory.max"),
        ("0::/elsewhere", "sys/fs/cgroup", "memory.events", "memory.max"),
        ("4:memory:/j", "sys/fs/cgroup/memory/j", "memory.oom_control", "memory.limit_in_bytes"),
    ],
)
def test_a_kill_for_want_of_memory_is_seen(memory, tmp_path, line, folder, events, limit):
    group = tmp_path / folder
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"9:pids:/\n{line}\n")
    (group / events).write_text("oom 1\noom_kill 3\n")
    (group / limit).write_text(f"{4 << 30}\n")
    before = memory.kills(tmp_path)
    assert memory.evidence(before, tmp_path) == ""
    (group / events).write_text("oom 2\noom_kill 4\n")
    assert "4.0 GiB" in memory.evidence(before, tmp_path)
    (group / limit).write_text("max\n")
    assert memory.limit(tmp_path) is None


def test_the_evidence_of_a_kill_is_part_of_the_reason(explain, tmp_path):
    log = tmp_path / "x.log"
    log.write_text("step 3\n# Out of memory: limit 4.0 GiB\n# Ended (code 137) at now\n")
    assert "(SIGKILL)" in explain(log)
    assert "limit 4.0 GiB" in explain(log)


def test_the_runner_writes_the_evidence_into_the_log(repo_root, memory, tmp_path, monkeypatch):
    jobs = importlib.import_module("jobs")
    monkeypatch.setattr(memory, "evidence", lambda before: "limit 4.0 GiB")
    for code, expected in ((137, True), (0, False)):
        job = jobs.Job(log=str(tmp_path / f"{code}.log"), command=["bash", "-c", f"exit {code}"])
        assert jobs.run_logged(job, 1, lambda _: None, {}) == code
        assert ("# Out of memory: limit 4.0 GiB" in (tmp_path / f"{code}.log").read_text()) == (
            expected
        )
