"""Common parts of commands: errors in one line without traceback, exit status, options."""

import argparse
import os
import sys
from collections.abc import Callable

from diarize.errors import DiarizeError


def run_command(body: Callable[[], int | None], prog: str) -> int:
    """Return the status of ``body()``; a DiarizeError or OSError becomes one line and status 1."""
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as err:
        where = f"{err.filename}: " if err.filename else ""
        sys.stderr.write(f"{prog}: error: {where}{err.strerror or err}\n")
    return 1


class _Once(argparse.Action):
    """An option with one value; a second one is an error."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if getattr(namespace, self.dest, self.default) is not self.default:
            parser.error(f"argument {option_string}: used twice; use it once")
        setattr(namespace, self.dest, values)


def refuse_repeats(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser; options added later are refused when repeated, unless they append."""
    parser.register("action", None, _Once)
    return parser
