"""Progress of long work: a bar on a terminal, a line per minute in a log file."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

LOG_SECONDS = 60.0
_LOG_FORMAT = "{desc}: {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}{postfix}]"


def progress_bar(total: int, unit: str, desc: str, **options: Any) -> tqdm:
    """Return a bar of ``total`` units on standard error, which is updated by ``update``.

    Where standard error is a file, the bar is a line every `LOG_SECONDS` and at the end.
    ``options`` are further ones of tqdm.
    """
    if sys.stderr.isatty():
        return tqdm(total=total, unit=f" {unit}", desc=desc, dynamic_ncols=True, **options)
    return _Lines(
        total=total, unit=f" {unit}", desc=desc, file=io.StringIO(), bar_format=_LOG_FORMAT,
        mininterval=LOG_SECONDS, miniters=1, **options,
    )  # fmt: skip


@contextmanager
def audio_progress(
    total: int, unit: str, desc: str, **options: Any
) -> Iterator[Callable[[float], None]]:
    """Show the progress of work on audio; the context is a function of each finished unit.

    It receives the seconds of audio of the unit, 0 for one that existed.  Hours of audio and the
    speed are shown.  ``options`` are those of `progress_bar`.
    """
    audio = 0.0
    with progress_bar(total, unit, desc, **options) as bar:

        def add(seconds: float) -> None:
            nonlocal audio
            audio += seconds
            speed = audio / max(bar.format_dict["elapsed"], 1e-6)
            text = f"{audio / 3600:.2f} h of audio, {speed:.0f} x real time"
            bar.set_postfix_str(text, refresh=False)
            bar.update()

        yield add


class _Lines(tqdm):
    """A bar as lines: each state is printed once, but not that of no finished unit."""

    shown = 0

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.n != self.shown:
            self.shown = self.n
            print(self, file=sys.stderr, flush=True)
