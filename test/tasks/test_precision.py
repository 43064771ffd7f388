"""A bfloat16 run of both tasks: the network alone is rounded; losses, matching, DER are exact."""

import contextlib

import numpy as np
import pytest
import torch

from diarize.config import from_dict
from diarize.io.audio import write_wav
from diarize.losses import criterion, eda, language
from diarize.tasks import validation
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.tasks.speaker import EdaOptions, EdaTask, SpeakerOptions, SpeakerTask
from diarize.train.distributed import Group
from diarize.train.options import TrainOptions
from diarize.train.step import Stepper

DECODER = {"queries": 4, "layers": 2, "heads": 2, "ff_dim": 32}
ENCODER = {"dim": 16, "layers": 2, "heads": 2, "ff_dim": 32, "kernel": 7}
SPEAKER = {"model": {"backbone": ENCODER, "decoder": DECODER}}
LANGUAGE = {
    "model": {"encoder": ENCODER, "decoder": DECODER, "languages": ["A", "B"]},
    "criterion": {"frame_language_id": 1.0},
}
KINDS = {
    "speaker": SPEAKER,
    "language": {**LANGUAGE, "model": {**LANGUAGE["model"], "front_end": "log_mel"}},
    "ssl_conv": LANGUAGE,
    "eda": {"model": {"encoder": {**ENCODER, "type": "conformer"}, "max_speakers": 4}},
}
MAKERS = {"speaker": (SpeakerOptions, SpeakerTask), "eda": (EdaOptions, EdaTask)}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Recordings of noise with random turns; one is longer than bfloat16 counts to."""
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(1)
    scp, rttm = [], []
    for name, seconds in (("r0", 3.0), ("r1", 2.5), ("r2", 6.0)):
        write_wav(root / f"{name}.wav", 0.1 * rng.standard_normal(round(16000 * seconds)), 16000)
        scp.append(f"{name} {root}/{name}.wav\n")
        for label in "AB":
            for start in np.sort(rng.uniform(0, seconds - 1, 3)):
                turn = f"{start:.3f} {rng.uniform(0.1, 0.9):.3f}"
                rttm.append(f"SPEAKER {name} 1 {turn} <NA> <NA> {label} <NA> <NA>\n")
    (root / "wav.scp").write_text("".join(scp))
    (root / "rttm").write_text("".join(rttm))
    return str(root)


@pytest.fixture(params=sorted(KINDS))
def task(request, data):
    kind = request.param
    options, make = MAKERS.get(kind, (LanguageOptions, LanguageTask))
    # In bfloat16 a CPU is slow with the convolutions.
    seconds, longest = (0.2, 0.6) if kind == "ssl_conv" else (2.0, 6.0)
    valid = {"query_thresholds": [0.0, 0.4], "max_seconds": longest}
    mapping = {**KINDS[kind], "data": {"crop_seconds": seconds}, "valid": valid}
    made = make(from_dict(options, mapping, "test"), seed=3)
    made.load_data([data], data)
    return made


def inner_layer(model):
    """Return a linear layer of the network."""
    return model.encoder.linear if hasattr(model, "attractors") else model.decoder.mask_mlp[0]


def stepper(task, precision, **changes):
    options = TrainOptions(device="cpu", precision=precision, batch_size=3, **changes)
    return Stepper(task, options, Group(0, 1, CPU))


def crops(task):
    return task.collate([task.example(i) for i in range(3)])


def gradients(made, batch):
    made.model.zero_grad()
    torch.manual_seed(0)
    loss, _ = made.task.loss(made.forward, batch, made.task.normalizers(batch))
    loss.backward()
    found = [p.grad.clone() for p in made.model.parameters() if p.grad is not None]
    return loss.detach(), found


def test_autocast_surrounds_the_network_and_nothing_else(task, monkeypatch):
    seen = {}

    def watch(place, name):
        real = getattr(place, name)

        def watched(*args, **kwargs):
            values = [*args, *(vars(args[0]).values() if hasattr(args[0], "lengths") else ())]
            kinds = {x.dtype for x in values if isinstance(x, torch.Tensor)}
            assert torch.bfloat16 not in kinds, name
            seen.setdefault(name, set()).add(torch.is_autocast_enabled("cpu"))
            return real(*args, **kwargs)

        monkeypatch.setattr(place, name, watched)

    watch(validation, "mask_der_stats")
    watch(criterion, "match")
    watch(language, "match")
    watch(eda, "match")
    watch(task.criterion, "cost")
    watch(task.criterion, "sums")
    inside = set()
    hook = inner_layer(task.model).register_forward_hook(
        lambda *args: inside.add((torch.is_autocast_enabled("cpu"), args[-1].dtype))
    )
    made = stepper(task, "bf16")
    made.run(0, [crops(task)])
    made.check()
    made.validate(1, lambda: 0)
    hook.remove()
    assert inside == {(True, torch.bfloat16)}
    assert seen == {name: {False} for name in ("mask_der_stats", "match", "cost", "sums")}


def test_features_are_the_same_to_the_bit_under_autocast(task):
    features, batch = task.model.features, crops(task)
    if not features.keeps_features:
        # Convolutions are part of the network; what they are given is not rounded.
        features = features._prepared
    plain = features(batch.waveforms, batch.num_samples)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = features(batch.waveforms, batch.num_samples)[0]
    assert half.dtype == torch.float32
    assert torch.equal(plain, half)


def test_the_mask_product_is_not_rounded(task):
    made, batch = stepper(task, "bf16"), crops(task)
    with torch.no_grad():
        predictions = made.forward(batch.waveforms, batch.num_samples)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = predictions.mask_logits()
    frames, embeddings = predictions.frames.double(), predictions.mask_embeddings.double()
    exact = torch.einsum("btd,lbnd->lbtn", frames, embeddings)
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize("task", ["speaker", "language"], indirect=True)
def test_validation_counts_of_a_bf16_run_are_those_of_float64(task, monkeypatch):
    """Every decision is counted again from the same masks, in NumPy and float64."""
    counted = []
    real = validation.mask_der_stats

    def watched(system, reference, collar, evaluated):
        assert evaluated.all()
        found = real(system, reference, collar, evaluated)
        counted.append((system, reference, found))
        return found

    monkeypatch.setattr(validation, "mask_der_stats", watched)
    torch.manual_seed(0)  # of the dropout, which is on
    sums = task.validate(stepper(task, "bf16").in_precision(task.model), CPU)
    assert sums["recordings"] == 3
    if task.name == "speaker":
        assert sums["stats"][0, 0] > 512  # bfloat16 counts to 256
    assert any(system.any() for system, _, _ in counted)
    for system, reference, found in counted:
        sys, ref = (x.astype(np.float64) for x in (system, reference))
        right = best_overlap(sys, ref)
        sys, ref = sys.sum(1), ref.sum(1)
        assert found.tolist() == [
            ref.sum(), np.clip(ref - sys, 0, None).sum(), np.clip(sys - ref, 0, None).sum(),
            np.minimum(sys, ref).sum() - right,
        ]  # fmt: skip


def best_overlap(system, reference):
    """Return the frames of the best one-to-one mapping of two reference labels."""
    product = np.vstack([system.T @ reference, np.zeros((2, 2))])  # (N + 2, 2)
    pairs = [(n, m) for n in range(len(product)) for m in range(len(product)) if n != m]
    return max(product[n, 0] + product[m, 1] for n, m in pairs)


def test_loss_of_a_bf16_run_stays_near_float32(task):
    batch = crops(task)
    plain, _ = gradients(stepper(task, "fp32"), batch)
    half, found = gradients(stepper(task, "bf16"), batch)
    assert half.dtype == torch.float32
    assert all(torch.isfinite(g).all() and g.dtype == torch.float32 for g in found)
    assert abs(float(half - plain)) < 0.05 * float(plain)


def test_checkpointing_gives_the_same_gradients_in_bf16(task):
    batch = crops(task)
    plain = gradients(stepper(task, "bf16"), batch)
    saving = gradients(stepper(task, "bf16", gradient_checkpointing=True), batch)
    assert torch.equal(plain[0], saving[0])
    for one, two in zip(plain[1], saving[1], strict=True):
        torch.testing.assert_close(one, two, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("task", ["speaker"], indirect=True)
def test_compiled_steps_are_the_same_in_bf16(task, monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: real(model, backend="aot_eager"))
    batch = crops(task)
    plain = gradients(stepper(task, "bf16"), batch)
    with contextlib.closing(_Reset()):
        compiled = gradients(stepper(task, "bf16", compile=True), batch)
    torch.testing.assert_close(plain[0], compiled[0], atol=0, rtol=0.01)
    norms = [torch.nn.utils.get_total_norm(found) for found in (plain[1], compiled[1])]
    torch.testing.assert_close(*norms, atol=0, rtol=0.05)


class _Reset:
    def close(self):
        torch.compiler.reset()
