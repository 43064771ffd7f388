"""Copies the sets of several corpora as <name>_{train,dev,test}; joined: train, dev, test_all.

Standard input has lines ``<name> <recipe> <train> <dev> <test> ...`` (conf/corpora.txt): the sets
of a corpus are the directories of those names in <recipes>/<recipe>/data.  In the joined sets the
corpus comes before each id, since a meeting may occur with several microphones.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.kaldi.ops import combine_data_dirs, copy_data_dir
from diarize.prepare.writer import REPORT

PARTS = {"train": "train", "dev": "dev", "test": "test_all"}


def join_sets(lines: list[list[str]], recipes: Path, data: Path) -> None:
    """Write the sets below ``data``; raises DiarizeError for one that is not prepared."""
    for number, (part, together) in enumerate(PARTS.items()):
        with tempfile.TemporaryDirectory(dir=data, prefix=".joint.") as place:
            copies = []
            for name, recipe, *sets in (line[:5] for line in lines):
                source = recipes / recipe / "data" / sets[number]
                if not (source / "wav.scp").is_file():
                    raise DiarizeError(
                        f"{source}/wav.scp is missing: run stages 1 and 2 of egs/{recipe}"
                    )
                target = data / f"{name}_{part}"
                copy_data_dir(source, target)
                if (source / REPORT).is_file():  # for RESULTS.md
                    shutil.copyfile(source / REPORT, target / REPORT)
                copies.append(Path(place) / name)
                copy_data_dir(source, copies[-1], *[f"{name}-{{}}".format] * 3)
            for notice in combine_data_dirs(data / together, copies):
                print(f"{data / together}: {notice}", file=sys.stderr)
        print(f"{data / together}: {len(copies)} sets", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", type=Path, help="the directory egs")
    parser.add_argument("data", type=Path, help="where the sets go")
    args = parser.parse_args(argv)
    lines = [line.split() for line in sys.stdin]
    args.data.mkdir(parents=True, exist_ok=True)
    return run_command(lambda: join_sets(lines, args.recipes, args.data), "join_sets.py")


if __name__ == "__main__":
    sys.exit(main())
