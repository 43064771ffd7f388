"""Running of a command: one line for a user's mistake, no traceback, a true exit status."""

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
        # One write: the lines of several processes shall not run into each other.
        sys.stderr.write(f"{prog}: error: {err}\n")
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone: not an error, and nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as err:
        where = f"{err.filename}: " if err.filename else ""
        sys.stderr.write(f"{prog}: error: {where}{err.strerror or err}\n")
    return 1


class _Once(argparse.Action):
    """An option with one value: a second one is refused, not taken in place of the first."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if getattr(namespace, self.dest, self.default) is not self.default:
            parser.error(f"argument {option_string}: given twice; give one value")
        setattr(namespace, self.dest, values)


def refuse_repeats(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser, whose options are then taken once, but for those that append."""
    parser.register("action", None, _Once)
    return parser
