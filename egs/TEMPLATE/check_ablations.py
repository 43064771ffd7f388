#!/usr/bin/env python3
"""Whether each variant of a list of ablations changes the configuration, and no two are the same.

    egs/TEMPLATE/check_ablations.py conf/train.yaml conf/ablations.txt

The list has lines ``table|variant|published DER or nothing|overrides``, ``#`` begins a comment.
Overrides are those of ``diarize-train --set``; the word ``init=NAME`` names the model to start
from.  A table holds a variant once; one variant of a table may be the configuration itself
(no overrides).  Ends with status 1 and the line that is wrong.
"""

import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from diarize.bin.common import run_command
from diarize.config import apply_overrides, dump_yaml, read_yaml
from diarize.errors import DiarizeError
from diarize.io.table import read_text


class Variant(NamedTuple):
    """One row of a table of ablations; ``settings`` are overrides, ``where`` is file:line."""

    table: str
    name: str
    published: str
    settings: tuple[str, ...]
    init: str
    where: str


def read_variants(path: str) -> list[Variant]:
    """Return the variants of a list; raises DiarizeError naming file and line of a bad one."""
    out = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 4 or not all(fields[:2]):
            raise DiarizeError(f"{path}:{number}: not 'table|variant|published DER|overrides'")
        words = fields[3].split()
        settings = tuple(word for word in words if not word.startswith("init="))
        init = "".join(word.removeprefix("init=") for word in words if word.startswith("init="))
        out.append(Variant(*fields[:3], settings, init, f"{path}:{number}"))
    return out


def check(config: str, variants: list[Variant]) -> None:
    """Raise DiarizeError for a variant that changes nothing, or occurs twice."""
    from diarize.tasks.registry import config_mapping, parse_config

    def whole(settings: tuple[str, ...], where: str) -> str:
        mapping = apply_overrides(read_yaml(config), list(settings))
        return dump_yaml(config_mapping(parse_config(mapping, where)))

    base = whole((), config)
    seen: dict[tuple[str, str], Variant] = {}
    for variant in variants:
        given = whole(variant.settings, f"{variant.where} ({variant.name})")
        if variant.settings and given == base:
            settings = " ".join(variant.settings)
            raise DiarizeError(
                f"{variant.where}: '{variant.name}' changes nothing: {config} has {settings} "
                "already; leave its overrides empty, or use others"
            )
        for setting in variant.settings:
            if whole((setting,), variant.where) == base:
                raise DiarizeError(f"{variant.where}: {setting} is what {config} has already")
        key = (variant.table, given)
        if key in seen:
            raise DiarizeError(
                f"{variant.where}: '{variant.name}' is the same as '{seen[key].name}'"
            )
        seen[key] = variant


def main(argv: list[str]) -> int:
    """Return the exit status."""
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 1
    return run_command(lambda: check(argv[0], read_variants(argv[1])), "check_ablations.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
