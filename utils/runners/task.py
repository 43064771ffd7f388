"""One job, on the machine that a batch system chose: task.py SPECIFICATION INDEX.

Writes the log as run.py does, and into a small file, for which the submitter (cluster.py) waits,
the exit code, followed by 1 if a signal asked the job to end, else 0.
"""

import json
import os
import signal
import sys
from pathlib import Path

import jobs


def run_task(specification: str, index: int) -> int:
    """Run one job; return its exit code, which is then also on disk."""
    spec = json.loads(Path(specification).read_text(encoding="utf-8"))
    os.chdir(spec["directory"])
    os.environ["PATH"] = spec["path"]  # grid engine may start a login shell, which makes its own
    told: list[int] = []
    _leave_signals_to_the_command(told)
    try:
        job = jobs.Job(**spec["job"])
        code = jobs.run_logged(job, index, lambda _: None, {}, own_group=False)
    except OSError as err:
        print(f"{err.filename}: {err.strerror}", file=sys.stderr)
        code = 126
    code = code if code >= 0 else 128 - code
    status = spec["status"].replace("JOB.status", f"{index}.status")
    Path(f"{status}.tmp").write_text(f"{code} {int(bool(told))}", encoding="utf-8")
    os.replace(f"{status}.tmp", status)
    return code


def _leave_signals_to_the_command(told: list[int]) -> None:
    # A batch system that ends a job signals all of its processes, and kills the remaining ones
    # after a time set by the site.  Until then the command may save its state, and this process
    # must report its exit.  The command gets no second signal from here, which could abort that.
    for each in jobs.STOPPING:
        signal.signal(each, lambda number, _: told.append(number))
    # sbatch --signal=B:USR1@120 signals only the batch shell, that is this process, two minutes
    # before the time limit.
    signal.signal(signal.SIGUSR1, lambda *_: os.killpg(0, signal.SIGTERM))


if __name__ == "__main__":
    sys.exit(run_task(sys.argv[1], int(sys.argv[2])))
