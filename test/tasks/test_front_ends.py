"""Speaker diarization on a self-supervised front-end: training, finetuning, what is saved."""

import numpy as np
import pytest
import torch

from diarize.bin import train
from diarize.features.ssl_conv import SslConvOptions
from diarize.features.ssl_full import SslFull, SslFullOptions
from diarize.io.audio import write_wav
from diarize.io.rttm import write_rttm
from diarize.io.table import write_table
from diarize.segments import Segment
from diarize.tasks.registry import load_task
from diarize.train.checkpoint import load_model

SIZES = {"model": "wavlm", "dim": 32, "layers": 1, "heads": 2, "ff_dim": 48, "norm_first": False}
CONFIG = """
model:
  front_end: ssl_full
  ssl_full:
    conv: {weights: wavlm.pth, norm: group, bias: false}
    model: wavlm
    dim: 32
    layers: 1
    heads: 2
    ff_dim: 48
    norm_first: false
    weighted_sum: true
  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, down_factor: 5, down_kernel: 7,
             up_kernels: [5], up_strides: [5]}
  decoder: {queries: 3, layers: 1, heads: 2, ff_dim: 32}
data: {crop_seconds: 1}
train: {steps: 2, batch_size: 1, device: cpu, tensorboard: false, optimizer: {lr: 1.0e-2}}
"""


def make_data(path):
    """A recording of two seconds with two speakers."""
    path.mkdir()
    write_wav(path / "r.wav", np.random.default_rng(0).normal(0, 0.1, 32_000), 16_000)
    write_table(path / "wav.scp", {"r": str(path / "r.wav")})
    write_table(path / "reco2dur", {"r": "2.000"})
    write_rttm(path / "rttm", [Segment("r", 0.1, 1.2, "a"), Segment("r", 0.9, 1.9, "b")])
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Weights of a small WavLM, and a model trained on it for two steps."""
    root = tmp_path_factory.mktemp("front_end")
    torch.manual_seed(3)
    model = SslFull(SslFullOptions(SslConvOptions(norm="group", bias=False), **SIZES))
    state = {f"feature_extractor.conv_layers.{k}": v
             for k, v in model.conv.conv_layers.state_dict().items()}
    state |= {f"encoder.{k}": v for k, v in model.encoder.state_dict().items()}
    torch.save(state, root / "wavlm.pth")
    (root / "c.yaml").write_text(CONFIG.replace("wavlm.pth", str(root / "wavlm.pth")))
    return root, model, make_data(root / "data")


def run(root, data, out, *more, config="c.yaml"):
    command = ["--config", str(root / config), "--train", str(data), "--valid", str(data)]
    return train.main([*command, "--out", str(out), *more])


def test_a_speaker_model_on_frozen_wavlm(world, tmp_path):
    root, wavlm, data = world
    assert run(root, data, tmp_path / "one") == 0
    held = load_task(tmp_path / "one" / "last.pth").model.features
    for name, tensor in wavlm.encoder.state_dict().items():
        assert torch.equal(held.encoder.state_dict()[name], tensor), name
    assert held.layer_weights.abs().max() > 0  # learned

    # Finetuning: the file of the weights is not read again.
    (root / "wavlm.pth").rename(root / "gone.pth")
    (root / "fine.yaml").write_text(
        "init_modules: [features, backbone]\n"
        "model: {ssl_full: {frozen: false}}\n"
        "data: {crop_seconds: 1}\n"
        "train: {steps: 1, batch_size: 1, device: cpu, tensorboard: false,\n"
        "        gradient_checkpointing: true, optimizer: {pretrained_ratio: 0.1}}\n"
    )
    init = ["--init-model", str(tmp_path / "one" / "last.pth")]
    assert run(root, data, tmp_path / "two", *init, config="fine.yaml") == 0
    state, meta = load_model(tmp_path / "two" / "last.pth")
    assert meta["config"]["model"]["ssl_full"]["conv"]["weights"] == "init"
    key = "encoder.transformer.layers.0.feed_forward.output_dense.weight"
    moved = state[f"features.{key}"] - wavlm.state_dict()[key]
    assert 0 < moved.abs().max() < 1e-3


def test_a_frozen_front_end_without_weights_is_refused(world, tmp_path, capfd):
    root, _, data = world
    override = ["--set", "model.ssl_full.conv.weights=init"]
    assert run(root, data, tmp_path / "x", *override) == 1
    assert "--init-model" in capfd.readouterr().err
