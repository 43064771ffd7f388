"""Limits on the number of speakers or languages, and the number of queries of the model."""

import argparse
import logging
from collections.abc import Mapping
from typing import Any

from diarize import checks
from diarize.errors import DiarizeError

_log = logging.getLogger(__name__)

NOUNS = ("speakers", "languages")
LIMITS = {"num": "exactly", "min": "at least", "max": "at most"}


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add --num-speakers, --min-speakers, ..., --max-languages."""
    for noun, which in (("speakers", ""), ("languages", ", with a model for languages")):
        for limit, words in LIMITS.items():
            parser.add_argument(
                f"--{limit}-{noun}", type=checks.count, metavar="N", help=f"{words} N {noun}{which}"
            )


def given_limits(args: argparse.Namespace) -> dict[str, int | None]:
    """Return the values of the options of `add_limits`."""
    return {
        f"{limit}_{noun}": getattr(args, f"{limit}_{noun}")
        for noun in NOUNS
        for limit in LIMITS
    }


def own_options(
    options: Mapping[str, Any], task: str, num_queries: int | None = None
) -> dict[str, Any]:
    """Return ``options`` under the names of `PostprocessOptions`, without those that are None.

    ``num_languages`` is ``num_speakers`` of a model for languages, and so on.  Raises DiarizeError
    for limits of the other task, below 1, or above ``num_queries``, those that the model has.
    """
    own = f"{task}s"
    out = {}
    for name, value in options.items():
        if value is None:
            continue
        limit, _, noun = name.partition("_")
        if limit not in LIMITS or noun not in NOUNS:
            out[name] = value
            continue
        if noun != own:
            raise DiarizeError(
                f"{name}: the model is for {own}; use {limit}_{own} (--{limit}-{own})"
            )
        checks.at_least(1, **{name: value})
        if num_queries and limit != "max" and value > num_queries:
            raise DiarizeError(
                f"{name} is {value}, but the model has {num_queries} queries, each for one of the "
                f"{own}; set it to {num_queries} or less"
            )
        out[f"{limit}_speakers"] = value
    return out


def warn_of_exhausted_queries(
    recording: str, queries: Mapping[str, list[int]], num_queries: int, task: str
) -> None:
    """Warn if all queries, or all but one, are active: there may be more speakers than found.

    ``queries`` are those of each label.
    """
    active = sum(len(of_label) for of_label in queries.values())
    if active >= max(2, num_queries - 1):
        _log.warning(
            "recording %s: %d of the model's %d queries are active; there may be more %ss than "
            "it can separate", recording, active, num_queries, task,
        )  # fmt: skip
