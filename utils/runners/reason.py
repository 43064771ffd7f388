"""The line of a log that explains the failure of its job: reason.py LOG...

For several logs the best explanation is printed, with the name of its log; nothing is printed if
all jobs succeeded.  Logs are those of run.py, queue.py, slurm.py, or of Kaldi's own runners.
"""

import re
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

OWN = re.compile(r"^[^\s\[\]]+: error: ")
ENDED = re.compile(r"^# Ended \(code (-?\d+)\)")
MEMORY = re.compile(r"^# Out of memory: (.+)")  # written by jobs.py
TRACEBACK = "Traceback (most recent call last):"
RANK = re.compile(r"^\[rank\d+\]:\s?")
EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(:|$)")
TORCHRUN = re.compile(r"^  (host|rank|exitcode) +: (-?\S+)")
CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
# Messages of the other processes of a training after the death of one, and of torchrun.
ECHOES = re.compile(
    r"lost contact|ChildFailedError|SignalException|Connection (closed|reset) by peer"
    r"|DistBackendError|DistNetworkError|ncclRemoteError"
)
LONGEST = 1000
# Kinds of explanations, the best first.
MESSAGE, RAISED, KILLED, SAID, ECHO = range(5)


class Reader:
    """Line-by-line reader of a log: messages, exceptions, killed ranks, the last line."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.memory = ""
        self.found: dict[int, str] = {}
        self._raising = self._chained = self._ignored = False
        self._torchrun: dict[str, str] = {}

    def add(self, line: str) -> None:
        """Read a line, without its end."""
        ended = ENDED.match(line)
        if ended:
            self.code = int(ended[1])
            return
        memory = MEMORY.match(line)
        if memory:
            self.memory = memory[1]
            return
        line = RANK.sub("", line.rpartition("\r")[2])
        if line.startswith("#") or not line.strip():
            return
        if line.endswith(TRACEBACK):
            self._raising = True
            # The exception of a worker process follows the report of its end.
            self._chained |= line.startswith("Original ")
        elif self._raising and EXCEPTION.match(line):
            self._exception(line)
        elif OWN.match(line):
            self._keep(MESSAGE, line)
        elif self._torchrun_line(line):
            return
        elif line.startswith(CHAINED):
            self._chained = True
        elif line.startswith("Exception ignored in"):
            self._ignored = True
        self._keep(SAID, line.strip(), replace=True)

    def _exception(self, line: str) -> None:
        if not self._ignored:
            self._keep(RAISED, line, replace=self._chained)
        self._raising = self._chained = self._ignored = False

    def _torchrun_line(self, line: str) -> bool:
        match = TORCHRUN.match(line)
        if match:
            self._torchrun[match[1]] = match[2]
            if match[1] == "exitcode" and match[2].startswith("-"):
                who = f"rank {self._torchrun.get('rank')} on {self._torchrun.get('host')}"
                # The root cause is the last in torchrun's list; torchrun ended the others itself.
                how = f"killed by {signal_name(-int(match[2]))}"
                self._keep(KILLED, f"{who}: {how}", replace=True)
        return bool(match)

    def _keep(self, kind: int, line: str, replace: bool = False) -> None:
        if ECHOES.search(line):
            kind, replace = ECHO, False
        if replace or kind not in self.found:
            self.found[kind] = line

    def reason(self) -> tuple[int, str] | None:
        """Return the kind of the best explanation and its text; None if the job succeeded."""
        if self.code == 0:
            return None
        number = -self.code if (self.code or 0) < 0 else (self.code or 0) - 128
        if number > 0:
            said = self.found.get(SAID)
            how = f"killed by {signal_name(number)}"
            self.found.setdefault(KILLED, f"{how}; its last line: {said}" if said else how)
        kind = min(self.found, default=None)
        if kind is None:
            return (KILLED, self.memory) if self.memory else None
        return kind, "; ".join(filter(None, (self.found[kind][:LONGEST], self.memory)))


def signal_name(number: int) -> str:
    """Return the name of a signal, with its usual cause."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    hint = (
        ", probably for lack of memory (see dmesg); request more memory or use fewer jobs"
        if number == signal.SIGKILL
        else ""
    )
    return f"signal {number} ({name}){hint}"


def best_reason(logs: Iterable[str]) -> str:
    """Return the best explanation in ``logs`` and its log, on one line; empty without one."""
    found = []
    for number, log in enumerate(logs):
        reader = Reader()
        try:
            with Path(log).open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    reader.add(line.rstrip("\n"))
        except OSError:
            continue
        reason = reader.reason()
        if reason is not None:
            found.append((reason[0], number, f"{reason[1]}; log: {log}"))
    return min(found)[2] if found else ""


if __name__ == "__main__":
    print(best_reason(sys.argv[1:]))
