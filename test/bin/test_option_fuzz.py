"""Every option of every command: repeated, empty, absent, with odd values and missing files.

Each command line ends with status 0, or with one line on standard error and another status; none
with a traceback, and none hangs.  A sample is run; DIARIZE_FUZZ=all runs all of them, and
DIARIZE_FUZZ_SEED chooses another sample.
"""

import argparse
import contextlib
import importlib
import io
import os
import random
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from diarize.io.audio import write_wav

sys.path.insert(0, str(Path(__file__).parent))
from test_options import COMMANDS, module_of

SAMPLE = 120
SECONDS = 60  # of one command line
VALUES = {
    "empty": "",
    "blank": " ",
    "blanks": "a b, 'c'",
    "unicode": "ä\u3000字\u202f",
    "not UTF-8": "\udcff\udcfe",
    "a missing file": "/nowhere/x y",
    "a directory": ".",
    "not a number": "nan",
    "negative": "-1",
    "zero": "0",
    "infinite": "inf",
    "huge": "99999999999999999999",
    "a pattern": "*",
    "a comma": ",",
    "an equals sign": "=",
    "a dash": "-",
}
WAYS = [*VALUES, "repeated", "without value", "absent"]
TURN = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with small valid inputs, in which commands succeed."""
    root = tmp_path_factory.mktemp("fuzz")
    rng = np.random.default_rng(0)
    (root / "data").mkdir()
    names = [f"s{i}-u{j}" for i in range(2) for j in range(2)]
    for name in names:
        write_wav(root / f"data/{name}.wav", 0.1 * rng.standard_normal(8000), 16000)
    scp = "".join(f"{name} {root}/data/{name}.wav\n" for name in names)
    (root / "data/wav.scp").write_text(scp)
    (root / "data/utt2spk").write_text("".join(f"{name} {name[:2]}\n" for name in names))
    (root / "data/spk2utt").write_text("s0 s0-u0 s0-u1\ns1 s1-u0 s1-u1\n")
    (root / "data/utt2lang").write_text("".join(f"{name} {name[-2:]}\n" for name in names))
    (root / "data/rttm").write_text("".join(TURN.format(n, 0, 0.4, n[:2]) for n in names))
    (root / "data/uem").write_text("".join(f"{name} 1 0 0.5\n" for name in names))
    (root / "data/reco2dur").write_text("".join(f"{name} 0.5\n" for name in names))
    return root


RTTM, UEM = "data/rttm", "data/uem"
# Command lines that succeed; of all others, required options name a missing file.
VALID = {
    "diarize-score": ["-r", RTTM, "-s", RTTM, "-u", UEM],
    "diarize-score-language": ["-r", RTTM, "-s", RTTM, "-u", UEM],
    "diarize-baselines": ["-r", RTTM, "-u", UEM],
    "diarize-rttm validate": [RTTM],
    "diarize-rttm convert": [RTTM, "--to", "ctm"],
    "diarize-rttm merge": [RTTM],
    "diarize-rttm filter": [RTTM],
    "diarize-rttm stats": [RTTM],
    "diarize-datadir validate": ["data"],
    "diarize-datadir copy": ["data", "copy"],
    "diarize-datadir subset": ["data", "1", "subset"],
    "diarize-datadir combine": ["combined", "data"],
    "diarize-datadir split": ["data", "2"],
    "diarize-datadir reference": ["data"],
    "diarize-datadir split-by-language": ["data", RTTM, "languages"],
    "diarize-sad detect": ["--data", "data", "--out", "speech"],
    "diarize-simulate manifest": [
        "--data", "data", "--num-speakers", "2", "--beta", "1", "--num-mixtures", "2",
        "--min-utts", "1", "--max-utts", "2", "--out", "mixture.scp",
    ],
    "diarize-simulate code-switch": [
        "--data", "data", "--num-mixtures", "2", "--intra", "0", "--out", "cs.scp",
    ],
    "diarize-simulate statistics": ["--rttm", RTTM, "--out", "stats.json"],
}  # fmt: skip


def base_line(name: str) -> list[str]:
    """The words of a command line of ``name``, without the command and subcommand."""
    if name in VALID:
        return list(VALID[name])
    out = []
    for action in COMMANDS[name]._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        value = {int: "1", float: "1"}.get(action.type, "none/none")
        if action.choices:
            value = str(next(iter(action.choices)))
        if not action.option_strings and action.nargs not in ("?", "*"):
            out.insert(0, value)
        elif action.option_strings and action.required:
            out += [action.option_strings[-1], value]
    return out


def lines_of(name: str):
    """Yield (way, option, words) of all command lines of ``name``."""
    base = base_line(name)
    yield "as it is", "", base
    yield "without words", "", []
    yield "an unknown option", "", [*base, "--no-such-option", "1"]
    for action in COMMANDS[name]._actions:
        if not action.option_strings or action.dest in ("help", "version"):
            continue
        option = action.option_strings[-1]
        rest = list(base)
        value = "1"
        for spelling in action.option_strings:
            if spelling in rest:
                place = rest.index(spelling)
                value = rest[place + 1]
                del rest[place : place + 2]
        for way in WAYS:
            if action.nargs == 0 and way not in ("repeated", "without value"):
                continue
            words = {"repeated": [option, value] * 2, "without value": [option], "absent": []}
            if action.nargs == 0:
                words["repeated"] = [option] * 2
            yield way, option, [*rest, *words.get(way, [option, VALUES.get(way, "")])]


def all_lines() -> list[tuple[str, str, str, list[str]]]:
    leaves = [n for n in COMMANDS if not any(other.startswith(f"{n} ") for other in COMMANDS)]
    return [(name, *line) for name in leaves for line in lines_of(name)]


def too_slow(number, frame):
    raise TimeoutError


def run(name: str, words: list[str]) -> tuple[int, str]:
    """Return status and standard error of the command line, run in this process."""
    main = importlib.import_module(module_of(name)).main
    argv = [*name.split()[1:], *words]
    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(argv) or 0
            except SystemExit as stop:
                status = stop.code or 0
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return status, err.getvalue()


def fault_of(name: str, words: list[str]) -> str:
    """Return what is wrong with the end of a command line, "" if nothing."""
    try:
        status, err = run(name, words)
    except BaseException as caught:
        return f"{type(caught).__name__}: {str(caught)[:200]}"
    errors = [line for line in err.splitlines() if "error: " in line]
    if "Traceback" in err:
        return "a traceback"
    if status and not err.strip():
        return f"status {status} without a word"
    if status and not name.startswith("diarize-datadir validate") and len(errors) != 1:
        return f"status {status} with {len(errors)} lines of errors: {err[:200]!r}"
    return f"status 0 with an error: {errors[0]}" if errors and not status else ""


def test_every_option_ends_in_a_result_or_in_one_line(place, monkeypatch):
    monkeypatch.chdir(place)
    lines = all_lines()
    seed = int(os.environ.get("DIARIZE_FUZZ_SEED", "0"))
    if os.environ.get("DIARIZE_FUZZ") != "all":
        lines = random.Random(seed).sample(lines, SAMPLE)
    found = []
    for name, way, option, words in lines:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fault = fault_of(name, words)
        if fault:
            found.append(f"{name} {words} ({option} {way}): {fault}")
    print(f"{len(lines)} command lines, seed {seed}, {len(found)} faults", file=sys.__stderr__)
    assert not found, "\n".join(found)
