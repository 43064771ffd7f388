"""Whole files or none; what is no file stays what it is."""

import os
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
