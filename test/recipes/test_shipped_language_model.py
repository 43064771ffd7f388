"""The included model for languages: its files agree, and it runs at once."""

from diarize.bin.infer import main
from diarize.config import read_yaml
from diarize.infer.config import load_inference_config
from diarize.infer.tune import GRID_NAMES
from diarize.io.rttm import read_rttm
from diarize.tasks.registry import parse_config
from diarize.train.checkpoint import load_model

MODEL = "egs/mini/langdiar1/model"


def test_its_files_have_the_names_of_the_options(repo_root):
    model = repo_root / MODEL
    _, meta = load_model(model / "final.pth")
    written = read_yaml(model / "config.yaml")
    assert parse_config(meta["config"], "final.pth") == parse_config(written, "config.yaml")
    assert meta["config"]["task"] == "language"
    tuned = load_inference_config(model / "best.yaml")
    assert set(tuned.table[0]) >= set(GRID_NAMES)
    assert tuned.table[0]["der"] == tuned.chosen["der"]


def test_it_is_small(repo_root):
    assert sum(path.stat().st_size for path in (repo_root / MODEL).iterdir()) < 10e6


def test_it_names_languages_of_people(shared_data, repo_root, tmp_path):
    """English read by a person: speech is found; the names are those of the model."""
    audio = str(next((shared_data / "libri_small").rglob("*.flac")))
    out = tmp_path / "hyp.rttm"
    assert main([audio, "--model", str(repo_root / MODEL), "--out", str(out)]) == 0
    found = read_rttm(out)
    known = set(load_model(repo_root / MODEL / "final.pth")[1]["config"]["model"]["languages"])
    assert sum(s.end - s.start for s in found) > 2.0
    assert {s.label for s in found} <= known | {"L1", "L2", "L3", "L4"}
