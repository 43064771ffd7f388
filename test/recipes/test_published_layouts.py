"""Corpora laid out with the names, numbers and lengths of the real archives are accepted."""

import json
import re

import pytest
from layouts import published

from diarize.bin.prepare import main
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table
from diarize.prepare.splits import DEFAULT_SEED, read_split, seeded_split


def report(path):
    return json.loads((path / "prepare.json").read_text())


def test_alimeeting_far_is_as_long_as_its_archives(tmp_path, capsys):
    """111 h 21 min of training were refused, since 104.75 h were expected."""
    variables = published.alimeeting(tmp_path / "corpus")
    out = tmp_path / "data"
    command = ["alimeeting", "--root", variables["ALIMEETING"], "--out", str(out)]
    assert main(command) == 0, capsys.readouterr().err
    for name, part in (("train_far", "train"), ("dev_far", "eval"), ("test_far", "test")):
        assert list(read_table(out / name / "wav.scp")) == published.ids(f"alimeeting.{part}_far")
        assert report(out / name)["differs_from_published"] == []
    hours = {name: report(out / name)["counts"]["hours"]
             for name in ("train_far", "dev_far", "test_far")}  # fmt: skip
    assert hours == pytest.approx({"train_far": 111.35, "dev_far": 4.2, "test_far": 10.767},
                                  abs=0.01)


def test_aishell4_takes_all_recordings_by_the_committed_split(repo_root, tmp_path, capsys):
    variables = published.aishell4(tmp_path / "corpus")
    listed = repo_root / "egs/aishell4/diar1/conf/split.txt"
    out = tmp_path / "data"
    command = ["aishell4", "--root", variables["AISHELL4"], "--out", str(out)]
    assert main([*command, "--split-list", str(listed)]) == 0, capsys.readouterr().err
    assert read_split(listed) == seeded_split(published.ids("aishell.train"), DEFAULT_SEED)
    found = {name: set(read_table(out / name / "wav.scp")) for name in ("train", "dev", "test")}
    assert {name: len(names) for name, names in found.items()} == {
        "train": 153, "dev": 38, "test": 20}
    # The two recordings whose TextGrids others cannot read: the RTTM is the reference.
    assert {"20200622_M_R002S07C01", "20200710_M_R002S06C01"} <= found["train"] | found["dev"]
    assert report(out / "train")["left_out"] == {}
    assert report(out / "train")["options"]["split"] == "list split.txt"


def test_ramc_by_either_reading_of_the_overlap_marks(tmp_path, capsys):
    """Which of the two published totals follows from which reading is not known."""
    variables = published.ramc(tmp_path / "corpus")
    command = ["ramc", "--root", variables["RAMC"], "--out"]
    assert main([*command, str(tmp_path / "a")]) == 0, capsys.readouterr().err
    both = [*command, str(tmp_path / "b"), "--overlap-marks", "speakers"]
    assert main(both) == 0, capsys.readouterr().err
    one, two = (report(tmp_path / name / "test") for name in "ab")
    assert one["counts"]["recordings"] == 43
    assert one["counts"]["reference_seconds"] == pytest.approx(61398.6, abs=0.5)
    assert two["counts"]["reference_seconds"] == pytest.approx(62374.2, abs=0.5)
    assert one["options"]["overlap_marks"] == "ignore"
    other = one["counts"]["reference_seconds_by_other_readings"]
    assert other["with [+] as speech of both speakers"] == pytest.approx(62374.2, abs=0.5)
    assert other["with G00000000 as a speaker"] == pytest.approx(61398.6 + 487.8 + 86, abs=0.5)
    other = two["counts"]["reference_seconds_by_other_readings"]
    assert other["with [+] as no speech"] == pytest.approx(61398.6, abs=0.5)
    # An overlap mark is a turn of both speakers.
    last = {}
    for segment in read_rttm(tmp_path / "b/test/rttm"):
        if segment.recording == "CTS-CN-F2F-2019-11-15-3":
            last[segment.label] = max(last.get(segment.label, 0), segment.end)
    assert last["G00000571"] == last["G00000577"]


def test_a_total_that_only_another_reading_has_is_reported(tmp_path, capsys, monkeypatch):
    from dataclasses import replace

    from diarize.prepare import ramc

    variables = published.ramc(tmp_path / "corpus")
    expected = replace(ramc.EXPECTED["test"], reference_seconds=62374.2)
    monkeypatch.setitem(ramc.EXPECTED, "test", expected)
    assert main(["ramc", "--root", variables["RAMC"], "--out", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().err
    assert re.search(r"RAMC test: .*62374\.2 .*\[\+\] as speech of both speakers", said)
    (line,) = report(tmp_path / "data/test")["differs_from_published"]
    assert "62374.2" in line
