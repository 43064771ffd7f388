"""What a user can do wrong: one line that says so, status 1, nothing taken for whole."""

import math
import shutil

import numpy as np
import pytest
import soundfile

from diarize.bin import datadir, infer, plot, posteriors, simulate, train
from diarize.io.ark import read_scp
from diarize.io.audio import write_wav
from diarize.kaldi.datadir import DataDir

TURN = "SPEAKER r 1 0.100 1.000 <NA> <NA> A <NA> <NA>\n"


@pytest.fixture
def fails(capfd):
    """Run a command that must fail with one line, and return that line."""

    def run(main, *argv):
        capfd.readouterr()
        status = main([str(a) for a in argv])
        out, err = capfd.readouterr()
        assert status == 1, err
        assert (err.count("\n"), out) == (1, ""), err
        return err

    return run


@pytest.fixture
def wrong_option(capfd):
    """Run a command whose options must be refused in one line with status 2; return the line."""

    def run(main, *argv):
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in argv])
        out, err = capfd.readouterr()
        assert stopped.value.code == 2, err
        assert (err.count("\n"), out) == (1, ""), err
        return err

    return run


@pytest.fixture
def training(world, tmp_path):
    """The command line of a training on the data of ``world``."""
    data = world / "data"
    return ["--config", world / "train.yaml", "--train", data, "--valid", data,
            "--out", tmp_path / "exp"]  # fmt: skip


def replaced(words, **values):
    """The command line ``words`` with other values of options."""
    out = list(words)
    for name, value in values.items():
        out[out.index(f"--{name}") + 1] = value
    return [str(word) for word in out]


def data_of(path, wav, rttm=TURN):
    path.mkdir()
    (path / "wav.scp").write_text(f"r {wav}\n")
    (path / "rttm").write_text(rttm)
    return path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.backbone.heads=3", "the model cannot be built: dimension 16 is no multiple of 3"),
        ("model.backbone.dim=0", "model: backbone: dim must be 1 or more, not 0"),
        ("model.backbone.layers=-1", "layers must be 0 or more, not -1"),
        ("model.backbone.kernel=4", "the Conformer's kernel must be odd, not 4"),
        ("model.backbone.up_kernels=[1]", "1 kernels but 2 strides"),
        ("model.backbone.dropout=2", "dropout probability"),
        ("model.decoder.queries=0", "model: decoder: queries must be 1 or more, not 0"),
        ("model.features.num_mels=0", "model: features: num_mels must be 1 or more"),
        ("model.features.hop_ms=0", "model: features: hop_ms must be 0.0625 or more, not 0"),
        ("model.features.floor=0", "floor must be above 0"),
        ("criterion.label_smoothing=3", "label_smoothing must be between 0 and 1"),
        ("data.crop_seconds=.nan", "data: crop_seconds: expected a finite number"),
        ("data.cache_mb=512", "data: unknown key 'cache_mb'"),
        ("data.bucket=-1", "bucket must be 0 or more"),
        ("valid.max_recordings=-1", "max_recordings must be 0 or more"),
        ("valid.max_seconds=-1", "max_seconds must be 0 or more"),
        ("train.optimizer.lr=.inf", "lr: expected a finite number"),
        ("init_modules=[encoder]", "init_modules: the model has no module 'encoder'; it has"),
    ],
)
def test_impossible_settings_end_before_training(training, fails, tmp_path, override, words):
    assert words in fails(train.main, *training, "--set", override)
    assert not (tmp_path / "exp").exists()


def test_fewer_examples_than_processes_times_accumulation():
    from diarize.errors import DiarizeError
    from diarize.train.distributed import Group
    from diarize.train.feed import check_batch
    from diarize.train.options import TrainOptions

    two = Group(rank=0, world=2, device=None)
    check_batch(TrainOptions(batch_size=4, accumulation=2), two)
    with pytest.raises(DiarizeError, match="batch_size 3 is less than 2 processes times"):
        check_batch(TrainOptions(batch_size=3, accumulation=2), two)


@pytest.mark.parametrize(
    ("rttm", "message"), [("", "no speech in"), (TURN.replace("0.100", "9.000"), "rttm:1: turn [9")]
)
def test_a_validation_set_without_speech_has_no_der(training, fails, tmp_path, rttm, message):
    write_wav(tmp_path / "r.wav", np.full(32000, 0.1, np.float32), 16000)
    data = data_of(tmp_path / "silent", tmp_path / "r.wav", rttm)
    assert message in fails(train.main, *replaced(training, valid=data))


def test_training_goes_on_over_batches_in_which_nobody_speaks(training, tmp_path):
    """The matching of a whole batch without speakers was an error of reshape."""
    write_wav(tmp_path / "r.wav", np.full(32000, 0.1, np.float32), 16000)
    data = data_of(tmp_path / "silent", tmp_path / "r.wav")
    names = ["r", *(f"s{i:02d}" for i in range(40))]  # one of them with speech
    (data / "wav.scp").write_text("".join(f"{name} {tmp_path}/r.wav\n" for name in names))
    assert train.main(replaced(training, train=data)) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("netwrok: {device: cpu}\n", "c.yaml: unknown key 'netwrok'; did you mean 'network'"),
        ("network: {devcie: cpu}\n", "c.yaml: network: unknown key 'devcie'"),
        ("network: {min_queries: -1}\n", "network: min_queries must be 0 or more"),
        ("network: {device: meta}\n", "unknown device 'meta'"),
        ("postprocess: 3\n", "c.yaml: postprocess: expected a section"),
        ("postprocess: {thta: 0.5}\n", "c.yaml: postprocess: unknown key 'thta'"),
        ("? [a, b]\n: 3\n", "c.yaml:1: a key must be a word"),
    ],
)
def test_a_bad_inference_config_is_refused_by_both_commands(world, fails, tmp_path, text, words):
    config = tmp_path / "c.yaml"
    config.write_text(text)
    common = ["--model", world / "exp", "--config", config]
    assert words in fails(infer.main, world / "r0.wav", *common)
    out = tmp_path / "out"
    assert words in fails(posteriors.main, *common, "--data", world / "data", "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("option", ["--query-threshold", "--mask-threshold"])
def test_thresholds_of_the_command_line_are_checked(world, wrong_option, option):
    words = wrong_option(infer.main, world / "r0.wav", "--model", world / "exp", option, "nan")
    assert option in words
    assert "not a finite number" in words


def test_a_number_of_speakers_takes_the_place_of_the_limits_in_the_config(world, tmp_path, capfd):
    config = tmp_path / "c.yaml"
    config.write_text("postprocess: {mask_threshold: 0.0, max_speakers: 1}\n")
    command = [str(world / "r0.wav"), "--model", str(world / "exp"), "--config", str(config)]
    assert infer.main([*command, "--num-speakers", "2"]) == 0
    assert {line.split()[7] for line in capfd.readouterr().out.splitlines()} == {"spk1", "spk2"}


@pytest.mark.parametrize(
    "words", [["--merge", "0"], ["--job", "0"], ["--num-jobs", "0"], ["--num-jobs", "2"]]
)
def test_impossible_jobs_are_errors_of_the_command_line(world, tmp_path, capfd, words):
    command = ["--model", str(world / "exp"), "--data", str(world / "data")]
    with pytest.raises(SystemExit) as caught:
        posteriors.main([*command, "--out", str(tmp_path / "out"), *words])
    assert caught.value.code == 2
    assert words[0] in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_job_that_is_run_again_withdraws_the_merged_list(world, tmp_path):
    """Its entries would point into an ark that is being written anew."""
    out = tmp_path / "out"
    command = ["--model", str(world / "exp"), "--data", str(world / "data"), "--out", str(out)]
    jobs = [["--job", j, "--num-jobs", "2"] for j in "12"]
    for job in jobs:
        assert posteriors.main([*command, *job]) == 0
    assert posteriors.main(["--out", str(out), "--merge", "2"]) == 0
    data = data_of(tmp_path / "bad", tmp_path / "nowhere.wav")
    broken = [*replaced(command, data=data), "--job", "1", "--num-jobs", "2"]
    assert posteriors.main(broken) == 1
    assert not (out / "posteriors.scp").exists()
    assert not (out / "activities.scp").exists()


def test_posteriors_of_another_frame_rate_say_so(world, training, tmp_path):
    from diarize.bin import average
    from diarize.infer.stored import PosteriorDir

    small = ["model.features.hop_ms=20", "train.steps=1"]
    assert train.main([str(a) for a in [*training, "--set", *small]]) == 0
    assert average.main(["--exp", str(tmp_path / "exp")]) == 0
    out = tmp_path / "out"
    command = ["--model", str(tmp_path / "exp"), "--data", str(world / "data"), "--out", str(out)]
    assert posteriors.main(command) == 0
    assert (out / "frame_shift").read_text() == "0.02\n"
    assert len(read_scp(out / "posteriors.scp")["r0"]) == 100
    assert PosteriorDir(out).grid.to_seconds(100) == 2.0


def test_a_longest_duration_without_end_is_refused(wrong_option, world, tmp_path):
    manifest = tmp_path / "mixture.scp"
    manifest.write_text(
        'm {"recid": "m", "noise": null, "snr": 5, "speakers": [{"spkid": "a", "rir": null, '
        f'"utts": ["{world}/r0.wav"], "intervals": [0.1]}}]}}\n'
    )
    command = ["write", "--manifest", manifest, "--out", tmp_path / "out"]
    words = wrong_option(simulate.main, *command, "--max-duration", math.inf)
    assert "--max-duration: 'inf'" in words


@pytest.mark.parametrize(("option", "value"), [("--start", "nan"), ("--end", "inf")])
def test_a_picture_without_bounds_is_refused(wrong_option, world, tmp_path, option, value):
    command = ["--ref", world / "data" / "rttm", "--out", tmp_path / "images", option, value]
    assert f"{option}: '{value}'" in wrong_option(plot.main, *command)


def test_durations_of_no_recordings_are_refused(fails, tmp_path):
    (tmp_path / "wav.scp").write_text("")
    assert "wav.scp: the file is empty" in fails(datadir.main, "reco2dur", tmp_path)
    assert not (tmp_path / "reco2dur").exists()


def test_a_recording_without_speakers_is_a_data_directory_like_others(world, tmp_path):
    """The output of diarize-postprocess has 0 in reco2num_spk where nobody was found."""
    shutil.copytree(world / "data", tmp_path / "data")
    (tmp_path / "data" / "reco2num_spk").write_text("r0 0\nr1 2\nr2 1\n")
    assert DataDir.load(tmp_path / "data").reco2num_spk["r0"] == "0"


def test_stereo_of_8_khz_trains(training, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "r.wav", 0.1 * rng.standard_normal((16000, 2)), 8000)
    data = data_of(tmp_path / "stereo", tmp_path / "r.wav")
    assert train.main(replaced(training, train=data, valid=data)) == 0


def test_commands_in_wav_scp_are_run_only_when_allowed(world, training, fails, tmp_path):
    data = data_of(tmp_path / "piped", f"cat {world}/r0.wav |")
    piped = replaced(training, train=data, valid=data)
    assert "--allow-pipes" in fails(train.main, *piped)
    assert train.main([*piped, "--allow-pipes"]) == 0
    command = ["--model", world / "exp", "--data", data, "--out", tmp_path / "out"]
    assert "--allow-pipes" in fails(posteriors.main, *command)
    assert posteriors.main([str(a) for a in [*command, "--allow-pipes"]]) == 0


def test_a_training_that_is_refused_leaves_the_configuration_of_the_other(training, fails):
    exp = training[-1]
    assert train.main([str(a) for a in training]) == 0
    before = (exp / "config.yaml").read_text()
    changed = "model.decoder.queries=6"
    assert "made with other settings" in fails(train.main, *training, "--set", changed)
    assert (exp / "config.yaml").read_text() == before
