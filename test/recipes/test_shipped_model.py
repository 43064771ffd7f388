"""The model that comes with the project: it can be tried at once."""

import numpy as np

from diarize.bin.infer import main
from diarize.bin.score import main as score
from diarize.config import read_yaml
from diarize.infer.config import load_inference_config
from diarize.infer.tune import GRID_NAMES
from diarize.io.audio import write_wav
from diarize.io.rttm import read_rttm
from diarize.tasks.registry import parse_config
from diarize.train.checkpoint import load_model

MODEL = "egs/speechocean762/diar1/model"


def test_its_files_have_the_names_of_the_options(repo_root):
    """A renamed option is renamed here, too: in the weights, config.yaml and best.yaml."""
    model = repo_root / MODEL
    _, meta = load_model(model / "final.pth")
    written = read_yaml(model / "config.yaml")
    assert parse_config(meta["config"], "final.pth") == parse_config(written, "config.yaml")
    tuned = load_inference_config(model / "best.yaml")
    assert set(tuned.table[0]) >= set(GRID_NAMES)
    assert tuned.table[0]["der"] == tuned.chosen["der"]


def test_it_hears_nobody_in_quiet_noise(repo_root, tmp_path):
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "a.wav", 0.001 * rng.standard_normal(10 * 16000).astype("f4"), 16000)
    out = tmp_path / "a.rttm"
    audio = str(tmp_path / "a.wav")
    assert main([audio, "--model", str(repo_root / MODEL), "--out", str(out)]) == 0
    assert sum(s.end - s.start for s in read_rttm(out)) < 1.0


def test_it_does_better_on_meetings_than_one_speaker_all_the_time(
    shared_data, repo_root, tmp_path, capsys
):
    data = shared_data / "ami_excerpts"
    audio = [str(data / f"audio/dev0{k}.flac") for k in (0, 1)]
    out = tmp_path / "hyp.rttm"
    assert main([*audio, "--model", str(repo_root / MODEL), "--out", str(out)]) == 0
    reference = ["-r", str(data / "dev/rttm.ami_only_words"), "-u", str(data / "dev/uem")]
    assert score([*reference, "-s", str(out), "-c", "0"]) == 0
    overall = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("OVERALL"))
    # One speaker all the time has 81.5 %: egs/ami_excerpts/diar1/RESULTS.md.
    assert float(overall.split()[2]) < 75.0
