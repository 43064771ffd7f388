"""Page of a recording: errors, sound, posteriors, escaping, and bad input."""

import base64
import json
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
import soundfile
from meeting_files import EVIL, LABELS, RATE, SECONDS

from diarize.bin import report
from diarize.io.audio import AudioSource, write_wav
from diarize.io.rttm import write_rttm
from diarize.report.page import heat, sound
from diarize.segments import Segment

KINDS = ("miss", "false_alarm", "confusion")


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of scripts and cells."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            del self.inside[len(self.inside) - 1 - self.inside[::-1].index(tag) :]

    def handle_data(self, data):
        self.texts.append((self.inside[-1] if self.inside else "", data))


def content_of(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.S)
    return json.loads(found[1])


def seconds_of(errors):
    """The seconds of each kind, summed over the intervals of a page."""
    spans = list(zip(errors["start"], errors["end"], strict=True))
    return [
        sum((b - a) * n for (a, b), n in zip(spans, counts, strict=True))
        for counts in errors["count"]
    ]


@pytest.mark.parametrize("collar", [0.0, 0.25, 0.1])
def test_errors_are_the_seconds_of_diarize_score(meeting, collar):
    page = meeting.page("errors.html", "--collar", str(collar), "--audio", "none")
    content = content_of(page)
    overall = meeting.scores(collar)
    assert overall["miss"] > 0
    assert overall["false_alarm"] > 0
    assert overall["confusion"] > 0
    wanted = [overall[kind] for kind in KINDS]
    assert seconds_of(content["errors"]) == pytest.approx(wanted, abs=1e-3)
    scored = [b - a for a, b in zip(*content["regions"], strict=True)]
    assert sum(scored) == pytest.approx(overall["scored_time"], abs=1e-3)
    text = page.read_text(encoding="utf-8")
    for seconds in wanted:
        assert f"{seconds:.2f} s (" in text


def test_without_uem_the_extent_of_the_reference_is_scored(meeting):
    words = [str(meeting.wav), "--hyp", str(meeting.hyp), "--ref", str(meeting.ref)]
    out = meeting.folder / "extent.html"
    assert report.main([*words, "--audio", "none", "--out", str(out)]) == 0
    regions = content_of(out)["regions"]
    reference = [line.split() for line in meeting.ref.read_text().splitlines()]
    first = min(float(fields[3]) for fields in reference)
    last = max(float(fields[3]) + float(fields[4]) for fields in reference)
    assert regions == [[pytest.approx(first)], [pytest.approx(last)]]


def test_labels_are_text(meeting):
    page = Elements(meeting.page("labels.html").read_text(encoding="utf-8"))
    scripts = [attributes for tag, attributes in page.found if tag == "script"]
    assert [s.get("type") for s in scripts] == ["application/json", None, "text/plain"]
    shown = {text for tag, text in page.texts if tag == "bdi"}
    assert set(LABELS) <= shown
    assert EVIL in shown


def test_the_page_needs_nothing_else(meeting):
    text = meeting.page("alone.html").read_text(encoding="utf-8")
    page = Elements(text)
    assert not [tag for tag, a in page.found if {"src", "href", "srcset"} & a.keys()]
    assert not re.search(r"https?://|@import|url\(|@@", text)
    assert not [tag for tag, a in page.found if any(name.startswith("on") for name in a)]


def test_rows_have_colours_confidences_and_partners(meeting):
    rows = content_of(meeting.page("rows.html", "--audio", "none"))["rows"]
    reference = {row["label"]: row for row in rows if row["side"] == "reference"}
    output = {row["label"]: row for row in rows if row["side"] == "output"}
    assert set(reference) == set(LABELS)
    for index, label in enumerate(LABELS):
        assert output[f"spk{index}"]["colour"] == reference[label]["colour"]
    assert output["spk7"]["colour"] == "extra-0"
    assert output["spk7"]["confidence"] == [0.25]
    assert reference[LABELS[1]]["confidence"] is None
    spans = [float(v) for line in meeting.hyp.read_text().splitlines()
             for v in line.split()[3:5] if " spk1 " in line]  # fmt: skip
    assert sum(output["spk1"]["ends"]) - sum(output["spk1"]["starts"]) == pytest.approx(
        sum(spans[1::2]), abs=1e-3
    )


def test_embedded_sound_is_the_recording(meeting):
    text = meeting.page("sound.html").read_text(encoding="utf-8")
    encoded = re.search(r'<script type="text/plain" id="sound">(.*?)</script>', text, re.S)[1]
    samples, rate = soundfile.read(BytesIO(base64.b64decode(encoded)))
    wave, _ = soundfile.read(meeting.wav)
    assert rate == RATE
    assert len(samples) == RATE * SECONDS
    loud = [np.sqrt((x[: RATE * SECONDS].reshape(-1, 1600) ** 2).mean(1)) for x in (samples, wave)]
    assert np.corrcoef(*loud)[0, 1] > 0.98


def test_waveform_has_a_bounded_number_of_points(tmp_path, monkeypatch):
    monkeypatch.setattr(sound, "MOST_POINTS", 1000)
    monkeypatch.setattr(sound, "_BLOCK_SECONDS", 1.2345)
    wave = np.zeros(RATE * 25 + 77, np.float32)
    wave[RATE * 20] = 0.5
    wave[RATE * 5] = -0.25
    write_wav(tmp_path / "clicks.wav", wave, RATE)
    found = sound.read_sound(AudioSource(str(tmp_path / "clicks.wav")), "none", tmp_path)
    assert len(found.peaks) == 834  # 2501 points of 10 ms in groups of 3
    assert found.step == pytest.approx(0.03)
    assert found.seconds == pytest.approx(25 + 77 / RATE)
    assert np.flatnonzero(found.peaks[:, 1]).tolist() == [int(20 / 0.03)]
    assert np.flatnonzero(found.peaks[:, 0]).tolist() == [int(5 / 0.03)]
    assert found.peaks[int(20 / 0.03), 1] == 127
    assert found.peaks[int(5 / 0.03), 0] == -64


def test_a_link_is_relative_and_quoted(meeting, tmp_path):
    words = [str(meeting.wav), "--hyp", str(meeting.hyp), "--audio", "link"]
    out = tmp_path / "pages/page.html"
    assert report.main([*words, "--out", str(out)]) == 0
    content = content_of(out)
    assert content["sound"]["mode"] == "link"
    assert content["sound"]["url"].endswith("meeting%20page0/meeting.wav")
    assert content["sound"]["url"].startswith("../")


def test_posteriors_belong_to_the_labels_of_their_masks(meeting):
    found = content_of(meeting.page("heat.html", "--posteriors", str(meeting.posteriors)))
    queries = found["posteriors"]["queries"]
    # By activity; query 6, of activity 0.01, is left out.
    assert [query["name"].split(",")[0] for query in queries] == [
        f"query {n}" for n in (2, 0, 1, 3, 4, 7, 5)
    ]
    assert [query["label"] for query in queries] == [
        "spk2", "spk0", "spk1", "spk3", "spk4", "spk7", None,
    ]  # fmt: skip
    values = np.frombuffer(base64.b64decode(found["posteriors"]["values"]), np.uint8)
    values = values.reshape(len(queries), -1)
    assert values.shape[1] == found["posteriors"]["columns"] == 100 * SECONDS
    row = values[[query["label"] for query in queries].index("spk7")]
    assert row[600] == round(0.8 * 255)
    assert row[1000] == round(0.02 * 255)


def test_posteriors_are_pooled_to_a_bounded_number_of_columns(monkeypatch):
    monkeypatch.setattr(heat, "MOST_COLUMNS", 100)
    monkeypatch.setattr(heat, "_BLOCK", 37)
    masks = np.random.default_rng(0).random((1234, 3)).astype(np.float32)
    given = heat.Posteriors(masks, np.array([0.1, 0.9, 0.01]), 0.01, vad_slot=True)
    found = heat.make_heat(given, [], 12.34)
    assert found.queries == [0, 1]
    assert found.step == pytest.approx(0.13)
    slow = [[masks[t : t + 13, q].mean() for t in range(0, 1234, 13)] for q in (0, 1)]
    np.testing.assert_allclose(found.values / 255, slow, atol=0.003)


def test_languages_are_scored_by_name_too(meeting):
    out = meeting.page("language.html", "--task", "language", "--audio", "none")
    text = out.read_text(encoding="utf-8")
    assert content_of(out)["noun"] == "language"
    assert "by name" in text
    assert "Languages of the output" in text
    assert "speakers" not in re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)


def test_pages_of_a_data_directory(meeting, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"meeting {meeting.wav}\na/b {meeting.wav}\n")
    (data / "rttm").write_text(meeting.ref.read_text())
    (data / "uem").write_text("a/b 1 0.0 5.0\nmeeting 1 2.0 39.0\n")
    words = ["--data", str(data), "--hyp", str(meeting.hyp), "--audio", "none"]
    assert report.main([*words, "--out", str(tmp_path / "pages")]) == 0
    named = [str(tmp_path / "pages" / name) for name in ("a%2Fb.html", "meeting.html")]
    assert capsys.readouterr().out.split("\n")[:2] == named
    assert content_of(tmp_path / "pages/meeting.html")["errors"]["start"]
    # No speech in it, neither in the reference nor in the output.
    assert content_of(tmp_path / "pages/a%2Fb.html")["errors"]["start"] == []
    assert content_of(tmp_path / "pages/a%2Fb.html")["rows"] == []


def test_output_in_another_format(meeting, tmp_path):
    (tmp_path / "x.txt").write_text("1.0\t2.5\tspk0\n")
    words = [str(meeting.wav), "--hyp", str(tmp_path / "x.txt"), "--audio", "none"]
    assert report.main([*words, "--out", str(tmp_path / "x.html")]) == 0
    assert content_of(tmp_path / "x.html")["rows"][0]["starts"] == [1.0]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["{wav}", "--hyp", "{hyp}", "--recording", "other"], ("hyp.rttm", "other", "meeting")),
        (["{wav}", "--hyp", "{hyp}", "--out", "page.pdf"], ("page.pdf", ".html")),
        (["{wav}", "--hyp", "{tmp}/none.rttm"], ("none.rttm",)),
        (["{tmp}/none.wav", "--hyp", "{tmp}/none2.rttm"], ("none2.rttm",)),
        (["{wav}", "--hyp", "{hyp}", "--posteriors", "{tmp}"], ("posteriors.scp",)),
        (["{wav}", "--hyp", "{hyp}", "--ref", "{tmp}/other.rttm"], ("meeting", "reference")),
        (["--hyp", "{hyp}", "--data", "{tmp}"], ("wav.scp",)),
        (["{tmp}/meeting.au", "--hyp", "{hyp}", "--audio", "link"], ("meeting.au", "embed")),
        (["--exp", "{tmp}/none"], ("none",)),
        (["--exp", "{tmp}"], ("train_log.jsonl",)),
    ],
)  # fmt: skip
def test_bad_input_is_named_in_one_line(meeting, tmp_path, monkeypatch, capsys, words, named):
    monkeypatch.chdir(tmp_path)
    write_rttm(tmp_path / "other.rttm", [Segment("other", 0, 1, "a")])
    soundfile.write(tmp_path / "meeting.au", np.zeros(1600), RATE)
    names = {"wav": meeting.wav, "hyp": meeting.hyp, "tmp": tmp_path}
    before = sorted(tmp_path.iterdir())
    assert report.main([word.format(**names) for word in words]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert all(part in told for part in named), told
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    [["x.wav"], ["x.wav", "--hyp", "h", "--data", "d"], ["--exp", "e", "--hyp", "h"],
     ["x.wav", "--hyp", "h", "--recording", "a", "b"]],
)  # fmt: skip
def test_options_that_do_not_go_together(words):
    with pytest.raises(SystemExit) as stopped:
        report.main(words)
    assert stopped.value.code == 2
