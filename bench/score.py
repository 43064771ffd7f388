"""Speed of the scorer beside others, in one interleaved run; optional ones are left out by name.

PYTHONPATH=. python bench/score.py --ref ref.rttm --sys hyp.rttm [--uem all.uem] [--rounds 5]
PYTHONPATH=. python bench/score.py --stress

Peers: md-eval.pl (Debian's sctk), spy-der, meeteval, pyannote.metrics (bench/requirements.txt).
"Scoring" is the call alone on data that is loaded, "process" a whole command.
"""

import argparse
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from diarize.io.rttm import read_turns
from diarize.io.uem import read_uem
from diarize.score.columns import extent, problem_from_turns
from diarize.score.der import Evaluation

ROOT = Path(__file__).resolve().parents[1]
MD_EVAL = os.environ.get("MD_EVAL_PL", "/usr/lib/sctk/bin/md-eval.pl")


class Data:
    """Files of a run, and the loaded input of each scorer."""

    def __init__(self, ref: Path, sys: Path, uem: Path | None) -> None:
        self.paths = (ref, sys, uem)
        self.ref, self.sys = read_turns(ref), read_turns(sys)
        self.uem = read_uem(uem) if uem else None
        if self.uem is None:
            problem = problem_from_turns(self.ref, self.sys)
            spans = extent(problem.ref.turns, len(problem.groups))
            rows = zip(spans.group, spans.start.tolist(), spans.end.tolist(), strict=True)
            self.uem = {problem.groups[g]: [(a, b)] for g, a, b in rows}

    def tuples(self, side) -> dict[str, list[tuple[str, float, float]]]:
        out: dict[str, list] = {name: [] for name in self.uem}
        rows = zip(side.recording, side.label, side.start.tolist(), side.end.tolist(), strict=True)
        for name, *row in rows:
            out.setdefault(name, []).append(tuple(row))
        return out


def ours(data: Data, collar: float) -> Callable[[], float]:
    def call() -> float:
        problem = problem_from_turns(data.ref, data.sys, data.uem)
        return Evaluation(problem).scores(collar).total.der

    return call


def spyder(data: Data, collar: float) -> Callable[[], float]:
    module = importlib.import_module("spyder")
    ref, sys = data.tuples(data.ref), data.tuples(data.sys)
    ref = {name: turns for name, turns in ref.items() if turns}
    uem = {name: data.uem[name] for name in ref}

    def call() -> float:
        return module.DER(ref, sys, uem, per_file=True, collar=collar)["Overall"].der

    return call


def pyannote(data: Data, collar: float) -> Callable[[], float]:
    core = importlib.import_module("pyannote.core")
    metrics = importlib.import_module("pyannote.metrics.diarization")
    sides = []
    for side in (data.ref, data.sys):
        annotations = {}
        for name, turns in data.tuples(side).items():
            one = annotations[name] = core.Annotation(uri=name)
            for track, (label, start, end) in enumerate(turns):
                one[core.Segment(start, end), track] = label
        sides.append(annotations)
    uem = {n: core.Timeline([core.Segment(*span) for span in s]) for n, s in data.uem.items()}

    def call() -> float:
        metric = metrics.DiarizationErrorRate(collar=2 * collar)
        for name, ref in sides[0].items():
            metric(ref, sides[1].get(name, core.Annotation(uri=name)), uem=uem[name])
        return abs(metric)

    return call


def meeteval(data: Data, collar: float) -> Callable[[], float]:
    io = importlib.import_module("meeteval.io")
    multifile = importlib.import_module("meeteval.der.nryant_dscore").dscore_multifile
    ref, sys = (io.RTTM.load(path) for path in data.paths[:2])
    uem = io.UEM.load(data.paths[2]) if data.paths[2] else None

    def call() -> float:
        results = multifile(ref, sys, collar=collar, uem=uem)
        error = sum(float(one.errors) for one in results.values())
        return error / sum(float(one.length) for one in results.values())

    return call


SCORERS = {
    "ours": ours,
    "spyder": spyder,
    "pyannote.metrics": pyannote,
    "meeteval (dscore)": meeteval,
}


def commands(data: Data, collar: float) -> dict[str, list[str]]:
    """Return the whole commands that can run here, by name."""
    ref, sys_path, uem = data.paths
    files = ["-r", str(ref), "-s", str(sys_path), *(["-u", str(uem)] if uem else [])]
    out = {"ours (md-eval)": [sys.executable, "-m", "diarize.bin.md_eval", "-af"]}
    if shutil.which("perl") and Path(MD_EVAL).is_file():
        out["md-eval.pl"] = ["perl", MD_EVAL, "-af"]
    else:
        print("left out: md-eval.pl (apt-get install sctk, or set MD_EVAL_PL)")
    out = {name: [*command, "-c", str(collar), *files] for name, command in out.items()}
    if importlib.util.find_spec("spyder"):
        script = [sys.executable, str(Path(__file__).resolve()), "--once", "spyder"]
        script += ["--ref", str(ref), "--sys", str(sys_path), "--collar", str(collar)]
        out["spyder (load and score)"] = script + (["--uem", str(uem)] if uem else [])
    return out


# A parent of a few MB: the peak of a child counts from the memory of its parent at the fork.
LAUNCHER = """
import os, resource, subprocess, sys, time
began = time.perf_counter()
null = subprocess.DEVNULL
code = subprocess.call(sys.argv[1:], stdout=null, stderr=null)
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def run_command(command: list[str], tree: Path | None = None) -> tuple[float, float, float]:
    """Return (seconds, of these seconds of CPU, peak MB) of a whole command, run in ``tree``."""
    env = {**os.environ, "PYTHONPATH": str(tree or ROOT), "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(
        launcher, capture_output=True, text=True, env=env, cwd=tree, check=True
    )
    code, *figures = done.stdout.split()
    if code != "0":
        raise SystemExit(f"failed with {code}: {' '.join(command)}")
    seconds, cpu, peak = map(float, figures)
    return seconds, cpu, peak


def show(title: str, rows: dict[str, list[float]], base: str, extra: dict[str, str]) -> None:
    """Print the median seconds of each row, and its ratio to ``base``."""
    medians = {name: sorted(times)[len(times) // 2] for name, times in rows.items()}
    unit = medians.get(base)
    print(f"{title}\n{'':28}{'seconds':>10}{'x ' + base:>18}  ")
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        ratio = f"{seconds / unit:.2f}" if unit else "-"
        print(f"{name:28}{seconds:10.3f}{ratio:>18}  {extra.get(name, '')}")
    print()


def compare(data: Data, collar: float, rounds: int, names: list[str]) -> None:
    """Print the scoring calls and the whole commands, each round all of them in turn."""
    calls, rows, notes = {}, {}, {}
    for name in names:
        try:
            call = SCORERS[name](data, collar)
            call()  # also a check: meeteval fetches md-eval.pl from the network
            calls[name] = call
        except (ImportError, OSError) as err:
            print(f"left out: {name} ({err})")
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            der = call()
            rows.setdefault(name, []).append(time.perf_counter() - started)
            notes[name] = f"DER {100 * der:.4f}"
        started = time.perf_counter()
        _ = [read_turns(path) for path in data.paths[:2]]
        rows.setdefault("(ours, reading both RTTM)", []).append(time.perf_counter() - started)
    show(f"Scoring call alone, {rounds} rounds, collar {collar}", rows, "spyder", notes)
    rows, cpu_rows, notes = {}, {}, {}
    for _ in range(rounds):
        for name, command in commands(data, collar).items():
            seconds, cpu, peak = run_command(command)
            rows.setdefault(name, []).append(seconds)
            cpu_rows.setdefault(name, []).append(cpu)
            notes[name] = f"{peak:.0f} MB"
    show(f"Whole process, {rounds} rounds", rows, "ours (md-eval)", notes)
    # On a busy machine wall-clock seconds are not comparable.
    show(f"Whole process, CPU, {rounds} rounds", cpu_rows, "ours (md-eval)", {})


def stress_files(folder: Path, recordings: int, turns: int, speakers: int, hours: float) -> Data:
    """Write random recordings of ``turns`` turns each, and an output that differs a little."""
    rnd = random.Random(1)
    length = 3600 * hours
    with open(folder / "r", "w") as ref, open(folder / "s", "w") as sys_file:
        for i in range(recordings):
            for _ in range(turns):
                start, end = sorted(
                    (at := rnd.uniform(0, length - 6), at + rnd.uniform(0.2, 1.6 * length / turns))
                )
                who = rnd.randrange(speakers)
                line = "SPEAKER rec{:05d} 1 {:.3f} {:.3f} <NA> <NA> {} <NA> <NA>\n"
                ref.write(line.format(i, start, end - start, f"spk{who:02d}"))
                start = max(0.0, start + rnd.gauss(0, 0.1))
                other = who if rnd.random() < 0.9 else rnd.randrange(speakers)
                if end > start and rnd.random() < 0.97:
                    sys_file.write(line.format(i, start, end - start, f"s{other}"))
    with open(folder / "u", "w") as handle:
        handle.writelines(f"rec{i:05d} 1 0.000 {length:.3f}\n" for i in range(recordings))
    return Data(folder / "r", folder / "s", folder / "u")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    out.add_argument("--ref", type=Path)
    out.add_argument("--sys", type=Path)
    out.add_argument("--uem", type=Path)
    out.add_argument("--collar", type=float, default=0.25)
    out.add_argument("--rounds", type=int, default=5)
    out.add_argument("--stress", action="store_true", help="24 h with 100,000 turns; 5,000 files")
    out.add_argument("--once", choices=sorted(SCORERS), help="load and score with one, silently")
    return out


def main(argv: list[str] | None = None) -> int:
    """Run the comparison and print its tables."""
    args = parser().parse_args(argv)
    if args.once:
        SCORERS[args.once](Data(args.ref, args.sys, args.uem), args.collar)()
        return 0
    if args.stress:
        for title, shape in (
            ("24 h, 100,000 turns, 10 speakers", (1, 100_000, 10, 24)),
            ("5,000 files of 20 turns, 4 speakers", (5000, 20, 4, 0.02)),
        ):
            with tempfile.TemporaryDirectory() as folder:
                data = stress_files(Path(folder), *shape)
                print(f"== {title}")
                compare(data, args.collar, args.rounds, ["ours", "spyder"])
        return 0
    if not args.ref or not args.sys:
        raise SystemExit("--ref and --sys, or --stress")
    compare(Data(args.ref, args.sys, args.uem), args.collar, args.rounds, list(SCORERS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
