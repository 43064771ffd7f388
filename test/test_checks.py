"""Checks of configuration values and of command line options."""

import math

import pytest

from diarize import checks
from diarize.bin.common import command_parser
from diarize.errors import DiarizeError

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (lambda **v: checks.at_least(2, **v), [2, 2.5], [1, 1.99, INF, NAN]),
        (checks.non_negative, [0, 0.0, 3], [-1, -1e-9, INF, NAN]),
        (checks.positive, [1e-9, 5], [0, -1, INF, NAN]),
        (checks.fraction, [0, 0.5, 1], [-0.1, 1.1, INF, NAN]),
        (checks.inner_fraction, [0.1, 0.9], [0, 1, -1, NAN]),
        (lambda **v: checks.one_of(("a", "b"), **v), ["a", "b"], ["c", "ab", ""]),
    ],
)
def test_a_value_outside_is_named_with_its_option(check, good, bad):
    check(first=good[0], absent=None)
    for value in good:
        check(value=value)
    for value in bad:
        with pytest.raises(DiarizeError) as caught:
            check(first=good[0], some_option=value)
        assert str(caught.value).startswith("some_option must be ")
        assert str(caught.value).endswith(f", not {value!r}")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (checks.count, {"1": 1, "30": 30}, ["0", "-1", "1.5", "x", str(2**32)]),
        (checks.natural, {"0": 0, "4294967295": 2**32 - 1}, ["-1", "1e3", "4294967296"]),
        (checks.amount, {"0": 0.0, "1e-3": 0.001}, ["-0.1", "nan", "inf", "1s"]),
        (checks.size, {"0.5": 0.5}, ["0", "-2", "nan", "inf"]),
        (checks.probability, {"0": 0.0, "1": 1.0}, ["1.01", "-0.5", "nan"]),
        (checks.limit, {"-inf": -INF, "3": 3.0}, ["nan", "late"]),
        (checks.sample_rate, {"8000": 8000}, ["0", "800", "16000.0"]),
        (checks.number_range(checks.integer, 1), {"2": (2, 2), "1-4": (1, 4)}, ["4-1", "0-2", "-"]),
        (checks.number_range(checks.finite), {"-5--3": (-5.0, -3.0)}, ["3-", "1-2-3", "nan"]),
    ],
)
def test_an_option_outside_is_one_line_and_status_2(kind, good, bad, capsys):
    parser = command_parser("some-command", None)
    parser.add_argument("--option", type=kind)
    for text, value in good.items():
        assert parser.parse_args([f"--option={text}"]).option == value
    for text in bad:
        with pytest.raises(SystemExit) as stop:
            parser.parse_args([f"--option={text}"])
        assert stop.value.code == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1
        assert "--option" in err
        assert text in err
