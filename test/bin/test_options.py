"""The options of all commands, parsed by one parser."""

import argparse
import ast
import importlib
from pathlib import Path

import pytest

import diarize
from diarize.bin import plot, prepare, rttm, train
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


@pytest.mark.parametrize(
    "words",
    [
        "score -r r -s s --collar=-1",
        "score -r r -s s --bootstrap=-1",
        "score_language -r r -s s --window=0",
        "infer r.wav --model m --num-speakers 0",
        "infer r.wav --model m --query-threshold 1.5",
        "postprocess apply --posteriors p --out o --max-languages 0",
        "posteriors --out o --num-jobs 0",
        "posteriors --out o --merge 0",
        "average --exp e --num 0",
        "train --skip-bad=-1",
        "datadir split data 0",
        "rttm merge a.rttm --gap=-1",
        "simulate write --manifest m --out o --num-jobs 0",
        "simulate conversations --data d --stats s --out o --num-mixtures 1 --num-speakers 4-2",
        "sad detect --data d --out o --pad=-1",
        "prepare folders --out o --audio a --rttm r --dev-share 2",
    ],
)
def test_a_value_out_of_range_is_refused_by_the_parser(words, capsys):
    name, *arguments = words.split()
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"diarize.bin.{name}").main(arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    option = next((word for word in reversed(arguments) if word.startswith("--")), "parts")
    assert option.split("=")[0] in err


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
    assert rttm.make_parser().parse_args(words).labels == ["A", "B"]


MODULES = {}


def module_of(name):
    """The module of a command or subcommand."""
    return MODULES[name.split()[0]]


def all_commands():
    """Name -> parser, of all commands and subcommands, from the entry points of setup.py."""
    tree = ast.parse((Path(__file__).parents[2] / "setup.py").read_text())
    commands = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "COMMANDS"
    )
    found = {}
    for command, name in commands.items():
        if name == "md_eval":  # it has the options of md-eval.pl
            continue
        module = importlib.import_module(f"diarize.bin.{name}")
        found[command] = module.make_parser()
        MODULES[command] = module.__name__
    found["diarize-plot curves"] = plot.make_curves_parser()
    for name, each in list(found.items()):
        for action in each._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= {f"{name} {key}": sub for key, sub in action.choices.items()}
    return found


COMMANDS = all_commands()
# Kaldi's scripts name the options of diarize-datadir: --speakers and --shortest of subset.
KALDI = ("diarize-datadir subset", "diarize-datadir copy", "diarize-datadir fix")
# Options of one meaning whose values are written in different ways.
FREE = {
    "--audio",  # paths, or for an archive a pattern
    "--rttm",
    "--languages",  # of a corpus, or the pairs of a simulation
    "--num-speakers",  # a number, or a range
    "--ref",  # with a name where several versions of a reference are compared
    "--valid",  # a data directory, or its name below --data-root
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_each_option_with_a_text(name, capsys):
    command = COMMANDS[name]
    with pytest.raises(SystemExit) as stop:
        command.parse_args(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for action in command._actions:
        for option in action.option_strings:
            assert option in shown
        if action.option_strings:
            assert action.help, action.option_strings
    if " " not in name:
        with pytest.raises(SystemExit) as stop:
            command.parse_args(["--version"])
        assert stop.value.code == 0
        assert capsys.readouterr().out == f"{name} {diarize.__version__}\n"


def test_an_option_has_the_same_form_in_all_commands():
    """--hyp here and -s there, --output and --out, two names for a data directory."""
    forms = {}
    for name, command in COMMANDS.items():
        for action in command._actions:
            if not action.option_strings or name in KALDI:
                continue
            option = next(x for x in action.option_strings if x.startswith("--"))
            values = "flag" if action.nargs == 0 else "value"
            form = (tuple(action.option_strings), values)
            forms.setdefault(option, {}).setdefault(form, []).append(name)
    different = {option: form for option, form in forms.items() if len(form) > 1}
    assert not different


def test_a_value_has_the_same_name_in_all_commands():
    kinds = {"RTTM": "PATH", "YAML": "FILE", "DIR": "PATH", "FILE": "PATH", "NAME=RTTM": "PATH"}
    names = {}
    for name, command in COMMANDS.items():
        for action in command._actions:
            if not action.option_strings or action.nargs == 0 or name in KALDI:
                continue
            option = action.option_strings[-1]
            metavar = action.metavar or ("CHOICE" if action.choices else "")
            assert metavar, (name, option)
            names.setdefault(option, {}).setdefault(kinds.get(metavar, metavar), []).append(name)
    different = {key: x for key, x in names.items() if len(x) > 1 and key not in FREE}
    assert not different
