"""Valid files of every format and the functions that read them, for bench/attacks.py."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import kaldiio
import numpy as np
import torch
from safetensors.torch import save_file

from diarize.bin import datadir, md_eval, postprocess, rttm, score
from diarize.config import write_yaml
from diarize.errors import DiarizeError
from diarize.features.ssl_weights import read_state
from diarize.infer.config import InferenceConfig, load_inference_config
from diarize.infer.pretrained import model_files
from diarize.infer.stored import write_layout
from diarize.io.ark import ArkWriter
from diarize.io.audio import read_audio, write_wav
from diarize.io.formats import FORMATS, annotation_text
from diarize.io.uem import write_uem
from diarize.report.plots.curves import read_log
from diarize.segments import Segment, Turn
from diarize.simulate.draw.turn_taking import learn_statistics, read_statistics, write_statistics
from diarize.simulate.manifest import Manifest, write_manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import StoreOptions
from diarize.tasks.initial import with_initial_model
from diarize.tasks.registry import build_task, config_mapping, load_task, parse_config
from diarize.timebase import FrameGrid
from diarize.train.checkpoint import TrainingProgress, load_training, save_model, save_training

TINY = {
    "model": {
        "backbone": {"dim": 4, "layers": 1, "heads": 2, "ff_dim": 8, "kernel": 3},
        "decoder": {"queries": 2, "layers": 1, "heads": 2, "ff_dim": 8},
    }
}
TURNS = [
    Turn("r", 0.1, 1.25, "ann", 0.9), Turn("r", 1.0, 2.5, "bob"), Turn("r", 3.0, 4.75, "ann"),
]  # fmt: skip


class Format(NamedTuple):
    """A format: the file to damage, in a folder of valid files, and the function that reads it."""

    path: Path
    read: Callable[[Path], object]


def formats(root: Path) -> dict[str, Format]:
    """Return the formats by name; the files lie below ``root``, each in a folder of its own."""
    out: dict[str, Format] = {}
    for make in (models, posteriors, configurations, simulation, annotations, tables, others):
        for name, path, read in make(root):
            out[name] = Format(path, read)
    return out


def command(main: Callable[[list[str]], int], *words: object) -> None:
    """Run a command; DiarizeError with its standard error for another status than 0."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    if status:
        lines = [line for line in err.getvalue().splitlines() if "WARNING" not in line]
        raise DiarizeError(lines[-1] if lines else "")


Made = Iterator[tuple[str, Path, Callable[[Path], object]]]


def models(root: Path) -> Made:
    """Checkpoints, packed models, weights of speech models."""
    config = parse_config(TINY, "tiny")
    task = build_task(config)
    meta = {"config": config_mapping(config), "step": 1, "der": 0.5}
    state = task.model.state_dict()

    def load(path: Path) -> None:
        load_task(path)
        with_initial_model({}, "train.yaml", path)

    path = folder(root, "pth") / "final.pth"
    save_model(path, state, meta)
    yield "pth", path, load

    optimizer = torch.optim.AdamW(task.model.parameters())
    sum(p.sum() for p in task.model.parameters()).backward()
    optimizer.step()
    path = folder(root, "last") / "last.pth"
    best = [{"step": 1, "der": 0.5}]
    save_training(path, state, optimizer, TrainingProgress(1, best, 2.0), meta)
    yield "last.pth", path, lambda p: load_training(p, task.model, optimizer, {})

    path = folder(root, "tar") / "model.tar.gz"
    place = folder(root, "packed/model").parent
    save_model(place / "model/final.pth", state, meta)
    write_yaml(place / "model/best.yaml", InferenceConfig())
    shutil.make_archive(str(path).removesuffix(".tar.gz"), "gztar", place, "model")

    def unpack(path: Path) -> None:
        with model_files(path) as (model, tuned):
            load_task(model)
            load_inference_config(tuned)

    yield "tar.gz", path, unpack
    path = folder(root, "tar2") / "model.tar"
    shutil.make_archive(str(path).removesuffix(".tar"), "tar", place, "model")
    yield "tar", path, unpack

    weights = {"w2v.conv_layers.0.0.weight": torch.ones(4, 1, 10), "n": torch.ones(3)}
    path = folder(root, "ssl") / "ssl.pt"
    torch.save({"model": weights, "args": None}, path)
    yield "ssl.pt", path, lambda p: read_state(str(p))
    path = folder(root, "safe") / "ssl.safetensors"
    save_file(weights, path)
    yield "safetensors", path, lambda p: read_state(str(p))


def posteriors(root: Path) -> Made:
    """Posteriors, and the small files beside them."""
    rng = np.random.default_rng(0)
    for name in ("posteriors.ark", "compressed.ark", "activities.ark", "posteriors.scp",
                 "frame_shift", "labels", "task", "language_id.ark"):  # fmt: skip
        place = folder(root, f"infer-{name}")
        task = "language" if name in ("labels", "language_id.ark") else "speaker"
        with ArkWriter(place, "posteriors") as one, ArkWriter(place, "activities") as two:
            one.write_rows("r", rng.random((400, 3)), two_bytes=name == "compressed.ark")
            two.write("r", rng.random(3))
        with ArkWriter(place, "language_id") as three:
            three.write("r", rng.random((3, 2)))
        write_layout(place, FrameGrid(), task, ["en", "fr"] if task == "language" else [])

        def decode(path: Path) -> None:
            command(postprocess.main, "apply", "--posteriors", path.parent,
                    "--out", path.parent / "rttm")  # fmt: skip

        yield name, place / name.replace("compressed", "posteriors"), decode


def configurations(root: Path) -> Made:
    """YAML of training and inference."""
    path = folder(root, "best") / "best.yaml"
    write_yaml(path, InferenceConfig())
    yield "best.yaml", path, load_inference_config
    path = folder(root, "train") / "train.yaml"
    write_yaml(path, config_mapping(parse_config(TINY, "tiny")))
    yield "train.yaml", path, lambda p: build_task(
        with_initial_model(read(p), str(p), None)[0], str(p)
    )


def read(path: Path) -> dict:
    from diarize.config import read_yaml

    return read_yaml(path)


def simulation(root: Path) -> Made:
    """Manifest, layout, audio store and statistics."""
    place = folder(root, "audio")
    rng = np.random.default_rng(0)
    for name in "ab":
        write_wav(place / f"{name}.wav", 0.1 * rng.standard_normal(16000), 16000)
    options = StoreOptions()
    names = [f"m{i}" for i in range(4)]

    def mix(path: Path) -> None:
        home = path if path.suffix == ".scp" else next(
            p for p in path.parents if (p / "mixture.scp").exists()
        ) / "mixture.scp"
        manifest = Manifest(home)
        layout, store = open_layout(manifest, home.parent / "store", options)
        mixer = Mixer(layout, store)
        for index in range(len(layout)):
            mixer.window(index, 0, min(layout.num_samples(index), 48000))
            layout.segments(index, 0, layout.num_samples(index))

    def made(name: str) -> Path:
        home = folder(root, f"simulate-{name}")
        write_manifest(home / "mixture.scp", (
            (key, {"recid": key, "noise": None, "snr": None, "speakers": [
                {"spkid": who, "rir": None, "intervals": [0.1, 0.5],
                 "utts": [str(place / f"{who}.wav"), [str(place / f"{who}.wav"), 0.1, 0.6]]}
                for who in "ab"]}) for key in names))  # fmt: skip
        return home

    yield "mixture.scp", made("manifest") / "mixture.scp", mix
    for name in ("pointer", "begin", "length", "source", "ids", "level", "facts", "wet_gain"):
        home = made(name)
        mix(home / "mixture.scp")
        yield f"{name}.npy", next(home.glob(f"store/layouts/*/{name}.npy")), mix
    for name, pattern in {"layout.json": "layouts/*.json", "store.json": "*.json",
                          "store.samples": "*.samples"}.items():  # fmt: skip
        home = made(name)
        mix(home / "mixture.scp")
        yield name, next(home.glob(f"store/{pattern}")), mix
    path = folder(root, "statistics") / "statistics.json"
    write_statistics(path, learn_statistics([Segment(*t[:4]) for t in TURNS]))
    yield "statistics.json", path, read_statistics


def annotations(root: Path) -> Made:
    """Every format of annotation: converted and counted, RTTM also scored."""
    for form, kind in FORMATS.items():
        path = folder(root, f"annotation-{form}") / f"r{kind.suffix}"
        path.write_text(annotation_text(form, TURNS), encoding="utf-8")

        def convert(path: Path) -> None:
            for to in ("json", "eaf", "textgrid"):
                command(rttm.main, "convert", path, "--to", to, "--out", path.parent / f"out-{to}")
            if path.suffix == ".rttm":
                command(score.main, "-r", path, "-s", path)
            command(rttm.main, "stats", path)

        yield kind.suffix, path, convert
    path = folder(root, "md-eval") / "r.rttm"
    path.write_text(annotation_text("rttm", TURNS))
    yield "md-eval", path, lambda p: run_md_eval("-r", p, "-s", p)
    place = folder(root, "uem")
    (place / "r.rttm").write_text(annotation_text("rttm", TURNS))
    write_uem(place / "r.uem", {"r": [(0.0, 2.0), (2.5, 5.0)]})
    yield "uem", place / "r.uem", lambda p: command(
        score.main, "-r", p.with_suffix(".rttm"), "-s", p.with_suffix(".rttm"), "-u", p)
    place = folder(root, "md-eval-uem")
    (place / "r.rttm").write_text(annotation_text("rttm", TURNS))
    write_uem(place / "r.uem", {"r": [(0.0, 2.0), (2.5, 5.0)]})
    yield "md-eval uem", place / "r.uem", lambda p: run_md_eval(
        "-r", p.with_suffix(".rttm"), "-s", p.with_suffix(".rttm"), "-u", p)


def run_md_eval(*words: object) -> None:
    """Run the emulation, whose messages are those of md-eval.pl: of several lines."""
    try:
        command(md_eval.main, *words)
    except DiarizeError as err:
        raise DiarizeError(f"{words[-1]}: {err}") from err


def tables(root: Path) -> Made:
    """Tables of a data directory."""
    for name in ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur", "rttm", "uem", "text",
                 "reco2num_spk", "utt2dur", "utt2num_frames"):  # fmt: skip
        place = folder(root, f"data-{name}")
        write_wav(place / "r.wav", np.full(80000, 0.1, np.float32), 16000)
        files = {
            "wav.scp": f"r {place}/r.wav\n", "segments": "a-1 r 0.10 1.50\nb-1 r 2.00 4.00\n",
            "utt2spk": "a-1 a\nb-1 b\n", "spk2utt": "a a-1\nb b-1\n", "reco2dur": "r 5.00\n",
            "rttm": annotation_text("rttm", TURNS), "uem": "r 1 0.00 5.00\n",
            "text": "a-1 good day\nb-1 hello\n", "reco2num_spk": "r 2\n",
            "utt2dur": "a-1 1.40\nb-1 2.00\n", "utt2num_frames": "a-1 140\nb-1 200\n",
        }  # fmt: skip
        for file, text in files.items():
            (place / file).write_text(text, encoding="utf-8")

        def check(path: Path) -> None:
            here = path.parent
            command(datadir.main, "reference", here)
            command(datadir.main, "copy", here, here / "copy")
            command(datadir.main, "subset", here, "1", here / "subset")
            command(datadir.main, "validate", here)

        yield f"data/{name}", place / name, check


def others(root: Path) -> Made:
    """Audio in an ark, and the log of a training."""
    place = folder(root, "wav-ark")
    rng = np.random.default_rng(0)
    samples = (1000 * rng.standard_normal(16000)).astype(np.int16)
    scp = kaldiio.save_ark(str(place / "wav.ark"), {"r": (16000, samples)}, scp=None) or ""
    offset = re.search(rb"RIFF|AUDIO", (place / "wav.ark").read_bytes())
    at = offset.start() if offset else scp
    yield "wav.ark", place / "wav.ark", lambda p: read_audio(f"{p}:{at}")
    path = folder(root, "log") / "train_log.jsonl"
    rows = [{"kind": kind, "step": step, "loss": 1 / step, "der": 0.5}
            for step in range(1, 9) for kind in ("train", "valid")]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield "train_log.jsonl", path, read_log


def folder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir(parents=True)
    return path
