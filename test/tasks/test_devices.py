"""Both tasks on a device named cuda, without a GPU: fake tensors know where they would be.

An operation on tensors of different devices fails here as on a GPU.  What needs values is stubbed
by name, in `on_a_gpu`.  The gradient needs a real GPU.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from diarize.config import from_dict
from diarize.features import logmel, ssl_conv
from diarize.infer import loader
from diarize.infer.config import NetworkOptions
from diarize.infer.loader import make_predictor
from diarize.infer.predictor import Predictor
from diarize.infer.recording import Recording
from diarize.io.audio import write_wav
from diarize.losses import criterion, language
from diarize.models import eend_eda
from diarize.nn import attractors, conformer, query_decoder, resample
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.tasks.speaker import EdaOptions, EdaTask, SpeakerOptions, SpeakerTask
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.step import Stepper

GPU = torch.device("cuda", 0)
DECODER = {"queries": 4, "layers": 2, "heads": 2, "ff_dim": 32}
ENCODER = {"dim": 16, "layers": 2, "heads": 2, "ff_dim": 32, "kernel": 7}
LANGUAGE = {"encoder": ENCODER, "decoder": DECODER, "languages": ["A", "B"]}
SSL_FULL = {"conv": {"pooling": 5}, "dim": 16, "layers": 2, "heads": 2, "ff_dim": 32}
MODELS = {
    "speaker": {"backbone": ENCODER, "decoder": DECODER},
    "language": {**LANGUAGE, "front_end": "log_mel"},
    "eda": {"encoder": ENCODER, "max_speakers": 4},
    "eda_conformer": {"encoder": {**ENCODER, "type": "conformer"}, "max_speakers": 4,
                      "inference_order": "shuffled"},
    "ssl_conv": {**LANGUAGE, "ssl_conv": {"pooling": 5}},
    "ssl_frozen": {**LANGUAGE, "ssl_conv": {"weights": "init", "frozen": True}},
    "ssl_full": {**LANGUAGE, "front_end": "ssl_full", "ssl_full": SSL_FULL},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two recordings of noise with two labels.

    Gaps in the UEM lie in every crop.
    """
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(1)
    scp, rttm = [], []
    for name, seconds in (("r0", 2.6), ("r1", 2.5)):
        write_wav(root / f"{name}.wav", 0.1 * rng.standard_normal(round(16000 * seconds)), 16000)
        scp.append(f"{name} {root}/{name}.wav\n")
        rttm += [f"SPEAKER {name} 1 0.1 2.0 <NA> <NA> A <NA> <NA>\n",
                 f"SPEAKER {name} 1 0.9 1.5 <NA> <NA> B <NA> <NA>\n"]
    (root / "wav.scp").write_text("".join(scp))
    (root / "rttm").write_text("".join(rttm))
    (root / "uem").write_text("r0 1 0.0 1.2\nr0 1 1.5 2.6\nr1 1 0.0 1.1\nr1 1 1.4 2.5\n")
    return root


def walk_lstm(lstm, x, state=None):
    """The output of an LSTM of a GPU by a product with each weight: its kernel needs a driver."""
    assert x.dtype == torch.float32
    assert not torch.is_autocast_enabled(x.device.type)
    gates = x @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
    out = gates.unflatten(-1, (4, -1)).sum(-2) @ lstm.weight_hh_l0.unflatten(0, (4, -1)).sum(0).T
    out = out if state is None else out + state[0].transpose(0, 1) + state[1].transpose(0, 1)
    return out, (out[:, -1:].transpose(0, 1), out[:, -1:].transpose(0, 1))


def packed(x, lengths, **_):
    """The padded sequence itself: the size of a packed one depends on values."""
    assert lengths.device.type == "cpu"
    return x


@pytest.fixture
def on_a_gpu(monkeypatch):
    """A machine whose GPU computes shapes, types and devices, but no values."""
    numpy = torch.Tensor.numpy

    def zeros(x, **kwargs):
        if not isinstance(x, FakeTensor):
            return numpy(x, **kwargs)
        assert x.device.type == "cpu", "numpy() of a tensor on the GPU"
        return np.zeros(x.shape, str(x.dtype).removeprefix("torch."))

    monkeypatch.setattr(torch.Tensor, "numpy", zeros)
    monkeypatch.setattr(torch.Tensor, "item", lambda _: 1.0)
    monkeypatch.setattr(torch.Tensor, "__int__", lambda _: 2)
    monkeypatch.setattr(torch.Tensor, "__float__", lambda _: 1.0)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: True)
    # `move` has put the weights there.
    monkeypatch.setattr(nn.Module, "to", lambda module, *_, **__: module)
    monkeypatch.setattr(loader, "pick_device", lambda _: GPU)
    monkeypatch.setattr(nn.LSTM, "forward", walk_lstm)
    monkeypatch.setattr(attractors, "pack_padded_sequence", packed)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def make_task(kind, data):
    """Return the task, its model with random weights on the CPU, outside of fake tensors."""
    if kind == "speaker":
        options, make, weights = SpeakerOptions, SpeakerTask, {}
    elif kind.startswith("eda"):
        options, make, weights = EdaOptions, EdaTask, {}
    else:
        options, make, weights = LanguageOptions, LanguageTask, {"frame_language_id": 1.0}
    mapping = {"model": MODELS[kind], "criterion": weights, "data": {"crop_seconds": 2.0},
               "valid": {"query_thresholds": [0.0, 0.4], "collar": 0.25}}
    task = make(from_dict(options, mapping, "test"), seed=3)
    task.load_data([str(data)], str(data))
    return task


def move(model: nn.Module) -> None:
    """Put fake tensors on the GPU in place of all weights and buffers; nothing stays behind."""
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                tensors[name] = torch.empty(tensor.shape, dtype=tensor.dtype, device=GPU)
                if isinstance(tensor, nn.Parameter):
                    tensors[name] = nn.Parameter(tensors[name], tensor.requires_grad)


@pytest.fixture(params=sorted(MODELS))
def task(request, data):
    return make_task(request.param, data)


def stepper_of(task, precision, checkpointing=False):
    move(task.model)
    options = TrainOptions(device="cpu", precision=precision, batch_size=2,
                           gradient_checkpointing=checkpointing)  # fmt: skip
    return Stepper(task, options, Group(0, 1, GPU))


def walk_loss(task, precision="auto", checkpointing=False, unpadded=False):
    """Return the loss of two crops and its terms."""
    stepper = stepper_of(task, precision, checkpointing)
    batch = task.collate([task.example(0), task.example(1)])
    batch.unpadded = unpadded
    assert batch.evaluated.shape == batch.targets.shape[:2]
    normalizers = task.normalizers(batch).to(GPU)
    return task.loss(stepper.forward, batch.to(GPU), normalizers)


def walk_validation(task, precision="auto"):
    """Return the sums of a validation."""
    stepper = stepper_of(task, precision)
    task.model.eval()
    return task.validate(stepper.in_precision(task.model), GPU)


def walk_inference(task, precision="auto"):
    """Return the posteriors of a recording alone, of one in windows, and of two at once."""
    move(task.model)
    options = NetworkOptions(device="cuda", precision=precision, max_memory=4.0,
                             max_whole=12.0, window=12.0, overlap=2.0)  # fmt: skip
    predictor = make_predictor(task.model, task.grid, options)
    read = [Recording("x", np.zeros(n, "f4"), task.grid) for n in (48000, 40000, 26 * 16000)]
    # Inference mode would look for a real GPU: the functions below its decorator.
    predict, predict_batch = Predictor.predict.__wrapped__, Predictor.predict_batch.__wrapped__
    with torch.no_grad():
        together = predict_batch(predictor, read[:2])
        alone, windows = predict(predictor, read[0]), predict(predictor, read[2])
    assert len(predictor.passes) > 1
    return [*together, alone, windows]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_features_model_and_criterion(task, on_a_gpu, precision, checkpointing):
    loss, stats = walk_loss(task, precision, checkpointing, unpadded=not checkpointing)
    assert loss.device == GPU
    assert loss.dtype == torch.float32
    assert {value.device for value in stats.values()} == {GPU}


def test_auto_is_bfloat16_on_a_gpu(data, on_a_gpu):
    task, seen = make_task("speaker", data), set()
    task.model.decoder.mask_mlp[0].register_forward_hook(lambda *args: seen.add(args[-1].dtype))
    walk_loss(task)
    assert seen == {torch.bfloat16}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_validation(task, on_a_gpu, precision):
    sums = walk_validation(task, precision)
    assert {value.device.type for value in sums.values()} == {"cpu"}
    assert {value.dtype for value in sums.values()} == {torch.float64}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_inference(task, on_a_gpu, precision):
    found = walk_inference(task, precision)
    assert [len(p.masks) for p in found] == [
        task.grid.num_frames(n) for n in (48000, 40000, 48000, 26 * 16000)
    ]


def left_behind(function):
    """Return ``function`` with its result on the CPU: a forgotten ``device=``."""
    return lambda *args, **kwargs: function(*args, **kwargs).cpu()


FORGOTTEN = [
    ("speaker", walk_loss, logmel, "length_mask"),
    ("speaker", walk_loss, conformer, "length_mask"),
    ("speaker", walk_loss, query_decoder, "downsample"),
    ("speaker", walk_loss, criterion, "match"),
    ("speaker", walk_validation, conformer, "length_mask"),
    ("eda", walk_loss, eend_eda, "in_order"),
    ("speaker", walk_inference, resample, "length_mask"),
    ("ssl_conv", walk_loss, ssl_conv, "length_mask"),
    ("language", walk_loss, language, "frame_ids"),
    ("language", walk_inference, query_decoder, "attention_mask"),
]


@pytest.mark.parametrize(("kind", "walk", "place", "name"), FORGOTTEN)
def test_a_tensor_on_the_wrong_device_is_found(
    data, on_a_gpu, monkeypatch, kind, walk, place, name
):
    task = make_task(kind, data)
    monkeypatch.setattr(place, name, left_behind(getattr(place, name)))
    with pytest.raises(RuntimeError, match="device"):
        walk(task)
