"""Recordings of which a part is annotated: nothing outside of it reaches training or validation."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from diarize.bin import train
from diarize.config import from_dict
from diarize.errors import DiarizeError
from diarize.infer.config import NetworkOptions
from diarize.infer.loader import make_predictor
from diarize.infer.postprocess import PostprocessOptions
from diarize.infer.recording import Recording
from diarize.io.audio import write_wav
from diarize.io.rttm import read_rttm, write_rttm
from diarize.score.der import ScoreOptions, score_files
from diarize.segments import Segment
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask

UEM = {"r0": [(1.0, 2.5), (4.0, 5.0)], "r1": [(2.0, 6.0)]}
SPEAKER = {
    "model": {
        "backbone": {"dim": 16, "layers": 1, "heads": 2, "ff_dim": 32, "kernel": 7},
        "decoder": {"queries": 6, "layers": 1, "heads": 2, "ff_dim": 32},
    },
    "data": {"crop_seconds": 3.0},
}
LANGUAGE = {
    "model": {
        "front_end": "log_mel",
        "encoder": {"dim": 16, "layers": 1, "heads": 2, "ff_dim": 32, "kernel": 7},
        "decoder": {"queries": 4, "layers": 1, "heads": 2, "ff_dim": 32},
        "languages": ["en", "hi"],
    },
    "criterion": {"frame_language_id": 2.0},
    "data": {"crop_seconds": 3.0},
}


def turns(seed):
    """Turns of 0.3 to 1 s on both recordings, in hundredths."""
    rng = np.random.default_rng(seed)
    out = []
    for name in UEM:
        for label in ("en", "hi", "sw"):
            starts = np.sort(rng.integers(0, 600, 4))
            for start, end in zip(starts, np.append(starts[1:], 630), strict=True):
                stop = min(end - 20, start + rng.integers(30, 100))
                if stop > start:
                    out.append(Segment(name, start / 100, stop / 100, label))
    return out


def outside(segments, keep):
    """What of the segments lies within (``keep``) or outside of the annotated regions."""
    out = []
    for s in segments:
        edges = sorted({s.start, s.end, *(t for a, b in UEM[s.recording] for t in (a, b)
                                          if s.start < t < s.end)})
        for a, b in pairwise(edges):
            inside = any(x <= a and b <= y for x, y in UEM[s.recording])
            if inside == keep:
                out.append(s._replace(start=a, end=b))
    return out


def write_dir(folder, segments, uem=True):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in UEM:
        write_wav(folder / f"{name}.wav", 0.1 * rng.standard_normal(16000 * 7), 16000)
    (folder / "wav.scp").write_text("".join(f"{n} {folder}/{n}.wav\n" for n in UEM))
    write_rttm(folder / "rttm", segments)
    if uem:
        (folder / "uem").write_text(
            "".join(f"{n} 1 {a:.2f} {b:.2f}\n" for n, found in UEM.items() for a, b in found)
        )
    return folder


@pytest.mark.parametrize(
    ("make", "options", "sections"),
    [(SpeakerTask, SpeakerOptions, SPEAKER), (LanguageTask, LanguageOptions, LANGUAGE)],
    ids=["speaker", "language"],
)
def test_annotation_outside_of_the_uem_changes_nothing(tmp_path, make, options, sections):
    """Other turns there, none, or a speaker of its own: the same losses and errors, to the bit."""
    inside = outside(turns(1), True)
    stranger = [Segment("r0", 2.6, 3.9, "stranger"), Segment("r1", 6.0, 7.0, "stranger")]
    results = []
    for number, rest in enumerate(([], outside(turns(2), False), stranger)):
        folder = write_dir(tmp_path / f"d{number}", inside + rest)
        task = make(from_dict(options, sections, "test"), seed=1)
        task.load_data([str(folder)], str(folder))
        task.model.eval()
        batch = task.collate([task.example(i) for i in range(8)])
        assert 0 < batch.evaluated.sum() < batch.num_frames.sum()
        normalizers = task.normalizers(batch)
        loss, terms = task.loss(task.model, batch, normalizers)
        sums = task.validate(task.model, torch.device("cpu"))
        results.append((normalizers, loss, *terms.values(), *sums.values()))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("collar", [0.0, 0.1])
def test_the_validation_der_is_that_of_inference_and_scorer_in_the_regions(tmp_path, collar):
    folder = write_dir(tmp_path / "valid", turns(3))
    valid = {"query_thresholds": [0.3], "mask_threshold": 0.5, "collar": collar}
    sections = {**SPEAKER, "valid": valid}
    task = SpeakerTask(from_dict(SpeakerOptions, sections, "test"), seed=2)
    task.load_data([str(folder)], str(folder))
    task.model.eval()
    sums = task.validate(task.model, torch.device("cpu"))
    predictor = make_predictor(task.model, task.grid, NetworkOptions(device="cpu", min_queries=6))
    options = PostprocessOptions(query_threshold=0.3)
    hypothesis = []
    for name in UEM:
        found = predictor.predict(Recording(name, str(folder / f"{name}.wav"), task.grid))
        output = np.asarray(found.masks), found.activities
        decision = task.postprocessor.decide(*output, name, options, task.grid)
        hypothesis += [turn.segment for turn in decision.turns]
    assert hypothesis
    times = score_files(read_rttm(folder / "rttm"), hypothesis, UEM, ScoreOptions(collar)).total
    stats = sums["stats"][0].tolist()
    assert stats[0] > 0
    scored = [times.scored_speech, times.miss, times.false_alarm]
    assert stats[:3] == pytest.approx([100 * x for x in scored], abs=1e-6)
    if not collar:  # equally good mappings may differ inside collars
        assert stats[3] == pytest.approx(100 * times.confusion, abs=1e-6)


def test_max_seconds_of_validation_begin_with_what_is_evaluated(tmp_path):
    folder = write_dir(tmp_path / "valid", turns(4))
    sections = {**SPEAKER, "valid": {"max_seconds": 1.0}}
    task = SpeakerTask(from_dict(SpeakerOptions, sections, "test"))
    task.load_data([str(folder)], str(folder))
    task.model.eval()
    (batch,) = task._valid_batches(0, 1)
    assert batch.num_frames.tolist() == [100, 100]
    assert batch.evaluated is None
    assert task.summarize(task.validate(task.model, torch.device("cpu")))["der"] > 0


def test_accumulation_and_ranks_share_the_denominators(tmp_path):
    """The loss of one batch is the sum over its parts, whatever of each is annotated."""
    folder = write_dir(tmp_path / "train", turns(5))
    task = SpeakerTask(from_dict(SpeakerOptions, SPEAKER, "test"), seed=3)
    task.load_data([str(folder)], None)
    task.model.eval()
    examples = [task.example(i) for i in range(6)]
    whole = task.collate(examples)
    parts = [task.collate(examples[i : i + 2]) for i in (0, 2, 4)]
    normalizers = sum(task.normalizers(part) for part in parts)
    torch.testing.assert_close(normalizers, task.normalizers(whole), rtol=0, atol=1e-9)
    total = sum(task.loss(task.model, part, normalizers)[0] for part in parts)
    loss, _ = task.loss(task.model, whole, normalizers)
    torch.testing.assert_close(total, loss, rtol=1e-4, atol=1e-5)


def test_a_set_without_speech_in_its_regions_is_no_validation_set(tmp_path):
    folder = write_dir(tmp_path / "valid", outside(turns(1), False))
    task = SpeakerTask(from_dict(SpeakerOptions, SPEAKER, "test"))
    good = write_dir(tmp_path / "train", turns(1))
    with pytest.raises(DiarizeError, match=r"valid: no speech"):
        task.load_data([str(good)], str(folder))


def test_a_set_without_speech_in_its_regions_is_no_training_set(tmp_path):
    """It would be trained on as silence."""
    folder = write_dir(tmp_path / "silent", outside(turns(1), False))
    task = SpeakerTask(from_dict(SpeakerOptions, SPEAKER, "test"))
    with pytest.raises(DiarizeError, match=r"silent: no speech"):
        task.load_data([str(folder)], None)


def test_training_says_once_what_is_annotated(tmp_path, capfd):
    partial = write_dir(tmp_path / "partial", turns(1))
    plain = write_dir(tmp_path / "plain", turns(1), uem=False)
    config = tmp_path / "train.yaml"
    config.write_text(json.dumps({"task": "speaker", **SPEAKER, "train": {
        "steps": 1, "batch_size": 2, "device": "cpu", "tensorboard": False}}))  # fmt: skip
    command = ["--config", str(config), "--train", str(partial), str(plain), "--valid",
               str(partial), "--out", str(tmp_path / "exp")]
    assert train.main(command) == 0
    err = capfd.readouterr().err
    assert err.count(f"{partial}: ") == 1
    assert f"as {partial}/uem says" in err
    assert err.count(f"{plain}: no uem") == 1
    (partial / "uem").write_text("r0 1 0 7\n")
    assert train.main([*command[:-1], str(tmp_path / "other")]) == 1
    err = capfd.readouterr().err
    assert f"{partial}/uem: no line of recording r1" in err
    assert "Traceback" not in err
