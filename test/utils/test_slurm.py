"""slurm.py with a Slurm that runs: started by tools/with_cluster.py, two nodes on this machine."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The job has a child, as torchrun and shells have; the child's number stands in a file.
NESTED = "bash -c 'echo $$ > child.JOB; sleep 600' & wait"


def output_of(log: Path) -> str:
    lines = log.read_text().splitlines(True)
    return "".join(line for line in lines if not line.startswith("#"))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.05)


def written(*paths: Path) -> None:
    """Wait until the files have something in them."""
    wait_for(lambda: all(path.exists() and path.read_text().strip() for path in paths))


def start_in(directory: Path, slurm, root: Path, *args: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(root / "utils/slurm.py"), *args],
        cwd=directory,
        env={**slurm.environment, "DIARIZE_POLL_SECONDS": "0.05", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def out_of_time(slurm, repo_root, tmp_path_factory):
    """A job whose time is over, which Slurm notices within half a minute: other tests run."""
    place = tmp_path_factory.mktemp("late")
    args = ["--time", "1", "JOB=1:1", "late.JOB.log", "bash", "-c", NESTED]
    process = start_in(place, slurm, repo_root, *args)
    written(place / "child.1")
    number = slurm.ask("squeue", "--noheader", "--format=%A").split()[0]
    slurm.ask("scontrol", "update", f"JobId={number}", "EndTime=now")
    yield process
    process.terminate()
    process.communicate()


@pytest.fixture(autouse=True)
def _meanwhile(out_of_time):
    """The job without time left is started before all tests."""


@pytest.fixture
def start(slurm, repo_root, tmp_path):
    """Start slurm.py in an empty directory: the process."""
    return lambda *args, **env: start_in(tmp_path, slurm, repo_root, *args, **env)


def in_queue(slurm, what: str = "%F") -> list[str]:
    """What squeue knows of the jobs of the test at hand."""
    rows = slurm.ask("squeue", "--noheader", "--array", f"--format=%j {what}").splitlines()
    return [row.split()[1] for row in rows if not row.startswith("late")]


@pytest.fixture
def run(start):
    """Run slurm.py to its end: exit status and standard error."""

    def runner(*args: str, **env: str) -> tuple[int, str]:
        process = start(*args, **env)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    return runner


def test_array_with_options(run, slurm, tmp_path):
    options = ["--mem", "100M", "--num-threads", "2", "--max-jobs-run", "2", "--time", "0:10:0"]
    words = ["bash", "-c", "echo JOB $MINE $SLURM_CPUS_PER_TASK; touch on.JOB; ls on.* | wc -l; "
             "sleep 0.3; rm on.JOB"]
    code, errors = run(*options, "--gpu", "0", "JOB=2:5", "l/x.JOB.log", *words, MINE="a b")
    assert (code, errors) == (0, "")
    lines = {i: output_of(tmp_path / f"l/x.{i}.log").splitlines() for i in range(2, 6)}
    assert [lines[i][0] for i in lines] == [f"{i} a b 2" for i in lines]
    assert max(int(each[1]) for each in lines.values()) <= 2
    assert sorted(p.name for p in (tmp_path / "l").iterdir()) == [
        f"x.{i}.log" for i in range(2, 6)
    ]


def test_words_reach_the_command_as_they_are(run, tmp_path):
    words = ["$HOME", "a'b", 'c"d', "*", "", "`id`", "a;b", "x|y", "é", "%a", "%j"]
    show = "import sys; print(sys.argv[1:])"
    assert run("x.log", sys.executable, "-c", show, *words, PYTHONUTF8="1") == (0, "")
    assert output_of(tmp_path / "x.log") == f"{words}\n"


@pytest.mark.parametrize("name", ["a b/c d", "a,b/%j"])
def test_logs_may_have_names_that_sbatch_cannot_take(run, tmp_path, name):
    code, errors = run("JOB=1:1", f"{name}.JOB.log", "echo", "done")
    assert (code, errors) == (0, "")
    assert output_of(tmp_path / f"{name}.1.log") == "done\n"


def test_one_failure_stops_no_other_and_names_its_log(run, tmp_path):
    words = ["bash", "-c", "sleep 0.JOB; [ JOB != 2 ] || exit 7"]
    code, errors = run("JOB=1:4", "l/x.JOB.log", *words)
    assert code == 1
    assert errors == (
        "slurm.py: 1 of 4 jobs failed\nslurm.py: job 2 ended with code 7; log: l/x.2.log\n"
    )
    for i in (1, 3, 4):
        last = (tmp_path / f"l/x.{i}.log").read_text().splitlines()[-1]
        assert last.startswith("# Ended (code 0)")


def test_array_outlives_the_job_that_bears_its_number(run):
    """One job of an array has the array's own number; the others stay in the queue under theirs."""
    words = ["bash", "-c", "[ JOB = 3 ] || sleep 4"]
    assert run("JOB=1:3", "x.JOB.log", *words) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_no_job_behind(start, slurm, tmp_path, number):
    """Jobs that run, and jobs that still wait for a processor."""
    process = start("JOB=1:12", "l/x.JOB.log", "bash", "-c", NESTED)
    files = [tmp_path / f"child.{i}" for i in range(1, 7)]
    written(*files)
    assert len(in_queue(slurm)) == 12
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == f"slurm.py: interrupted by {number.name}; its jobs have been ended\n"
    assert in_queue(slurm) == []
    assert not any(alive(int(path.read_text())) for path in files)
    assert not (tmp_path / "child.12").exists()
    assert not (tmp_path / "l/q").exists()


def test_interruption_while_submitting_leaves_no_job_behind(start, slurm, tmp_path):
    """As a terminal sends it: to sbatch, too."""
    sbatch = slurm.environment["PATH"].split(":")
    real = next(Path(place, "sbatch") for place in sbatch if Path(place, "sbatch").exists())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sbatch").write_text(
        f'#!/bin/bash\ntouch submitting\nsleep 1\n{real} "$@"\nsleep 0.5\n'
    )
    (tmp_path / "bin/sbatch").chmod(0o755)
    path = f"{tmp_path}/bin:{slurm.environment['PATH']}"
    process = start("x.log", "sleep", "600", PATH=path)
    wait_for((tmp_path / "submitting").exists)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "its jobs have been ended" in errors
    assert in_queue(slurm) == []


def test_cancelled_job_is_reported(start, slurm, tmp_path):
    process = start("JOB=1:3", "x.JOB.log", "bash", "-c", f"[ JOB = 1 ] || {{ {NESTED}; }}")
    written(tmp_path / "child.2", tmp_path / "child.3")
    number = in_queue(slurm)[0]
    slurm.ask("scancel", f"{number}_2", f"{number}_3")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "2 of 3 jobs failed" in errors
    for i in (2, 3):
        assert f"job {i} ended with code 143 (CANCELLED); log: x.{i}.log" in errors


def test_warning_before_the_time_is_up_reaches_the_command(start, slurm, tmp_path):
    """As sbatch --signal=B:USR1@120 sends it: to the batch shell alone."""
    words = ["bash", "-c", "trap 'echo saved; exit 9' TERM; echo > on; sleep 600 & wait"]
    process = start("x.log", *words)
    wait_for((tmp_path / "on").exists)
    slurm.ask("scancel", "--batch", "--signal=USR1", in_queue(slurm)[0])
    _, errors = process.communicate(timeout=60)
    assert "job 1 ended with code 9; log: x.log" in errors
    assert output_of(tmp_path / "x.log") == "saved\n"


def test_job_cancelled_before_it_ran_is_reported(start, slurm, tmp_path):
    words = ["bash", "-c", "echo > on.JOB; sleep 3"]
    process = start("--max-jobs-run", "1", "JOB=1:2", "x.JOB.log", *words)
    wait_for((tmp_path / "on.1").exists)
    number = in_queue(slurm)[0]
    slurm.ask("scancel", f"{number}_2")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "1 of 2 jobs failed" in errors
    assert f"job 2 was lost by the batch system ({number}, CANCELLED); log: x.2.log" in errors


def test_killed_job_is_reported_while_others_run(start, slurm, tmp_path):
    """kill -9 of all processes of one job, as a node that fails or lacks memory does it."""
    words = ["bash", "-c", "cut -d ' ' -f 4 /proc/$PPID/stat > parent.JOB; sleep 3"]
    process = start("JOB=1:2", "x.JOB.log", *words)
    written(tmp_path / "parent.1", tmp_path / "parent.2")
    os.kill(int((tmp_path / "parent.1").read_text()), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"job 1 was lost by the batch system \(\d+, FAILED\)", errors)
    assert "1 of 2 jobs failed" in errors


@pytest.mark.parametrize(("begun", "shown"), [("", ""), ("echo begun", "begun; ")])
def test_job_over_its_memory_is_explained(run, begun, shown):
    """Slurm kills all processes of the job, so that only its own output says why."""
    said = "slurmstepd: error: StepId=2.batch exceeded memory limit (120 > 100), being killed"
    words = f"""{begun}
        task=$(cut -d ' ' -f 4 /proc/$PPID/stat)
        echo '{said}' > q/*.JOB.out
        kill -9 $task $PPID $$"""
    code, errors = run("JOB=1:1", "x.JOB.log", "bash", "-c", words)
    assert code == 1
    assert "job 1 was lost by the batch system" in errors
    last = errors.splitlines()[-1]
    assert last.startswith(f"slurm.py: {shown}{said}")
    assert last.endswith("--mem); log: x.1.log")


def test_requeued_job_runs_again(start, slurm, tmp_path):
    words = ["bash", "-c", "echo >> on; if [ -f again ]; then exit 0; fi; touch again; sleep 600"]
    process = start("JOB=1:1", "x.JOB.log", *words)
    wait_for((tmp_path / "again").exists)
    number = in_queue(slurm, "%A")[0]
    slurm.ask("scontrol", "requeue", number)
    wait_for(lambda: "PENDING" in slurm.ask("scontrol", "show", "job", number))
    # Slurm waits for minutes before it starts such a job; at once, before the node has cleared
    # its first run away, it would fail.
    slurm.ask("scontrol", "update", f"JobId={number}", "StartTime=now+5")
    _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 0
    assert (tmp_path / "on").read_text() == "\n\n"


def test_refused_submission_is_one_line(run, slurm):
    code, errors = run("--mem", "1000000G", "x.log", "true")
    assert code == 1
    assert errors.startswith("slurm.py: error: sbatch ")
    assert "Requested node configuration is not available" in errors
    assert in_queue(slurm) == []


def test_controller_that_gives_no_answer_loses_no_job(run, slurm, tmp_path):
    message = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    (tmp_path / "squeue").write_text(f"#!/bin/sh\necho '{message}' >&2\nexit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    path = f"{tmp_path}:{slurm.environment['PATH']}"
    code, errors = run("x.log", "sleep", "3", PATH=path)
    assert code == 0
    assert errors.count("\n") == 1
    assert errors.endswith(f"does not answer: {message}\n")


def test_job_out_of_time_is_reported(out_of_time):
    _, errors = out_of_time.communicate(timeout=90)
    assert out_of_time.returncode == 1
    assert "job 1 ended with code 143 (TIMEOUT); log: late.1.log" in errors
