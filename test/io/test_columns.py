"""Plain RTTM read in columns: the same as line by line, bit for bit, or left to that reader."""

import random

import numpy as np
import pytest

from diarize.io.columns import NameBuilder, NameColumn, plain_turns

LINE = b"SPEAKER r 1 0.5 2 <NA> <NA> ann <NA> <NA>\n"


@pytest.mark.parametrize("tail", [b"", b" <NA>"], ids=["9 fields", "10 fields"])
def test_columns_are_those_of_splitting_each_line(tail):
    rnd = random.Random(7)
    lines = []
    for _ in range(500):
        number = [f"{rnd.uniform(0, 10**k):.{rnd.randrange(7)}f}" for k in (5, 2)]
        number += [rnd.choice(["5.", ".25", "007", "0", "1e2"])] * (rnd.random() < 0.1)
        name = "".join(rnd.choices("aé%_.-9", k=rnd.choice([1, 7, 8, 9, 16, 30])))
        gap = rnd.choice([" ", "\t", "   "])
        text = gap.join(["SPEAKER", name, "1", *number[-2:], "<NA>", "<NA>", name[::-1], "<NA>"])
        lines.append(text.encode() + tail + rnd.choice([b"", b" ", b"\r"]))
    plain = plain_turns(b"\n".join(lines))
    fields = [line.split() for line in lines]
    assert list(plain.recording) == [f[1] for f in fields]
    assert list(plain.label) == [f[7] for f in fields]
    assert plain.start.tolist() == [float(f[3]) for f in fields]
    assert plain.duration.tolist() == [float(f[4]) for f in fields]
    assert len(plain.recording.names) == len(set(plain.recording))


@pytest.mark.parametrize(
    "block",
    [
        LINE + b"\n" + LINE,
        b"\n" + LINE,
        LINE.replace(b"SPEAKER", b"speaker"),
        LINE + b";; comment of ten words a b c d e f\n",
        LINE + LINE.replace(b" <NA>\n", b"\n"),
        LINE.replace(b" ann", b"") + LINE.replace(b"ann", b"ann lee"),
        LINE.replace(b"ann <NA>", b"ann\n<NA>") + LINE,
        LINE.replace(b"ann", b"a\0n"),
        *(LINE.replace(b"0.5", bad) for bad in (b".", b"1.2.3", b"1_0", b"nan", b"1s", b"9" * 400)),
    ],
)
def test_what_is_not_plain_is_left_to_the_other_reader(block):
    assert plain_turns(block) is None


def test_long_decimals_are_the_nearest_double():
    for text in (b"0.30000000000000004", b"12345678.1234567", b"-0.5", b"999999999.99999"):
        assert plain_turns(LINE.replace(b"0.5", text)).start.tolist() == [float(text)]


def test_a_subtype_is_told():
    assert not plain_turns(LINE).subtype
    assert plain_turns(LINE.replace(b"<NA> ann", b"eval ann")).subtype


def test_joined_and_paired_columns():
    builder = NameBuilder()
    builder.add(["b", "a"], np.array([1, 0, 0]))
    builder.add(["a", "c"])
    column = builder.column()
    assert list(column) == ["a", "b", "b", "a", "c"]
    assert column.lookup({"a": 3, "c": 4}).tolist() == [3, -1, -1, 3, 4]
    pairs = column.paired(NameColumn.of(["1", "1", "2", "1", "1"]))
    assert list(pairs) == [("a", "1"), ("b", "1"), ("b", "2"), ("a", "1"), ("c", "1")]
    assert len(pairs.names) == 4
    assert list(NameBuilder().column().paired(NameBuilder().column())) == []
