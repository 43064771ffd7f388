"""Common last steps of all preparations: check of the counts, split, writing."""

import argparse
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from diarize import checks
from diarize.io.atomic import atomic_write
from diarize.prepare.counts import Counts, Expected, agreeing_reading, check_all
from diarize.prepare.part import CorpusPart
from diarize.prepare.splits import DEFAULT_SEED, describe_rule, split_ids, write_split
from diarize.prepare.writer import write_part


def add_split_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--split-seed`` and ``--split-list`` for a corpus without a validation set."""
    parser.add_argument("--split-list", default="", metavar="FILE",
                        help="committed list of the 80/20 split, used if the file exists")
    parser.add_argument("--split-seed", type=checks.natural, metavar="N",
                        help="split by the rule with this seed instead of the list; without a "
                        f"list: {DEFAULT_SEED}")


def check_parts(
    corpus: str,
    parts: Mapping[str, tuple[CorpusPart, Expected]],
    allowed: Collection[str],
    total_hours: float | None = None,
) -> list[str]:
    """Return the differences from the published figures that ``allowed`` names.

    Called before any part is written.  ``total_hours`` is the rounded length of all parts
    together, as papers print it: within 5 %.  Raises DiarizeError as `check_all` does.
    """
    found = {name: part.counts() for name, (part, _) in parts.items()}
    checks = [(name, found[name], expected) for name, (_, expected) in parts.items()]
    whole = Counts(hours=sum(counts.hours for counts in found.values()))
    checks.append(("as a whole", whole, Expected(hours=total_hours, hours_tolerance=0.05)))
    differs = check_all(corpus, checks, allowed)
    for name, counts, expected in checks:
        reading = agreeing_reading(counts, expected)
        if reading and reading[0]:
            differs.append(
                f"{corpus} {name}: the published {reading[1]} s of reference are those "
                f"{reading[0]}; here {counts.reference_seconds:.1f} s"
            )
            sys.stderr.write(f"{differs[-1]}\n")
    return differs


def split_part(
    part: CorpusPart, args: argparse.Namespace, label: str = ""
) -> tuple[CorpusPart, CorpusPart, str]:
    """Return training part, validation part, and the rule of the split in words.

    The list is written to ``<out>/split<label>.txt``; recordings that were left out stay with the
    training part.
    """
    listed, seed = args.split_list, args.split_seed
    if seed is not None or not listed or not Path(listed).exists():
        listed, seed = None, DEFAULT_SEED if seed is None else seed
    split = split_ids(part.ids, listed, seed, partial="recordings" in args.allow_counts)
    rule = describe_rule(seed) if listed is None else f"list {os.path.basename(listed)}"
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    write_split(out / f"split{label}.txt", split, rule)
    train = [key for key, where in split.items() if where == "train"]
    dev = [key for key, where in split.items() if where == "dev"]
    return (
        part.subset([*train, *part.left_out], f"{part.name} train"),
        part.subset(dev, f"{part.name} dev"),
        rule,
    )


def write_sets(
    out: str,
    sets: Mapping[str, CorpusPart],
    options: Mapping[str, object],
    differs: Sequence[str] = (),
) -> None:
    """Write every part as the data directory ``<out>/<name>``; ``differs``: from `check_parts`."""
    for name, part in sets.items():
        write_part(Path(out) / name, part, options, differs)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` unless the file has it already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_write(path) as handle:
            handle.write(text)
