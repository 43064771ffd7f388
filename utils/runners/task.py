"""One job, on the machine that a batch system chose: task.py SPECIFICATION INDEX.

Writes the log as run.py does, and leaves the exit code in a small file, for which the submitter
(cluster.py) waits; behind it 1 if a signal asked the job to end, else 0.
"""

import json
import os
import signal
import sys
from pathlib import Path

import jobs


def run_task(specification: str, index: int) -> int:
    """Exit code of one job, which is also on disk when this returns."""
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
    # A batch system that ends a job tells all of its processes, and kills what is left after a
    # time that the site has set: until then the command may save what it has, and this process
    # has to tell how that ended.  Told again by us, the command might take it for impatience.
    for each in jobs.STOPPING:
        signal.signal(each, lambda number, _: told.append(number))
    # sbatch --signal=B:USR1@120 tells the batch shell alone, that is this process, two minutes
    # before the time is up.
    signal.signal(signal.SIGUSR1, lambda *_: os.killpg(0, signal.SIGTERM))


if __name__ == "__main__":
    sys.exit(run_task(sys.argv[1], int(sys.argv[2])))
