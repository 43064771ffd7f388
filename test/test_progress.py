"""Progress: a bar on a terminal, few lines in a log file."""

import io
import sys

import pytest

from diarize import progress
from diarize.progress import audio_progress, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("seconds", [60.0, 0.0])
def test_a_log_has_a_line_at_the_end_and_one_per_interval(monkeypatch, capsys, seconds):
    monkeypatch.setattr(progress, "LOG_SECONDS", seconds)
    with audio_progress(500, "recordings", "x") as add:
        for _ in range(500):
            add(36.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (1 if seconds else 500)
    assert lines[-1].startswith("x: 500/500 recordings")
    assert "5.00 h of audio" in lines[-1]
    assert all("\r" not in line for line in lines)


def test_a_terminal_has_a_bar_on_one_line(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar(10, "files", "x") as bar:
        bar.update(10)
    text = sys.stderr.getvalue()
    assert text.count("\n") == 1
    assert "100%" in text


def test_work_that_fails_at_once_has_no_line(capsys):
    with pytest.raises(ValueError, match="bad"), progress_bar(10, "files", "x"):
        raise ValueError("bad")
    assert capsys.readouterr().err == ""


def test_work_that_ends_soon_is_not_announced(capsys):
    with progress_bar(10, "files", "x", delay=10.0) as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
