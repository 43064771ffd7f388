"""Files of unpacked archives: linked discs, suffixes in capitals, copies."""

import pytest

from diarize.errors import DiarizeError
from diarize.prepare.archive import files_by_stem


def test_linked_discs_and_capitals_are_found(tmp_path):
    """Three of six recordings were found."""
    disc = tmp_path / "disc2"
    (tmp_path / "root" / "disc1").mkdir(parents=True)
    disc.mkdir()
    for path in ("root/disc1/a.sph", "root/disc1/b.SPH", "disc2/c.sph", "disc2/D.SPH"):
        (tmp_path / path).touch()
    (tmp_path / "root/disc2").symlink_to(disc)
    found = files_by_stem(tmp_path / "root", "**/*.sph")
    assert sorted(found) == ["D", "a", "b", "c"]
    assert sorted(files_by_stem(tmp_path / "root", "**/*.sph", {"c"})) == ["c"]


def test_one_file_under_two_paths_is_one(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    (tmp_path / "x/a.wav").write_text("1")
    (tmp_path / "y/a.wav").symlink_to(tmp_path / "x/a.wav")
    assert files_by_stem(tmp_path, "*/*.wav") == {"a": tmp_path / "x/a.wav"}
    (tmp_path / "y/a.wav").unlink()
    (tmp_path / "y/a.wav").write_text("2")
    with pytest.raises(DiarizeError, match="occurs twice"):
        files_by_stem(tmp_path, "*/*.wav")
