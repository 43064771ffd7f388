"""Arks: what is written is read back, and an interrupted set has no scp."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.ark import ArkWriter, merge_scp, read_scp

kaldiio = pytest.importorskip("kaldiio")

ARRAYS = {
    "b": np.arange(12, dtype=np.float32).reshape(4, 3) / 7,
    "a": np.array([1, -2.5, 1e-30], np.float32),
    "empty": np.zeros((0, 4), np.float32),
}


def write(directory, arrays, name="posteriors", job=None):
    with ArkWriter(directory, name, job) as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    return writer.scp


def test_what_is_written_is_read_back(tmp_path):
    table = read_scp(write(tmp_path / "exp", ARRAYS))
    assert list(table) == ["a", "b", "empty"]  # sorted, not as written
    assert len(table) == 3
    assert "b" in table
    assert "c" not in table
    for key, array in ARRAYS.items():
        assert table[key].dtype == np.float32
        assert table[key].shape == array.shape
        np.testing.assert_array_equal(table[key], array)
    table["a"][0] = 5  # the caller's own copy
    assert table["a"][0] == 1
    with pytest.raises(KeyError):
        table["c"]


def test_kaldiio_reads_it_too(tmp_path):
    other = kaldiio.load_scp(str(write(tmp_path, ARRAYS)))
    assert set(other) == set(ARRAYS)
    np.testing.assert_array_equal(other["b"], ARRAYS["b"])


def test_other_float_types_are_written_as_float32(tmp_path):
    table = read_scp(write(tmp_path, {"h": np.float16([0.5, 0.25]), "d": np.float64([[0.1]])}))
    assert table["h"].tolist() == [0.5, 0.25]
    assert table["d"][0, 0] == np.float32(0.1)


def test_kaldi_arrays_of_others_are_read(tmp_path):
    matrix = np.random.default_rng(0).random((50, 8)).astype(np.float32)
    ark, scp = f"{tmp_path}/c.ark", f"{tmp_path}/c.scp"
    kaldiio.save_ark(ark, {"c": matrix}, scp, compression_method=2)
    np.testing.assert_allclose(read_scp(scp)["c"], matrix, atol=0.01)
    kaldiio.save_ark(ark, {"d": matrix.astype(np.float64)}, scp)
    assert read_scp(scp)["d"].dtype == np.float64


def test_a_moved_folder_is_still_read(tmp_path):
    write(tmp_path / "old", ARRAYS)
    (tmp_path / "old").rename(tmp_path / "new")
    np.testing.assert_array_equal(read_scp(tmp_path / "new" / "posteriors.scp")["b"], ARRAYS["b"])


def test_scp_appears_only_when_whole(tmp_path):
    scp = write(tmp_path, ARRAYS)
    writer = ArkWriter(tmp_path, "posteriors")
    assert not scp.exists()  # that of before is gone with its ark
    writer.write("a", ARRAYS["a"])
    assert not scp.exists()
    writer.close()
    writer.close()
    assert list(read_scp(scp)) == ["a"]
    with pytest.raises(ValueError, match="vector or matrix"):
        write(tmp_path, ARRAYS | {"not a matrix": np.ones((2, 2, 2))})
    assert not scp.exists()


def test_a_killed_writer_leaves_no_scp(tmp_path):
    code = (
        "import numpy, os, signal, sys; from diarize.io.ark import ArkWriter\n"
        "writer = ArkWriter(sys.argv[1], 'p')\n"
        "writer.write('a', numpy.ones(3))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["p.ark"]


def test_parts_of_jobs_are_merged_sorted(tmp_path):
    write(tmp_path, {"c": ARRAYS["a"], "a": ARRAYS["b"]}, "p", 1)
    with pytest.raises(DiarizeError, match=r"p\.2\.scp: missing: job 2 did not finish"):
        merge_scp(tmp_path, "p", 2)
    write(tmp_path, {"b": ARRAYS["b"]}, "p", 2)
    table = read_scp(merge_scp(tmp_path, "p", 2))
    assert list(table) == ["a", "b", "c"]
    np.testing.assert_array_equal(table["c"], ARRAYS["a"])
    write(tmp_path, {"c": ARRAYS["b"]}, "p", 2)
    with pytest.raises(DiarizeError, match=r"p\.2\.scp: key c is also in an earlier part"):
        merge_scp(tmp_path, "p", 2)


@pytest.mark.parametrize(
    ("key", "array", "reason"),
    [
        ("a", np.ones(2), "key a is written twice"),
        ("x y", np.ones(2), "contains blanks"),
        ("", np.ones(2), "empty"),
        ("n", np.array([1, np.nan]), "n contains NaN or infinite"),
    ],
)
def test_what_is_not_written(tmp_path, key, array, reason):
    writer = ArkWriter(tmp_path, "p")
    writer.write("a", np.ones(2))
    with pytest.raises(DiarizeError, match=reason):
        writer.write(key, array)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiarizeError, match=r"cannot write .*file"):
        ArkWriter(tmp_path / "file" / "exp", "p")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_space_left(tmp_path):
    (tmp_path / "p.ark").symlink_to("/dev/full")
    with (
        pytest.raises(DiarizeError, match=r"cannot write .*p\.ark: No space left"),
        ArkWriter(tmp_path, "p") as writer,
    ):
        writer.write("a", np.ones((1000, 50)))
    assert not (tmp_path / "p.scp").exists()


def test_damaged_arks(tmp_path):
    scp = write(tmp_path, ARRAYS)
    ark = tmp_path / "posteriors.ark"
    content = ark.read_bytes()
    for size in (10, 13, 30):
        ark.write_bytes(content[:size])
        with pytest.raises(DiarizeError, match=r"posteriors\.scp: b: .*cut short"):
            read_scp(scp)["b"]
    ark.unlink()
    with pytest.raises(DiarizeError, match=r"posteriors\.scp: b: cannot read"):
        read_scp(scp)["b"]


def test_pickles_in_an_ark_are_not_loaded(tmp_path):
    ark, scp = f"{tmp_path}/p.ark", f"{tmp_path}/p.scp"
    kaldiio.save_ark(ark, {"a": np.ones(2)}, scp, write_function="pickle")
    with pytest.raises(DiarizeError, match="no Kaldi matrix or vector"):
        read_scp(scp)["a"]


class Lazy:
    """Rows that are made when they are asked for."""

    def __init__(self, array):
        self.array, self.shape, self.longest = array, array.shape, 0

    def __getitem__(self, rows):
        part = self.array[rows]
        self.longest = max(self.longest, len(part))
        return part


def test_rows_are_written_in_turn_and_mapped_back(tmp_path, monkeypatch):
    monkeypatch.setattr("diarize.io.ark._BLOCK", 100)
    array = np.random.default_rng(0).random((173, 7)).astype(np.float32)
    array[0], array[1] = 0, 1
    rows = Lazy(array)
    with ArkWriter(tmp_path, "p") as writer:
        writer.write_rows("plain", rows)
        writer.write_rows("short", rows, two_bytes=True)
    assert rows.longest == 14
    table = read_scp(writer.scp)
    other = kaldiio.load_scp(str(writer.scp))
    for found in (table["plain"], table.mapped("plain"), other["plain"]):
        np.testing.assert_array_equal(found, array)
    assert isinstance(table.mapped("plain"), np.memmap)
    for found in (table["short"], table.mapped("short"), other["short"]):
        np.testing.assert_allclose(found, array, atol=1 / 131070 + 1e-7)
        np.testing.assert_array_equal(found[:2], array[:2])
    with pytest.raises(DiarizeError, match="NaN"), ArkWriter(tmp_path, "q") as writer:
        writer.write_rows("bad", np.full((3, 2), np.nan))
    assert not (tmp_path / "q.scp").exists()


def test_a_mapped_matrix_that_is_cut_short_is_an_error(tmp_path):
    scp = write(tmp_path, {"m": np.ones((1000, 3), np.float32)})
    ark = scp.with_suffix(".ark")
    ark.write_bytes(ark.read_bytes()[:5000])
    with pytest.raises(DiarizeError, match="m: .* is damaged or cut short"):
        read_scp(scp).mapped("m")
