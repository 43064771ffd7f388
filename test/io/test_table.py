"""Kaldi tables: what is read, what is refused with file and line, and what is written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarize.errors import DiarizeError
from diarize.io.names import normal_name
from diarize.io.table import line_of, read_table, write_table


@pytest.fixture
def table(tmp_path):
    """A function that writes bytes or text to a file and returns its path."""

    def write(content):
        path = tmp_path / "table"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_reads_rest_of_line(table):
    path = table("a  one two \nb\tthree\n")
    assert read_table(path) == {"a": "one two", "b": "three"}
    assert list(read_table(path)) == ["a", "b"]


def test_empty_file_is_an_empty_table(table):
    assert read_table(table(""), check_sorted=True) == {}


@pytest.mark.parametrize(
    ("content", "options", "line", "reason"),
    [
        ("a 1\n\nb 2\n", {}, 2, "empty line"),
        ("a 1\nb\n", {}, 2, "no value"),
        ("a 1\nb 2\na 3\n", {}, 3, "already on line 1"),
        ("a 1\r\n", {}, 1, "carriage return"),
        ("a 1\nb 2 3\n", {"fields": 2}, 2, "3 fields instead of 2"),
        ("a 1 2 3\nb 2 3\n", {"fields": 4}, 2, "3 fields instead of 4"),
        ("b 1\na 2\n", {"check_sorted": True}, 2, "not sorted"),
        ("a 1\nb 2", {"check_sorted": True}, 2, "cut short"),
        (b"a 1\nb \xff\n", {}, 2, "not UTF-8"),
        ("\ufeffa 1\n", {}, 1, "byte order mark"),
        ("a 1\nb \0\n", {}, 2, "NUL byte"),
    ],
)
def test_faults_name_file_and_line(table, content, options, line, reason):
    path = table(content)
    with pytest.raises(DiarizeError, match=reason) as caught:
        read_table(path, **options)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_order_is_that_of_bytes_not_of_a_locale(table):
    in_order = "B 1\na 2\na-b 3\na1 4\né 5\n日 6\n\U0001f600 7\n"
    assert len(read_table(table(in_order), check_sorted=True)) == 7
    with pytest.raises(DiarizeError, match="not sorted"):
        read_table(table("a 1\nB 2\n"), check_sorted=True)


def test_without_a_check_the_last_newline_may_be_missing(table):
    assert read_table(table("b 1\na 2 ")) == {"b": "1", "a": "2"}


def test_empty_transcripts_only_where_allowed(table):
    path = table("a hello\nb\nc \n")
    assert read_table(path, allow_empty=True) == {"a": "hello", "b": "", "c": ""}
    with pytest.raises(DiarizeError, match=r"table:2: no value after the key b"):
        read_table(path)


def test_unicode_blanks_stay_in_values(table):
    assert read_table(table("a x\u3000y\u2028z\n")) == {"a": "x\u3000y\u2028z"}


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(DiarizeError, match=r"cannot read .*nothing: No such file"):
        read_table(tmp_path / "nothing")
    with pytest.raises(DiarizeError, match=r"cannot read .*directory"):
        read_table(tmp_path)


def test_line_of(table):
    path = table("a 1\nab 2\nb 3\n")
    assert line_of(path, "b") == f"{path}:3"
    assert line_of(path, "zz") == str(path)


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1)
KEYS = KEYS.map(normal_name)
VALUES = st.lists(KEYS, min_size=1, max_size=3).map(" ".join)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(KEYS, VALUES))
def test_what_is_written_is_read_back(tmp_path_factory, mapping):
    path = tmp_path_factory.mktemp("table") / "t"
    write_table(path, mapping)
    assert read_table(path, check_sorted=True) == mapping
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines == sorted(lines, key=lambda line: line.split(b" ")[0])


@pytest.mark.parametrize(
    "mapping", [{"a b": "1"}, {"": "1"}, {"a": "x\ny"}, {"a": " x"}, {"a\n": "x"}]
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, mapping):
    with pytest.raises(DiarizeError, match="cannot write"):
        write_table(tmp_path / "t", mapping)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_directory(tmp_path):
    with pytest.raises(DiarizeError, match=r"cannot write .*none/t"):
        write_table(tmp_path / "none" / "t", {"a": "1"})
