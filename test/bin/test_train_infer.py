"""diarize-train, -average, -posteriors and -infer on a few seconds of tones; bad input."""

import json
import shutil

import numpy as np
import pytest
import torch

from diarize.bin import infer, posteriors, postprocess, train
from diarize.infer.loader import NetworkOptions, make_predictor
from diarize.io.ark import read_scp
from diarize.io.audio import read_audio, write_wav
from diarize.io.rttm import read_rttm
from diarize.tasks.registry import load_task


def test_dry_run_ends_with_the_parameter_count(world, capsys):
    assert train.main(["--config", str(world / "train.yaml"), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = sum(p.numel() for p in load_task(world / "exp" / "final.pth").model.parameters())
    assert lines[-1] == f"parameters: {count}"
    assert any(line.startswith("backbone.conformer") and "1x15x16" in line for line in lines)


def test_posteriors_do_not_depend_on_the_split_into_jobs(world, capsys):
    model, data = str(world / "exp"), str(world / "data")
    one, two = world / "one", world / "two"
    assert posteriors.main(["--model", model, "--data", data, "--out", str(one)]) == 0
    for job in ("1", "2"):
        extra = ["--job", job, "--num-jobs", "2"]
        assert posteriors.main(["--model", model, "--data", data, "--out", str(two), *extra]) == 0
    assert posteriors.main(["--out", str(two), "--merge", "2"]) == 0
    for name in ("posteriors", "activities"):
        a, b = read_scp(one / f"{name}.scp"), read_scp(two / f"{name}.scp")
        assert list(a) == list(b) == ["r0", "r1", "r2"]
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
    assert read_scp(one / "posteriors.scp")["r1"].shape == (250, 5)
    assert posteriors.main(["--out", str(two), "--merge", "3"]) == 1
    assert "job 3 did not finish" in capsys.readouterr().err


def test_the_predictor_gives_what_the_model_gives(world):
    task = load_task(world / "exp" / "final.pth")
    waveform = read_audio(world / "r2.wav")
    predictor = make_predictor(task.model, task.grid, NetworkOptions(device="cpu", min_queries=3))
    found = predictor(waveform, "r2")
    with torch.no_grad():
        out = task.model(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    activity = out.activity_logits[-1, 0].sigmoid()
    order = activity.argsort(descending=True)[: len(found.activities)]
    np.testing.assert_allclose(found.activities, activity[order].numpy(), atol=1e-6)
    masks = out.mask_logits()[-1, 0].sigmoid()[:, order].numpy()
    np.testing.assert_allclose(found.masks, masks, atol=1e-5)


def test_infer_prints_rttm(world, capsys, tmp_path):
    command = [str(world / "r0.wav"), "--model", str(world / "exp"), "--num-speakers", "2"]
    assert infer.main([*command, "--mask-threshold", "0.0"]) == 0
    out = capsys.readouterr().out
    (tmp_path / "out.rttm").write_text(out)
    segments = read_rttm(tmp_path / "out.rttm")
    assert {s.recording for s in segments} == {"r0"}
    assert len({s.label for s in segments}) == 2
    assert max(s.end for s in segments) == pytest.approx(2.0)


def test_posteriors_of_two_bytes_and_in_windows_are_read_back(world, tmp_path, capfd):
    common = ["--model", str(world / "exp"), "--data", str(world / "data"), "--device", "cpu"]
    assert posteriors.main([*common, "--out", str(tmp_path / "a")]) == 0
    said = capfd.readouterr().err
    assert "peak memory" in said
    assert "allowed 4.00 GB" in said
    config = tmp_path / "infer.yaml"
    config.write_text("network: {storage: int16}\n")
    assert posteriors.main([*common, "--out", str(tmp_path / "b"), "--config", str(config)]) == 0
    long = tmp_path / "long"
    long.mkdir()
    write_wav(long / "x.wav", np.tile(read_audio(world / "r2.wav"), 12), 16000)
    (long / "wav.scp").write_text(f"x {long}/x.wav\n")
    (long / "uem").write_text("x 1 0.0 36.0\n")
    cut = ["--model", str(world / "exp"), "--data", str(long), "--window", "16"]
    assert posteriors.main([*cut, "--out", str(tmp_path / "c")]) == 0
    one, two = (read_scp(tmp_path / name / "posteriors.scp") for name in "ab")
    for key in one:
        np.testing.assert_allclose(two[key], one[key], atol=1e-5)
    sizes = [(tmp_path / name / "posteriors.ark").stat().st_size for name in "ab"]
    assert sizes[1] < 0.51 * sizes[0]
    assert read_scp(tmp_path / "c" / "posteriors.scp")["x"].shape[0] == 3600
    for name in "bc":
        out = ["--posteriors", str(tmp_path / name), "--out", str(tmp_path / name)]
        options = ["--num-speakers", "2", "--mask-threshold", "0.0"]
        assert postprocess.main(["apply", *out, *options]) == 0
        found = read_rttm(tmp_path / name / "rttm")
        assert max(s.end for s in found) == pytest.approx(36.0 if name == "c" else 3.0)
    assert posteriors.main([*common, "--out", str(tmp_path / "d"), "--max-memory", "0.01"]) == 1
    assert "even in windows, but max_memory is 0.0 GB" in capfd.readouterr().err


def bad_data(tmp_path, scp, rttm=""):
    data = tmp_path / "bad"
    data.mkdir()
    (data / "wav.scp").write_text(scp)
    (data / "rttm").write_text(rttm)
    return str(data)


def bad_cases(tmp_path):
    """name -> (wav.scp, words of the message)."""
    good = tmp_path / "good.wav"
    write_wav(good, np.zeros(16000, np.float32), 16000)
    cut = tmp_path / "cut.wav"
    cut.write_bytes(good.read_bytes()[:2000])
    empty = tmp_path / "empty.wav"
    write_wav(empty, np.zeros(0, np.float32), 16000)
    short = tmp_path / "short.wav"
    write_wav(short, np.zeros(60, np.float32), 16000)
    nan = tmp_path / "nan.wav"
    import soundfile

    soundfile.write(nan, np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    return {
        "missing": (f"r {tmp_path}/no.wav\n", "no.wav"),
        "cut": (f"r {cut}\n", "cut"),
        "empty": (f"r {empty}\n", "empty.wav"),
        "short": (f"r {short}\n", "recording r: 60 samples are shorter than one frame"),
        "nan": (f"r {nan}\n", "NaN"),
        "twice": (f"r {good}\nr {good}\n", "wav.scp:2"),
        "unsorted": (f"s {good}\nr {good}\n", "wav.scp:2"),
    }


@pytest.mark.parametrize(
    "case", ["missing", "cut", "empty", "short", "nan", "twice", "unsorted"]
)
def test_bad_recordings_end_inference_with_one_line(world, tmp_path, capfd, case):
    scp, words = bad_cases(tmp_path)[case]
    data, out = bad_data(tmp_path, scp), tmp_path / "out"
    status = posteriors.main(["--model", str(world / "exp"), "--data", data, "--out", str(out)])
    error = capfd.readouterr().err
    assert status == 1
    assert words in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
    assert not (out / "posteriors.scp").exists()


def test_stereo_and_8_khz_are_taken(world, tmp_path):
    import soundfile

    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "stereo.wav", 0.1 * rng.standard_normal((8000, 2)), 8000)
    data = bad_data(tmp_path, f"r {tmp_path}/stereo.wav\n")
    out = tmp_path / "out"
    command = ["--model", str(world / "exp"), "--data", data, "--out", str(out)]
    assert posteriors.main(command) == 0
    assert read_scp(out / "posteriors.scp")["r"].shape == (100, 5)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.decoder.querries=4"], "unknown key 'querries'; did you mean 'queries'"),
        (["train.steps=many"], "steps: expected int, got 'many'"),
        (["model.decoder.queries=1", "train.device=cpu"], "2 speakers in the 1.5 s"),
    ],
)
def test_bad_configurations_end_training_with_one_line(world, tmp_path, capfd, overrides, words):
    data = str(world / "data")
    status = train.main(
        ["--config", str(world / "train.yaml"), "--train", data, "--valid", data,
         "--out", str(tmp_path / "exp"), "--set", *overrides]
    )
    error = capfd.readouterr().err
    assert status == 1
    assert words in error
    assert "Traceback" not in error


def test_an_rttm_with_a_bad_field_ends_training_with_its_line(world, tmp_path, capfd):
    line = "SPEAKER r0 1 0.1 x <NA> <NA> A <NA> <NA>\n"
    data = bad_data(tmp_path, (world / "data" / "wav.scp").read_text(), line)
    status = train.main(
        ["--config", str(world / "train.yaml"), "--train", data, "--valid", data,
         "--out", str(tmp_path / "exp")]
    )
    error = capfd.readouterr().err
    assert status == 1
    assert "rttm:1" in error
    assert "Traceback" not in error


def test_a_checkpoint_of_other_sizes_is_refused(world, tmp_path, capfd):
    data = str(world / "data")
    status = train.main(
        ["--config", str(world / "train.yaml"), "--train", data, "--valid", data,
         "--out", str(tmp_path / "exp"), "--init-model", str(world / "exp" / "final.pth"),
         "--set", "model.decoder.ff_dim=64"]
    )
    error = capfd.readouterr().err
    assert status == 1
    assert "ff" in error
    assert "does not fit this model" in error


def test_only_the_backbone_is_taken_when_asked(world, tmp_path):
    data = str(world / "data")
    status = train.main(
        ["--config", str(world / "train.yaml"), "--train", data, "--valid", data,
         "--out", str(tmp_path / "exp"), "--init-model", str(world / "exp" / "final.pth"),
         "--set", "init_modules=[backbone]", "model.decoder.ff_dim=64", "train.steps=1"]
    )
    assert status == 0


def test_an_unwritable_output_is_one_line(world, tmp_path, capfd):
    blocked = tmp_path / "file"
    blocked.write_text("")
    data = str(world / "data")
    command = ["--config", str(world / "train.yaml"), "--train", data, "--valid", data]
    assert train.main([*command, "--out", str(blocked / "exp")]) == 1
    error = capfd.readouterr().err
    assert "cannot write" in error
    model = str(world / "exp")
    out = str(blocked / "out")
    assert posteriors.main(["--model", model, "--data", data, "--out", out]) == 1
    assert "cannot write" in capfd.readouterr().err


def test_a_full_disk_is_one_line(world, tmp_path, capfd):
    """/dev/full answers every write with "no space left"."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "posteriors.ark").symlink_to("/dev/full")
    command = ["--model", str(world / "exp"), "--data", str(world / "data"), "--out", str(out)]
    assert posteriors.main(command) == 1
    error = capfd.readouterr().err
    assert "No space left" in error
    assert not (out / "posteriors.scp").exists()


def test_weights_of_training_data_belong_to_the_training(world, tmp_path, capfd):
    data, copy = world / "data", tmp_path / "copy"
    shutil.copytree(data, copy)
    command = ["--config", str(world / "train.yaml"), "--valid", str(data), "--out",
               str(tmp_path / "exp"), "--train"]
    assert train.main([*command, f"{data}:7", f"{copy}:3"]) == 0
    # The shares count, not the numbers that they are written with.
    assert train.main([*command, f"{data}:0.7", f"{copy}:0.3"]) == 0
    capfd.readouterr()
    for other in ((f"{data}:5", f"{copy}:5"), (str(data), str(copy))):
        assert train.main([*command, *other]) == 1
        err = capfd.readouterr().err
        assert "train_weights" in err
        assert "Traceback" not in err
    assert train.main([*command, f"{data}:0.7", str(copy)]) == 1
    err = capfd.readouterr().err
    assert err.startswith("diarize-train: error: ")
    assert f"training data {copy}: no weight" in err


def test_weights_buckets_and_partial_annotation_are_the_same_for_any_number_of_workers(
    world, tmp_path, capfd
):
    partial = tmp_path / "partial"
    shutil.copytree(world / "data", partial)
    (partial / "uem").write_text("r0 1 0.5 1.4\nr1 1 1 9\nr2 1 0 0.4\nr2 1 1.0 3\n")
    logs = []
    for workers in (0, 2):
        exp = tmp_path / f"exp{workers}"
        command = ["--config", str(world / "train.yaml"), "--valid", str(partial), "--out",
                   str(exp), "--train", f"{world}/data:2", f"{partial}:3", "--set",
                   f"train.num_workers={workers}", "data.bucket=2", "train.steps=6",
                   "train.log_interval=1"]
        assert train.main(command) == 0, capfd.readouterr().err
        lines = [json.loads(line) for line in (exp / "train_log.jsonl").open()]
        kinds = [line for line in lines if line["kind"] in ("train", "valid")]
        logs.append([(line["kind"], line.get("loss"), line.get("der")) for line in kinds])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 12
