import pytest

from diarize.bin.rttm import main
from diarize.io.rttm import read_rttm
from diarize.segments import Segment

LINE = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n"


@pytest.fixture
def rttm(tmp_path):
    path = tmp_path / "x.rttm"
    rows = (("a", 0, 2, "A"), ("a", 1.5, 2, "B"), ("a", 2.2, 1, "A"), ("b", 5, 0.1, "A"))
    path.write_text("".join(LINE.format(*row) for row in rows))
    return path


def test_validate_lists_every_fault(tmp_path, capsys, rttm):
    assert main(["validate", str(rttm)]) == 0
    assert capsys.readouterr().out == ""
    bad = tmp_path / "bad.rttm"
    bad.write_text(
        LINE.format("a", 0, 2, "A") + LINE.format("a", 1, 2, "A") + LINE.format("a", -1, 0, "B")
        + "SPEAKER a 1 x 1 <NA> <NA> A <NA>\n"
    )  # fmt: skip
    assert main(["validate", str(bad)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{bad}:4: field 4 (start) 'x' is not a number of seconds",
        f"{bad}:3: begins before 0 (-1)",
        f"{bad}:3: has no length",
        f"{bad}:2: A talks already, until 2",
    ]


def test_convert_there_and_back(tmp_path, rttm):
    folder = tmp_path / "grids"
    assert main(["convert", str(rttm), "--to", "textgrid", "-o", str(folder)]) == 0
    grids = sorted(folder.iterdir())
    assert [p.name for p in grids] == ["a.TextGrid", "b.TextGrid"]
    back = tmp_path / "back.rttm"
    only_a = [s for s in read_rttm(rttm) if s.recording == "a"]
    assert main(["convert", str(grids[0]), "-o", str(back)]) == 0
    assert read_rttm(back) == sorted(only_a)


def test_one_recording_formats_want_a_directory(capsys, rttm):
    assert main(["convert", str(rttm), "--to", "audacity"]) == 1
    assert "directory" in capsys.readouterr().err


def test_merge_and_filter(tmp_path, rttm):
    out = tmp_path / "o.rttm"
    assert main(["merge", str(rttm), "--gap", "0.25", "-o", str(out)]) == 0
    assert Segment("a", 0.0, 3.2, "A") in read_rttm(out)
    chosen = ["--labels", "A", "--min-duration", "0.5", "--end", "2.5"]
    assert main(["filter", str(rttm), *chosen, "-o", str(out)]) == 0
    assert read_rttm(out) == [Segment("a", 0.0, 2.0, "A")]


def test_stats(capsys, rttm):
    assert main(["stats", str(rttm)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["a", "2", "3", "3.50", "1.50", "1.67", "3.50"]
    assert lines[-1][:3] == ["TOTAL", "3", "4"]


@pytest.mark.parametrize("name", ["rttm", "rttm.annotation", "stm", "ctm"])
def test_files_of_a_data_directory_are_known_by_their_names(tmp_path, rttm, name):
    """A file called ``rttm`` was refused: it has no suffix."""
    path = tmp_path / name
    form = name.partition(".")[0]
    assert main(["convert", str(rttm), "--to", form, "-o", str(path)]) == 0
    assert main(["convert", str(path), "-o", str(tmp_path / "back.rttm")]) == 0
    recordings = {segment.recording for segment in read_rttm(tmp_path / "back.rttm")}
    assert recordings == {"a", "b"}
