"""The same commands for languages: from training to RTTM, and the converter of checkpoints."""

import numpy as np
import pytest
import torch
import yaml

from diarize.bin import average, convert_ssl, infer, posteriors, postprocess, train
from diarize.features.ssl_conv import SslConv, SslConvOptions
from diarize.infer.stored import PosteriorDir
from diarize.io.audio import write_wav
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table
from diarize.tasks.registry import load_task

CONFIG = """
task: language
model:
  ssl_conv: {weights: conv.pth, pooling: 5}
  encoder: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.0}
  decoder: {queries: 4, layers: 1, heads: 2, ff_dim: 32}
  languages: [eng, hin]
data: {crop_seconds: 1.5}
train:
  steps: 2
  batch_size: 2
  valid_interval: 1
  optimizer: {lr: 1e-3}
  device: cpu
  tensorboard: false
"""


def make_data(folder):
    """Three recordings in which eng and hin, or swa alone, are spoken; an RTTM, a UEM."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    scp, rttm, uem = [], [], []
    for i, languages in enumerate((["eng", "hin"], ["hin", "eng"], ["swa"])):
        samples = 24_000 + 4_007 * i
        write_wav(folder / f"r{i}.wav", 0.1 * rng.standard_normal(samples), 16000)
        scp.append(f"r{i} {folder}/r{i}.wav\n")
        for number, name in enumerate(languages):
            times = f"{0.1 + 0.7 * number:.3f} 0.600"
            rttm.append(f"SPEAKER r{i} 1 {times} <NA> <NA> {name} <NA> <NA>\n")
        uem.append(f"r{i} 1 0.000 {samples / 16000:.3f}\n")
    for name, lines in (("wav.scp", scp), ("rttm", rttm), ("uem", uem)):
        (folder / name).write_text("".join(lines))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data, converted weights of the front-end, and a model trained for two steps."""
    root = tmp_path_factory.mktemp("language")
    make_data(root / "data")
    torch.manual_seed(4)
    layers = SslConv(SslConvOptions()).state_dict()
    full = {f"wav2vec2.feature_extractor.{k}": v for k, v in layers.items() if k != "filled"}
    torch.save({**full, "lm_head.weight": torch.zeros(2, 2)}, root / "hf.bin")
    out = str(root / "conv.pth")
    assert convert_ssl.main(["--weights", str(root / "hf.bin"), "--out", out]) == 0
    (root / "train.yaml").write_text(CONFIG.replace("conv.pth", out))
    assert train.main(command(root, root / "exp")) == 0
    assert average.main(["--exp", str(root / "exp")]) == 0
    return root


def command(root, out, *overrides):
    data = str(root / "data")
    extra = ["--set", *overrides] if overrides else []
    config = ["--config", str(root / "train.yaml"), "--train", data, "--valid", data]
    return [*config, "--out", str(out), *extra]


def test_the_converter_keeps_the_convolutional_layers_alone(world, capsys):
    state = torch.load(world / "conv.pth", weights_only=True)["model"]
    assert len(state) == 28
    assert all(name.startswith("feature_extractor.conv_layers.") for name in state)
    assert (world / "conv.pth").stat().st_size < 17_000_000
    out = str(world / "again.pth")
    model = str(world / "exp" / "final.pth")
    assert convert_ssl.main(["--weights", model, "--out", out]) == 0
    assert "28 tensors, 4210176 parameters" in capsys.readouterr().out
    again = torch.load(out, weights_only=True)["model"]
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_the_saved_model_holds_its_front_end(world):
    """The frozen layers are those converted, and inference needs no other file."""
    task = load_task(world / "exp" / "final.pth")
    state = torch.load(world / "conv.pth", weights_only=True)["model"]
    own = task.model.features.state_dict()
    assert bool(own.pop("filled"))
    assert all(torch.equal(own[k], state[f"feature_extractor.{k}"]) for k in own)
    assert task.name == "language"


def test_from_posteriors_to_an_rttm_of_languages(world, capsys):
    model, data, post = str(world / "exp"), str(world / "data"), world / "post"
    for job in ("1", "2"):
        run = ["--model", model, "--data", data, "--out", str(post), "--job", job]
        assert posteriors.main([*run, "--num-jobs", "2"]) == 0
    assert posteriors.main(["--out", str(post), "--merge", "2"]) == 0
    found = PosteriorDir(post)
    assert found.task == "language"
    assert found.grid.frame_seconds == pytest.approx(0.1)
    assert found.labels == ["eng", "hin"]
    masks, activities = found.load("r1")
    assert masks.shape == (18, 4)  # 28007 samples: 17.5 frames of 100 ms
    task = load_task(world / "exp" / "final.pth")
    from diarize.io.audio import read_audio

    wave = read_audio(world / "data" / "r1.wav")
    with torch.no_grad():
        out = task.model(torch.from_numpy(wave)[None], torch.tensor([len(wave)])).last()
    np.testing.assert_allclose(masks[:, 0], out.mask_logits()[0, 0, :, 0].sigmoid(), atol=1e-5)
    assert activities[0] == pytest.approx(float(out.activity_logits[0, 0, 0].sigmoid()), abs=1e-5)
    assert (np.diff(activities[1:]) <= 0).all()
    probabilities, names = found.language_id("r1")
    assert names == ["eng", "hin"]
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-5)

    best, hyp = world / "best.yaml", world / "hyp"
    tune = ["tune", "--posteriors", str(post), "--ref", f"{data}/rttm", "--uem", f"{data}/uem"]
    assert postprocess.main([*tune, "--out", str(best)]) == 0
    chosen = yaml.safe_load(best.read_text())["postprocess"]
    chosen |= {"query_threshold": 0.0, "mask_threshold": 0.0}
    (world / "all.yaml").write_text(yaml.safe_dump({"postprocess": chosen}))
    apply = ["apply", "--posteriors", str(post), "--out", str(hyp)]
    assert postprocess.main([*apply, "--config", str(world / "all.yaml")]) == 0
    segments = read_rttm(hyp / "rttm")
    assert {s.recording for s in segments} == {"r0", "r1", "r2"}
    assert {s.label for s in segments} <= {"L1", "L2", "L3"}
    utt2lang, utt2spk = (read_table(hyp / name) for name in ("utt2lang", "utt2spk"))
    assert utt2lang.keys() == utt2spk.keys() == read_table(hyp / "segments").keys()
    assert all(utt2spk[utt].endswith(f"-{label}") for utt, label in utt2lang.items())
    assert sum(s.duration for s in segments if s.recording == "r1") == pytest.approx(1.8)
    chosen["language_id_threshold"] = 0.0
    (world / "named.yaml").write_text(yaml.safe_dump({"postprocess": chosen}))
    assert postprocess.main([*apply, "--config", str(world / "named.yaml")]) == 0
    assert {s.label for s in read_rttm(hyp / "rttm")} <= {"eng", "hin", "L1"}
    assert {s.label for s in read_rttm(hyp / "rttm")} & {"eng", "hin"}
    capsys.readouterr()
    single = [str(world / "data" / "r1.wav"), "--model", model, "--config", str(world / "all.yaml")]
    assert infer.main(single) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SPEAKER r1 1 0.000 ")
    assert " L1 " in printed


def test_a_recording_without_a_kept_query_is_counted(world, capsys):
    model, data, post = str(world / "exp"), str(world / "data"), world / "none"
    assert posteriors.main(["--model", model, "--data", data, "--out", str(post)]) == 0
    out = str(world / "empty")
    nothing = ["--query-threshold", "1"]
    assert postprocess.main(["apply", "--posteriors", str(post), "--out", out, *nothing]) == 0
    assert read_rttm(f"{out}/rttm") == []
    assert "3 of 3 recordings have no segment: r0, r1, r2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.ssl_conv.weights=nowhere.pt"], "no weights of the speech model at nowhere.pt"),
        (["model.ssl_conv.weights=torchaudio:MMS_FA"], "name the directory to keep it in (cache)"),
        (["model.ssl_conv.weights=init"], "requires --init-model"),
        (["model.decoder.queries=2"], "2 languages in the 1.5 s"),
        (["model.ssl_conv.pooling=3"], "pooling: 3 is none of 1, 5, 10"),
        (["criterion.embeded=3"], "unknown key 'embeded'; did you mean 'embedded'"),
    ],
)
def test_bad_configurations_are_one_line(world, tmp_path, capfd, overrides, words):
    assert train.main(command(world, tmp_path / "exp", *overrides)) == 1
    error = capfd.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_adaptation_takes_the_front_end_from_the_initial_model(world, tmp_path):
    init = ["--init-model", str(world / "exp" / "final.pth")]
    overrides = ("model.ssl_conv.weights=init", "train.steps=1")
    assert train.main([*command(world, tmp_path / "exp", *overrides), *init]) == 0


def test_a_speaker_model_is_no_initial_model(world, tmp_path, capfd):
    (tmp_path / "speaker.yaml").write_text(
        "model:\n  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7}\n"
        "  decoder: {queries: 5, layers: 1, heads: 2, ff_dim: 32}\n"
        "train: {steps: 1, batch_size: 1, device: cpu, tensorboard: false}\n"
    )
    data, other = str(world / "data"), str(tmp_path / "speaker")
    config = ["--config", str(tmp_path / "speaker.yaml"), "--train", data, "--valid", data]
    assert train.main([*config, "--out", other]) == 0
    capfd.readouterr()
    init = ["--init-model", f"{other}/last.pth"]
    assert train.main([*command(world, tmp_path / "exp"), *init]) == 1
    error = capfd.readouterr().err
    assert "is a model of the task speaker" in error
    assert "Traceback" not in error


def test_a_base_checkpoint_is_refused_by_the_converter(tmp_path, capfd):
    torch.save({"feature_extractor.conv_layers.0.conv.weight": torch.zeros(512, 1, 10)},
               tmp_path / "base.pt")
    out = str(tmp_path / "out.pth")
    assert convert_ssl.main(["--weights", str(tmp_path / "base.pt"), "--out", out]) == 1
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "base.pt" in error
    assert "conv_layers.6.conv.weight (512, 512, 2)" in error.partition("missing: ")[2]
    assert not (tmp_path / "out.pth").exists()
