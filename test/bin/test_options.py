"""The options of all commands, parsed by one parser."""

import pytest

from diarize.bin import prepare, rttm, train
from diarize.bin.common import command_parser


def parser():
    out = command_parser("some-command", None)
    out.add_argument("-l", "--list", nargs="+", type=int, default=[1])
    out.add_argument("--each", action="append", default=["a"])
    out.add_argument("--one", type=int, default=0)
    out.add_argument("--name", default="x")
    out.add_argument("--may-be-empty", default="")
    out.add_argument("--flag", action="store_true")
    sub = out.add_subparsers().add_parser("sub")
    sub.add_argument("--inner", action="store_true")
    group = sub.add_mutually_exclusive_group()
    group.add_argument("--file")
    group.add_argument("--how", action="store_const", const="how")
    return out


def test_repeated_lists_are_extended():
    found = parser().parse_args(["-l", "2", "3", "--list", "4", "--each", "b", "--each", "c"])
    assert (found.list, found.each) == ([2, 3, 4], ["b", "c"])
    found = parser().parse_args([])
    assert (found.list, found.each) == ([1], ["a"])


@pytest.mark.parametrize(
    "words",
    [
        ["--one", "0", "--one", "5"],  # the first value is the default
        ["--flag", "--flag"],
        ["sub", "--inner", "--inner"],
        ["sub", "--how", "--how"],
        ["sub", "--file", "a", "--file", "b"],
        ["--name", ""],
        ["--name="],
        ["--na=x", "sub"],  # abbreviated
        ["--one", "a\nb"],
    ],
)
def test_an_unclear_option_is_one_line_and_status_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(words)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("some-command")
    assert len(err.splitlines()) == 1
    assert next(word for word in words if word.startswith("-")).rstrip("=") in err


def test_a_parser_is_used_again():
    one = parser()
    for _ in range(2):
        found = one.parse_args(["--one", "1", "--flag", "--may-be-empty", "", "-l", "7"])
        assert (found.one, found.flag, found.may_be_empty, found.list) == (1, True, "", [7])


def test_train_audio_and_labels_are_extended():
    words = ["--config", "c", "--train", "A", "--train", "B", "C"]
    assert train.make_parser().parse_args(words).train == ["A", "B", "C"]
    words = ["folders", "--out", "o", "--rttm", "r", "--audio", "A", "--audio", "B"]
    assert prepare.make_parser().parse_args(words).audio == ["A", "B"]
    words = ["filter", "f", "--labels", "A", "--labels", "B"]
    assert rttm.parser().parse_args(words).labels == ["A", "B"]
