"""The convolutional front-end: hop, receptive field, padding, and whose weights it takes."""

import argparse
import json
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from diarize.errors import DiarizeError
from diarize.features.ssl_conv import SslConv, SslConvOptions
from diarize.features.ssl_full import SslFull, SslFullOptions
from diarize.features.ssl_weights import read_state
from diarize.segments import Segment, segments_to_mask

POOLINGS = (1, 5, 10)


def front_end(**options):
    torch.manual_seed(0)
    return SslConv(SslConvOptions(**options)).eval()


@pytest.fixture(scope="module")
def reference(names):
    return names.make_model()


def write(path, state):
    """A checkpoint file by its suffix; a fairseq one has its command line beside the model."""
    if path.suffix == ".safetensors":
        header, blob = {"__metadata__": {"format": "pt"}}, b""
        for name, tensor in state.items():
            data = tensor.contiguous().numpy().tobytes()
            header[name] = {
                "dtype": "F32", "shape": list(tensor.shape),
                "data_offsets": [len(blob), len(blob) + len(data)],
            }  # fmt: skip
            blob += data
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + blob)
    elif path.name.startswith("fairseq"):
        torch.save({"args": argparse.Namespace(lr=[0.1]), "cfg": None, "model": state}, path)
    else:
        torch.save(state, path)
    return str(path)


# ---- time


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("samples", [1_600, 1_601, 4_799, 15_999, 16_000, 16_161, 23_457, 30_011])
def test_features_and_labels_agree_to_the_frame(pooling, samples):
    layer = front_end(pooling=pooling)
    with torch.no_grad():
        features, lengths = layer(torch.randn(1, samples), torch.tensor([samples]))
    segment = Segment("r", 0.0, samples / 16000, "L1")
    mask = segments_to_mask([segment], ["L1"], layer.grid.num_frames(samples), layer.grid)
    assert features.shape == (1, len(mask), 512)
    assert lengths.tolist() == [len(mask)]
    assert mask.all()
    assert len(mask) == (samples + 160 * pooling) // (320 * pooling)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_hop_and_receptive_field_by_impulses(pooling):
    """25, 105, 205 ms windows every 20, 100, 200 ms, each centred on its frame of the labels."""
    hop, field = 320 * pooling, {1: 400, 5: 1680, 10: 3280}[pooling]
    samples = 4 * hop
    layer = front_end(pooling=pooling, normalize=False)
    assert layer.grid.hop == hop
    spots = sorted(
        {t * hop + hop // 2 + d for t in (1, 2) for d in (0, hop // 2 - 1, field // 2, -field // 2)}
        | {hop - 41, hop - 40, hop + 39, hop + 40, 2 * hop - 41, 2 * hop - 40, 2 * hop + 39}
    )
    spots = [s for s in spots if 0 <= s < samples]
    waveforms = torch.zeros(len(spots) + 1, samples)
    for row, spot in enumerate(spots):
        waveforms[row, spot] = 10.0
    with torch.no_grad():
        features, _ = layer(waveforms, torch.full((len(waveforms),), samples))
    changed = (features[:-1] != features[-1]).any(-1)  # (spots, T)
    for row, spot in enumerate(spots):
        lead = (field - hop) // 2
        expected = [t for t in range(4) if -lead <= spot - t * hop < field - lead]
        assert changed[row].nonzero().flatten().tolist() == expected, spot


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_and_batch_change_nothing(pooling):
    layer = front_end(pooling=pooling)
    waveforms = torch.randn(3, 26_000)
    count = torch.tensor([26_000, 17_333, 9_001])
    with torch.no_grad():
        together, lengths = layer(waveforms, count)
        for row in (1, 2):
            alone, own = layer(waveforms[row : row + 1, : count[row]], count[row : row + 1])
            frames = int(own)
            assert int(lengths[row]) == frames == alone.shape[1]
            torch.testing.assert_close(together[row, :frames], alone[0], atol=1e-5, rtol=0)
            assert together[row, frames:].abs().sum() == 0


def test_pieces_are_the_whole():
    """Without a gradient long audio is done piece by piece; the result is the same."""
    layer = front_end(normalize=False, frozen=False)
    waveform = torch.randn(1, 100_000)
    with torch.no_grad():
        pieces, _ = layer(waveform, torch.tensor([100_000]))
    whole, _ = layer(waveform, torch.tensor([100_000]))
    assert whole.requires_grad
    torch.testing.assert_close(pieces, whole.detach(), atol=1e-5, rtol=0)


def test_level_does_not_matter_when_normalized():
    layer = front_end()
    waveform = torch.randn(1, 8_000)
    with torch.no_grad():
        one, _ = layer(waveform, torch.tensor([8_000]))
        loud, _ = layer(5.0 + 100.0 * waveform, torch.tensor([8_000]))
        silent, _ = layer(torch.zeros(1, 8_000), torch.tensor([8_000]))
    torch.testing.assert_close(one, loud, atol=1e-3, rtol=0)
    assert torch.isfinite(silent).all()


# ---- weights


@pytest.mark.parametrize("name", ["fairseq.pt", "hf.bin", "hf.safetensors", "torchaudio.pth"])
def test_weights_under_any_names_give_torchaudios_features(tmp_path, names, reference, name):
    state = reference.state_dict()
    convert = {"fairseq": names.fairseq, "hf": names.hugging_face}.get(name.split(".")[0], dict)
    layer = front_end(weights=write(tmp_path / name, convert(state)), normalize=False)
    with pytest.raises(DiarizeError, match="no weights"):
        layer.check_filled()
    layer.load_pretrained()
    layer.check_filled()
    waveform = torch.randn(2, 16_000)
    with torch.no_grad():
        expected, _ = reference.feature_extractor(waveform, None)
        torch.testing.assert_close(layer.extract(waveform), expected, atol=1e-5, rtol=0)
        # The front-end is that model on the waveform with zeros around it.
        features, _ = layer(waveform, torch.tensor([16_000, 16_000]))
        expected, _ = reference.feature_extractor(F.pad(waveform, (40, 40)), None)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)
    assert not any(p.requires_grad for p in layer.parameters())


@pytest.mark.parametrize("name", ["fairseq.pt", "hf.bin", "torchaudio.pth"])
@pytest.mark.parametrize("layer", [None, 1])
def test_the_full_model_is_torchaudios(tmp_path, names, reference, name, layer):
    state = reference.state_dict()
    convert = {"fairseq": names.fairseq, "hf": names.hugging_face}.get(name.split(".")[0], dict)
    conv = SslConvOptions(weights=write(tmp_path / name, convert(state)), normalize=False)
    sizes = {"dim": names.DIM, "layers": names.DEPTH, "heads": names.HEADS, "ff_dim": names.FF}
    model = SslFull(SslFullOptions(conv=conv, layer=layer, **sizes)).eval()
    model.load_pretrained()
    torch.manual_seed(0)
    waveforms, count = torch.randn(2, 16_000), torch.tensor([16_000, 9_100])
    with torch.no_grad():
        features, lengths = model(waveforms, count)
        padded = F.pad(waveforms[:1], (40, 40))
        expected = (
            reference(padded)[0] if layer is None else reference.extract_features(padded)[0][0]
        )
        alone, own = model(waveforms[1:, :9_100], count[1:])
    torch.testing.assert_close(features[:1], expected, atol=1e-5, rtol=1e-5)
    assert lengths.tolist() == [50, 28]
    assert own.tolist() == [28]
    torch.testing.assert_close(features[1, :28], alone[0], atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in model.parameters())


def test_missing_extra_and_wrong_tensors_are_listed(tmp_path, names, reference):
    state = names.hugging_face(reference.state_dict())
    head = "wav2vec2.feature_extractor.conv_layers"
    del state[f"{head}.3.conv.bias"]
    state[f"{head}.7.conv.weight"] = torch.zeros(512, 512, 2)
    state[f"{head}.0.conv.weight"] = torch.zeros(256, 1, 10)
    path = write(tmp_path / "odd.bin", state)
    with pytest.raises(DiarizeError) as caught:
        front_end(weights=path).load_pretrained()
    message = str(caught.value)
    assert message.startswith(f"{path} does not have the tensors of the configured speech model")
    assert "missing: conv_layers.3.conv.bias (512,);" in message
    assert "extra: conv_layers.7.conv.weight (512, 512, 2);" in message
    assert "of another size: conv_layers.0.conv.weight (256, 1, 10)" in message


def test_a_base_model_with_group_norm_is_refused(tmp_path, names):
    state = names.make_model("group_norm", bias=False).state_dict()
    path = write(tmp_path / "base.pth", state)
    with pytest.raises(DiarizeError, match=r"missing: .*conv_layers.1.layer_norm.weight") as caught:
        front_end(weights=path).load_pretrained()
    assert "conv_layers.6.conv.bias" in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nowhere.pt", "no weights of the speech model at nowhere.pt"),
        ("torchaudio:MMS_FA", "name the directory to keep it in"),
        ("torchaudio:NO_SUCH", "torchaudio has no bundle 'NO_SUCH'; MMS is torchaudio:MMS_FA"),
    ],
)
def test_weights_that_cannot_be_had(weights, message):
    with pytest.raises(DiarizeError, match=message):
        front_end(weights=weights).load_pretrained()


def test_safetensors_of_every_kind(tmp_path):
    """The integers of a file, such as counts, are no weights."""
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    state = {str(kind): torch.arange(6).reshape(2, 3).to(kind) for kind in kinds}
    save_file(state, tmp_path / "x.safetensors", {"format": "pt"})
    found = read_state(str(tmp_path / "x.safetensors"))
    assert set(found) == {str(kind) for kind in kinds[:4]}
    assert all(torch.equal(found[name], state[name]) for name in found)


@pytest.mark.parametrize("size", [4, 8, 60, -1])
def test_a_cut_safetensors_file_is_named(tmp_path, size):
    path = tmp_path / "cut.safetensors"
    save_file({"w": torch.zeros(50)}, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DiarizeError, match=r"cut\.safetensors is damaged"):
        read_state(str(path))


@pytest.mark.parametrize("name", ["junk.pt", "junk.safetensors"])
def test_a_file_of_something_else(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(DiarizeError, match=name):
        front_end(weights=str(path)).load_pretrained()
    other = write(tmp_path / "other.pth", {"linear.weight": torch.zeros(2, 2)})
    with pytest.raises(DiarizeError, match=r"contains no tensor of a wav2vec 2.0-type model"):
        front_end(weights=other).load_pretrained()
    convs = {k: v for k, v in front_end().state_dict().items() if k != "filled"}
    convs = write(tmp_path / "c.pth", {f"feature_extractor.{k}": v for k, v in convs.items()})
    conv = SslConvOptions(weights=convs)
    model = SslFull(SslFullOptions(conv, dim=32, layers=1, heads=2, ff_dim=48))
    with pytest.raises(DiarizeError, match="contains convolutional layers only"):
        model.load_pretrained()


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(DiarizeError, match="not opened for safety"):
        front_end(weights=str(tmp_path / "evil.pt")).load_pretrained()
    assert not (tmp_path / "ran").exists()


def test_no_weights_are_a_loud_warning_and_a_trained_front_end(caplog):
    layer = front_end(frozen=True)
    with caplog.at_level(logging.WARNING):
        layer.load_pretrained()
    assert "WARNING: no weights for the convolutional front-end" in caplog.text
    assert all(p.requires_grad for p in layer.parameters())
    layer.check_filled()


def test_weights_may_come_with_the_initial_model():
    frozen = front_end(weights="init")
    frozen.load_pretrained()
    with pytest.raises(DiarizeError, match="'weights: init' requires --init-model"):
        frozen.check_filled()
    frozen.load_state_dict(front_end(weights=None).state_dict())
    frozen.check_filled()
    assert not any(p.requires_grad for p in frozen.parameters())


def test_a_trained_front_end_gets_gradients():
    layer = front_end(weights="init", frozen=False)
    features, _ = layer(torch.randn(1, 3_200), torch.tensor([3_200]))
    features.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())
    assert np.prod(features.shape) == 10 * 512
