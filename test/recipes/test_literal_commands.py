"""The commands of "Your own recordings" in egs/TEMPLATE/README.md, as they are written there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.tasks.initial import with_initial_model
from diarize.tasks.registry import parse_config
from diarize.train.checkpoint import load_model

MODEL = "egs/speechocean762/diar1/model"


@pytest.fixture
def root(repo_root, tmp_path) -> Path:
    """A checkout of its own: the template is copied, everything else is linked."""
    (tmp_path / "egs").mkdir()
    shutil.copytree(repo_root / "egs/TEMPLATE", tmp_path / "egs/TEMPLATE", symlinks=True)
    for name in ("utils", "diarize", "egs/speechocean762"):
        (tmp_path / name).symlink_to(repo_root / name)
    return tmp_path


@pytest.fixture
def home(tmp_path) -> Path:
    """A home directory with ~/meetings: ten recordings of noise, two speakers each."""
    meetings = tmp_path / "home/meetings"
    for name in ("audio", "rttm"):
        (meetings / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(10):
        write_wav(meetings / f"audio/m{i}.wav", 0.1 * rng.standard_normal(48000), 16000)
        lines = [f"SPEAKER m{i} 1 {k} 1.2 <NA> <NA> s{i}{k} <NA> <NA>\n" for k in (0, 1)]
        (meetings / f"rttm/m{i}.rttm").write_text("".join(lines))
    return tmp_path / "home"


@pytest.mark.parametrize("document", ["egs/TEMPLATE/README.md", "README.md", "doc/tutorial.md"])
def test_own_recordings_with_the_model_that_is_included(root, home, repo_root, document):
    """The sizes of the paper did not fit the model, and the training ended at once.

    README and tutorial had an option that setup.sh did not accept in its place, and then began a
    pretraining.
    """
    page = (repo_root / document).read_text()
    commands = re.search(r"\n\n(    egs/TEMPLATE/setup.sh --init-model (?:.*\n    )+.*\n)", page)[1]
    commands = re.search(r"((?:.*\n)*?    \./run\.sh(?:.*\\\n)*.*)\n", commands)[1]
    commands = commands.replace("/data/", f"{home}/meetings/")
    # One step instead of thousands, and no scores of noise.
    few = "train.steps=1 train.batch_size=2 train.num_workers=0 train.precision=fp32"
    script = f"set -e\n{commands.rstrip()} --stop-stage 4 --args '--set {few}'\n"
    env = {**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
           "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=root, env=env, text=True, check=False,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    recipe = root / "egs/mine/diar1"
    trained = load_model(recipe / "exp/adapt/last.pth")
    initial = load_model(root / MODEL / "final.pth")
    assert trained[1]["step"] == 1
    assert trained[0].keys() == initial[0].keys()
    parsed = [parse_config(meta["config"], "model").options for _, meta in (trained, initial)]
    assert parsed[0].model == parsed[1].model
    conf = yaml.safe_load((recipe / "conf/adapt.yaml").read_text())
    assert conf["model"]["decoder"]["queries"] == 5
    assert conf["train"]["optimizer"]["lr"] == 5e-6


def test_what_a_configuration_does_not_say_is_that_of_the_initial_model(repo_root):
    model = repo_root / MODEL / "final.pth"
    mapping = {"task": "speaker", "model": {"backbone": {"dropout": 0.2}},
               "criterion": {"label_smoothing": 0.1}}
    config, notices = with_initial_model(mapping, "c.yaml", model)
    assert config.options.model.backbone.dim == 96
    assert config.options.model.backbone.dropout == 0.2
    assert config.options.model.decoder.queries == 5
    assert config.options.criterion.negative_weight == 1.0
    assert config.options.criterion.label_smoothing == 0.1
    assert config.options.data.crop_seconds == 50  # only model and criterion
    (line,) = notices
    assert "model.backbone.dim=96" in line
    assert "dropout" not in line
    assert with_initial_model(mapping, "c.yaml", None)[0].options.model.backbone.dim == 256
    with pytest.raises(DiarizeError, match=r"final\.pth is a model of the task speaker, c\.yaml"):
        with_initial_model({"task": "language"}, "c.yaml", model)
