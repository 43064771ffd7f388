"""The Python interface: turns from files and samples, the same bytes as the command, scores."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import diarize
from diarize import DiarizeError, Diarizer, Segment, Turn, score
from diarize.bin import infer
from diarize.io.audio import read_audio, write_wav

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "egs/speechocean762/diar1/model"
RATE = 16000


def voice(seconds: float, pitch: float, seed: int) -> np.ndarray:
    """Bursts of a harmonic sound with an envelope of syllables, not unlike speech."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t))) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 20))
    return 0.05 * sound * np.maximum(0, np.sin(2 * np.pi * 3 * t)) + 1e-4 * rng.standard_normal(
        len(t)
    )


@pytest.fixture(scope="module")
def diarizer():
    return Diarizer.from_pretrained(MODEL, device="cpu")


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """Ten recordings of two voices."""
    folder = tmp_path_factory.mktemp("ten")
    for number in range(10):
        turns = [voice(1.0 + (number + i) % 3, (110, 220)[i % 2], number + i) for i in range(4)]
        write_wav(folder / f"r{number}.wav", np.concatenate(turns), RATE)
    return folder


def test_the_package_is_imported_without_torch():
    code = "import sys, diarize; dir(diarize); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    times = []
    for _ in range(3):
        code = (
            "import time; a = time.perf_counter(); import diarize; print(time.perf_counter() - a)"
        )
        got = subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
        )
        times.append(float(got.stdout))
    assert min(times) < 0.1


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="Diarizr"):
        diarize.Diarizr  # noqa: B018
    assert {"Diarizer", "score", "Turn", "__version__"} <= set(dir(diarize))


@pytest.mark.parametrize("suffix", [".rttm", ".TextGrid", ".json", ".eaf"])
def test_api_and_command_give_the_same_bytes(diarizer, ten, tmp_path, suffix):
    files = sorted(ten.glob("*.wav"))
    form = {".rttm": "rttm", ".TextGrid": "textgrid", ".json": "json", ".eaf": "eaf"}[suffix]
    command = ["--model", str(MODEL), "--device", "cpu", "--query-threshold", "0.2"]
    out = tmp_path / "command"
    assert infer.main([*map(str, files), *command, "--out", f"{out}/", "--format", form]) == 0
    turns = 0
    for path, result in zip(files, diarizer(list(files), query_threshold=0.2), strict=True):
        result.write(tmp_path / f"api{suffix}")
        written = (out / f"{path.stem}{suffix}").read_bytes()
        assert written == (tmp_path / f"api{suffix}").read_bytes()
        turns += len(result)
    assert turns > 20


def test_one_file_of_ten_recordings_is_their_texts_in_order(diarizer, ten, tmp_path):
    files = sorted(ten.glob("*.wav"), reverse=True)
    command = ["--model", str(MODEL), "--device", "cpu", "--query-threshold", "0.2"]
    assert infer.main([*map(str, files), *command, "--out", str(tmp_path / "all.rttm")]) == 0
    texts = [result.text() for result in diarizer(files, query_threshold=0.2)]
    assert (tmp_path / "all.rttm").read_text() == "".join(texts)
    assert list(tmp_path.iterdir()) == [tmp_path / "all.rttm"]  # nothing partial is left


def test_a_result_has_posteriors_and_queries_of_its_labels(diarizer, ten):
    result = diarizer(ten / "r4.wav", num_speakers=2)
    assert len(result.labels) == 2
    frames = round(result.seconds / result.frame_seconds)
    assert result.posteriors.shape == (frames, 2)
    assert result.posteriors.dtype == np.float32
    dim = diarizer._task.model.decoder.queries.shape[1]
    assert result.queries.shape == (2, dim)
    assert result.activities.shape == (2,)
    for column, label in enumerate(result.labels):
        mask = result.posteriors[:, column] > diarizer.options.mask_threshold
        active = np.zeros(frames, bool)
        for turn in result:
            if turn.label == label:
                active[round(turn.start / 0.01) : round(turn.end / 0.01)] = True
        assert (mask & active).sum() == active.sum() > 0
    for turn in result:
        assert isinstance(turn, Turn)
        assert 0 <= turn.confidence <= 1
        assert turn.recording == "r4"


def test_samples_give_what_their_file_gives(diarizer, ten):
    path = ten / "r2.wav"
    wanted = diarizer(path, query_threshold=0.2).turns
    samples = read_audio(path)
    for audio in (
        samples,
        samples.astype(np.float64),
        torch.from_numpy(samples),
        (samples * 32768).astype(np.int16),
        np.stack([samples, samples]),
        np.stack([samples, samples], axis=1),
    ):
        found = diarizer(audio, RATE, recording="r2", query_threshold=0.2)
        assert found.turns == wanted
    one, two = diarizer([samples, path], RATE, query_threshold=0.2)
    assert [t[1:] for t in one] == [t[1:] for t in two] == [t[1:] for t in wanted]
    assert (one.recording, two.recording) == ("recording1", "r2")


def test_channels_of_samples_are_chosen_or_diarized_on_their_own(diarizer, ten):
    a, b = (read_audio(ten / f"r{i}.wav")[: 4 * RATE] for i in (1, 4))
    both = np.stack([a, b])
    one, two = (diarizer(x, RATE, num_speakers=1) for x in (a, b))
    second = diarizer(both, RATE, channel=2, num_speakers=1)
    assert [t[1:4] for t in second] == [t[1:4] for t in two]
    assert {t.channel for t in second} == {"2"}
    each = diarizer(both, RATE, channel="each", num_speakers=1)
    assert [t[1:3] for t in each if t.channel == "1"] == [t[1:3] for t in one]
    assert {(t.channel, t.label) for t in each} == {("1", "spk1"), ("2", "spk2")}
    assert each.labels == ["spk1", "spk2"]
    np.testing.assert_array_equal(each.posteriors[:, 1], two.posteriors[:, 0])
    assert each.queries.shape[0] == 2


@pytest.mark.parametrize(
    ("audio", "options", "message"),
    [
        (np.zeros(16000), {}, "recording: samples need their sample_rate"),
        (np.zeros((2, 2, 9)), {"sample_rate": RATE}, r"shape \(2, 2, 9\)"),
        (np.zeros(0), {"sample_rate": RATE}, r"shape \(0,\)"),
        (np.full(999, np.nan), {"sample_rate": RATE}, "NaN"),
        (np.zeros(9999), {"sample_rate": RATE, "channel": 2}, "no channel 2"),
        (np.zeros(9999), {"sample_rate": RATE, "channel": 0}, "channel '0'"),
        ("none.wav", {}, "none.wav: cannot open it"),
        ("none.wav", {"num_speakers": 0}, "num_speakers must be 1 or more"),
        ("none.wav", {"num_speakers": 6}, "num_speakers is 6, but the model has 5 queries"),
        ("none.wav", {"min_speakers": 6}, "min_speakers is 6, but the model has 5 queries"),
        ("none.wav", {"num_languages": 2}, "the model is for speakers; use num_speakers"),
        ("none.wav", {"query_treshold": 2}, "query_threshold"),
    ],
)
def test_bad_requests_are_one_error(diarizer, audio, options, message):
    with pytest.raises(DiarizeError, match=message):
        diarizer(audio, **options)


def packed(folder: Path, name: str, members: dict[str, Path]) -> Path:
    with tarfile.open(folder / name, "w:gz") as tar:
        for member, path in members.items():
            tar.add(path, member)
    return folder / name


def test_a_model_is_a_directory_an_archive_or_a_file(diarizer, ten, tmp_path):
    archive = packed(tmp_path, "m.tar.gz", {n: MODEL / n for n in ("final.pth", "best.yaml")})
    (tmp_path / "alone").mkdir()
    shutil.copy(MODEL / "final.pth", tmp_path / "alone/m.pth")
    wanted = diarizer(ten / "r5.wav", num_speakers=2).turns
    for path in (archive, MODEL / "final.pth"):
        found = Diarizer.from_pretrained(path, device="cpu")
        assert found.options == diarizer.options
        assert found(ten / "r5.wav", num_speakers=2).turns == wanted
    alone = Diarizer.from_pretrained(tmp_path / "alone/m.pth", device="cpu")
    assert alone.options != diarizer.options
    assert alone.options.min_duration == 0.0


def test_archives_that_are_no_model_are_named(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b\x08\0broken")
    empty = packed(tmp_path, "e.tar.gz", {"best.yaml": MODEL / "best.yaml"})
    (tmp_path / "bad.pth").write_text("no model")
    wrong = packed(tmp_path, "w.tar.gz", {"../final.pth": tmp_path / "bad.pth"})
    for path, words in (
        (tmp_path / "x.tar.gz", "x.tar.gz: not a packed model"),
        (empty, "e.tar.gz: no final.pth"),
        (wrong, "w.tar.gz/final.pth"),
        (tmp_path / "none", "no model at .*none"),
    ):
        with pytest.raises(DiarizeError, match=words):
            Diarizer.from_pretrained(path)


def test_score_is_a_function_in_any_order_of_imports():
    call = "score([Segment('r', 0, 1, 'a')], [Segment('r', 0, 1, 'b')])"
    for imports in (
        "from diarize import score, Segment",
        "import diarize.score.der\nfrom diarize import Segment, score",
        "from diarize import Segment, score\nimport diarize.score.jer",
        "from diarize.segments import Segment\nimport diarize\nscore = diarize.score",
    ):
        code = f"{imports}\nassert {call}.der == 0\nimport diarize.score.columns as c\nc.extent"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_scores_of_paths_segments_and_results(diarizer, ten, tmp_path):
    reference = [Segment("r", 0, 8, "a"), Segment("q", 0, 4, "b")]
    output = [Turn("r", 1, 9, "x", 0.9), Turn("q", 0, 4, "y", 0.5)]
    found = score(reference, output, {"r": [(0, 10)], "q": [(0, 4)]})
    assert found.der == pytest.approx(2 / 12)
    assert found.recordings["r"].miss == pytest.approx(1)
    from diarize.io.formats import write_annotation

    write_annotation(tmp_path / "ref.csv", reference)
    write_annotation(tmp_path / "hyp.rttm", output)
    (tmp_path / "all.uem").write_text("r 1 0 10\nq 1 0 4\n")
    again = score(tmp_path / "ref.csv", str(tmp_path / "hyp.rttm"), tmp_path / "all.uem")
    assert again == found
    assert score(reference, output, collar=0.25).der < found.der
    result = diarizer(ten / "r5.wav", num_speakers=2)
    assert score(result, [result]).der == 0
    with pytest.raises(DiarizeError, match="no segment"):
        score([], output)
