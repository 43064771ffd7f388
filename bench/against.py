"""Speed beside another commit: simulation, training step and scoring, in alternating processes.

    python bench/against.py COMMIT [--rounds 5] [--what simulate train score]

Both trees run their own bench/simulate.py and bench/train.py on one corpus, and score the same
files, in turn.  All figures are of CPU time, so that other processes on the machine hardly count.
A ratio is the time of COMMIT divided by that of this tree: above 1, this tree is faster.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from score import ROOT, run_command, stress_files
from simulate_corpus import make_corpus

# Figures in x real time, with the names that they had before.
RATES = {
    "simulate": {"simulate_mixer_crop": "mixer, crops", "simulate_arena_crop": "mixer, crops"},
    "train": {"train_mini_cpu_rate": "training step"},
}
ARGUMENTS = {
    "simulate": ["--rounds", "1", "--mixtures", "8"],
    "train": ["--configs", "mini", "--steps", "2", "--mixtures", "40"],
}


def check_out(commit: str, folder: Path) -> Path:
    """Return ``folder`` with the files of ``commit``."""
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    subprocess.run(["git", "archive", "-o", str(archive), commit], cwd=ROOT, check=True)
    subprocess.run(["tar", "xf", str(archive), "-C", str(folder)], check=True)
    return folder


def rates(tree: Path, what: str, corpus: Path) -> dict[str, float]:
    """Return the figures of bench/``what``.py of a tree by name, as seconds of CPU per second."""
    env = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, f"bench/{what}.py", "--corpus", str(corpus), *ARGUMENTS[what]]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=True)
    found = re.findall(r"BENCH name=(\S+) value=(\S+)", done.stdout)
    return {RATES[what][key]: 1 / float(value) for key, value in found if key in RATES[what]}


def scoring(tree: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of CPU in which the tree scores the files in ``folder``."""
    files = [word for key in "rsu" for word in (f"-{key}", str(folder / key))]
    command = [sys.executable, "-m", "diarize.bin.md_eval", "-af", "-c", "0.25", *files]
    return {"scoring": run_command(command, tree)[1]}


def main(argv: list[str] | None = None) -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", nargs="+", choices=("simulate", "train", "score"),
                        default=["simulate", "train", "score"])  # fmt: skip
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        trees = [check_out(args.commit, root / "other"), ROOT]
        corpora = [root / "corpus", root / "same"]  # each tree keeps its own decoded audio
        for corpus in corpora:
            corpus.mkdir()
        make_corpus(corpora[0], 40)
        for name in ("dry.scp", "mixture.scp"):
            shutil.copy(corpora[0] / name, corpora[1] / name)
        stress_files(root, 1000, 20, 4, 0.02)
        ratios: dict[str, list[float]] = {}
        for _ in range(args.rounds):
            for what in args.what:
                old, new = (
                    scoring(tree, root) if what == "score" else rates(tree, what, corpus)
                    for tree, corpus in zip(trees, corpora, strict=True)
                )
                for name in old:
                    ratios.setdefault(name, []).append(old[name] / new[name])
                    print(f"{name}: {old[name]:.4g} s, now {new[name]:.4g} s", flush=True)
    for name, found in ratios.items():
        spread = f"{min(found):.3f} to {max(found):.3f}"
        print(f"BENCH name={name.replace(' ', '_')} ratio={statistics.median(found):.3f} "
              f"against={args.commit} ({spread} in {len(found)} rounds)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
