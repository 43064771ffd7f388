"""Commands that name files by ids write nowhere but in their output directory."""

import json
from pathlib import Path

import numpy as np
import pytest

from diarize.bin import plot, rttm, simulate
from diarize.io.audio import read_audio, write_wav
from diarize.io.filename import file_name
from diarize.io.rttm import write_rttm
from diarize.io.table import read_table
from diarize.segments import Segment
from diarize.simulate.draw.conversion import Conversions
from diarize.simulate.draw.utterances import Corpus, Spoken

IDS = ["$(touch${IFS}x)", "%2F", "*", "-x", "../x", "..", "[a-z]", "a_b", "a/b", "x" * 230]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """The current directory, three levels below ``tmp_path``; nothing may appear elsewhere."""
    work = tmp_path / "1" / "2" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    yield work
    outside = [path for path in tmp_path.rglob("*") if work not in (path, *path.parents)]
    assert sorted(outside) == [tmp_path / "1", tmp_path / "1" / "2"]
    assert not Path("/tmp/diarize-test-x.wav").exists()


def test_simulate_write(inside):
    ids = sorted([*IDS, "/tmp/diarize-test-x"], key=str.encode)
    write_wav("a.wav", np.full(1600, 0.1, np.float32), 16000)
    with open("mixture.scp", "w") as handle:
        for name in ids:
            row = {"spkid": "ann", "rir": None, "utts": ["a.wav"], "intervals": [0.1]}
            mixture = {"speakers": [row], "noise": None, "snr": None, "recid": name}
            handle.write(f"{name} {json.dumps(mixture)}\n")
    for command in ("write", "write", "finish"):  # the second time the files are there
        assert simulate.main([command, "--manifest", "mixture.scp", "--out", "data"]) == 0
    table = read_table("data/wav.scp")
    assert sorted(table, key=str.encode) == ids
    for name, path in table.items():
        assert path == f"data/wav/00/00/{file_name(name, '.wav')}"
        assert len(read_audio(path)) == 3200
    assert len(list(Path("data/wav/00/00").iterdir())) == len(ids)


def test_plot_and_convert(inside):
    write_rttm("ref.rttm", [Segment(name, 0.0, 1.0 + k, "ann") for k, name in enumerate(IDS)])
    drawn = ["*", "../x", "a_b", "a/b"]
    assert plot.main(["--ref", "ref.rttm", "--out", "images", "--recording", *drawn]) == 0
    assert sorted(p.name for p in Path("images").iterdir()) == sorted(
        file_name(name, ".png") for name in drawn
    )
    assert rttm.main(["convert", "ref.rttm", "-o", "grids", "--to", "textgrid"]) == 0
    for k, name in enumerate(IDS):
        text = (Path("grids") / file_name(name, ".TextGrid")).read_text()
        assert f"xmax = {1 + k}" in text


def test_converted_voices(inside):
    write_wav("a.wav", np.full(1600, 0.1, np.float32), 16000)
    pool = [Spoken(name, "a.wav", 0.0, 0.05, False, "ann", "en") for name in IDS]
    target = Spoken("u", "a.wav", 0.0, 0.1, True, "../../../bob", "hi")
    corpus = Corpus(inside, {("en", "ann"): pool, ("hi", target.voice): [target]})

    def convert(wav, reference, out):
        write_wav(out, read_audio(wav), 16000)

    conversions = Conversions(corpus, "vc", convert)
    paths = [conversions.file(spoken, target.voice) for spoken in pool]
    assert len(set(paths)) == len(IDS)
    assert {Path(path).parent for path in paths} == {Path("vc") / "%2E.%2F..%2F..%2Fbob"}
