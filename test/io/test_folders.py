"""Files below folders: links, cycles, suffixes in capitals, and what is left out."""

import logging
import os

import pytest

from diarize.io.folders import files_below, files_like


@pytest.fixture
def tree(tmp_path):
    """Six files: two in plain folders, two behind links, two with suffixes in capitals."""
    root, other = tmp_path / "root", tmp_path / "other"
    for place in (root / "z" / "deep", root / "a", other / "far"):
        place.mkdir(parents=True)
    for path in (root / "z/1.wav", root / "a/2.WAV", root / "z/deep/3.wav", other / "4.wav",
                 other / "far/5.Wav", root / "6.wav"):  # fmt: skip
        path.touch()
    (root / "a/._2.WAV").touch()
    (root / "notes.txt").touch()
    (root / "b").symlink_to(other)
    (root / "a/up").symlink_to(root)  # a cycle
    (root / "a/z").symlink_to(root / "z")  # again
    (root / "lost.wav").symlink_to(tmp_path / "nothing.wav")
    return root


NAMES = ["6.wav", "a/2.WAV", "b/4.wav", "b/far/5.Wav", "z/1.wav", "z/deep/3.wav"]


def names(root, files):
    return [str(path.relative_to(root)) for path in files]


def test_links_are_followed_once_and_what_is_left_out_is_said(tree, caplog):
    with caplog.at_level(logging.WARNING, logger="diarize"):
        assert names(tree, files_below(tree, (".wav",))) == NAMES
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    for path, why in ((tree / "a/up", f"{tree}"), (tree / "a/z", f"{tree / 'z'}"),
                      (tree / "lost.wav", "link to nothing")):  # fmt: skip
        assert any(f"{path}: left out" in line and why in line for line in said)


def test_a_folder_is_entered_by_its_own_path(tree):
    (tree / "0").symlink_to(tree / "z")
    assert names(tree, files_below(tree, (".wav",))) == NAMES


def test_depth_and_all_suffixes(tree):
    assert names(tree, files_below(tree, (".wav",), 0)) == ["6.wav"]
    assert names(tree, files_below(tree, (".wav",), 1)) == [*NAMES[:3], "z/1.wav"]
    assert "notes.txt" in names(tree, files_below(tree))


def test_a_folder_that_cannot_be_read_is_named(tree, monkeypatch, caplog):
    original = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.WARNING, logger="diarize"):
        assert "z/deep/3.wav" not in names(tree, files_below(tree, (".wav",)))
    assert f"{tree / 'z/deep'}: left out: cannot be read: Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["6.wav"]),
        ("**/*.wav", NAMES),
        ("*/*.wav", ["a/2.WAV", "b/4.wav", "z/1.wav"]),
        ("z/*.wav", ["z/1.wav"]),
        ("z/**/*.wav", ["z/1.wav", "z/deep/3.wav"]),
        ("b/**/5.wav", ["b/far/5.Wav"]),
        ("**/notes.txt", ["notes.txt"]),
        ("none/*.wav", []),
        ("[az]/?.wav", ["a/2.WAV", "z/1.wav"]),
    ],
)
def test_patterns(tree, pattern, expected):
    assert names(tree, files_like(tree, pattern)) == expected
