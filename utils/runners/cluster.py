"""Jobs handed to a batch system: submission, waiting, and ending them.  Used by queue.py, slurm.py.

The batch system runs ``cluster.py SPECIFICATION`` for each index; that writes the log as run.py
does and leaves the exit code in a small file, for which the submitter waits.  The log's directory
must be shared by all machines, under the same name.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jobs

POLL_SECONDS = float(os.environ.get("DIARIZE_POLL_SECONDS", "2"))
CHECKS_APART = 15  # polls between two questions to the batch system
MISSES_ALLOWED = 2  # answers in a row that a job is gone, before it is taken for lost


@dataclass(frozen=True)
class System:
    """A batch system: its configuration, and how it submits, lists and cancels."""

    prog: str
    config_file: str
    config: str
    task_variable: str
    array_flag: str
    array_limit: str  # the flag of --max-jobs-run, "" where it is part of the range (1-9%4)
    name_flag: str
    log_flag: str
    query: tuple[str, ...]
    cancel: tuple[str, ...]


def read_config(system: System, job: jobs.Job) -> str:
    """The text of --config, else of the recipe's conf file, else the built-in one."""
    path = job.options.get("config")
    if path is None and Path(system.config_file).is_file():
        path = system.config_file
    if path is None:
        return system.config
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as err:
        raise jobs.UsageError(f"cannot read --config {path}: {err.strerror}") from err


def submit_words(text: str, options: dict[str, str]) -> list[str]:
    """The submission command that a Kaldi-style configuration makes of the options.

    ``command`` gives the program; ``option name=value`` or ``option name=*`` (the value is $0)
    what to add for an option, an exact value before ``*``; ``default name=value`` an option that
    is not given.  An option that the configuration does not know adds nothing.
    """
    command = ""
    rules: dict[tuple[str, str], str] = {}
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        kind, _, rest = line.partition(" ")
        rest = rest.strip()
        if kind == "command" and rest:
            command = rest
        elif kind == "option" and "=" in rest.split()[0]:
            head, _, flags = rest.partition(" ")
            name, _, value = head.partition("=")
            rules[name.replace("-", "_"), value] = flags.strip()
        elif kind == "default" and "=" in rest:
            name, _, value = rest.partition("=")
            values[name.replace("-", "_")] = value
        else:
            raise jobs.UsageError(f"line {number} of the queue configuration is wrong: {raw!r}")
    if not command:
        raise jobs.UsageError("the queue configuration has no 'command' line")
    values.update(options)
    words = shlex.split(command)
    for name, value in values.items():
        exact = rules.get((name, value))
        flags = exact if exact is not None else rules.get((name, "*"), "")
        words += shlex.split(flags.replace("$0", value))
    return words


class ClusterRun:
    """One command line on a batch system."""

    def __init__(self, system: System, job: jobs.Job) -> None:
        self.system = system
        self.job = job
        log = Path(job.log_of("ALL"))
        self.work = log.parent / "q"
        self.base = f"{log.stem}.{os.getpid()}"
        self.id = ""

    def status_file(self, index: int) -> Path:
        """Where the exit code of one job will be."""
        return self.work / f"{self.base}.{index}.status"

    def submit(self) -> None:
        """Hand all jobs to the batch system, as one array where there are indices."""
        self.work.mkdir(parents=True, exist_ok=True)
        specification = {
            "job": self.job.as_dict(),
            "status": str(self.work.resolve() / f"{self.base}.JOB.status"),
            "directory": os.getcwd(),
        }
        spec_path = self.work / f"{self.base}.json"
        spec_path.write_text(json.dumps(specification), encoding="utf-8")
        script = self.work / f"{self.base}.sh"
        variable = self.system.task_variable
        index = f'"${{{variable}}}"' if self.job.array else "1"
        words = [sys.executable, str(Path(__file__).resolve()), str(spec_path.resolve())]
        script.write_text(
            f"#!/bin/bash\ncd {shlex.quote(os.getcwd())} || exit 1\n"
            f"exec {shlex.join(words)} {index}\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
        command = submit_words(read_config(self.system, self.job), self._config_options())
        command += self.job.native
        command += [self.system.name_flag, Path(self.job.log).stem[:60]]
        command += [self.system.log_flag, str(self.work / f"{self.base}.out")]
        if self.job.array:
            command += self._array_words()
        try:
            done = subprocess.run(
                [*command, str(script)], capture_output=True, text=True, check=False
            )
        except OSError as err:
            raise jobs.UsageError(f"cannot run {command[0]}: {err.strerror}") from err
        digits = [word.split(".")[0] for word in done.stdout.replace(";", " ").split()]
        ids = [word for word in digits if word.isdigit()]
        if done.returncode or not ids:
            raise jobs.UsageError(
                f"{shlex.join(command)} failed: {(done.stderr or done.stdout).strip()}"
            )
        self.id = ids[0]

    def _config_options(self) -> dict[str, str]:
        return {name: value for name, value in self.job.options.items() if name != "config"}

    def _array_words(self) -> list[str]:
        words = [self.system.array_flag, f"{self.job.first}-{self.job.last}"]
        limit = self.job.options.get("max_jobs_run")
        if limit and self.system.array_limit:
            words += [self.system.array_limit, limit]
        elif limit:
            words[-1] += f"%{limit}"
        return words

    def run(self) -> dict[int, str]:
        """What failed (index -> reason), when all jobs have ended."""
        try:
            self.submit()
            return self._wait()
        except jobs.Interrupted:
            if self.id:
                subprocess.run(
                    [*self.system.cancel, self.id], capture_output=True, check=False, timeout=60
                )
            raise

    def _wait(self) -> dict[int, str]:
        waiting = set(self.job.indices)
        failed: dict[int, str] = {}
        polls = misses = 0
        while True:
            for index in sorted(waiting):
                code = self._code_of(index)
                if code is None:
                    continue
                waiting.discard(index)
                if code:
                    failed[index] = f"job {index} ended with code {code}"
            if not waiting:
                break
            polls += 1
            if polls % CHECKS_APART == 0:
                misses = 0 if self._listed() else misses + 1
                if misses > MISSES_ALLOWED:
                    for index in waiting:
                        failed[index] = f"job {index} was lost by the batch system ({self.id})"
                    break
            time.sleep(POLL_SECONDS)
        if not failed:
            for path in self.work.glob(f"{self.base}.*"):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others may be at work there
                self.work.rmdir()
        return failed

    def _code_of(self, index: int) -> int | None:
        try:
            return int(self.status_file(index).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _listed(self) -> bool:
        query = subprocess.run(
            [*self.system.query, self.id], capture_output=True, text=True, check=False
        )
        return query.returncode == 0 and self.id in query.stdout


def run_task(specification: str, index: int) -> int:
    """Run one job on the machine that the batch system chose; its exit code, also on disk."""
    spec = json.loads(Path(specification).read_text(encoding="utf-8"))
    os.chdir(spec["directory"])
    job = jobs.Job(**spec["job"])
    running: list[subprocess.Popen] = []
    jobs.raise_on_signals()
    try:
        code = jobs.run_logged(job, index, running.append, {})
    except jobs.Interrupted:
        jobs.end_groups(running)
        code = 128 + signal.SIGTERM
    except OSError as err:
        print(f"{err.filename}: {err.strerror}", file=sys.stderr)
        code = 126
    status = spec["status"].replace("JOB.status", f"{index}.status")
    Path(f"{status}.tmp").write_text(str(code), encoding="utf-8")
    os.replace(f"{status}.tmp", status)
    return code & 255


def main_of(system: System) -> int:
    """Exit status of a front end for one batch system."""
    return jobs.main_of(
        system.prog,
        lambda job: jobs.report_failures(system.prog, job, ClusterRun(system, job).run()),
    )


if __name__ == "__main__":
    sys.exit(run_task(sys.argv[1], int(sys.argv[2])))
