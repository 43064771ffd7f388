"""diarize-simulate store: decodes, computes levels in jobs; training reuses both."""

import numpy as np

from diarize.bin import simulate
from diarize.data.sources import open_source
from diarize.io.audio import write_wav
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.store import StoreOptions


def test_jobs_decode_then_find_levels(tmp_path, capsys):
    rng = np.random.default_rng(0)
    names = [f"{s}-{k}" for s in "abc" for k in range(2)]
    for kind, keys in (("voices", names), ("noises", ["n0", "n1"])):
        folder = tmp_path / kind
        folder.mkdir()
        for key in keys:
            write_wav(folder / f"{key}.wav", 0.1 * rng.standard_normal(6000), 16000)
        (folder / "wav.scp").write_text("".join(f"{k} {folder}/{k}.wav\n" for k in keys))
    (tmp_path / "voices" / "utt2spk").write_text("".join(f"{n} {n[0]}\n" for n in names))
    manifest = str(tmp_path / "mixture.scp")
    words = "--num-speakers 2 --beta 0.3 --num-mixtures 6 --min-utts 2 --max-utts 3".split()
    data = ["--data", f"{tmp_path}/voices", "--noise-data", f"{tmp_path}/noises"]
    assert simulate.main(["manifest", *data, *words, "--out", manifest]) == 0
    store = ["store", "--manifest", manifest, "--num-jobs", "2", "--job"]
    for job in ("1", "2"):
        assert simulate.main([*store, job, "--levels"]) == 0
    assert "levels of 3 mixtures" in capsys.readouterr().err
    layout, _ = open_layout(Manifest(manifest), tmp_path / "store", StoreOptions())
    assert all(layout.gains(index)[1] > 0 for index in range(6))
    (samples,) = (tmp_path / "store").glob("int16-*.samples")
    before = samples.stat().st_mtime_ns
    open_source(manifest, 16000)
    assert samples.stat().st_mtime_ns == before
    assert simulate.main(["store", "--manifest", manifest, "--job", "3"]) == 1
    assert "job must be from 1 to the number of jobs (1), not 3" in capsys.readouterr().err
