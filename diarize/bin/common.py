"""Common parts of commands: the parser of options, errors in one line, exit status."""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from diarize import __version__
from diarize.checks import finite, integer
from diarize.errors import DiarizeError


def run_command(body: Callable[[], int | None], prog: str) -> int:
    """Return the status of ``body()``; a DiarizeError or OSError becomes one line and status 1.

    Standard output is UTF-8 in every locale.
    """
    _open_streams()
    try:
        status = body() or 0
        sys.stdout.flush()
        return status
    except DiarizeError as err:
        # One write, so that the lines of several processes are not mixed.
        sys.stderr.write(f"{prog}: error: {err}\n")
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe: no error, but nothing more can be printed.
        _discard_output()
        return 0
    except OSError as err:
        where = f"{err.filename}: " if err.filename else ""
        sys.stderr.write(f"{prog}: error: {where}{err.strerror or err}\n")
        _flush_or_discard()
    return 1


def _flush_or_discard() -> None:
    """Print the rest of the output, unless its device is full.

    Python would try again at its exit, and end with a message of its own and status 120.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _open_streams() -> None:
    """Make the standard streams usable: UTF-8, and a closed one fails like a full disk."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            # Also reserves the descriptor, which the next opened file would get.
            closed = os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)
            setattr(sys, name, os.fdopen(closed, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            errors = "backslashreplace" if descriptor == 2 else None
            stream.reconfigure(encoding="utf-8", errors=errors)


def command_parser(prog: str, description: str | None) -> "CommandParser":
    """Return the parser of a command, with ``--help`` and ``--version``."""
    parser = CommandParser(prog=prog, description=description)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_allow_pipes(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow-pipes``, as in all commands that read the audio of a data directory."""
    parser.add_argument("--allow-pipes", action="store_true",
                        help="run 'command |' entries of wav.scp in the shell")


def plain_text(text: str) -> str:
    """Return the text of an option that is written to files, which are UTF-8.

    File names are not checked: those of the system may have any bytes.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from None
    return text


class CommandParser(argparse.ArgumentParser):
    """Parser of the options of a command or subcommand.

    A list option (``nargs`` "+" or "*", ``action="append"``) may be repeated and collects the
    values of all occurrences.  Any other repeated option is an error, as is an empty value unless
    the default is empty too.  Integers are limited to 32 bits, and numbers (``type=float``) are
    finite.  Options are not abbreviated.  An error is one line on standard
    error, with status 2.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**{"allow_abbrev": False, **settings})
        self.register("type", int, integer)
        self.register("type", float, finite)
        for name in (None, "store", "append", "extend"):
            lists = name in ("append", "extend")
            self.register("action", name, functools.partial(_Store, lists=lists))
        self.register("action", "store_true", functools.partial(_Flag, const=True, default=False))
        self.register("action", "store_const", _Flag)

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Return the parsed options and the unknown words."""
        for action in self._actions:
            action.used = False
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and ``message`` in one line."""
        line = " ".join(message.split())
        self.exit(2, f"{self.prog}: error: {line}; see '{self.prog} --help'\n")


class _Once(argparse.Action):
    """An option that may be used once."""

    used = False

    def _use(self, option: str | None) -> None:
        if self.used and option:
            raise argparse.ArgumentError(self, "used twice; use it once")
        self.used = True


class _Store(_Once):
    """An option with a value, or with a list that repetitions extend."""

    def __init__(self, option_strings: list[str], dest: str, lists: bool = False, **rest: Any):
        super().__init__(option_strings, dest, **rest)
        self.lists = lists or self.nargs in ("+", "*")
        if self.type in (None, str, Path, plain_text) and self.default != "":
            self.type = functools.partial(_not_empty, self.type or str)

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if self.lists:
            values = values if isinstance(values, list) else [values]
            if self.used:
                values = [*getattr(namespace, self.dest), *values]
            self.used = True
        else:
            self._use(option_string)
        setattr(namespace, self.dest, values)


class _Flag(_Once):
    """An option without a value."""

    def __init__(self, option_strings: list[str], dest: str, **rest: Any):
        super().__init__(option_strings, dest, nargs=0, **rest)

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        self._use(option_string)
        setattr(namespace, self.dest, self.const)


def _not_empty(convert: Callable[[str], Any], text: str) -> Any:
    if not text:
        raise argparse.ArgumentTypeError("the value is empty")
    return convert(text)
