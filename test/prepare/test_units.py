"""Units of text without spaces."""

import itertools

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.ctm import Word
from diarize.prepare.units import apply_units, join_to_units, load_units, train_units

NAMES = ["葡萄牙", "孟加拉国", "马提尼克", "阿富汗"]


def words(text: str) -> list[Word]:
    return [Word(0.5 * k, 0.5 * k + 0.5, sign) for k, sign in enumerate(text)]


def test_characters_are_joined_to_the_names_that_return(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["".join(rng.permutation(NAMES)[:3]) for _ in range(200)]
    size = train_units(lines, tmp_path / "units.model", 22)
    assert 10 < size <= 22
    model = load_units(tmp_path / "units.model")
    text = "阿富汗孟加拉国葡萄牙"
    joined = join_to_units(words(text), model)
    assert "".join(word.text for word in joined) == text
    assert {"阿富汗", "葡萄牙"} <= {word.text for word in joined}
    assert joined[0].start == 0
    assert joined[-1].end == 5.0
    assert all(a.end == b.start for a, b in itertools.pairwise(joined))
    spoken = {"u1": words("阿富汗"), "u2": words("abc")}
    found = apply_units(spoken, {"u1": "cmn", "u2": "en"}, {"cmn": model})
    assert [len(found[key]) for key in ("u1", "u2")] == [1, 3]


def test_no_text_or_no_model_is_an_error(tmp_path):
    with pytest.raises(DiarizeError, match="no text"):
        train_units(["  "], tmp_path / "m")
    assert not (tmp_path / "m").exists()
    with pytest.raises(DiarizeError, match="no such sentencepiece model"):
        load_units(tmp_path / "m")
    (tmp_path / "m").write_text("no model")
    with pytest.raises(DiarizeError, match="not a sentencepiece model"):
        load_units(tmp_path / "m")
