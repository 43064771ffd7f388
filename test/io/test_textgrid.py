"""TextGrids in both forms, their encodings, and what is said of bad ones."""

import pytest

from diarize.errors import DiarizeError
from diarize.io.textgrid import Interval, Tier, read_textgrid_tiers

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "SPK 1"
        xmin = 0
        xmax = 2.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1e-1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 2.5
            text = "two 2 lines,
""quoted"" [3]" ! a comment with 5 and "text"
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1.5
            mark = "x"
    item [3]:
        class = "IntervalTier"
        name = ""
        xmin = 0
        xmax = 9.9
        intervals: size = 0
'''
SHORT = '''"ooTextFile"
"TextGrid"
0
2.5
<exists>
1
"IntervalTier"
"嗯"
0
2.5
1
0
1
"好"
'''


def grid(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "r.TextGrid"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_long_form_in_every_encoding(tmp_path, encoding):
    first, marks, empty = read_textgrid_tiers(grid(tmp_path, LONG, encoding))
    assert first == Tier("SPK 1", [
        Interval(0.0, 0.1, "", 16), Interval(0.1, 2.5, 'two 2 lines,\n"quoted" [3]', 20)], 10)
    assert marks == Tier("marks", [], 25)
    assert empty == Tier("", [], 34)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_short_form_with_every_line_end(tmp_path, end):
    path = grid(tmp_path, SHORT.replace("\n", end), "utf-16")
    assert read_textgrid_tiers(path) == [Tier("嗯", [Interval(0.0, 1.0, "好", 12)], 7)]


def test_absent_tiers_are_none(tmp_path):
    text = '"ooTextFile"\n"TextGrid"\n0\n2.5\n<absent>\n'
    assert read_textgrid_tiers(grid(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"TextGrid"', '"PitchTier"', ":1: not a TextGrid"),
        ("xmin = 0.1", "xmin = 3", ":20: interval of SPK 1 ends (2.5) before it begins (3)"),
        ("size = 3\n", "size = 4\n", ":38: the TextGrid is cut off: a string should follow"),
        ("size = 2\n", "size = 2.5\n", ":14: 2.5 is not a number of intervals"),
        ("size = 2\n", "size = two\n", ":17: a string is needed, not 0.1: damaged"),
        ('class = "TextTier"', 'class = "Other"', ":25: unknown kind of tier 'Other'"),
        ('mark = "x"', 'mark = "x', ":34: unknown kind of tier"),
        ("intervals: size = 0", 'intervals: size = "', ":38: a string begins here and has no end"),
    ],
)
def test_errors_name_file_and_line(tmp_path, old, new, message):
    path = grid(tmp_path, LONG.replace(old, new, 1))
    with pytest.raises(DiarizeError) as caught:
        read_textgrid_tiers(path)
    said = str(caught.value)
    assert said.startswith(f"{path}:")
    assert message in said


def test_text_that_cannot_be_decoded(tmp_path):
    path = tmp_path / "r.TextGrid"
    path.write_bytes(SHORT.encode("gbk"))
    with pytest.raises(DiarizeError, match="r.TextGrid:8: not UTF-8 text"):
        read_textgrid_tiers(path)
