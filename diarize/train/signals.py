"""SIGTERM and Ctrl-C as a wish to stop after the step at hand."""

import signal
import threading
from types import FrameType, TracebackType


class StopSignals:
    """Context in which SIGTERM and SIGINT only set ``code`` (143, 130; 0 before any).

    A second signal acts at once, as if this were not there.
    """

    def __init__(self) -> None:
        self.code = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.code = 128 + number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._restore()


def leave_signals_to_parent() -> None:
    """In a data worker: Ctrl-C is the trainer's to handle, SIGTERM just ends the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
