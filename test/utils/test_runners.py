"""run.py, queue.py and slurm.py: each sentence of the contract "Job runners"."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# What sbatch and qsub have in common, as far as the runners need it; calls are noted in "calls".
STAND_IN = r"""#!/usr/bin/env bash
here=$(dirname "$0")
echo "$(basename "$0") $*" >> "$here/calls"
script=${*: -1}
range=
while [ $# -gt 1 ]; do case $1 in --array | -t) range=${2%%%*} ;; esac; shift; done
start() { setsid "$script" > /dev/null 2>&1 < /dev/null & echo $! >> "$here/pids"; }
if [ -n "$range" ]; then
  for i in $(seq "${range%-*}" "${range#*-}"); do
    export SLURM_ARRAY_TASK_ID=$i SGE_TASK_ID=$i
    start
  done
else
  start
fi
case $0 in
  *qsub) echo "Your job-array 77.1-4:1 (\"x\") has been submitted" ;;
  *) echo "Submitted batch job 77" ;;
esac
"""
CANCEL = r"""#!/usr/bin/env bash
here=$(dirname "$0")
echo "$(basename "$0") $*" >> "$here/calls"
while read -r pid; do kill -TERM -- "-$pid"; done < "$here/pids"
"""


@pytest.fixture
def run(repo_root, tmp_path):
    """Run one of the runners in an empty directory: the finished process."""

    def runner(*args: str, prog: str = "run.py", **env: str):
        return subprocess.run(
            [sys.executable, str(repo_root / "utils" / prog), *args],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **env},
            check=False,
            timeout=60,
        )

    return runner


@pytest.fixture
def batch_system(tmp_path) -> dict[str, str]:
    """The environment with stand-ins for the programs of both batch systems."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in (
        ("sbatch", STAND_IN),
        ("qsub", STAND_IN),
        ("scancel", CANCEL),
        ("qdel", CANCEL),
        ("squeue", "#!/bin/sh\necho 'error: Invalid job id specified' >&2\nexit 1\n"),
        ("qstat", "#!/bin/sh\n"),
        ("scontrol", "#!/bin/sh\nexit 1\n"),
    ):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    return {"PATH": f"{place}:{os.environ['PATH']}", "DIARIZE_POLL_SECONDS": "0.05"}


def output_of(log: Path) -> str:
    return "".join(
        line for line in log.read_text().splitlines(True) if not line.startswith("#")
    )


def test_job_becomes_the_index_in_log_and_command(run, tmp_path):
    done = run("JOB=2:4", "exp/log/x.JOB.log", "echo", "JOB", "aJOBb", "one  two")
    assert done.returncode == 0
    assert done.stdout == ""
    assert sorted(p.name for p in (tmp_path / "exp/log").iterdir()) == [
        "x.2.log",
        "x.3.log",
        "x.4.log",
    ]
    assert output_of(tmp_path / "exp/log/x.3.log") == "3 a3b one  two\n"


def test_without_jobs_nothing_is_replaced(run, tmp_path):
    assert run("x.log", "echo", "JOB").returncode == 0
    assert output_of(tmp_path / "x.log") == "JOB\n"


def test_options_before_and_after_the_range(run, tmp_path):
    args = ["--mem", "4G", "--num-threads", "2", "JOB=1:2", "--max-jobs-run", "1", "--time", "1:0"]
    assert run(*args, "--config", "none", "--gpu", "0", "x.JOB.log", "true").returncode == 0
    assert (tmp_path / "x.2.log").exists()


@pytest.mark.parametrize("options", [["-l", "mem=2G"], ["-pe", "smp", "2"], ["-V"], ["-tc", "3"]])
def test_options_of_grid_engine_are_ignored_here(run, options, tmp_path):
    assert run(*options, "x.log", "echo", "a").returncode == 0
    assert output_of(tmp_path / "x.log") == "a\n"


def test_several_jobs_with_one_log_run_nothing(run, tmp_path):
    done = run("JOB=1:2", "x.log", "touch", "ran.JOB")
    assert done.returncode == 1
    assert "x.log" in done.stderr
    assert "JOB" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_job_may_have_a_log_without_job(run, tmp_path):
    assert run("JOB=1:1", "x.log", "echo", "JOB").returncode == 0
    assert output_of(tmp_path / "x.log") == "1\n"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["x.log"],
        ["JOB=3:2", "x.JOB.log", "true"],
        ["JOB=0:2", "x.JOB.log", "true"],
        ["--mem"],
        ["--mem=3", "x.log", "true"],
        ["--max-jobs-run", "0", "x.log", "true"],
        ["--max-jobs-run", "many", "x.log", "true"],
    ],
)
def test_wrong_command_lines_run_nothing(run, args, tmp_path):
    done = run(*args)
    assert done.returncode == 1
    assert "run.py: error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_log_has_header_both_streams_and_footer(run, tmp_path):
    run("x.log", "bash", "-c", "echo out; echo err >&2; sleep 0.3; exit 3")
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert lines[0].startswith("# bash -c ")
    assert any(re.match(r"# Started at .*\d{4}$", line) for line in lines[:3])
    assert {"out", "err"} <= set(lines)
    footer = re.match(r"# Ended \(code 3\) at .*\d{4}, elapsed time ([\d.]+) seconds$", lines[-1])
    assert footer
    assert 0.3 <= float(footer[1]) < 10


def test_one_failure_stops_no_other_and_is_named(run, tmp_path):
    done = run("--max-jobs-run", "1", "JOB=1:4", "l/x.JOB.log", "bash", "-c", "[ JOB != 2 ]")
    assert done.returncode == 1
    assert "1 of 4 jobs failed" in done.stderr
    assert "l/x.2.log" in done.stderr
    assert "l/x.3.log" not in done.stderr
    assert (tmp_path / "l/x.4.log").read_text().splitlines()[-1].startswith("# Ended (code 0)")


def test_a_command_of_several_lines_is_a_comment_in_the_log(run, tmp_path):
    """Its last line was taken for the output of the job."""
    done = run("x.log", "bash", "-c", "true\nexit 3\n")
    assert done.returncode == 1
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert lines[:3] == ["# bash -c 'true", "# exit 3", "# '"]
    assert all(line.startswith("#") for line in lines)


def test_command_not_found_fails_and_stands_in_the_log(run, tmp_path):
    done = run("x.log", "no-such-command-here")
    assert done.returncode == 1
    assert "x.log" in done.stderr
    assert "no-such-command-here" in output_of(tmp_path / "x.log")


def test_words_reach_the_command_as_they_are(run, tmp_path):
    words = ["$HOME", "a'b", 'c"d', "*", "", "`id`", "a;b", "x|y", "é"]
    show = "import sys; print(sys.argv[1:])"
    assert run("x.log", sys.executable, "-c", show, *words).returncode == 0
    assert output_of(tmp_path / "x.log") == f"{words}\n"


def test_operators_of_their_own_act_as_in_the_shell(run, tmp_path):
    words = ["echo", "aJOB", "|", "tr", "a", "b", ">out.JOB", "&&", "true"]
    done = run("JOB=1:2", "x.JOB.log", *words)
    assert done.returncode == 0
    assert (tmp_path / "out.2").read_text() == "b2\n"


def test_failure_inside_a_pipe_counts(run):
    assert run("x.log", "false", "|", "cat").returncode == 1


def test_at_most_max_jobs_run_at_a_time(run, tmp_path):
    count = "touch on.JOB; echo on.* | wc -w; sleep 0.2; rm on.JOB"
    assert run("--max-jobs-run", "2", "JOB=1:6", "x.JOB.log", "bash", "-c", count).returncode == 0
    seen = [int(output_of(tmp_path / f"x.{i}.log")) for i in range(1, 7)]
    assert max(seen) == 2


def test_many_jobs(run, tmp_path):
    assert run("--max-jobs-run", "8", "JOB=1:200", "l/x.JOB.log", "true").returncode == 0
    assert len(list((tmp_path / "l").iterdir())) == 200


def test_jobs_share_the_visible_gpus(run, tmp_path):
    args = ["--gpu", "1", "JOB=1:4", "x.JOB.log", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES"]
    assert run(*args, CUDA_VISIBLE_DEVICES="3,5").returncode == 0
    assert {output_of(tmp_path / f"x.{i}.log") for i in range(1, 5)} <= {"3\n", "5\n"}


def test_log_directory_that_cannot_be_made_is_an_error(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("file/x.log", "true")
    assert done.returncode == 1
    assert "file" in done.stderr
    assert "Traceback" not in done.stderr


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 20.0) -> bool:
    deadline = time.time() + seconds
    while time.time() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


# The job ignores nothing, but has a child; the child's number stands in a file.
NESTED = "bash -c 'echo $$ > child.JOB; sleep 600' & wait"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_jobs_and_their_children(repo_root, tmp_path, number):
    args = ["--max-jobs-run", "2", "JOB=1:3", "x.JOB.log", "bash", "-c", NESTED]
    runner = subprocess.Popen(
        [sys.executable, str(repo_root / "utils/run.py"), *args],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    files = [tmp_path / "child.1", tmp_path / "child.2"]
    assert wait_for(lambda: all(f.exists() and f.read_text().strip() for f in files))
    children = [int(f.read_text()) for f in files]
    runner.send_signal(number)
    _, errors = runner.communicate(timeout=30)
    assert runner.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert wait_for(lambda: not any(map(alive, children)))
    assert not (tmp_path / "child.3").exists()


@pytest.mark.parametrize(("prog", "submit"), [("slurm.py", "sbatch"), ("queue.py", "qsub")])
class TestBatchSystems:
    """The same contract where a batch system runs the jobs (stand-ins of its programs)."""

    def test_array(self, run, tmp_path, batch_system, prog, submit):
        args = ["--mem", "2G", "--max-jobs-run", "5", "JOB=1:3", "l/x.JOB.log", "echo", "a  JOB"]
        done = run(*args, prog=prog, **batch_system)
        assert done.returncode == 0, done.stderr
        assert output_of(tmp_path / "l/x.3.log") == "a  3\n"
        assert sorted(p.name for p in (tmp_path / "l").iterdir()) == [
            "x.1.log",
            "x.2.log",
            "x.3.log",
        ]
        call = (tmp_path / "bin/calls").read_text()
        assert call.startswith(submit)
        assert "2G" in call
        assert ("--array 1-3%5" if submit == "sbatch" else "-t 1-3 -tc 5") in call

    def test_single_job_and_failure(self, run, tmp_path, batch_system, prog, submit):
        words = ["bash", "-c", "echo the last thing it said; exit 4"]
        done = run("x.log", *words, prog=prog, **batch_system)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"{prog}: the last thing it said; log: x.log"
        assert "code 4" in done.stderr

    def test_configuration(self, run, tmp_path, batch_system, prog, submit):
        (tmp_path / "my.conf").write_text(
            f"# ours\ncommand {submit} --base\noption mem=* --memory $0\noption gpu=0 --cpu\n"
            "option gpu=* --card $0\ndefault gpu=0\noption time=5 --five\noption time=* --t $0\n"
        )
        args = ["--config", "my.conf", "--mem", "3G", "--time", "5", "--unknown", "x", "x.log"]
        assert run(*args, "true", prog=prog, **batch_system).returncode == 0
        call = (tmp_path / "bin/calls").read_text()
        assert f"{submit} --base --cpu --memory 3G --five" in call
        assert "--config" not in call

    def test_wrong_configuration_runs_nothing(self, run, tmp_path, batch_system, prog, submit):
        (tmp_path / "my.conf").write_text("comand x\n")
        done = run("--config", "my.conf", "x.log", "true", prog=prog, **batch_system)
        assert done.returncode == 1
        assert "comand x" in done.stderr

    def test_interruption_cancels(self, repo_root, tmp_path, batch_system, prog, submit):
        args = ["JOB=1:2", "x.JOB.log", "bash", "-c", NESTED]
        runner = subprocess.Popen(
            [sys.executable, str(repo_root / "utils" / prog), *args],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            env={**os.environ, **batch_system},
        )
        files = [tmp_path / "child.1", tmp_path / "child.2"]
        assert wait_for(lambda: all(f.exists() and f.read_text().strip() for f in files))
        children = [int(f.read_text()) for f in files]
        runner.send_signal(signal.SIGINT)
        runner.communicate(timeout=30)
        assert runner.returncode == 130
        assert re.search(r"^(scancel|qdel) 77$", (tmp_path / "bin/calls").read_text(), re.M)
        assert wait_for(lambda: not any(map(alive, children)))


def test_missing_batch_system_is_one_line(run, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run("x.log", "true", prog="slurm.py", PATH=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sbatch" in done.stderr


def test_lost_jobs_are_failures(run, tmp_path, batch_system):
    (tmp_path / "bin/sbatch").write_text("#!/bin/sh\necho Submitted batch job 77\n")
    done = run("x.log", "true", prog="slurm.py", **{**batch_system, "DIARIZE_POLL_SECONDS": "0.01"})
    assert done.returncode == 1
    assert "lost" in done.stderr


@pytest.mark.parametrize(
    ("pick", "run_again", "code"),
    [("all", "123", 1), ("failed", "23", 1), ("incomplete", "3", 1)],
)
def test_pick_runs_what_the_logs_do_not_show_as_done(run, tmp_path, pick, run_again, code):
    """Kaldi's run.pl has this option; here its value was taken and nothing was picked."""
    command = ["JOB=1:3", "log/x.JOB", "echo JOB >> ran; [ JOB != 2 ]"]
    words = [*command[:2], "bash", "-c", command[2]]
    assert run(*words).returncode == 1
    (tmp_path / "ran").unlink()
    (tmp_path / "log/x.3").write_text("# killed\n")
    done = run("--pick", pick, *words)
    assert done.returncode == code
    assert "job 2 ended with code 1" in done.stderr
    assert sorted((tmp_path / "ran").read_text().split()) == list(run_again)


def test_pick_is_refused_by_name_where_it_has_no_meaning(run, batch_system):
    assert "--pick must be one of" in run("--pick", "some", "x.log", "true").stderr
    done = run("--pick", "failed", "x.log", "true", prog="slurm.py", **batch_system)
    assert done.returncode == 1
    assert "--pick" in done.stderr
