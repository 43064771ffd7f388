"""Training log: progress line, train_log.jsonl and TensorBoard scalars."""

import json
import math
import sys
import time
from pathlib import Path
from typing import IO, Any

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.json_text import parse_json

LOG_NAME = "train_log.jsonl"


class Reporter:
    """Log of a training in ``directory``, from ``step`` (0: the start) on.

    One JSON object per line: ``{"kind": "train" | "valid" | "event", "step": n, ...}``.
    Lines that a killed run wrote after its last checkpoint are removed: those of later steps,
    and with ``pending_validation`` the validation of ``step``, which is about to be repeated.
    """

    def __init__(
        self, directory: Path, steps: int, step: int, tensorboard: bool = True,
        pending_validation: bool = False, stream: IO[str] | None = None,
    ) -> None:
        self.path = directory / LOG_NAME
        self.steps = steps
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._open_line = False
        drop_lines_after(self.path, step, pending_validation)
        self._board = _open_board(directory / "tensorboard", step) if tensorboard else None

    def event(self, step: int, text: str) -> None:
        """Log an event without figures, such as a resume."""
        self._write({"kind": "event", "step": step, "text": text})
        self._print(text)

    def train(self, step: int, figures: dict[str, float], left: float) -> None:
        """Log the means of an interval; ``left`` is the estimated remaining time in seconds."""
        self._write({"kind": "train", "step": step, **figures})
        self._scalars("train", step, figures)
        self._print(progress_line(step, self.steps, figures, left), passing=True)

    def valid(self, step: int, figures: dict[str, float], best: bool) -> None:
        """Log a validation; ``best``: whether its weights were kept."""
        self._write({"kind": "valid", "step": step, **figures, "kept": best})
        self._scalars("valid", step, figures)
        shown = "  ".join(f"{k} {_number(v)}" for k, v in figures.items())
        self._print(f"step {step}/{self.steps}  validation  {shown}{'  (kept)' if best else ''}")

    def close(self) -> None:
        """End the terminal line and close the event file."""
        if self._open_line:
            self._stream.write("\n")
            self._open_line = False
        if self._board is not None:
            self._board.close()

    def _write(self, record: dict[str, Any]) -> None:
        record = {k: _plain(v) for k, v in record.items()}
        record["time"] = time.strftime("%Y-%m-%dT%H:%M:%S")
        try:
            with open(self.path, "a", encoding="utf-8") as handle:
                handle.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as err:
            raise DiarizeError(f"cannot write {self.path}: {err.strerror}") from err

    def _scalars(self, head: str, step: int, figures: dict[str, float]) -> None:
        if self._board is not None:
            for key, value in figures.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{head}/{key}", value, step)

    def _print(self, text: str, passing: bool = False) -> None:
        """Print a line; on a terminal a ``passing`` one is overwritten by the next."""
        if not self._tty:
            print(text, file=self._stream, flush=True)
            return
        self._stream.write(f"\r\x1b[K{text}" + ("" if passing else "\n"))
        self._stream.flush()
        self._open_line = passing


def progress_line(step: int, steps: int, figures: dict[str, float], left: float) -> str:
    """Return the progress line: step, loss and its terms, DER, rates, remaining time.

    >>> progress_line(5, 20, {"loss": 1.5, "lr": 1e-4, "audio_rate": 250.0}, 75)
    'step 5/20  loss 1.5  lr 0.0001  250 x real time  left 0:01:15'
    """
    units = {"example_rate": "examples/s", "audio_rate": "x real time"}
    hidden = {"elapsed", "cpu_elapsed", "data_share", *units}
    order = ["loss", *sorted(figures.keys() - {"loss", "lr", "grad_norm"}), "lr", "grad_norm"]
    parts = [f"step {step}/{steps}"]
    parts += [f"{k} {_number(figures[k])}" for k in order if k in figures and k not in hidden]
    parts += [f"{_rate(figures[k])} {unit}" for k, unit in units.items() if figures.get(k)]
    return "  ".join([*parts, f"left {clock(left)}"])


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss.

    >>> clock(3725)
    '1:02:05'
    """
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def drop_lines_after(path: Path, step: int, pending_validation: bool = False) -> None:
    """Keep the complete lines of ``path`` up to ``step``; step 0 removes all lines.

    With ``pending_validation`` a validation of ``step`` itself is removed, too.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = parse_json(line, path)
            good = step > 0 and record["step"] <= step
            if pending_validation and (record["kind"], record["step"]) == ("valid", step):
                good = False
        except (DiarizeError, KeyError, TypeError):
            good = False  # incomplete line of a killed run
        if good:
            kept.append(line + "\n")
    with atomic_write(path) as handle:
        handle.writelines(kept)


def _open_board(directory: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory), purge_step=step + 1)


def _number(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _plain(value: Any) -> Any:
    """Return ``value`` for JSON; a number that is not finite becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
