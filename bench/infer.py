"""Inference from a wav file to RTTM: speed, memory, share of each stage, against the GEMM roofline.

    python bench/infer.py [--cores 2] [--seconds 60 600 3600] [--window 1800 ...] [--device cuda]
    python bench/infer.py --peers pyannote.audio [--peer-python PATH] --seconds 60 --cores 1
    python bench/infer.py --peers senko [--peer-python PATH] --data DIR ... --cores 1

The model has the sizes of --config (the paper's) and random weights; the audio is noise with
pauses.  Each row is one run of diarize-infer in a process of its own on --cores cores: seconds by
the clock with the start of Python and the loading of the model (``wall``) and without, seconds of
CPU of all cores (comparable on a busy machine), and the peak of memory.  --window 0 lets the
memory allowed decide, as by default.  Floating point operations are counted from the sizes; the
roofline is the best rate of a product of two matrices that torch reaches on the same cores just
before.  --stages times the stages of one pass one after the other instead, and --peers the
systems of infer_peers.py on the same audio, in turn with ours; --peer-python is the Python that
has them, if not this one.  With --data the model of --model and peers with trained weights are
compared on data directories instead, DER and CPU time (infer_errors.py).  Last comes one line per
figure,
``BENCH name=… value=… unit=… ratio=… against=…``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import infer_errors
import infer_peers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RATE = 16000
NAMES = {60: "1min", 600: "10min", 3600: "1h", 14400: "4h", 86400: "24h"}


def make_audio(path: Path, seconds: int) -> None:
    """Write ``seconds`` of noise with pauses, 16 kHz and 16 bits, a minute at a time."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    minute = (2000 * rng.standard_normal(60 * RATE)).astype(np.int16)
    minute *= np.repeat(rng.random(120) < 0.8, RATE // 2)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as handle:
        for start in range(0, seconds, 60):
            handle.write(np.roll(minute, 997 * start)[: (seconds - start) * RATE])


def make_model(config: Path, path: Path) -> None:
    """Save a model of the sizes of ``config`` with random weights."""
    import torch

    from diarize.config import read_yaml
    from diarize.tasks.registry import build_task, config_mapping, parse_config
    from diarize.train.checkpoint import save_model

    torch.manual_seed(0)
    parsed = parse_config(read_yaml(config), str(config))
    save_model(path, build_task(parsed).model.state_dict(), {"config": config_mapping(parsed)})


def count_flops(model, num_frames: int) -> dict[str, float]:
    """Return the floating point operations of one pass of EEND-M2F, by part."""
    o = model.options
    b, d = o.backbone, o.decoder
    dim, low = b.dim, num_frames / b.down_factor
    fft = model.features.fft_length
    layer = 2 * 2 * dim * b.ff_dim + 4 * dim * dim + 3 * dim * dim + dim * b.kernel
    up, rate = 0.0, 1
    for kernel, stride in zip(b.up_kernels, b.up_strides, strict=True):
        up += rate * kernel * dim * dim
        rate *= stride
    query = 2 * dim * dim + 2 * dim * d.queries
    return {
        "features": num_frames * (2.5 * fft * fft.bit_length() + 2 * fft * o.features.num_mels),
        "linear": 2 * low * (b.layers * layer + d.layers * query + 2 * up),
        "attention": 4 * b.layers * low * low * dim,
        "masks": 2 * num_frames * dim * d.queries + 2 * d.layers * low * dim * d.queries,
    }


def gemm_rate(device: str, bf16: bool) -> float:
    """Return the floating point operations per second of the best of some matrix products."""
    import torch

    dtype = torch.bfloat16 if bf16 else torch.float32
    sync = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    size = 8192 if device == "cuda" else 2048
    best = 0.0
    for shape in ((size, size, size), (size, 256, 1024), (size, 1024, 256)):
        m, k, n = shape
        a = torch.randn(m, k, device=device, dtype=dtype)
        w = torch.randn(n, k, device=device, dtype=dtype)
        for _ in range(6):
            sync()
            began = time.perf_counter()
            torch.nn.functional.linear(a, w)
            sync()
            best = max(best, 2 * m * k * n / (time.perf_counter() - began))
    return best


# Masks of random weights flicker; without these an hour has 50,000 turns, not a thousand.
POSTPROCESS = "postprocess: {num_speakers: 4, median: 101, min_duration: 0.5}\n"

RUN = """
import json, sys, time
began = time.perf_counter()
import torch
from diarize.bin import infer
from diarize.infer import loader, memory
real, kept = loader.make_predictor, {}
def note(*args):
    kept["ready"], kept["predictor"] = time.perf_counter(), real(*args)
    kept["cpu"] = time.process_time()
    return kept["predictor"]
loader.make_predictor = note
status = infer.main(sys.argv[2:])
done = time.perf_counter()
predictor = kept["predictor"]
out = {"status": status, "wall": done - began, "run": done - kept["ready"],
       "cpu": time.process_time(), "cpu_run": time.process_time() - kept["cpu"],
       "peak": memory.peak_bytes() / 1e9, "foreseen": predictor.foreseen / 1e9,
       "windows": predictor.passes,
       "gpu": memory.peak_bytes(predictor.device) / 1e9 if predictor.device.type == "cuda" else 0}
open(sys.argv[1], "w").write(json.dumps(out))
"""


def run(root: Path, seconds: int, window: int, args: argparse.Namespace) -> dict[str, float]:
    """Return the figures that one run of diarize-infer prints."""
    audio = root / f"{seconds}.wav"
    if not audio.exists():
        make_audio(audio, seconds)
    command = [sys.executable, "-c", RUN, str(root / "out.json"), str(audio), "--model",
               str(root / "model.pth"), "--device", args.device, "--out", str(root / "out.rttm"),
               "--config", str(root / "infer.yaml")]
    if window:
        command += ["--window", str(window)]
    if args.max_memory:
        command += ["--max-memory", str(args.max_memory)]
    threads = str(args.cores)
    env = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=env, stderr=subprocess.DEVNULL)
    return json.loads((root / "out.json").read_text())


def stages(root: Path, seconds: int, args: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of each stage of one pass over a recording, one after the other."""
    import torch

    from diarize.infer.config import NetworkOptions
    from diarize.infer.loader import make_predictor
    from diarize.infer.postprocess import SPEAKER, PostprocessOptions
    from diarize.infer.recording import Recording
    from diarize.io.audio import read_audio
    from diarize.io.rttm import write_rttm
    from diarize.tasks.registry import load_task

    make_audio(root / f"{seconds}.wav", seconds)
    task = load_task(root / "model.pth")
    predictor = make_predictor(task.model, task.grid, NetworkOptions(device=args.device))
    model, out = predictor.model, {}
    sync = torch.cuda.synchronize if predictor.device.type == "cuda" else (lambda: None)

    def timed(name: str, work):
        sync()
        began = time.perf_counter()
        result = work()
        sync()
        out[name] = time.perf_counter() - began
        return result

    for _ in range(2):  # the first time is to warm up
        samples = timed("decoding", lambda: read_audio(root / f"{seconds}.wav"))
        recording = Recording("x", samples, task.grid)
        recording.device = predictor.device
        kind, bf16 = predictor.device.type, predictor.bf16
        with torch.inference_mode():
            window = timed("features", lambda r=recording: model.features.open_recording(r))
            features = window(0, recording.num_frames)
            with torch.autocast(kind, torch.bfloat16, enabled=bf16):
                encoded = timed("encoder", lambda f=features: model.encode(f))
                timed("decoder", lambda e=encoded: model.refine(e))
        found = timed("whole pass", lambda r=recording: predictor.predict(r))
        # What the whole pass does besides: the full-rate E and the masks of the queries kept.
        out["masks"] = out["whole pass"] - sum(out[n] for n in ("features", "encoder", "decoder"))
        options = PostprocessOptions(num_speakers=4)
        arguments = (found.masks, found.activities, "x", options, task.grid)
        found = timed("to segments", lambda a=arguments: SPEAKER.decide(*a).turns)
        timed("writing", lambda f=found: write_rttm(root / "x.rttm", f))
    return out


def print_stages(root: Path, args: argparse.Namespace) -> None:
    """Print the table of stages."""
    seconds = args.seconds[0]
    spent = stages(root, seconds, args)
    whole = spent.pop("whole pass")
    total = sum(spent.values())
    print(f"{'stage':12} {'s per h of audio':>18} {'share':>7}")
    for name, value in spent.items():
        print(f"{name:12} {3600 * value / seconds:18.3f} {100 * value / total:6.1f} %")
    print(f"BENCH name=infer_{args.device}_network value={seconds / whole:.1f} "
          f"unit=x_real_time ratio={whole / total:.3f} against=all_stages")


def race(root: Path, args: argparse.Namespace) -> None:
    """Print the runs of diarize-infer and of the installed peers, in turn, and their figures."""
    peers = [peer for peer in args.peers if infer_peers.installed(args.peer_python, peer)]
    for peer in sorted(set(args.peers) - set(peers)):
        print(f"left out: {peer} (pip install -r bench/requirements.txt, --peer-python)")
    alone = args.cores == 1 and args.device == "cpu"  # on one core CPU counts, not the clock
    lines = []
    for seconds in args.seconds if peers else ():
        audio = root / f"{seconds}.wav"
        ways = {"ours": lambda s=seconds: run(root, s, 0, args)}
        for peer in peers:
            ways[peer] = lambda p=peer, a=audio: infer_peers.run_peer(
                p, args.peer_python, root, [a], args.device, args.cores)
        name = f"infer_{args.device}_{NAMES.get(seconds, f'{seconds}s')}"
        lines += infer_peers.race(ways, args.rounds, seconds, name, alone)
    print("\n".join(lines))


def main() -> int:
    """Return the exit status of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--config", type=Path, default=ROOT / "egs/mini/diar1/conf/train_paper.yaml")
    add("--cores", type=int, default=2)
    add("--first-core", type=int, default=0, help="the cores are this and the next ones")
    add("--seconds", type=int, nargs="+", default=[60, 600, 3600])
    add("--window", type=int, nargs="+", default=[0, 1800], help="0: limited by the memory")
    add("--max-memory", type=float, help="GB")
    add("--device", default="cpu")
    add("--stages", action="store_true")
    add("--peers", nargs="+", choices=infer_peers.PEERS, help="race with these instead")
    add("--peer-python", default=sys.executable, metavar="PATH", help="the Python that has them")
    add("--data", type=Path, nargs="+", metavar="DIR", help="errors on these data directories")
    add("--model", type=Path, default=ROOT / "egs/speechocean762/diar1/model", help="for --data")
    add("--rounds", type=int, default=3, help="of a race with peers")
    add("--dir", type=Path, help="where audio and model are kept (default: a temporary place)")
    args = parser.parse_args()
    trained = set(args.peers or ()) & set(infer_peers.TRAINED)
    if args.peers and trained != (set(args.peers) if args.data else set()):
        parser.error("--data compares peers with trained weights (senko), the race the others")
    # Before torch is imported: its threads inherit both.
    os.environ["OMP_NUM_THREADS"] = str(args.cores)
    if args.device == "cpu":
        os.sched_setaffinity(0, range(args.first_core, args.first_core + args.cores))
    with tempfile.TemporaryDirectory() as folder:
        root = args.dir or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        if args.data:
            infer_errors.compare(root, args)
            return 0
        make_model(args.config, root / "model.pth")
        (root / "infer.yaml").write_text(POSTPROCESS)
        if args.stages:
            print_stages(root, args)
            return 0
        if args.peers:
            race(root, args)
            return 0
        table(root, args)
    return 0


def table(root: Path, args: argparse.Namespace) -> None:
    """Print the table of runs and the figures."""
    from diarize.tasks.registry import load_task

    task = load_task(root / "model.pth")
    print(f"{'audio':>7} {'passes':>7} {'wall s':>8} {'run s':>8} {'CPU s':>8} {'x real time':>12} "
          f"{'s per h':>8} {'peak GB':>8} {'foreseen':>8} {'GFLOP/s':>8} {'roofline':>8}")
    lines = []
    for seconds in args.seconds:
        for window in args.window:
            if window >= seconds:
                continue  # the same as whole
            roof = gemm_rate(args.device, args.device == "cuda")
            found = run(root, seconds, window, args)
            length = found["windows"][0][1] - found["windows"][0][0]
            flops = len(found["windows"]) * sum(count_flops(task.model, length).values())
            rate, speed = flops / found["run"], seconds / found["wall"]
            peak = found["gpu"] or found["peak"]
            print(f"{NAMES.get(seconds, f'{seconds}s'):>7} {len(found['windows']):>7} "
                  f"{found['wall']:8.1f} {found['run']:8.1f} {found['cpu']:8.1f} {speed:12.1f} "
                  f"{3600 / speed:8.1f} {peak:8.2f} {found['foreseen']:8.2f} "
                  f"{rate / 1e9:8.1f} {roof / 1e9:8.1f}", flush=True)
            name = f"infer_{args.device}_{NAMES.get(seconds, f'{seconds}s')}"
            name += f"_window{window}" if window else ""
            lines.append(f"BENCH name={name} value={speed:.1f} unit=x_real_time "
                         f"ratio={rate / roof:.2f} against=gemm_roofline")
            lines.append(f"BENCH name={name}_memory value={peak:.2f} unit=GB "
                         f"ratio={peak / found['foreseen']:.2f} against=foreseen")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
