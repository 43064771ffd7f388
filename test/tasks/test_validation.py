"""The counts of a validation, on random masks, against a count frame by frame."""

import itertools

import numpy as np
import pytest
import torch

from diarize.data.examples import Example
from diarize.data.languages import VAD
from diarize.models.eend_m2f import EendM2fOptions
from diarize.models.sage_ld import SageLdOptions
from diarize.nn.outputs import QueryPredictions
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.tasks.speaker import SpeakerOptions, SpeakerTask
from diarize.tasks.validation import ValidOptions

CPU = torch.device("cpu")
THRESHOLDS = [0.2, 0.4, 0.6, 0.99]
MASK_THRESHOLD = 0.45
QUERIES = 5
KNOWN = ["eng", "hin"]


def make_task(kind, collar=0.0):
    valid = ValidOptions(THRESHOLDS, mask_threshold=MASK_THRESHOLD, collar=collar)
    if kind == "speaker":
        return SpeakerTask(SpeakerOptions(EendM2fOptions(), valid=valid))
    model = SageLdOptions(front_end="log_mel", languages=KNOWN)
    return LanguageTask(LanguageOptions(model, valid=valid))


def make_example(rng, frames, labels, regions):
    """Turns of some frames; with a VAD slot first, one language at a time."""
    activity = rng.random((frames // 8 + 1, len(labels))) > 0.5
    if labels[0] == VAD:
        # One language in each frame of speech: the first of those drawn.
        activity[:, 1:] &= np.cumsum(activity[:, 1:], axis=1) == 1
        activity[:, 0] = activity[:, 1:].any(1)
    activity = np.repeat(activity, 8, axis=0)[:frames]
    evaluated = np.repeat(rng.random(frames // 9 + 1) < 0.7, 9)[:frames] if regions else None
    return Example("r", np.zeros(frames, np.float32), activity, labels, evaluated)


def make_predictions(rng, batch):
    """Random masks; those in the padding are loud."""
    recordings, frames = batch.targets.shape[:2]

    def normal(*shape):
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

    predictions = QueryPredictions(
        normal(recordings, frames, 8), normal(3, recordings, QUERIES, 8),
        normal(3, recordings, QUERIES), batch.num_frames, None,
        normal(3, recordings, QUERIES, len(KNOWN)),
    )  # fmt: skip
    for b, length in enumerate(batch.num_frames.tolist()):
        predictions.frames[b, length:] *= 100
    return predictions


def decide(masks, activities, threshold, fixed):
    """Return {query: frames in which it is active}, frame by frame."""
    kept = [q for q in range(fixed, QUERIES) if activities[q] > np.float32(threshold)]
    out = {q: set() for q in kept}
    for t, row in enumerate(masks):
        if not fixed:
            for q in kept:
                if row[q] > MASK_THRESHOLD:
                    out[q].add(t)
        elif kept and row[0] > MASK_THRESHOLD:
            out[max(kept, key=lambda q: row[q])].add(t)
    return out


def excluded(turns, frames, collar):
    """Return the frames in a collar of any boundary of ``turns``, sets of frames."""
    out = set()
    for turn in turns:
        for edge in range(frames + 1):
            if (edge - 1 in turn) != (edge in turn):
                out |= set(range(edge - collar, edge + collar))
    return out


def count(system, reference, inside, scored):
    """Return [scored, missed, false alarm, confused] of sets of frames, with the best mapping."""
    size = max(len(system), len(reference))
    padded = [*system, *[set()] * (size - len(system))]
    best = max(
        itertools.permutations(padded, len(reference)),
        key=lambda mapping: sum(
            len(s & r & inside) for s, r in zip(mapping, reference, strict=True)
        ),
    )
    total = [0, 0, 0, 0]
    for t in scored:
        ref, sys = sum(t in r for r in reference), sum(t in s for s in system)
        right = sum(t in s and t in r for s, r in zip(best, reference, strict=True))
        total[0] += ref
        total[1] += max(0, ref - sys)
        total[2] += max(0, sys - ref)
        total[3] += min(ref, sys) - right
    return total


@pytest.mark.parametrize("collar", [0, 2])
@pytest.mark.parametrize("regions", [False, True], ids=["whole", "uem"])
@pytest.mark.parametrize("kind", ["speaker", "language"])
def test_counts_equal_those_by_hand(kind, regions, collar):
    rng = np.random.default_rng([len(kind), regions, collar])
    task = make_task(kind, collar * make_task(kind).grid.frame_seconds)
    fixed = task.postprocessor.num_fixed
    names = ("a", "b", "c") if kind == "speaker" else (VAD, "hin", "eng", "swa")
    examples = [
        make_example(rng, 120, names, regions), make_example(rng, 41, names[:-1], regions),
        make_example(rng, 12, names[:1], regions),
    ]  # fmt: skip
    batch = task.collate(examples)
    predictions = make_predictions(rng, batch)
    with torch.no_grad():
        found = task.count_errors(lambda *_: predictions, batch, CPU)
    masks = predictions.mask_logits()[-1].sigmoid().numpy()
    activities = predictions.activity_logits[-1].sigmoid().numpy()
    languages = predictions.label_logits[-1].argmax(-1).numpy()
    expected = np.zeros_like(found)
    for b, example in enumerate(examples):
        frames = len(example.activity)
        reference = [set(np.flatnonzero(column)) for column in example.activity.T[fixed:]]
        inside = set(range(frames) if example.evaluated is None
                     else np.flatnonzero(example.evaluated))  # fmt: skip
        scored = inside - excluded(reference, frames, collar)
        for row, threshold in zip(expected, THRESHOLDS, strict=True):
            system = decide(masks[b, :frames], activities[b], threshold, fixed)
            errors = count(list(system.values()), reference, inside, scored)
            # Equally good mappings may differ inside collars.
            row[:4] += [*errors[:3], 0 if collar else errors[3]]
            heard, said = (sum(bool(x & inside) for x in side)
                           for side in (system.values(), reference))  # fmt: skip
            row[4] += heard == said
            if kind == "language":
                row[5] += sum(
                    example.labels[1 + s] == KNOWN[languages[b, q]]
                    for q in system for s, turn in enumerate(reference)
                    for t in system[q] & turn & inside
                )  # fmt: skip
    if collar:
        found[:, 3] = 0
    assert expected[:, :3].any(0).all()
    assert found.tolist() == expected.tolist()
    assert not found[-1, 2]  # no query is above 0.99
