"""SIGTERM and Ctrl-C as a wish to stop after the step at hand."""

import ctypes
import signal
import sys
import threading
import time
from types import FrameType, TracebackType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class StopSignals:
    """Context in which SIGTERM and SIGINT only set ``code`` (143, 130; 0 before any).

    A second signal acts at once, as if this were not there, unless it comes within
    ``same_request`` seconds: terminals and Slurm tell all processes, and torchrun, told
    itself, tells its own once more.
    """

    def __init__(self, same_request: float = 3.0) -> None:
        self.code = 0
        self.same_request = same_request
        self._first = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.code:
            self.code, self._first = 128 + number, time.monotonic()
        elif time.monotonic() - self._first > self.same_request:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._restore()


def die_with_parent() -> None:
    """Where the system can (Linux), let this process be killed when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave_signals_to_parent() -> None:
    """In a data worker: Ctrl-C and SIGTERM are the trainer's to handle.

    Terminals, torchrun and Slurm send them to all processes of a job, but the trainer needs
    its workers to finish the step; it tells them to end by other means.  A worker dies with
    a trainer that is killed, lest it hold its memory and the log's pipe for seconds more.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent()
