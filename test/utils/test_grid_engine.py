"""queue.py with a grid engine that runs, started by tools/with_cluster.py."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NESTED = "bash -c 'echo $$ > child.JOB; sleep 600' & wait"


@pytest.fixture(scope="module")
def engine(with_cluster):
    """A grid engine of this module's own."""
    with with_cluster("sge", cpus=4) as cluster:
        yield cluster


@pytest.fixture
def start(engine, repo_root, tmp_path):
    """Start queue.py in an empty directory: the process."""

    def starter(*args: str, **env: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(repo_root / "utils/queue.py"), *args],
            cwd=tmp_path,
            env={**engine.environment, "DIARIZE_POLL_SECONDS": "0.05", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return starter


def finish(process: subprocess.Popen) -> tuple[int, str]:
    errors = process.communicate(timeout=60)[1]
    return process.returncode, errors


def output_of(log: Path) -> str:
    lines = log.read_text().splitlines(True)
    return "".join(line for line in lines if not line.startswith("#"))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition) -> None:
    deadline = time.time() + 30
    while not condition():
        assert time.time() < deadline
        time.sleep(0.05)


def written(*paths: Path) -> None:
    """Wait until the files have something in them."""
    wait_for(lambda: all(path.exists() and path.read_text().strip() for path in paths))


def test_array_with_options_and_a_failure(start, engine, tmp_path):
    options = ["--mem", "100M", "--num-threads", "2", "--max-jobs-run", "2", "--time", "0:10:0"]
    words = ["bash", "-c", "echo JOB $MINE $NSLOTS ${PATH%%:*}; [ JOB != 3 ] || exit 7"]
    # Debian's grid engine starts a login shell, which makes a PATH of its own.
    env = {"MINE": "a b", "PATH": f"/mine:{engine.environment['PATH']}"}
    code, errors = finish(start(*options, "JOB=2:4", "l/x.JOB.log", *words, **env))
    assert code == 1
    assert errors.splitlines() == [
        "queue.py: 1 of 3 jobs failed",
        "queue.py: job 3 ended with code 7; log: l/x.3.log",
        "queue.py: 3 a b 2 /mine; log: l/x.3.log",
    ]
    assert [output_of(tmp_path / f"l/x.{i}.log") for i in (2, 3, 4)] == [
        f"{i} a b 2 /mine\n" for i in (2, 3, 4)
    ]
    assert sorted(p.name for p in (tmp_path / "l").iterdir()) == [
        f"x.{i}.log" for i in (2, 3, 4)
    ]


def test_single_job_gets_its_words_as_they_are(start, tmp_path):
    words = ["$HOME", "a'b", 'c"d', "*", "", "`id`", "a;b", "é", "$TASK_ID"]
    show = "import sys; print(sys.argv[1:])"
    assert finish(start("x.log", sys.executable, "-c", show, *words, PYTHONUTF8="1")) == (0, "")
    assert output_of(tmp_path / "x.log") == f"{words}\n"


@pytest.mark.parametrize("name", ["a b/c d", "a,b/c,d", "a:b/c:d", "$a/$b", "7/7"])
def test_logs_may_have_names_that_qsub_cannot_take(start, tmp_path, name):
    """A blank or digit in the name of the job, a comma or colon in the path were refused."""
    assert finish(start("JOB=1:1", f"{name}.JOB.log", "echo", "done")) == (0, "")
    assert output_of(tmp_path / f"{name}.1.log") == "done\n"


def test_interruption_leaves_no_job_behind(start, engine, tmp_path):
    """Jobs that run, and jobs that still wait for a slot."""
    process = start("JOB=1:6", "x.JOB.log", "bash", "-c", NESTED)
    files = [tmp_path / f"child.{i}" for i in range(1, 5)]
    written(*files)
    process.send_signal(signal.SIGINT)
    code, errors = finish(process)
    assert code == 130
    assert errors == "queue.py: interrupted by SIGINT; its jobs have been ended\n"
    assert engine.numbers() == []
    wait_for(lambda: all(gone(int(path.read_text())) for path in files))
    assert not (tmp_path / "child.6").exists()


def test_deleted_and_killed_jobs_are_reported_while_others_run(start, engine, tmp_path):
    words = ["bash", "-c", "cut -d ' ' -f 4 /proc/$PPID/stat > parent.JOB; sleep 8"]
    process = start("JOB=1:3", "x.JOB.log", *words)
    written(*(tmp_path / f"parent.{i}" for i in (1, 2, 3)))
    engine.ask("qdel", engine.numbers()[0], "-t", "1")
    os.kill(int((tmp_path / "parent.2").read_text()), signal.SIGKILL)
    code, errors = finish(process)
    assert code == 1
    assert "2 of 3 jobs failed" in errors
    for i in (1, 2):
        assert re.search(rf"job {i} was lost by the batch system \(\d+\); .*x.{i}.log", errors)


def test_refused_submission_is_one_line(start, engine):
    code, errors = finish(start("-l", "no_such=1", "x.log", "true"))
    assert code == 1
    assert errors.startswith("queue.py: error: qsub ")
    assert "no_such" in errors
    wait_for(lambda: engine.numbers() == [])  # the engine forgets jobs of earlier tests in its time
