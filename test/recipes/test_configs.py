"""Every configuration of every recipe: built at its own size, and trained for one step in small."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from diarize.bin import train
from diarize.infer.config import load_inference_config
from diarize.io.audio import write_wav
from diarize.io.rttm import write_rttm
from diarize.io.table import write_table
from diarize.io.uem import write_uem
from diarize.segments import Segment
from diarize.tasks.registry import model_name

ROOT = Path(__file__).resolve().parents[2]
# Recipes link to the template's: each file once.
FILES = sorted({path.resolve() for pattern in ("*/conf/*.yaml", "*/*/conf/*.yaml")
                for path in (ROOT / "egs").glob(pattern)})
TASKS = {path: yaml.safe_load(path.read_text(encoding="utf-8")).get("task") for path in FILES}
TRAINING = [path for path, task in TASKS.items() if task]
INFERENCE = [path for path in FILES if path.name.startswith("infer")]
# Of one step: what is shrunk leaves the losses, the optimiser and the schedule as they are.
ONE_STEP = (
    "data.crop_seconds=2 train.steps=1 train.batch_size=1 train.accumulation=1 train.device=cpu "
    "train.num_workers=0 train.valid_interval=1 train.log_interval=1 train.tensorboard=false "
)
SHRUNK = {
    "eend_m2f": "model.backbone.layers=1 model.decoder.layers=1 model.decoder.queries=4 "
                "model.ssl_full.conv.weights=null model.ssl_full.layers=1",
    "eend_eda": "model.encoder.layers=1",
    "sage_ld": "model.decoder.layers=1 model.ssl_conv.weights=null",
}


def model_of(path: Path) -> str:
    mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    return model_name(mapping["task"], mapping)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "egs")).replace("/conf/", "/").removesuffix(".yaml")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A recording of two seconds with two labels."""
    path = tmp_path_factory.mktemp("data")
    wave = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    write_wav(path / "r.wav", wave, 16000)
    write_table(path / "wav.scp", {"r": str(path / "r.wav")})
    write_table(path / "utt2spk", {"r": "r"})
    write_table(path / "reco2dur", {"r": "2.000"})
    write_rttm(path / "rttm", [Segment("r", 0.1, 1.2, "a"), Segment("r", 0.9, 1.9, "b")])
    write_uem(path / "uem", {"r": [(0.0, 2.0)]})
    return path


def test_there_are_configurations_of_every_kind():
    assert {TASKS[path] for path in TRAINING} == {"speaker", "language"}
    assert len(TRAINING) > 8
    known = set(TRAINING) | set(INFERENCE)
    assert {name_of(path) for path in FILES if path not in known} <= {"eend_m2f/diar1/table1"}


@pytest.mark.parametrize("path", TRAINING, ids=name_of)
def test_is_built_at_its_own_size(path, capsys):
    command = ["--config", str(path), "--dry-run", "--set", "data.crop_seconds=2"]
    assert train.main(command) == 0, capsys.readouterr().err
    parameters = int(capsys.readouterr().out.split()[-1])
    assert parameters > 10_000
    if model_of(path) == "eend_m2f" and "model" not in yaml.safe_load(path.read_text()):
        assert parameters == pytest.approx(16.24e6, rel=0.001)  # the paper's: 16.3 M


@pytest.mark.parametrize("path", TRAINING, ids=name_of)
def test_trains_for_a_step(path, data, tmp_path, capsys):
    overrides = (ONE_STEP + SHRUNK[model_of(path)]).split()
    where = ["--train", str(data), "--valid", str(data), "--out", str(tmp_path)]
    assert train.main(["--config", str(path), *where, "--set", *overrides]) == 0, (
        capsys.readouterr().err)
    assert (tmp_path / "train_log.jsonl").read_text().count("valid") >= 1


@pytest.mark.parametrize("path", TRAINING, ids=name_of)
def test_says_which_recordings_are_seen_how_often(path):
    """The default is no choice of a recipe: what it was trained with shall stay."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert config["data"]["sampling"] in ("duration", "recording")


def test_inference_with_a_fixed_query_threshold_is_validated_with_it():
    """The paper's finetuning: query threshold 0.8 in inference and for the checkpoints."""
    pairs = 0
    for folder in (ROOT / "egs").glob("*/*/conf"):
        infer = folder / "infer.yaml"
        tune = (yaml.safe_load(infer.read_text()) or {}).get("tune") if infer.exists() else None
        for path in folder.glob("*.yaml") if tune else ():
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            if "train" in config and not path.name.startswith("pretrain"):
                assert config["valid"]["query_thresholds"] == tune["query_threshold"] == [0.8], path
                pairs += 1
    assert pairs >= 14


def leaves(tree, keys=()):
    """Yield the keys and the value of each leaf of nested dictionaries."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


@pytest.mark.parametrize("path", INFERENCE, ids=name_of)
def test_inference_configurations_are_read(path):
    """Every value of the file is that of the options."""
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = asdict(load_inference_config(path))
    values = list(leaves(text))
    assert values
    for keys, value in values:
        at = found
        for key in keys:
            at = at[key]
        assert (list(at) if isinstance(at, tuple) else at) == value, keys
