"""Hostile input: every kind ends in one line with status 1; no code runs and nothing is written.

Files are built here and read by the commands that read them, in this process.  A command in a
file, were it run, would make the file ``ran``.
"""

import importlib.util
import json
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diarize.bin import (
    convert_ssl,
    datadir,
    infer,
    plot,
    postprocess,
    rttm,
    score,
    simulate,
    train,
)
from diarize.errors import DiarizeError, one_line
from diarize.infer.stored import write_layout
from diarize.io.ark import ArkWriter, array_bytes, read_scp
from diarize.io.audio import AudioSource, read_audio, write_wav
from diarize.io.numbers import parse_integer
from diarize.simulate.manifest import Manifest
from diarize.tasks.registry import build_task, config_mapping, load_task, parse_config
from diarize.timebase import FrameGrid
from diarize.train.checkpoint import TrainingProgress, load_training, save_model, save_training

MANY = "9" * 5000  # more digits than int() accepts
TINY = {"model": {"backbone": {"dim": 4, "layers": 1, "heads": 2, "ff_dim": 8, "kernel": 3},
                  "decoder": {"queries": 2, "layers": 1, "heads": 2, "ff_dim": 8}}}  # fmt: skip
TURN = "SPEAKER r 1 {} {} <NA> <NA> ann <NA> <NA>\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty current directory; afterwards no command has made ``ran`` in it or above it."""
    home = tmp_path / "a/b/home"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    yield home
    assert [p for p in tmp_path.rglob("*") if p.name == "ran" or (p.parent != home and p.is_file()
            and home not in p.parents)] == []  # fmt: skip


@pytest.fixture
def refused(place, capfd):
    """Run a command that must fail in one line with these parts, and write nothing."""

    def run(main, *words, parts=()):
        before = content(place)
        capfd.readouterr()
        status = main([str(word) for word in words])
        err = capfd.readouterr().err
        lines = [line for line in err.splitlines() if "WARNING" not in line]
        assert status == 1, err
        assert len(lines) == 1, err
        assert "Traceback" not in err
        assert len(err) < 2500
        for part in parts:
            assert str(part) in lines[0]
        assert content(place) == before
        return lines[0]

    return run


def content(folder):
    """Every file below ``folder``, with size and time of change."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def refuses(read, *parts):
    """Call a function that must raise DiarizeError with these parts in one line."""
    with pytest.raises(DiarizeError) as caught:
        read()
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text
    return text


class Evil:
    """An object whose unpickling runs a command."""

    def __reduce__(self):
        return os.system, ("touch ran",)


# --- checkpoints


@pytest.fixture(scope="module")
def tiny():
    """A model of a few weights: its task, and the meta data of its file."""
    config = parse_config(TINY, "tiny")
    return build_task(config), {"config": config_mapping(config)}


def with_config(**changes):
    """The payload of a model file with another configuration."""
    return {"format": "diarize-model-1", "model": {},
            "meta": {"config": {"task": "speaker", **changes}}}  # fmt: skip


def nested(depth):
    """A list of 10^depth values in a few bytes: each level has ten times the next one."""
    value: list = []
    for _ in range(depth):
        value = [value] * 10
    return value


GOOD = {"format": "diarize-model-1", "meta": {"config": {}}, "model": {}}
PAYLOADS = {
    "a command": {**GOOD, "model": Evil()},
    "meta is a number": {**GOOD, "meta": 5},
    "configuration is a list": {**GOOD, "meta": {"config": [1]}},
    "weights are a list": {**GOOD, "model": [torch.ones(1)]},
    "weights are numbers": {**GOOD, "model": {"a": 3}},
    "names are numbers": {**GOOD, "model": {3: torch.ones(1)}},
    "sparse weights": {**GOOD, "model": {"a": torch.ones(2, 2).to_sparse()}},
    "a weight of 2^40 values in one": {**GOOD, "model": {"a": torch.ones(1).expand(2**40)}},
    "values without end": {**GOOD, "meta": {"config": {"model": nested(20)}}},
    "task is a list": with_config(task=["speaker"]),
    "model is a word": with_config(model="x"),
    "train is a word": with_config(train="x"),
    "10^9 layers": with_config(model={"backbone": {"layers": 10**9}}),
    "dimension 10^9": with_config(model={"backbone": {"dim": 10**9}}),
    "window of an hour": with_config(model={"features": {"window_ms": 3600000.0}}),
    "format is a list": {**GOOD, "format": [1]},
    "a list": [1, 2],
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_hostile_checkpoint_is_refused_by_inference_and_as_initial_model(place, kind):
    torch.save(PAYLOADS[kind], "final.pth")
    refuses(lambda: load_task(place / "final.pth"), "final.pth")
    write_wav(place / "r.wav", np.zeros(8000, np.float32), 16000)
    from diarize.tasks.initial import with_initial_model

    if kind.startswith(("10^9", "dim")):
        return  # the size counts where the model is built
    refuses(lambda: with_initial_model({}, "train.yaml", place / "final.pth"), "final.pth")


PICKLES = [
    b"", b".", b"\x80\x02(.", b"\x80\x02K\x01R.", b"\x80\x02K\x01K\x02s.", b"\x80\x02K\x01K\x02R.",
    b"\x80\x02X\xff\xff\xff\xffabc.", b"\x80\x02ccollections\nOrderedDict\nK\x01R.",
    b"\x80\x02K\x01K\x02b.", b"\x80\x02h\x05.", b"\x80\x02K\x01Q.", b"\x80\x02G.", b"\xff",
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", b"\x80\x02cos\nsystem\n.",
    b"\x80\x02cposix\nsystem\nX\x09\0\0\0touch ranq\0\x85R.", b"\x80\x02\x8a\x05.",
    b"\x80\x02X\x01\x00\x00\x00\xff.", b"\x80\x02e.", b"\x80\x02K\x01]K\x02a\x85.",
]  # fmt: skip


@pytest.mark.parametrize("pickled", PICKLES, ids=repr)
def test_a_damaged_pickle_is_refused(place, pickled):
    torch.save(GOOD, "good.pth")
    with zipfile.ZipFile("good.pth") as old, zipfile.ZipFile("final.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled if name.endswith("data.pkl") else old.read(name))
    refuses(lambda: load_task(place / "final.pth"), "final.pth")
    from diarize.features.ssl_weights import read_state

    refuses(lambda: read_state("final.pth"), "final.pth")


def test_packed_entries_larger_than_the_file_are_not_unpacked(place):
    torch.save(GOOD, "good.pth")
    with zipfile.ZipFile("good.pth") as old, zipfile.ZipFile("a.pth", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, bytes(10**8) if name.endswith("data.pkl") else old.read(name))
    assert Path("a.pth").stat().st_size < 10**6
    refuses(lambda: load_task(place / "a.pth"), "a.pth", "100000")


@pytest.mark.parametrize("damage", [
    {"step": "3"}, {"step": -1}, {"best": [{"step": 1}]}, {"best": 3}, {"elapsed": None},
    {"fingerprint": [1]}, {"parts": 1.5}, {"unknown": 1},
], ids=str)  # fmt: skip
def test_a_damaged_progress_of_a_training_is_refused(place, tiny, damage):
    task, meta = tiny
    optimizer = torch.optim.AdamW(task.model.parameters())
    save_training("last.pth", task.model.state_dict(), optimizer, TrainingProgress(3), meta)
    load_training("last.pth", task.model, optimizer, {})
    payload = torch.load("last.pth", weights_only=True)
    payload["training"]["progress"].update(damage)
    torch.save(payload, "last.pth")
    refuses(lambda: load_training("last.pth", task.model, optimizer, {}), "last.pth")


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_hostile_weights_of_a_speech_model_are_refused(refused, place, name):
    out = place / "out.pth"
    if name.endswith("pt"):
        torch.save({"model": Evil()}, name)
        refused(convert_ssl.main, "--weights", name, "--out", out, parts=[name])
        torch.save({"feature_extractor.conv_layers.0.0.weight": torch.ones(1).expand(2**40)}, name)
    else:
        save_file({"a": torch.ones(2)}, name)
        refused(convert_ssl.main, "--weights", name, "--out", out, parts=[name])
        head = b'{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}'
        Path(name).write_bytes(struct.pack("<Q", len(head)) + head + bytes(4))
    refused(convert_ssl.main, "--weights", name, "--out", out, parts=[name])
    Path(name).write_bytes(struct.pack("<Q", 2**60) + b"{}")
    refused(convert_ssl.main, "--weights", name, "--out", out, parts=[name])


@pytest.mark.parametrize("changes", [
    {"encoder.layers.999999999.fc1.weight": torch.ones(8, 8)},
    {f"encoder.layers.{MANY}.fc1.weight": torch.ones(8, 8)},
    {"post_extract_proj.weight": torch.tensor(1.0)},
], ids=["10^9 layers", "digits", "no matrix"])  # fmt: skip
def test_absurd_sizes_by_the_names_of_a_speech_model_are_refused(refused, place, changes):
    state = {"feature_extractor.conv_layers.0.0.weight": torch.ones(512, 1, 10),
             "post_extract_proj.weight": torch.ones(8, 512),
             "encoder.layers.0.fc1.weight": torch.ones(8, 8), **changes}  # fmt: skip
    torch.save({"model": state}, "x.pt")
    refused(convert_ssl.main, "--full", "--weights", "x.pt", "--out", place / "out.pth",
            parts=["x.pt"])  # fmt: skip


# --- packed models


def member(name, **values):
    """The header of a member of a tar."""
    out = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(out, key, value)
    return out


def header(kind, size):
    """The bytes of a header of any stated size, with a valid checksum."""
    out = bytearray(member("final.pth", size=abs(size)).tobuf(tarfile.GNU_FORMAT))
    out[156:157] = kind
    if size < 0:
        out[124:136] = (256**12 + size).to_bytes(12, "big")
    out[148:156] = b" " * 8
    out[148:156] = b"%06o\0 " % sum(out)
    return bytes(out)


MEMBERS = {
    "symbolic link": member("final.pth", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member("final.pth", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": member("final.pth", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "FIFO": member("final.pth", type=tarfile.FIFOTYPE),
    "above": member("../../ran"),
    "absolute": member("/tmp/ran/final.yaml"),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_links_devices_and_paths_of_a_packed_model_are_not_followed(refused, place, kind):
    write_wav(place / "r.wav", np.zeros(8000, np.float32), 16000)
    with tarfile.open("m.tar.gz", "w:gz") as tar:
        tar.addfile(MEMBERS[kind])
    refused(infer.main, "r.wav", "--model", "m.tar.gz", parts=["m.tar.gz", "final.pth"])


@pytest.mark.parametrize("size", [100 << 30, 7 << 30, -512, -1])
@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"S", b"g", b"K"])
def test_absurd_sizes_in_a_packed_model_are_refused(refused, place, kind, size):
    write_wav(place / "r.wav", np.zeros(8000, np.float32), 16000)
    Path("m.tar").write_bytes(header(kind, size) + bytes(1024))
    refused(infer.main, "r.wav", "--model", "m.tar", parts=["m.tar"])


# --- configurations

YAML = [
    "a: !!int x", "a: !!int ''", "a: !!float ''", "a: !!timestamp x", "a: !!bool 3",
    f"a: {MANY}", f"a: 0x{MANY}", "a: 2026-13-45", "a: " + "[" * 5000, "a: " + "{a: " * 4000,
    "a: !!python/object/apply:os.system ['touch ran']", "a: &a [1]\nb: [*a, *a]",
    "a: &a [*a]", "%YAML 9.9\n---\na: 1", "a: \x01", "? [a]\n: 1", "network: {window: 1e999}",
    "network: {window: 1e200}", f"network: {{window: {'9' * 400}}}", "!!map x", "<<: 1",
    "network: {min_queries: 99999999999999999999}", "a\x1b[2J: 1", '"a\\nb": 1',
]  # fmt: skip


@pytest.mark.parametrize("text", YAML, ids=lambda text: repr(text[:30]))
def test_hostile_yaml_is_refused(refused, place, tiny, text):
    task, meta = tiny
    save_model("final.pth", task.model.state_dict(), meta)
    write_wav(place / "r.wav", np.zeros(8000, np.float32), 16000)
    Path("c.yaml").write_text(text, encoding="utf-8")
    common = ["r.wav", "--model", "final.pth", "--config", "c.yaml"]
    refused(infer.main, *common, parts=["c.yaml"])


SET = [
    "x", "=1", "a.b=!!int x", "a=!!python/object/apply:os.system ['touch ran']", "a=" + "[" * 5000,
    "train.steps=2026-13-45", f"train.steps={MANY}", f"train.steps=0x{MANY}", "a=*x", "a=&x [*x]",
    "train.optimizer.lr=1e200", "model.backbone.layers=1000000000", "model.backbone.dim=99999999",
    "model.decoder.queries=1000000000", "model.features.num_mels=1000000", "train=x", "a=\x00",
]  # fmt: skip


@pytest.mark.parametrize("item", SET, ids=lambda item: repr(item[:30]))
def test_hostile_overrides_are_refused(refused, place, item):
    Path("c.yaml").write_text(json.dumps(TINY))
    (place / "data").mkdir()
    write_wav(place / "r.wav", np.full(16000, 0.1, np.float32), 16000)
    (place / "data/wav.scp").write_text("r r.wav\n")
    (place / "data/rttm").write_text(TURN.format("0.1", "0.5"))
    refused(train.main, "--config", "c.yaml", "--train", "data", "--valid", "data", "--out", "exp",
            "--set", item)  # fmt: skip


# --- arrays


def matrix(token, rows, columns):
    """The header of a Kaldi matrix."""
    if token.startswith(b"C"):
        return b"\0B" + token + b" " + struct.pack("<ffii", 0.0, 1.0, rows, columns)
    return b"\0B" + token + b" \4" + struct.pack("<ibi", rows, 4, columns)


HUGE = 2**31 - 1
ARKS = [matrix(token, *size) for token in (b"FM", b"DM", b"CM", b"CM2", b"CM3")
        for size in ((HUGE, HUGE), (HUGE, 1), (-1, 4), (-1, -1), (-(2**31), -(2**31)), (0, HUGE),
                     (HUGE, 0))]  # fmt: skip
ARKS += [b"\0BFV \4" + struct.pack("<i", n) for n in (HUGE, -1)]
ARKS += [b"\0B\4" + struct.pack("<i", n) for n in (HUGE, -1)]
ARKS += [b"\0BXX ", b"\0B" + b"A" * 1000, b"\0B\xff\xfe ", b"\0B", b"PKL" + b"cos\nsystem\n."]


@pytest.mark.parametrize("head", ARKS, ids=lambda head: repr(head[:30]))
def test_a_hostile_header_of_an_ark_is_refused_before_memory_is_reserved(place, head):
    Path("a.ark").write_bytes(head + bytes(32))
    Path("a.scp").write_text("u a.ark:0\n")
    refuses(lambda: read_scp("a.scp")["u"], "a.scp", "u")
    refuses(lambda: read_scp("a.scp").mapped("u"), "a.scp", "u")


def test_the_length_of_an_array_is_that_of_its_file(place):
    import kaldiio

    values = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    arrays = {"float": values, "double": values.astype(float), "vector": values[0],
              "integers": np.arange(9, dtype=np.int32)}  # fmt: skip
    for method in (None, *range(1, 8)):
        for name, array in arrays.items() if method is None else [("packed", values)]:
            kaldiio.save_ark("a.ark", {"u": array}, compression_method=method)
            data = Path("a.ark").read_bytes()[2:]
            assert array_bytes(data[:24]) == len(data), (name, method)
    assert array_bytes(b"\0BFM \4") == 0


@pytest.mark.parametrize("offset", [10**6, 10**17, 10**30, MANY])
def test_an_offset_beyond_the_file_is_refused(place, offset):
    Path("a.ark").write_bytes(b"u " + matrix(b"FM", 1, 1) + bytes(4))
    Path("a.scp").write_text(f"u a.ark:{offset}\n")
    refuses(lambda: read_scp("a.scp")["u"], "a.ark")
    refuses(lambda: read_audio(f"a.ark:{offset}"), "a.ark")


def test_a_hostile_size_in_an_audio_ark_is_refused(place):
    Path("a.ark").write_bytes(b"u AUDIO\xff" + b"\xff" * 300)
    refuses(lambda: read_audio("a.ark:2"), "a.ark")


@pytest.mark.parametrize("files", [
    {"frame_shift": "1e999999999\n"}, {"frame_shift": "1/0\n"}, {"frame_shift": "0\n"},
    {"frame_shift": MANY + "\n"}, {"task": "../x\n"}, {"num_queries": MANY + "\n"},
], ids=str)  # fmt: skip
def test_hostile_files_beside_posteriors_are_refused(refused, place, files):
    home = place / "post"
    with ArkWriter(home, "posteriors") as one, ArkWriter(home, "activities") as two:
        one.write("r", np.full((50, 2), 0.9, np.float32))
        two.write("r", np.full(2, 0.9, np.float32))
    write_layout(home, FrameGrid(), "speaker", [])
    for name, text in files.items():
        (home / name).write_text(text)
    words = ["apply", "--posteriors", home, "--out", place / "out.rttm"]
    if "num_queries" in files:  # only known if it is a number
        assert postprocess.main([str(word) for word in words]) == 0
    else:
        refused(postprocess.main, *words, parts=files)


def test_arrays_of_posteriors_that_do_not_agree_are_refused(refused, place):
    home = place / "post"
    with ArkWriter(home, "posteriors") as one, ArkWriter(home, "activities") as two:
        one.write("r", np.full((50, 2), 0.9, np.float32))
        two.write("r", np.full(3, 0.9, np.float32))
    write_layout(home, FrameGrid(), "speaker", [])
    refused(postprocess.main, "apply", "--posteriors", home, "--out", place / "o.rttm",
            parts=["post", "recording r"])  # fmt: skip


# --- annotations


def eaf(before="", value="1000", tier="a", coding="UTF-8"):
    """An ELAN document with one annotation."""
    slots = "".join(f'<TIME_SLOT TIME_SLOT_ID="{name}" TIME_VALUE="{time}"/>'
                    for name, time in (("t1", "0"), ("t2", value)))  # fmt: skip
    one = '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2"/>'
    return (f'<?xml version="1.0" encoding="{coding}"?>{before}<ANNOTATION_DOCUMENT><TIME_ORDER>'
            f'{slots}</TIME_ORDER><TIER TIER_ID="{tier}"><ANNOTATION>{one}</ANNOTATION></TIER>'
            "</ANNOTATION_DOCUMENT>")  # fmt: skip


BOMB = "<!DOCTYPE x [<!ENTITY a0 'lol'>" + "".join(
    f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 10)) + "]>"  # fmt: skip
OUTSIDE = "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
ANNOTATIONS = {
    "sum beyond all numbers": ("r.rttm", TURN.format("1e308", "1e308")),
    "time beyond all recordings": ("r.rttm", TURN.format("1e15", "1")),
    "exponent": ("r.rttm", TURN.format("1", "1e400")),
    "digits": ("r.rttm", TURN.format("1", MANY)),
    "NaN": ("r.rttm", TURN.format("nan", "1")),
    "late line": ("r.rttm", TURN.format("0", "1") * 3 + TURN.format("99999999999", "1")),
    "entities": ("r.eaf", eaf(BOMB, tier="&a9;")),
    "few entities": ("r.eaf", eaf(BOMB, tier="&a1;")),
    "another file": ("r.eaf", eaf(OUTSIDE, tier="&e;")),
    "another file, unused": ("r.eaf", eaf(OUTSIDE)),
    "digits of XML": ("r.eaf", eaf(value=MANY)),
    "hundreds of digits": ("r.eaf", eaf(value="9" * 400)),
    "other digits": ("r.eaf", eaf(value="\u0661\u0662")),
    "unknown encoding": ("r.eaf", eaf(coding="nonsense")),
    "encoding of several bytes": ("r.eaf", eaf(coding="shift_jis")),
    "deep XML": ("r.eaf", "<a>" * 100000),
    "deep JSON": ("r.json", "[" * 100000),
    "digits of JSON": ("r.json", f'[{{"start": {MANY}}}]'),
    "large JSON": ("r.jsonl", '{"recording": "r", "start": 1e300, "end": 1e301, "label": "a"}'),
    "large TextGrid": ("r.TextGrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1e400 '
                       '<exists> 1e18 "IntervalTier" "a" 0 1 1e18 0 1 "x"'),
    "endless TextGrid": ("r.TextGrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 9 '
                         f"<exists> {MANY}"),
    "large CTM": ("r.ctm", "r 1 1e308 1e308 a\n"),
    "large STM": ("r.stm", "r 1 a 1e308 1e309 x\n"),
    "large CSV": ("r.csv", "start,end,label\n1e200,1e201,a\n"),
    "digits of subtitles": ("r.srt", f"1\n{MANY}:00:01,000 --> {MANY}:00:02,000\na\n"),
    "large label track": ("r.txt", "1e300\t1e301\ta\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_a_hostile_annotation_is_refused(refused, place, kind):
    name, text = ANNOTATIONS[kind]
    Path(name).write_text(text, encoding="utf-8")
    line = refused(rttm.main, "convert", name, "--to", "csv", "--out", "o.csv", parts=[name])
    if kind == "late line":
        assert "r.rttm:4" in line


def test_hostile_times_are_refused_in_scoring(refused, place):
    Path("r.rttm").write_text(TURN.format("1e308", "1e308"))
    refused(score.main, "-r", "r.rttm", "-s", "r.rttm", parts=["r.rttm:1"])
    Path("r.rttm").write_text(TURN.format("0", "1"))
    Path("r.uem").write_text("r 1 0 1e300\n")
    refused(score.main, "-r", "r.rttm", "-s", "r.rttm", "-u", "r.uem", parts=["r.uem:1"])


@pytest.mark.parametrize(("name", "line"), [
    ("reco2dur", f"r {MANY}\n"), ("utt2num_frames", f"a-1 {MANY}\n"), ("reco2dur", "r 1e300\n"),
    ("segments", "a-1 r 0 1e308\n"), ("segments", f"a-1 r 0 {MANY}\n"),
    ("frame_shift", "1e999999999\n"),
])  # fmt: skip
def test_hostile_tables_are_refused(place, capfd, name, line):
    for table, text in {"wav.scp": "r r.wav\n", "segments": "a-1 r 0.1 0.5\n", "utt2spk": "a-1 a\n",
                        "spk2utt": "a a-1\n", name: line}.items():  # fmt: skip
        Path(table).write_text(text)
    write_wav(place / "r.wav", np.full(16000, 0.1, np.float32), 16000)
    assert datadir.main(["validate", "."]) == 1
    assert name in capfd.readouterr().err


# --- simulation


def mixture(**changes):
    """A line of a manifest, with other values of the first speaker or of the mixture."""
    speaker = {"spkid": "a", "rir": None, "utts": [["a.wav", 0.1, 0.6]], "intervals": [0.1]}
    row = {"recid": "m", "speakers": [speaker], "noise": None, "snr": None}
    for key, value in changes.items():
        (speaker if key in speaker else row)[key] = value
    return "m " + json.dumps(row) + "\n"


MANIFESTS = {
    "deep": "m " + "[" * 100000 + "\n",
    "deep objects": "m " + '{"a":' * 50000 + "\n",
    "digits": f"m {MANY}\n",
    "endless silence": mixture(intervals=[1e300]),
    "days of silence": mixture(intervals=[86000.0, 86000.0], utts=[["a.wav", 0.1, 0.6]] * 2),
    "hundreds of digits": mixture(intervals=[10**400]),
    "gain": mixture(utts=[{"file": "a.wav", "gain": 1e308}]),
    "fade": mixture(fade=1e200),
    "late utterance": mixture(utts=[["a.wav", 1e300, 1e301]]),
    "path of the id": mixture().replace("m ", "../../ran ", 1).replace('"m"', '"../../ran"'),
    "a command": mixture(utts=["touch ran |"]),
    "null": mixture(utts=[None]),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_hostile_manifest_is_refused(place, capfd, kind):
    write_wav(place / "a.wav", np.full(16000, 0.1, np.float32), 16000)
    Path("mixture.scp").write_text(MANIFESTS[kind])
    status = simulate.main(["write", "--manifest", "mixture.scp", "--out", "out"])
    _, err = capfd.readouterr()
    if kind == "path of the id":
        assert status == 0  # written, below the directory
        assert all(place / "out" in p.parents for p in place.rglob("*.wav") if p.name != "a.wav")
    else:
        assert status == 1
        assert len([line for line in err.splitlines() if "error:" in line]) == 1
        assert not list(place.glob("out/**/*.wav"))


@pytest.fixture
def layout(place):
    """A manifest with its layout, which a function opens."""
    from diarize.simulate.mix.layout import open_layout
    from diarize.simulate.mix.store import StoreOptions

    write_wav(place / "a.wav", np.full(16000, 0.1, np.float32), 16000)
    Path("mixture.scp").write_text(mixture())

    def opened():
        return open_layout(Manifest("mixture.scp"), "store", StoreOptions())

    opened()
    return opened


@pytest.mark.parametrize("damage", ["empty", "pickle", "objects", "cut", "archive", "other values"])
@pytest.mark.parametrize("name", ["source", "pointer", "facts"])
def test_damaged_arrays_of_a_layout_are_refused_or_made_again(place, layout, name, damage):
    (path,) = place.glob(f"store/layouts/*/{name}.npy")
    whole = path.read_bytes()
    held = np.load(path)
    if damage == "objects":
        np.save(path, np.array([Evil()], dtype=object), allow_pickle=True)
    elif damage == "archive":
        np.savez(path, held)
        path.with_suffix(".npy.npz").replace(path)
    elif damage == "other values":
        np.save(path, held + 1000)
    else:
        data = {"empty": b"", "pickle": b"\x80\x02cos\nsystem\n.", "cut": whole[:100]}[damage]
        path.write_bytes(data)
    if name == "facts":
        layout()
        assert path.read_bytes() == whole
    else:
        refuses(layout, "layouts")


@pytest.mark.parametrize("change", [
    {"places": [[0, 10**12, 1.0, 0]]}, {"places": [[-5, 10, 1.0, 0]]}, {"places": [["x", 1, 1, 0]]},
    {"places": []}, {"sources": [[1, 2, 3]]}, {"samples": 10**30}, {"places": [[0, 1, None, 0]]},
], ids=str)  # fmt: skip
def test_a_damaged_index_of_the_store_is_made_again(place, layout, change):
    (path,) = place.glob("store/*.json")
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | change))
    _, store = layout()
    assert json.loads(path.read_text())["places"] == whole["places"]
    assert len(store.read(next(iter(store.entries)))) == 16000


# --- pipes and messages


def test_commands_in_tables_are_not_run(place):
    for word in ("touch ran |", "`touch ran`", "$(touch ran)"):
        refuses(lambda word=word: read_audio(word), word)
        refuses(lambda word=word: AudioSource(word).info(), word)
        Path("a.scp").write_text(f"u {word}\n")
        refuses(lambda: read_scp("a.scp")["u"], "a.scp")


def test_a_log_of_a_training_with_absurd_numbers(refused, place):
    Path("log.jsonl").write_text("[" * 100000 + "\n{}\n")
    refused(plot.main, "curves", "--log", "log.jsonl", "--out", "o.png", parts=["log.jsonl:1"])


def test_messages_are_one_line_without_control_characters():
    assert one_line("a\n  b\x1b[2J\u202ec") == "a b\\x1b[2J\\u202ec"
    assert one_line("Zoë 字 \udcff") == "Zoë 字 \udcff"
    long = one_line("file.yaml: " + "x" * 10**6 + "; write it again")
    assert len(long) < 2000
    assert long.startswith("file.yaml")
    assert long.endswith("write it again")


def test_integers_of_text_are_bounded():
    assert [parse_integer(text) for text in ("7", "007", str(2**53), str(2**53 + 1), "\u0661", "")
            ] == [7, 7, 2**53, None, None, None]  # fmt: skip
    assert parse_integer("0" * 5000 + "7") == 7


# --- damage by chance


def test_a_sample_of_damaged_files_of_all_formats(tmp_path, monkeypatch, repo_root):
    spec = importlib.util.spec_from_file_location("attacks", repo_root / "bench/attacks.py")
    attacks = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(str(repo_root / "bench"))
    spec.loader.exec_module(attacks)
    monkeypatch.chdir(tmp_path)
    seed = int(os.environ.get("DIARIZE_TEST_SEED") or 7)
    table, faults = attacks.campaign(60, seed, tmp_path)
    assert not faults, f"DIARIZE_TEST_SEED={seed}\n" + "\n".join(faults)
    assert sum(counts["refused"] for counts in table.values()) > 20
