"""Jobs of a batch system: submission, waiting and cancelling.  Used by queue.py, slurm.py.

The batch system runs task.py for each index, which writes the log as run.py does and the exit
code into a small file, for which the submitter waits.  The directory of the log must be shared by
all machines, under the same name.
"""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jobs
from config import submission_words

POLL_SECONDS = float(os.environ.get("DIARIZE_POLL_SECONDS", "2"))
CHECKS_APART = 15  # polls between two queries of the batch system
MISSES_ALLOWED = 2  # consecutive answers without a job after which it is considered lost
END_SECONDS = 60.0  # for jobs to leave the queue after they are cancelled
# What a batch system says of a job that it killed because it used more memory than requested.
MEMORY = re.compile(r"memory limit|out of memory|\boom\b|oom[-_ ]kill", re.IGNORECASE)
STATE_SECONDS = 20.0  # for the batch system to notice the end of a job


@dataclass(frozen=True)
class System:
    """A batch system: its configuration, and its commands to submit, list, explain and cancel.

    ``query`` prints a line for each remaining job, with the number of the submission first and
    the index last; ``gone`` is its message for an unknown job.
    """

    prog: str
    config_file: str
    config: str
    task_variable: str
    array_flag: str
    array_limit: str  # the flag of --max-jobs-run, "" if it is part of the range (1-9%4)
    name_flag: str
    log_flag: str
    index_in_log: str  # placeholder of the index in the name of a log
    query: tuple[str, ...]
    gone: str
    cancel: tuple[str, ...]
    state: tuple[str, ...] = ()  # prints JobState=... of a job


class ClusterRun:
    """One command line on a batch system."""

    def __init__(self, system: System, job: jobs.Job) -> None:
        if job.options.get("pick", "all") != "all":
            raise jobs.UsageError("--pick is an option of run.py only")
        self.system = system
        self.job = job
        log = Path(job.log_of("ALL"))
        self.work = log.parent / "q"
        self.base = f"{log.stem}.{os.getpid()}"
        self.id = ""
        self.failed: dict[int, str] = {}
        self._warned = False

    def status_file(self, index: int) -> Path:
        """Return the path of the exit code of one job."""
        return self.work / f"{self.base}.{index}.status"

    def out_file(self, index: int | str) -> Path:
        """Return the path of the batch system's own output, outside of the job's log."""
        return self.work / (f"{self.base}.{index}.out" if self.job.array else f"{self.base}.out")

    def submit(self) -> None:
        """Submit all jobs to the batch system, as one array if there are indices."""
        self.work.mkdir(parents=True, exist_ok=True)
        script = self._write_script()
        command = submission_words(self.job, self.system.config_file, self.system.config)
        command += self.job.native
        # Grid engine accepts no blanks, slashes or colons in a name, and no digit in front.
        name = re.sub(r"[^\w.+-]", "_", Path(self.job.log).stem[:60])
        command += [self.system.name_flag, f"_{name}" if name[:1].isdigit() else name]
        out = self.out_file(self.system.index_in_log)
        command += [self.system.log_flag, "/dev/null" if self._redirects else str(out)]
        if self.job.array:
            command += self._array_words()
        try:
            # An interruption of the submission would leave an unknown job.
            with jobs.signals_held_back():
                done = subprocess.run(
                    [*command, str(script)], capture_output=True, text=True, check=False,
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )
                digits = [word.split(".")[0] for word in done.stdout.replace(";", " ").split()]
                ids = [word for word in digits if word.isdigit()]
                self.id = ids[0] if ids and not done.returncode else ""
        except OSError as err:
            raise jobs.UsageError(f"cannot run {command[0]}: {err.strerror}") from err
        if not self.id:
            self._clean()
            raise jobs.UsageError(
                f"{shlex.join(command)} failed: {(done.stderr or done.stdout).strip()}"
            )

    @property
    def _redirects(self) -> bool:
        """Whether the path of the output has characters with a meaning for qsub or sbatch."""
        return re.search(r"[,:%$\\]", str(self.work / self.base)) is not None

    def _write_script(self) -> Path:
        specification = {
            "job": self.job.as_dict(),
            "status": str(self.work.resolve() / f"{self.base}.JOB.status"),
            "directory": os.getcwd(),
            "path": os.environ.get("PATH", os.defpath),
        }
        spec_path = self.work / f"{self.base}.json"
        spec_path.write_text(json.dumps(specification), encoding="utf-8")
        index = f'"${{{self.system.task_variable}}}"' if self.job.array else "1"
        task = Path(__file__).resolve().with_name("task.py")
        words = [sys.executable, str(task), str(spec_path.resolve())]
        redirection = ""
        if self._redirects:
            suffix = f".{index}.out" if self.job.array else ".out"
            redirection = f"exec >> {shlex.quote(str(self.work / self.base))}{suffix} 2>&1\n"
        script = self.work / f"{self.base}.sh"
        script.write_text(
            f"#!/bin/bash\ncd {shlex.quote(os.getcwd())} || exit 1\n"
            f"{redirection}exec {shlex.join(words)} {index}\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
        return script

    def _array_words(self) -> list[str]:
        words = [self.system.array_flag, f"{self.job.first}-{self.job.last}"]
        limit = self.job.options.get("max_jobs_run")
        if limit and self.system.array_limit:
            words += [self.system.array_limit, limit]
        elif limit:
            words[-1] += f"%{limit}"
        return words

    def run(self) -> dict[int, str]:
        """Return the failures (index -> reason) after the end of all jobs."""
        try:
            self.submit()
            self._wait()
        except jobs.Interrupted as err:
            if self.id:
                err.outcome = self._cancel()
            self._clean()
            raise
        self._clean()
        return self.failed

    def _wait(self) -> None:
        waiting = set(self.job.indices)
        polls = 0
        misses = dict.fromkeys(waiting, 0)
        while waiting:
            for index in sorted(waiting):
                status = self._status_of(index)
                if status is not None and self._has_ended(index, *status):
                    waiting.discard(index)
            polls += 1
            if waiting and polls % CHECKS_APART == 0:
                left = self._in_queue()
                for index in sorted(waiting if left is not None else ()):
                    misses[index] = 0 if index in left else misses[index] + 1
                    if misses[index] > MISSES_ALLOWED:
                        self._lose(index)
                        waiting.discard(index)
            if waiting:
                time.sleep(POLL_SECONDS)

    def _status_of(self, index: int) -> tuple[int, bool] | None:
        """Return the exit code, and whether a signal asked the job to end; None before its end."""
        try:
            code, told = self.status_file(index).read_text(encoding="utf-8").split()
            return int(code), told == "1"
        except (FileNotFoundError, ValueError):
            return None

    def _has_ended(self, index: int, code: int, told: bool) -> bool:
        """Return False for a job that was stopped and will be run again."""
        if not code:
            return True
        reason = f"job {index} ended with code {code}"
        if told or code > 128:  # find the cause of the signal
            state = self._state(index)
            if self._status_of(index) != (code, told):  # it has run again meanwhile
                return False
            if state in {"PENDING", "REQUEUED", "RUNNING", "SUSPENDED"}:
                self.status_file(index).unlink(missing_ok=True)
                return False
            if state not in {"", "FAILED"}:
                reason += f" ({state})"
        self.failed[index] = reason
        return True

    def _lose(self, index: int) -> None:
        state = self._state(index)
        known = f"{self.id}, {state}" if state else self.id
        self.failed[index] = f"job {index} was lost by the batch system ({known})"
        path = self.out_file(index)
        try:
            said = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            said = []
        if said:
            self.failed[index] += f"; its output: {path}"
        memory = [line for line in said if MEMORY.search(line)]
        if memory:  # for `reason`, which reads the log of the job
            with (
                contextlib.suppress(OSError),
                open(self.job.log_of(index), "a", encoding="utf-8") as log,
            ):
                log.write(f"# Out of memory: {memory[0].strip()}; request more memory (--mem)\n")

    def _ask(self, words: list[str]) -> subprocess.CompletedProcess | None:
        try:
            return subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=60,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None

    def _in_queue(self) -> set[int] | None:
        """Return the indices in the queue of the batch system; None without an answer."""
        words = [word.replace("{id}", self.id) for word in self.system.query]
        done = self._ask(words)
        said = done.stdout + done.stderr if done else ""
        if done and not done.returncode:
            lines = [line.split() for line in done.stdout.splitlines()]
            found = [line[-1] for line in lines if line and line[0] == self.id]
            if not self.job.array:
                return set(self.job.indices) if found else set()
            return {int(word) for word in found if word.isdigit()}
        if re.search(self.system.gone, said):
            return set()
        if not self._warned:
            print(f"{self.system.prog}: waiting, although {shlex.join(words)} does not answer: "
                  f"{said.strip()[-200:]}", file=sys.stderr)
            self._warned = True
        return None

    def _state(self, index: int) -> str:
        """Return the batch system's state of an ended job, such as TIMEOUT; "" if unknown."""
        if not self.system.state:
            return ""
        name = f"{self.id}_{index}" if self.job.array else self.id
        deadline = time.monotonic() + STATE_SECONDS
        while True:
            done = self._ask([*self.system.state, name])
            found = re.search(r"JobState=(\w+)", done.stdout) if done else None
            state = found[1] if found else ""
            if state not in {"RUNNING", "COMPLETING"} or time.monotonic() > deadline:
                return state
            time.sleep(min(POLL_SECONDS, 0.5))

    def _cancel(self) -> str:
        """Cancel all jobs and return a description of the result."""
        words = [*self.system.cancel, self.id]
        self._ask(words)
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            if self._in_queue() == set():
                return "its jobs have been ended"
            time.sleep(min(POLL_SECONDS, 0.5))
        return f"jobs of it are still in the queue: {shlex.join(words)}"

    def _clean(self) -> None:
        """Remove the files beside the logs, except the batch system's output of failed jobs."""
        for path in self.work.glob(f"{self.base}.*"):
            if not (self.failed and path.suffix == ".out" and path.stat().st_size):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others may be at work there
            self.work.rmdir()


def main_of(system: System) -> int:
    """Return the exit status of a front end for one batch system."""
    return jobs.main_of(
        system.prog,
        lambda job: jobs.report_failures(system.prog, job, ClusterRun(system, job).run()),
    )
