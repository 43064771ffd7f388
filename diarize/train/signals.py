"""Signal handling: SIGTERM and Ctrl-C stop a training after the current step."""

import ctypes
import signal
import sys
import threading
import time
from types import FrameType, TracebackType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class StopSignals:
    """Context in which SIGTERM and SIGINT only set ``code`` (143, 130; 0 before any).

    A second signal has the effect of the previous handler, unless it arrives within
    ``same_request`` seconds: terminals and Slurm send signals to all processes, and torchrun
    forwards its own to its processes once more.
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
    """Have this process killed when its parent dies; Linux only, no effect elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave_signals_to_parent() -> None:
    """Ignore Ctrl-C and SIGTERM in a data worker; the trainer handles them.

    Terminals, torchrun and Slurm send them to all processes of a job, but the trainer requires
    its workers to finish the step and ends them by other means.  A worker is killed together
    with its trainer; otherwise it would keep its memory and the log's pipe for seconds more.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent()
