"""How to use the cores of a CPU in training: processes of one thread, or threads of one process.

    python bench/train_cpu.py [--config egs/mini/diar1/conf/train.yaml] [--cores 2] [--steps 20]

Trains the configuration for a few steps on mixtures of noise, once with one thread, once with
one process of that many threads, once with that many processes (torchrun, gloo); the order is
repeated; the figures are medians.  Last comes one line per figure,
``BENCH name=… value=… unit=… ratio=… against=…``; the ratios hold on a busy machine, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from diarize.io.audio import write_wav
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.manifest import write_manifest

ROOT = Path(__file__).resolve().parent.parent


def make_corpus(root: Path) -> Path:
    """Return a manifest of 200 mixtures of 3 speakers whose utterances are noise."""
    data = root / "voices"
    data.mkdir()
    rng = np.random.default_rng(0)
    names = [(f"s{s}", f"s{s}-{u:02d}") for s in range(6) for u in range(20)]
    for _, name in names:
        write_wav(root / f"{name}.wav", 0.05 * rng.standard_normal(48000).astype("f4"), 16000)
    (data / "wav.scp").write_text("".join(f"{n} {root}/{n}.wav\n" for _, n in names))
    (data / "utt2spk").write_text("".join(f"{n} {s}\n" for s, n in names))
    options = MixtureOptions(num_mixtures=200, num_speakers=3, beta=2.0)
    write_manifest(root / "mixture.scp", make_manifest(DataDir.load(data), options))
    return root / "mixture.scp"


def measure(root: Path, args: argparse.Namespace, processes: int, threads: int) -> float:
    """Return seconds of audio trained on per second, the median of the later log lines."""
    valid = root / "valid"
    if not valid.exists():
        valid.mkdir()
        (valid / "wav.scp").write_text(f"v {root}/s0-00.wav\n")
        (valid / "rttm").write_text("SPEAKER v 1 0.0 3.0 <NA> <NA> a <NA> <NA>\n")
    out = root / f"exp_{processes}_{threads}_{len(list(root.glob('exp_*')))}"
    launch = [sys.executable]
    if processes > 1:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                  "--nproc-per-node", str(processes)]
    settings = [f"train.steps={args.steps}", "train.log_interval=2", "train.device=cpu",
                f"train.threads={threads}", "train.tensorboard=false", "train.valid_interval=0"]
    command = [*launch, "-m", "diarize.bin.train", "--config", str(args.config),
               "--train", str(root / "mixture.scp"), "--valid", str(valid), "--out", str(out),
               "--set", *settings]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
    lines = [json.loads(x) for x in (out / "train_log.jsonl").read_text().splitlines()]
    rates = [x["audio_rate"] for x in lines if x["kind"] == "train"]
    return statistics.median(rates[len(rates) // 3 :])


def main() -> int:
    """Return the exit status of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ROOT / "egs/mini/diar1/conf/train.yaml"
    parser.add_argument("--config", type=Path, default=default)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    ways = {"one_thread": (1, 1), "threads": (1, args.cores), "processes": (args.cores, 1)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_corpus(root)
        for _ in range(args.repeats):
            for name, (processes, threads) in ways.items():
                rates[name].append(measure(root, args, processes, threads))
    base = statistics.median(rates["one_thread"])
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"BENCH name=train_cpu_{name} value={rate:.0f} unit=x_real_time "
              f"ratio={rate / base:.2f} against=one_thread")
    return 0


if __name__ == "__main__":
    sys.exit(main())
