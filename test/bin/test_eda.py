"""EEND-EDA by the commands: training, resumption, average, posteriors, tuning, inference."""

import pytest
import torch

from diarize.bin import average, infer, posteriors, postprocess, train
from diarize.io.ark import read_scp
from diarize.io.rttm import read_rttm
from diarize.train.checkpoint import load_model

CONFIG = """
task: speaker
model:
  name: eend_eda
  encoder: {type: KIND, dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.1}
  max_speakers: 5
data: {crop_seconds: 1.5}
train:
  steps: 6
  batch_size: 2
  valid_interval: 2
  optimizer: {lr: 1e-3}
  schedule: {name: constant}
  device: cpu
  threads: 1
  tensorboard: false
"""


def run_train(world, out, config, *overrides, init=None):
    data = str(world / "data")
    command = ["--config", str(config), "--train", data, "--valid", data, "--out", str(out)]
    command += ["--init-model", str(init)] if init else []
    return train.main([*command, *(["--set", *overrides] if overrides else [])])


@pytest.fixture(scope="module", params=["transformer", "conformer"])
def exp(world, tmp_path_factory, request):
    """A model of six steps."""
    root = tmp_path_factory.mktemp(request.param)
    config = root / "train.yaml"
    config.write_text(CONFIG.replace("KIND", request.param))
    assert run_train(world, root / "exp", config) == 0
    assert average.main(["--exp", str(root / "exp")]) == 0
    return root


def test_a_resumed_training_has_the_same_bits(world, exp, tmp_path):
    cut = tmp_path / "cut"
    assert run_train(world, cut, exp / "train.yaml", "train.steps=3") == 0
    assert run_train(world, cut, exp / "train.yaml") == 0
    one, two = (load_model(where / "last.pth")[0] for where in (cut, exp / "exp"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_resumed_training_with_other_settings_is_refused(world, exp, tmp_path, capfd):
    cut = tmp_path / "cut"
    assert run_train(world, cut, exp / "train.yaml", "train.steps=1") == 0
    assert run_train(world, cut, exp / "train.yaml", "criterion.existence=0.5") == 1
    error = capfd.readouterr().err
    assert "criterion.existence" in error
    assert "Traceback" not in error


def test_posteriors_tuning_and_inference(world, exp, tmp_path, capsys):
    model, data, out = str(exp / "exp"), str(world / "data"), tmp_path / "out"
    assert posteriors.main(["--model", model, "--data", data, "--out", str(out)]) == 0
    assert read_scp(out / "posteriors.scp")["r1"].shape == (25, 5)
    for row in read_scp(out / "activities.scp").values():
        assert (row.ravel()[1:] <= row.ravel()[:-1]).all()
    tune = ["tune", "--posteriors", str(out), "--ref", f"{data}/rttm", "--uem", f"{data}/uem"]
    assert postprocess.main([*tune, "--out", str(tmp_path / "best.yaml")]) == 0
    apply = ["apply", "--posteriors", str(out), "--out", str(tmp_path / "hyp")]
    assert postprocess.main([*apply, "--config", str(tmp_path / "best.yaml")]) == 0
    capsys.readouterr()
    command = [str(world / "r0.wav"), "--model", model, "--num-speakers", "2"]
    assert infer.main([*command, "--mask-threshold", "0.0"]) == 0
    (tmp_path / "r0.rttm").write_text(capsys.readouterr().out)
    assert {s.label for s in read_rttm(tmp_path / "r0.rttm")} == {"spk1", "spk2"}


def test_another_initial_model_is_refused(world, exp, tmp_path, capfd):
    assert run_train(world, tmp_path / "a", exp / "train.yaml",
                     init=world / "exp/final.pth") == 1  # fmt: skip
    assert "is a model eend_m2f" in capfd.readouterr().err
    assert run_train(world, tmp_path / "b", world / "train.yaml",
                     init=exp / "exp/final.pth") == 1  # fmt: skip
    assert "eend_eda" in capfd.readouterr().err


def test_what_is_not_given_is_that_of_the_initial_model(world, exp, tmp_path, capfd):
    small = tmp_path / "small.yaml"
    small.write_text("data: {crop_seconds: 1.0}\n"
                     "train: {steps: 1, batch_size: 1, device: cpu, tensorboard: false}\n")
    assert run_train(world, tmp_path / "exp", small, init=exp / "exp/final.pth") == 0
    config = load_model(tmp_path / "exp/last.pth")[1]["config"]
    assert config["model"]["name"] == "eend_eda"
    assert config["model"]["encoder"]["dim"] == 16


def test_the_name_is_no_setting_of_earlier_trainings(world, exp):
    """A training of EEND-M2F that began without ``model.name`` can be resumed."""
    settings = [
        torch.load(where / "last.pth", weights_only=True)["training"]["progress"]["fingerprint"]
        for where in (world / "exp", exp / "exp")
    ]
    assert "model.decoder.queries" in settings[0]
    assert "model.name" not in settings[0]
    assert settings[1]["model.name"] == "eend_eda"
