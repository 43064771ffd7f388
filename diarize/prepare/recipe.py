"""What the preparations of all corpora end with: the check of counts, the split, the writing."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from diarize.io.atomic import atomic_write
from diarize.prepare.counts import Counts, Expected, check_counts
from diarize.prepare.part import Part
from diarize.prepare.splits import DEFAULT_SEED, describe_rule, split_ids, write_split
from diarize.prepare.writer import write_part


def add_split_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--split-seed`` and ``--split-list`` for a corpus without a validation set."""
    parser.add_argument("--split-list", metavar="FILE",
                        help="a committed list of the 80/20 split, where the file exists")
    parser.add_argument("--split-seed", type=int, metavar="N",
                        help="a split by the rule with this seed, whatever the list says; "
                        f"without a list: {DEFAULT_SEED}")


def check_parts(
    corpus: str,
    parts: Mapping[str, tuple[Part, Expected]],
    any_counts: bool,
    total_hours: float | None = None,
) -> list[str]:
    """Return what is not as published of all parts: nothing, but for ``any_counts``.

    Called before any of them is written.  ``total_hours`` is that of all parts together, as papers
    round it: within 5 %.  The rest is as `check_counts` has it.
    """
    found = {name: part.counts() for name, (part, _) in parts.items()}
    checks = [(name, found[name], expected) for name, (_, expected) in parts.items()]
    whole = Counts(hours=sum(counts.hours for counts in found.values()))
    checks.append(("as a whole", whole, Expected(hours=total_hours, hours_tolerance=0.05)))
    return [
        f"{name}: {difference}"
        for name, counts, expected in checks
        for difference in check_counts(f"{corpus} {name}", counts, expected, any_counts)
    ]


def split_part(part: Part, args: argparse.Namespace, label: str = "") -> tuple[Part, Part, str]:
    """Return training part, validation part, and the rule that made them, in words.

    The list goes to ``<out>/split<label>.txt``; what was left out stays with training.
    """
    listed, seed = args.split_list, args.split_seed
    if seed is not None or listed is None or not Path(listed).exists():
        listed, seed = None, DEFAULT_SEED if seed is None else seed
    split = split_ids(part.ids, listed, seed, partial=args.any_counts)
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
    sets: Mapping[str, Part],
    options: Mapping[str, object],
    differs: Sequence[str] = (),
) -> None:
    """Write every part as the data directory ``<out>/<name>``; ``differs`` is of `check_parts`."""
    for name, part in sets.items():
        write_part(Path(out) / name, part, options, differs)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` unless it is there already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_write(path) as handle:
            handle.write(text)
