import io

import pytest

from diarize.errors import DiarizeError
from diarize.io.rttm import format_rttm_line, read_rttm, write_rttm
from diarize.io.uem import read_uem, write_uem
from diarize.segments import Segment


def put(tmp_path, text, name="x.rttm"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_reads_speaker_and_language_lines_of_9_or_10_fields(tmp_path):
    path = put(
        tmp_path,
        ";; comment\n# too\n\nSPKR-INFO r 1 <NA> <NA> <NA> unknown ann <NA>\r\n"
        "SPEAKER r 1 0.5 1.5 <NA> <NA> ann <NA> <NA>\r\n"
        "LANGUAGE\tr 1 2 1 <NA> <NA> L1 <NA>",
    )
    assert read_rttm(path) == [Segment("r", 0.5, 2.0, "ann"), Segment("r", 2.0, 3.0, "L1")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SPEAKER r 1 0 1 <NA> <NA> a", "8 fields"),
        ("SPEAKER r 1 0 1 <NA> <NA> a b c d", "11 fields"),
        ("SPEAKER r 1 x 1 <NA> <NA> a <NA>", "field 4"),
        ("SPEAKER r 1 0 nan <NA> <NA> a <NA>", "field 5"),
        ("SPEAKER r 1 0 -1 <NA> <NA> a <NA>", "negative"),
        ("SPEKAER r 1 0 1 <NA> <NA> a <NA>", "field 1"),
    ],
)
def test_a_bad_line_names_file_line_and_field(tmp_path, line, message):
    path = put(tmp_path, f";; c\n{line}\n")
    with pytest.raises(DiarizeError, match=message) as err:
        read_rttm(path)
    assert f"{path}:2:" in str(err.value)


def test_bytes_that_are_not_utf8_name_the_line(tmp_path):
    path = put(tmp_path, b";;\nSPEAKER r\xff 1 0 1 <NA> <NA> a <NA>\n")
    with pytest.raises(DiarizeError, match="x.rttm:2: not UTF-8"):
        read_rttm(path)


def test_writing_keeps_abutting_segments_abutting(tmp_path):
    segments = [Segment("r", 0.0004, 1.00049, "a"), Segment("r", 1.00049, 2.0, "b")]
    write_rttm(tmp_path / "o.rttm", segments)
    assert read_rttm(tmp_path / "o.rttm") == [Segment("r", 0, 1.0, "a"), Segment("r", 1, 2, "b")]
    handle = io.StringIO()
    write_rttm(handle, segments)
    assert handle.getvalue() == (tmp_path / "o.rttm").read_text()


def test_a_name_with_a_blank_is_refused():
    with pytest.raises(DiarizeError, match="blank"):
        format_rttm_line(Segment("r", 0, 1, "a b"))


def test_uem_round_trip_and_faults(tmp_path):
    write_uem(tmp_path / "u", {"b": [(0, 1.5)], "a": [(2, 3), (5, 6.25)]})
    assert (tmp_path / "u").read_text().splitlines() == [
        "a 1 2.000 3.000", "a 1 5.000 6.250", "b 1 0.000 1.500",
    ]
    assert read_uem(tmp_path / "u") == {"a": [(2.0, 3.0), (5.0, 6.25)], "b": [(0.0, 1.5)]}
    for text, message in (
        ("a 1 0\n", "3 fields"), ("a 1 5 5\n", "ends"), ("a 1 0 x\n", "field 4"),
        ("a 1 0 5\na 1 4 6\n", ":2: regions of a overlap"),
    ):
        with pytest.raises(DiarizeError, match=message):
            read_uem(put(tmp_path, text, "bad.uem"))
