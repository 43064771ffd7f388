"""Progress of an inference: finished recordings, and the position in a long one."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from diarize import progress

_DELAY = 5.0


class InferenceProgress:
    """``add`` counts a finished recording, ``start`` names the one in work; see the functions."""

    def __init__(self, desc: str, count: Callable[[float], None]) -> None:
        self._desc, self._count = desc, count
        self._began = self._last = time.monotonic()
        self._place = ""

    def start(self, name: str, seconds: float, first: float = 0.0) -> None:
        """Name the recording in work, its length, and the second that the network has reached."""
        self._place = f"{name}, at {_clock(first)} of {_clock(seconds)}"

    def add(self, seconds: float) -> None:
        """Count a finished recording of ``seconds``."""
        self._last = time.monotonic()
        self._count(seconds)

    def watch(self, stop: threading.Event) -> None:
        """Print a line for each `LOG_SECONDS` without a finished recording, until ``stop``."""
        while not stop.wait(min(1.0, progress.LOG_SECONDS / 4)):
            if self._place and time.monotonic() - self._last > progress.LOG_SECONDS:
                self._last = time.monotonic()
                spent = self._last - self._began
                tqdm.write(f"{self._desc}: {self._place}, after {spent:.0f} s", file=sys.stderr)


@contextmanager
def inference_progress(total: int, desc: str) -> Iterator[InferenceProgress]:
    """Show the progress of the inference of ``total`` recordings on standard error.

    Nothing is shown of work that ends within `_DELAY` seconds.
    """
    stop = threading.Event()
    with progress.audio_progress(total, "recordings", desc, delay=_DELAY) as count:
        shown = InferenceProgress(desc, count)
        thread = threading.Thread(target=shown.watch, args=(stop,), daemon=True)
        thread.start()
        try:
            yield shown
        finally:
            stop.set()
            thread.join()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
