"""Common part of run.py, queue.py and slurm.py: the command line, and the run of one job.

    X [--mem 4G --num-threads 2 --max-jobs-run 8 --gpu 1 --time 4:0:0 --config FILE] [JOB=a:b]
      LOG command args...

Every literal JOB in the log's name and in the command is replaced by the index.  Words of the
command that are only a shell operator (``|``, ``&&``, ``;`` ...) or a redirection act as such, as
in Kaldi; all others reach the command unchanged, with blanks and quotes.  Only the standard
library is used, because the scripts run before and outside of the project's environment.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import memory
import reason

OPERATORS = {"|", "||", "|&", "&&", ";", "(", ")"}
REDIRECTION = re.compile(r"^(\d*(?:>>|>&|<&|>|<)|&>>|&>)(.*)$", re.DOTALL)
RANGE = re.compile(r"^([A-Za-z_]\w*)=(\d+)(?::(\d+))?$")
ENDED = re.compile(r"^# Ended \(code (-?\d+)", re.MULTILINE)
GRACE_SECONDS = 5.0
LONGEST_LIST = 10
PICKS = ("all", "failed", "incomplete")
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UsageError(Exception):
    """An invalid command line; nothing has been run."""


@dataclass
class Job:
    """A parsed command line: options by name (with underscores), indices, log, command."""

    log: str
    command: list[str]
    name: str = "JOB"
    first: int = 1
    last: int = 1
    array: bool = False
    options: dict[str, str] = field(default_factory=dict)
    native: list[str] = field(default_factory=list)

    @property
    def indices(self) -> range:
        """Return the indices to run."""
        return range(self.first, self.last + 1)

    def log_of(self, index: int | str) -> str:
        """Return the name of the log for one index."""
        return self.log.replace(self.name, str(index)) if self.array else self.log

    def words_of(self, index: int) -> list[str]:
        """Return the words of the command for one index."""
        if not self.array:
            return list(self.command)
        return [word.replace(self.name, str(index)) for word in self.command]

    def as_dict(self) -> dict:
        """Return plain values, for JSON."""
        return asdict(self)


def parse_command_line(argv: list[str]) -> Job:
    """Return the job of ``argv`` (without the program's name); UsageError if it is invalid."""
    words = list(argv)
    options: dict[str, str] = {}
    native: list[str] = []
    job_range: tuple[str, int, int] | None = None
    while words:
        word = words[0]
        match = RANGE.match(word)
        if match and job_range is None:
            first, last = int(match[2]), int(match[3] or match[2])
            if first < 1 or last < first:
                raise UsageError(f"bad range of jobs '{word}': 1 <= first <= last is needed")
            job_range = (match[1], first, last)
            del words[0]
        elif word.startswith("-"):
            taken = _take_option(words, options, native)
            del words[:taken]
        else:
            break
    if len(words) < 2:
        raise UsageError("a log and a command are needed: [options] [JOB=a:b] LOG command args...")
    job = Job(log=words[0], command=words[1:], options=options, native=native)
    if job_range is not None:
        job.name, job.first, job.last = job_range
        job.array = True
        if job.last > job.first and job.name not in job.log:
            raise UsageError(
                f"{job.last - job.first + 1} jobs would write the same log '{job.log}': "
                f"its name must contain {job.name}"
            )
    return job


def _take_option(words: list[str], options: dict[str, str], native: list[str]) -> int:
    """Store the option at the head of ``words`` and return its number of words."""
    word = words[0]
    if word == "-V":  # grid engine: pass the environment on
        native.append(word)
        return 1
    count = 3 if word == "-pe" else 2
    if word.startswith("--") and "=" in word:
        raise UsageError(f"options are written as --name value, not --name=value: '{word}'")
    if len(words) < count:
        raise UsageError(f"option '{word}' needs a value")
    if word == "-tc":
        options["max_jobs_run"] = words[1]
    elif word.startswith("--"):
        options[word[2:].replace("-", "_")] = words[1]
    else:
        native.extend(words[:count])
    for name in ("max_jobs_run", "num_threads", "gpu"):
        value = options.get(name)
        if value is not None and not value.isdigit():
            raise UsageError(f"--{name.replace('_', '-')} requires a whole number, not '{value}'")
    if options.get("max_jobs_run") == "0":
        raise UsageError("--max-jobs-run must be at least 1")
    if options.get("pick", "all") not in PICKS:
        raise UsageError(f"--pick must be one of {', '.join(PICKS)}, not '{options['pick']}'")
    return count


def pick_jobs(job: Job) -> tuple[list[int], dict[int, str]]:
    """Return the indices to run, and earlier failures that are not run again (index -> reason).

    With ``--pick failed``, jobs that succeeded according to their log are not run again; with
    ``--pick incomplete``, failed jobs are not run again either, and count as failed.
    """
    pick = job.options.get("pick", "all")
    chosen, failed = [], {}
    for index in job.indices:
        code = None if pick == "all" else _code_of(job.log_of(index))
        if code is None or (code != "0" and pick == "failed"):
            chosen.append(index)
        elif code != "0":
            failed[index] = f"job {index} ended with code {code} before (--pick incomplete)"
    return chosen, failed


def _code_of(log: str) -> str | None:
    """Return the exit code in the last footer of a log, None for a log without footer."""
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = ENDED.findall(text)
    return found[-1] if found else None


def shell_line(words: list[str]) -> str:
    """Return the command as one line for bash; all but operators and redirections is quoted."""
    parts = []
    for word in words:
        redirection = REDIRECTION.match(word)
        if word in OPERATORS:
            parts.append(word)
        elif redirection and not re.search(r"\s", word):
            target = redirection[2]
            literal = not target or (redirection[1].endswith("&") and target.isdigit())
            parts.append(redirection[1] + (target if literal else shlex.quote(target)))
        else:
            parts.append(shlex.quote(word))
    return " ".join(parts)


def prepare_logs(job: Job) -> None:
    """Make the directories of all logs; UsageError if that fails."""
    for directory in {Path(job.log_of(index)).parent for index in job.indices}:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise UsageError(f"cannot make the log directory {directory}: {err.strerror}") from err


def run_logged(
    job: Job, index: int, started: Callable[[subprocess.Popen], None], extra_env: dict[str, str],
    own_group: bool = True,
) -> int:
    """Run one job with its log and return its exit code; ``started`` is called with the process.

    With ``own_group`` the process leads a group, so that all its children can be ended with it;
    else it stays in this process's group, and its shell survives a SIGTERM of the group, to
    report the end of the command.  A negative code is the signal that ended the shell.
    """
    line = shell_line(job.words_of(index))
    shell = "set -o pipefail" if own_group else "set -o pipefail; trap : TERM"
    begin = time.time()
    kills = memory.kills()
    with open(job.log_of(index), "w", encoding="utf-8", errors="surrogateescape") as log:
        shown = line.replace("\n", "\n# ")  # a command may have several lines
        log.write(f"# {shown}\n# Host: {os.uname().nodename}\n")
        log.write(f"# Started at {time.ctime(begin)}\n#\n")
        log.flush()
        process = subprocess.Popen(
            ["bash", "-c", f"{shell}\n{line}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=own_group,
            env={**os.environ, **extra_env},
        )
        started(process)
        code = process.wait()
    seconds = time.time() - begin
    threads = job.options.get("num_threads", "1")
    evidence = memory.evidence(kills) if code else ""
    with open(job.log_of(index), "a", encoding="utf-8") as log:
        if evidence:
            log.write(f"# Out of memory: {evidence}\n")
        log.write(f"# Accounting: time={seconds:.0f} threads={threads}\n")
        log.write(
            f"# Ended (code {code}) at {time.ctime()}, elapsed time {seconds:.1f} seconds\n"
        )
    return code


def end_groups(processes: list[subprocess.Popen]) -> None:
    """End the process groups by SIGTERM, after a few seconds by SIGKILL."""
    _signal_groups(processes, signal.SIGTERM)
    deadline = time.time() + GRACE_SECONDS
    while time.time() < deadline and any(_group_lives(p) for p in processes):
        time.sleep(0.05)
    _signal_groups(processes, signal.SIGKILL)


def _signal_groups(processes: list[subprocess.Popen], number: int) -> None:
    for process in processes:
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _group_lives(process: subprocess.Popen) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def report_failures(prog: str, job: Job, failed: dict[int, str]) -> int:
    """Report the logs of failed jobs (index -> reason) on stderr; return 1 if any failed, else 0.

    The last line is the best explanation in the logs of the failed jobs.
    """
    if not failed:
        return 0
    print(f"{prog}: {len(failed)} of {len(job.indices)} jobs failed", file=sys.stderr)
    for index in sorted(failed)[:LONGEST_LIST]:
        print(f"{prog}: {failed[index]}; log: {job.log_of(index)}", file=sys.stderr)
    if len(failed) > LONGEST_LIST:
        print(f"{prog}: ... and more: {job.log_of('*')}", file=sys.stderr)
    why = reason.best_reason(job.log_of(index) for index in sorted(failed))
    if why:
        print(f"{prog}: {why}", file=sys.stderr)
    return 1


class Interrupted(BaseException):
    """A signal asked the runner to stop: its name, and the state of the jobs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.outcome = "its jobs have been ended"


def raise_on_signals() -> None:
    """Raise Interrupted for SIGINT, SIGHUP and SIGTERM from now on."""

    def stop(number: int, _frame: object) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    for each in STOPPING:
        signal.signal(each, stop)


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Context that delays a signal until its end; a second signal takes effect at once."""
    before = {each: signal.getsignal(each) for each in STOPPING}
    noted: list[int] = []

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def note(number: int, _frame: object) -> None:
        noted.append(number)
        restore()

    for each in STOPPING:
        signal.signal(each, note)
    try:
        yield
    finally:
        restore()
        if noted:
            signal.raise_signal(noted[0])


def main_of(prog: str, body: Callable[[Job], int]) -> int:
    """Return the exit status of a runner: parse the command line, run ``body``, report errors."""
    try:
        job = parse_command_line(sys.argv[1:])
        prepare_logs(job)
        raise_on_signals()
        return body(job)
    except UsageError as err:
        print(f"{prog}: error: {err}", file=sys.stderr)
    except OSError as err:
        print(f"{prog}: error: {err.filename or ''}: {err.strerror}", file=sys.stderr)
    except Interrupted as err:
        print(f"{prog}: interrupted by {err}; {err.outcome}", file=sys.stderr)
        return 130
    return 1
