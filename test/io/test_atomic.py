"""Whole files or none; what is no file stays what it is."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    """As root, moving a file over /dev/null would have taken it from everybody."""
    with atomic_write("/dev/null") as handle:
        handle.write("x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(DiarizeError, match="No space left"), atomic_write(full) as handle:
        handle.write("x")
    assert full.is_symlink()


def test_standard_output_keeps_what_was_written_to_it(tmp_path):
    """It was replaced by a new file, and the rest of the output was lost."""
    code = (
        "import sys; from diarize.io.atomic import atomic_write; print('a', flush=True)\n"
        "with atomic_write('/dev/stdout') as handle: handle.write('b\\n')\n"
        "print('c', flush=True)"
    )
    with open(tmp_path / "out", "w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "a\nb\nc\n"
    assert os.path.islink("/dev/stdout")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "table"
    link = tmp_path / "table"
    link.symlink_to(target)
    with atomic_write(link) as handle:
        handle.write("new\n")
    assert link.is_symlink()
    assert target.read_text() == "new\n"


def test_an_error_inside_leaves_the_old_file(tmp_path):
    path = tmp_path / "table"
    path.write_text("old\n")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as handle:
        handle.write(str(1 / 0))
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def run(code, path):
    return subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode


def test_the_temporary_file_of_a_killed_writer_is_removed_by_the_next_run(tmp_path):
    """Of any target in the directory; those of a living writer and of other programs stay."""
    kill = (
        "import os, sys; from diarize.io.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as handle: os.kill(os.getpid(), 9)"
    )
    write = (
        "import sys; from diarize.io.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as handle: handle.write('second')"
    )
    (tmp_path / ".other.abcdefgh.tmp").write_text("of another program")
    with atomic_write(tmp_path / "first") as handle:
        handle.write("first")
        assert run(kill, tmp_path / "s0-0.wav") == -signal.SIGKILL
        assert len(list(tmp_path.glob(".s0-0.wav.*.tmp"))) == 1
        assert run(write, tmp_path / "second") == 0
        assert not list(tmp_path.glob(".s0-0.wav.*.tmp"))
        assert len(list(tmp_path.glob(".first.*.tmp"))) == 1
    assert (tmp_path / "first").read_text() == "first"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".other.abcdefgh.tmp", "first", "second"]


def test_a_full_disk_leaves_no_temporary_file(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(DiarizeError, match="table: No space left"),
        atomic_write(tmp_path / "table") as handle,
    ):
        handle.write("x")
    assert not list(tmp_path.iterdir())
