"""Whole self-supervised models: the four kinds, padding, weighted sum, gradients, weights."""

import pytest
import torch
from torch.nn import functional as F

from diarize.bin import convert_ssl
from diarize.errors import DiarizeError
from diarize.features.ssl_conv import SslConv, SslConvOptions
from diarize.features.ssl_full import SslFull, SslFullOptions
from diarize.features.ssl_weights import section_of

# (normalisation, bias of the convolutions, WavLM) of the published models.
KINDS = {
    "wav2vec2": ("group_norm", False, False),  # base; HuBERT base is the same
    "xls_r": ("layer_norm", True, False),  # also wav2vec 2.0 LV-60, MMS
    "hubert": ("layer_norm", False, False),  # large
    "wavlm": ("group_norm", False, True),  # base
    "wavlm_large": ("layer_norm", False, True),
}


@pytest.fixture(scope="module")
def references(names):
    """torchaudio's models with random weights."""
    return {
        kind: names.make_model(mode, bias, wavlm=wavlm)
        for kind, (mode, bias, wavlm) in KINDS.items()
    }


def make(names, kind, weights=None, frozen=True, **options):
    mode, bias, wavlm = KINDS[kind]
    norm = "layer" if mode == "layer_norm" else "group"
    conv = SslConvOptions(
        weights=None if weights is None else str(weights), normalize=False, norm=norm, bias=bias
    )
    torch.manual_seed(0)
    return SslFull(
        SslFullOptions(
            conv, "wavlm" if wavlm else "wav2vec2", names.DIM, names.DEPTH, names.HEADS, names.FF,
            norm_first=norm == "layer", frozen=frozen, **options,
        )
    ).eval()  # fmt: skip


def check(found, expected):
    """Assert that no value differs by more than 1e-5 of the largest one."""
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, atol=1e-5 * scale, rtol=0)


def loaded(tmp_path, names, reference, kind, naming=dict, **options):
    torch.save(naming(reference.state_dict()), tmp_path / "w.pt")
    model = make(names, kind, tmp_path / "w.pt", **options)
    model.load_pretrained()
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("naming", ["fairseq", "hugging_face", "torchaudio"])
def test_each_kind_is_torchaudios_under_any_names(tmp_path, names, references, kind, naming):
    reference = references[kind]
    rename = getattr(names, naming, dict)
    model = loaded(tmp_path, names, reference, kind, rename)
    waveforms, count = torch.randn(1, 9_600), torch.tensor([9_600])
    padded = F.pad(waveforms, (40, 40))
    with torch.no_grad():
        check(model(waveforms, count)[0], reference(padded)[0])
        first = loaded(tmp_path, names, reference, kind, rename, layer=1)(waveforms, count)[0]
        expected = reference.extract_features(padded)[0][0]
        check(first, expected)
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", [1, 5])
def test_padding_batch_and_reading_in_parts_change_nothing(names, kind, pooling):
    """The group norm of the base models is that of the recording, not of the padded batch."""
    model = make(names, kind)
    model.conv = SslConv(
        SslConvOptions(pooling=pooling, norm=model.options.conv.norm, bias=model.options.conv.bias)
    ).eval()
    waveforms, count = torch.randn(2, 80_000) + 0.3, torch.tensor([80_000, 66_123])
    waveforms[1] *= 5
    with torch.no_grad():
        together, lengths = model(waveforms, count)
        alone, own = model(waveforms[1:, :66_123], count[1:])
        frames = int(own)
        assert int(lengths[1]) == frames == alone.shape[1]
        torch.testing.assert_close(together[1, :frames], alone[0], atol=2e-5, rtol=0)
        assert together[1, frames:].abs().sum() == 0
        parts = model.open_recording(_Samples(waveforms[1, :66_123]))(0, frames)
    torch.testing.assert_close(parts, alone, atol=2e-5, rtol=0)


def test_trained_and_frozen_convolutions_use_the_same_moments(names):
    """With gradients the moments are those of the whole, without them they are accumulated."""
    model = make(names, "wav2vec2")
    waveforms, count = torch.randn(2, 70_000), torch.tensor([70_000, 50_001])
    with_gradients, _ = model.conv(waveforms, count)
    assert with_gradients.requires_grad
    with torch.no_grad():
        without, _ = model.conv(waveforms, count)
    torch.testing.assert_close(with_gradients.detach(), without, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm_large"])
def test_the_weighted_sum_begins_as_the_mean_of_all_layers(tmp_path, names, references, kind):
    reference = references[kind]
    model = loaded(tmp_path, names, reference, kind, weighted_sum=True)
    waveforms, count = torch.randn(1, 6_400), torch.tensor([6_400])
    padded = F.pad(waveforms, (40, 40))
    with torch.no_grad():
        frames, _ = reference.feature_extractor(padded, None)
        first = reference.encoder.transformer._preprocess(
            reference.encoder.feature_projection(frames)
        )
        layers = [first, *reference.extract_features(padded)[0]]
        layers[-1] = reference(padded)[0]
    features, _ = model(waveforms, count)
    check(features, torch.stack(layers).mean(0))
    # The weights are trained, the model is not.
    features.square().sum().backward()
    assert model.layer_weights.grad.abs().max() > 0
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained == ["layer_weights"]


@pytest.mark.parametrize("kind", ["xls_r", "wavlm"])
def test_checkpointing_changes_no_gradient(tmp_path, names, references, kind):
    waveforms, count = torch.randn(2, 6_400), torch.tensor([6_400, 5_000])
    found = []
    for checkpointing in (False, True):
        model = loaded(
            tmp_path, names, references[kind], kind, frozen=False, weighted_sum=True
        ).train()
        model.checkpointing = checkpointing
        model(waveforms, count)[0].square().mean().backward()
        assert all(p.grad is None for p in model.conv.parameters())  # conv.frozen
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) > 20
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm_large"])
def test_bfloat16_is_close(names, kind):
    model = make(names, kind)
    waveforms, count = torch.randn(2, 9_600), torch.tensor([9_600, 8_000])
    with torch.no_grad():
        exact, _ = model(waveforms, count)
        with torch.autocast("cpu", torch.bfloat16):
            rough, _ = model(waveforms, count)
    assert torch.isfinite(rough).all()
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_a_layer_in_between_leaves_no_trained_parameter_unused(tmp_path, names, references):
    """Training in several processes requires a gradient of every parameter."""
    model = loaded(tmp_path, names, references["xls_r"], "xls_r", frozen=False, layer=1)
    model(torch.randn(1, 3_200), torch.tensor([3_200]))[0].sum().backward()
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused


def test_missing_tensors_are_listed_with_the_section_that_fits(tmp_path, names, references):
    state = names.hugging_face(references["wavlm"].state_dict())
    del state["wav2vec2.encoder.layers.1.attention.k_proj.weight"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(DiarizeError) as caught:
        make(names, "wavlm", tmp_path / "w.pt").load_pretrained()
    message = str(caught.value)
    assert "missing: transformer.layers.1.attention.attention.in_proj_weight (96, 32)" in message
    assert "extra: transformer.layers.1.attention.q_proj.weight (32, 32)" in message
    # A model of another kind: the message has the options of the file.
    with pytest.raises(DiarizeError) as caught:
        make(names, "xls_r", tmp_path / "w.pt").load_pretrained()
    assert "ssl_full of the file: {conv: {norm: group, bias: false}, model: wavlm" in str(
        caught.value
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_section_of_a_file_is_that_of_its_model(names, references, kind):
    section = section_of(names.fairseq(references[kind].state_dict()))
    options = make(names, kind).options
    assert section.pop("conv") == {"norm": options.conv.norm, "bias": options.conv.bias}
    # Only WavLM has its heads in the tensors.
    heads = section.pop("heads")
    assert heads == (names.HEADS if options.model == "wavlm" else 12)
    assert section == {key: getattr(options, key) for key in section}
    assert len(section) == 5


def test_converted_weights_are_loaded(tmp_path, names, references, capsys):
    """diarize-convert-ssl --full prints the section of the configuration, which fits its file."""
    state = names.hugging_face(references["wavlm"].state_dict())
    torch.save(state, tmp_path / "hf.bin")
    out = tmp_path / "wavlm.pth"
    assert convert_ssl.main(
        ["--weights", str(tmp_path / "hf.bin"), "--full", "--out", str(out)]
    ) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "front_end: ssl_full" in printed
    assert f"weights: {out}" in printed
    model = make(names, "wavlm", out)
    model.load_pretrained()
    waveforms = torch.randn(1, 4_800)
    with torch.no_grad():
        features, _ = model(waveforms, torch.tensor([4_800]))
        expected, _ = references["wavlm"](F.pad(waveforms, (40, 40)))
    check(features, expected)


@pytest.mark.parametrize(
    ("kind", "norm"),
    [("Wav2Vec2", "group"), ("Wav2Vec2", "layer"), ("Hubert", "group"), ("Hubert", "layer"),
     ("WavLM", "group"), ("WavLM", "layer")],
)  # fmt: skip
def test_models_of_transformers(tmp_path, kind, norm):
    """Files and outputs of Hugging Face's own implementation."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", conv_bias=norm == "layer",
        hidden_dropout=0.0, attention_dropout=0.0, feat_proj_dropout=0.0, layerdrop=0.0,
    )  # fmt: skip
    theirs = getattr(transformers, f"{kind}Model")(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    conv = SslConvOptions(
        weights=str(tmp_path / "model.safetensors"), normalize=False, norm=norm,
        bias=norm == "layer",
    )  # fmt: skip
    model = SslFull(
        SslFullOptions(
            conv, "wavlm" if kind == "WavLM" else "wav2vec2", 32, 2, 2, 48,
            norm_first=norm == "layer",
        )
    ).eval()  # fmt: skip
    model.load_pretrained()
    waveforms = torch.randn(1, 9_600)
    with torch.no_grad():
        expected = theirs(F.pad(waveforms, (40, 40))).last_hidden_state
        features, _ = model(waveforms, torch.tensor([9_600]))
    check(features, expected)


class _Samples:
    """A recording in memory."""

    def __init__(self, samples):
        self.samples, self.num_samples = samples, len(samples)

    def blocks(self):
        yield from self.samples.split(20_000)

    def read(self, start, stop):
        return self.samples[start:stop]
