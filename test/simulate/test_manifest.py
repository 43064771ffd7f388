"""The file of mixtures."""

import json

import pytest

from diarize.errors import DiarizeError
from diarize.simulate.manifest import Manifest, write_manifest

MIXTURE = {
    "speakers": [
        {"spkid": "a", "rir": None, "utts": ["a.wav", ["b.wav", 0.5, 1.5]], "intervals": [1.0, 0.0]}
    ],
    "noise": None,
    "snr": None,
    "recid": "mix_0000001",
}
# As hitachi-speech/EEND prints it: times as lists, a noise and an SNR for every mixture.
HITACHI = (
    'mix_0000001 {"speakers": [{"spkid": "1034", "rir": "/rir/Room001-00001.wav", "utts": '
    '[["/wav/1.wav", 0.25, 3.5], ["/wav/2.wav", 0, 2]], "intervals": [0.31, 12.075]}, {"spkid": '
    '"103", "rir": null, "utts": ["/wav/3.wav"], "intervals": [2.5]}], "noise": "/noise/n.wav", '
    '"snr": 15.0, "recid": "mix_0000001"}\n'
)


def changed(**values):
    return {**MIXTURE, **values}


def changed_speaker(**values):
    return changed(speakers=[{**MIXTURE["speakers"][0], **values}])


def test_written_is_read_back(tmp_path):
    path = tmp_path / "mixture.scp"
    mixtures = [
        (f"mix_{i:07d}", changed(recid=f"mix_{i:07d}", noise="ñ.wav", snr=i)) for i in range(9)
    ]
    assert write_manifest(path, mixtures) == 9
    manifest = Manifest(path)
    assert len(manifest) == 9
    assert list(manifest) == mixtures
    assert manifest[-1] == mixtures[-1]
    assert list(manifest.ids()) == [name for name, _ in mixtures]
    with pytest.raises(IndexError):
        manifest[9]


def test_hitachi_manifest_loads(tmp_path):
    path = tmp_path / "mixture.scp"
    path.write_text(HITACHI)
    name, mixture = Manifest(path)[0]
    assert name == mixture["recid"] == "mix_0000001"
    assert mixture["speakers"][0]["utts"][0] == ["/wav/1.wav", 0.25, 3.5]
    assert mixture["snr"] == 15.0


def test_ids_must_rise(tmp_path):
    path = tmp_path / "m.scp"
    with pytest.raises(DiarizeError, match="mix_1 comes twice or out of order"):
        write_manifest(path, [("mix_1", {}), ("mix_1", {})])
    assert not path.exists()
    path.write_text("b {}\na {}\n")
    with pytest.raises(DiarizeError, match=r"m\.scp:2: id a comes twice or is not in C order"):
        Manifest(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no mixtures"),
        ("mix_1\n", r"m\.scp:1: expected"),
        ("a {}\n\n", r"m\.scp:2: expected"),
    ],
)
def test_bad_lines(tmp_path, text, message):
    path = tmp_path / "m.scp"
    path.write_text(text)
    with pytest.raises(DiarizeError, match=message):
        Manifest(path)


def test_missing_file(tmp_path):
    with pytest.raises(DiarizeError, match="No such file"):
        Manifest(tmp_path / "none.scp")


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({k: v for k, v in MIXTURE.items() if k != "noise"}, "key 'noise' is missing"),
        ([], "expected a JSON object"),
        (changed(speakers=[]), "at least one speaker"),
        (changed(speakers=[{"spkid": "a"}]), "speaker 1: key 'rir' is missing"),
        (changed(speakers=MIXTURE["speakers"] * 2), "speaker 2: a is in the mixture twice"),
        (changed_speaker(intervals=[1.0]), "2 utts but 1 intervals"),
        (changed_speaker(intervals=[1.0, -1.0]), "interval -1.0"),
        (changed_speaker(intervals=[1.0, float("nan")]), "interval nan"),
        (changed_speaker(utts=["a", ["b", 1.5, 0.5]]), "0 <= start < end"),
        (changed_speaker(utts=["a", ["b", 1.5]]), "neither a file name"),
        (changed_speaker(rir=3), "rir must be a file name or null"),
        (changed(noise="n.wav"), "snr must be a number"),
        (changed(recid="other"), "recid 'other'"),
    ],
)
def test_bad_mixtures_name_file_and_line(tmp_path, mixture, message):
    path = tmp_path / "m.scp"
    path.write_text(f"a {json.dumps(changed(recid='a'))}\nmix_0000001 {json.dumps(mixture)}\n")
    manifest = Manifest(path)
    assert manifest[0][0] == "a"
    with pytest.raises(DiarizeError, match=rf"m\.scp:2: .*{message}"):
        manifest[1]


def test_bad_json(tmp_path):
    path = tmp_path / "m.scp"
    path.write_text('mix_1 {"speakers": \n')
    with pytest.raises(DiarizeError, match=r"m\.scp:1: not JSON"):
        Manifest(path)[0]
