"""Stored posteriors: small files that are empty or cut are not taken for their defaults."""

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.infer.stored import PosteriorDir, write_layout
from diarize.io.ark import ArkWriter
from diarize.tasks.postprocessors import postprocessor
from diarize.timebase import FrameGrid


@pytest.fixture
def stored(tmp_path):
    """Posteriors of one recording with two queries and three languages."""
    arrays = {"posteriors": (10, 2), "activities": (2,), "language_id": (2, 3)}
    for name, shape in arrays.items():
        with ArkWriter(tmp_path, name) as writer:
            writer.write("r", np.zeros(shape, np.float32))
    write_layout(tmp_path, FrameGrid(16000, 200), "language", ["ca", "en", "zh"])
    return tmp_path


def test_the_layout_is_read_back(stored):
    found = PosteriorDir(stored)
    assert (found.task, found.labels) == ("language", ["ca", "en", "zh"])
    assert found.grid.to_seconds(100) == 1.25
    assert found.language_id("r")[0].shape == (2, 3)


@pytest.mark.parametrize("name", ["task", "labels", "frame_shift"])
def test_a_cut_file_is_refused_at_every_length(stored, name):
    """An empty task was a speaker, and 0.0 for 0.0125 no frame shift."""
    path = stored / name
    whole = path.read_text()
    for length in range(len(whole)):
        path.write_text(whole[:length])
        with pytest.raises(DiarizeError, match=name):
            PosteriorDir(stored).language_id("r")


def test_an_unknown_task_and_labels_of_another_model_are_refused(stored):
    (stored / "task").write_text("speakers\n")
    with pytest.raises(DiarizeError, match="task: unknown task 'speakers'"):
        postprocessor(PosteriorDir(stored).task, f"{stored}/task")
    (stored / "task").write_text("language\n")
    (stored / "labels").write_text("ca\nen\n")
    with pytest.raises(DiarizeError, match="labels has 2 languages"):
        PosteriorDir(stored).language_id("r")
