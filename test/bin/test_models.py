"""Model files, directories and packed models, and what is none of them."""

import shutil
import tarfile

import pytest

from diarize.bin import check_start, infer, posteriors, train

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture
def packed(world, tmp_path):
    """The model of ``world`` as stage 9 packs it, with a threshold that makes all speak."""
    (tmp_path / "best.yaml").write_text("postprocess: {query_threshold: 0.0}\n")
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(world / "exp/final.pth", "final.pth")
        archive.add(tmp_path / "best.yaml", "best.yaml")
        archive.add(world / "train.yaml", "../outside.yaml")
    return path


def test_a_packed_model_is_taken_by_all_commands(world, packed, tmp_path, capfd):
    data = world / "data"
    shutil.copytree(world / "exp", tmp_path / "unpacked", ignore=lambda *_: ["best"])
    shutil.copy(tmp_path / "best.yaml", tmp_path / "unpacked")
    out = []
    for model in (packed, tmp_path / "unpacked"):
        assert infer.main([str(world / "r0.wav"), "--model", str(model)]) == 0
        out.append(capfd.readouterr().out)
    assert out[0] == out[1] != ""
    place = str(tmp_path / "posteriors")
    assert posteriors.main(["--model", str(packed), "--data", str(data), "--out", place]) == 0
    words = ["--config", str(world / "train.yaml"), "--init-model", str(packed)]
    assert train.main([*words, "--dry-run"]) == 0
    assert check_start.main(["--", *words]) == 0
    more = ["--train", str(data), "--valid", str(data), "--out", str(tmp_path / "exp")]
    assert train.main([*words, *more]) == 0
    assert not (tmp_path.parent / "outside.yaml").exists()


@pytest.mark.parametrize(
    ("name", "make", "word"),
    [
        ("x.wav", lambda world: (world / "r0.wav").read_bytes(), "no model file"),
        ("config.yaml", lambda world: (world / "train.yaml").read_bytes(), "no model file"),
        ("pickle.pth", lambda world: b"\x80\x02.", "no model file"),
        ("empty.pth", lambda world: b"", "damaged"),
        ("cut.pth", lambda world: (world / "exp/final.pth").read_bytes()[:3000], "damaged"),
        ("lfs.pth", lambda world: POINTER, "git lfs pull"),
        ("cut.tar.gz", lambda world: b"\x1f\x8b\x08\x00abc", "damaged"),
    ],
)
def test_what_is_no_model_is_named(world, tmp_path, capfd, name, make, word):
    path = tmp_path / name
    path.write_bytes(make(world))
    commands = (
        lambda: infer.main([str(world / "r0.wav"), "--model", str(path)]),
        lambda: train.main(
            ["--config", str(world / "train.yaml"), "--dry-run", "--init-model", str(path)]
        ),
    )
    for command in commands:
        assert command() == 1
        err = capfd.readouterr().err
        assert f"{path}" in err
        assert word in err
        assert len(err.splitlines()) == 1


def test_an_archive_without_a_model_is_named(world, packed, capfd):
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(world / "train.yaml", "config.yaml")
    assert infer.main([str(world / "r0.wav"), "--model", str(packed)]) == 1
    assert f"{packed}: no final.pth" in capfd.readouterr().err
