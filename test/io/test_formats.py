"""Formats of annotations: all that is written is read back; what other programs read."""

import io
import json
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from diarize.errors import DiarizeError
from diarize.io.annotation import Media
from diarize.io.destination import Destination
from diarize.io.formats import (
    FORMATS,
    annotation_text,
    format_of,
    read_annotated_turns,
    read_annotation,
    write_annotation,
)
from diarize.segments import Segment, Turn

TURNS = [
    Turn("rec", 0.0, 2.25, "Zoë", 0.875, "2"),
    Turn("rec", 2.0, 3.5, '<x>&"y"', 0.5, "2"),
    Turn("rec", 3661.5, 3662.125, "Zoë", None, "2"),
]
SEGMENTS = [turn.segment for turn in TURNS]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"ctm"}))
def test_every_format_keeps_times_and_labels(tmp_path, name):
    path = tmp_path / f"rec{FORMATS[name].suffix}"
    write_annotation(path, TURNS, Media(4000.0))
    assert format_of(path) == name
    assert sorted(read_annotation(path)) == sorted(SEGMENTS)


@pytest.mark.parametrize("name", ["rttm", "csv", "json", "jsonl"])
def test_formats_with_a_place_for_them_keep_confidence_and_channel(tmp_path, name):
    path = tmp_path / f"rec{FORMATS[name].suffix}"
    write_annotation(path, TURNS)
    assert read_annotated_turns(path) == TURNS


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_recording_without_speech_is_a_file_that_can_be_read(tmp_path, name):
    path = tmp_path / f"rec{FORMATS[name].suffix}"
    write_annotation(path, [], Media(10.0))
    assert read_annotation(path) == []


def test_json_is_json_and_jsonl_is_lines(tmp_path):
    rows = json.loads(annotation_text("json", TURNS))
    assert rows == [json.loads(line) for line in annotation_text("jsonl", TURNS).splitlines()]
    assert rows[0] == {
        "recording": "rec", "start": 0.0, "end": 2.25, "label": "Zoë", "confidence": 0.875,
        "channel": "2",
    }  # fmt: skip
    assert json.loads(annotation_text("json", [])) == []


def test_csv_has_a_header_and_quoted_labels():
    lines = annotation_text("csv", [Turn("r", 0, 1, "a,b", 0.5)]).splitlines()
    assert lines == ["recording,channel,start,end,label,confidence", 'r,1,0.000,1.000,"a,b",0.500']


def test_subtitles_have_the_clock_of_their_format():
    assert annotation_text("srt", TURNS[2:]) == "1\n01:01:01,500 --> 01:01:02,125\nZoë\n"
    assert annotation_text("vtt", TURNS[1:2]).splitlines() == [
        "WEBVTT", "", "00:00:02.000 --> 00:00:03.500",
        '<v &lt;x&gt;&amp;"y">&lt;x&gt;&amp;"y"</v>',
    ]  # fmt: skip


def test_an_eaf_has_what_the_schema_asks_for(tmp_path):
    """Elements in the order of EAFv3.0.xsd; each reference leads to a time slot."""
    audio = tmp_path / "my meeting.wav"
    root = ElementTree.fromstring(annotation_text("eaf", TURNS, Media(9.0, str(audio))).encode())
    assert [e.tag for e in root] == [
        "HEADER", "TIME_ORDER", "TIER", "TIER", "LINGUISTIC_TYPE",
    ]  # fmt: skip
    assert root[0].get("TIME_UNITS") == "milliseconds"
    assert root[0][0].get("MEDIA_URL") == audio.as_uri()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root[1]}
    assert list(slots.values()) == sorted(slots.values())
    found, ids = [], []
    for tier in root.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") == root[-1].get("LINGUISTIC_TYPE_ID")
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            ids.append(one.get("ANNOTATION_ID"))
            times = [slots[one.get(f"TIME_SLOT_REF{i}")] for i in (1, 2)]
            found.append((*times, tier.get("TIER_ID")))
    assert len(set(ids)) == 3
    assert sorted(found) == sorted((round(1000 * s.start), round(1000 * s.end), s.label)
                                   for s in SEGMENTS)  # fmt: skip


def test_control_characters_do_not_spoil_the_xml():
    text = annotation_text("eaf", [Turn("r", 0, 1, "a\x01b")])
    assert ElementTree.fromstring(text.encode()).find("TIER").get("TIER_ID") == "a\ufffdb"


def test_a_textgrid_ends_with_the_recording(tmp_path):
    text = annotation_text("textgrid", TURNS[:2], Media(12.5))
    assert text.count("xmax = 12.500000\n") == 1 + 2 + 2
    assert "xmax = 3.500000" in annotation_text("textgrid", TURNS[:2])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.eaf", "<a><b></a>", "x.eaf:1: not XML"),
        ("x.eaf", "<a/>", "not an ELAN document"),
        ("x.srt", "hello\n", "x.srt:1: not SubRip"),
        ("x.srt", "1\n00:00:02,000 --> 00:00:01,000\na\n", "x.srt:2: ends"),
        ("x.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n\n", "x.vtt:3: a cue without"),
        ("x.csv", "start,end\n1,2\n", "x.csv:2: no 'label'"),
        ("x.csv", "start,end,label\n1,2\n", "x.csv:2: not as many"),
        ("x.csv", 'start,end,label\n1,2,"a\n', "x.csv:"),
    ],
)
def test_damaged_files_name_the_place(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DiarizeError, match=message):
        read_annotation(tmp_path / name)


def test_subtitles_of_other_programs(tmp_path):
    path = tmp_path / "x.vtt"
    path.write_text(
        "WEBVTT - meeting\n\nNOTE x\n\nid1\n00:01.000 --> 00:02.500 align:start\n"
        "<v.loud Ann Lee>Hello <i>you</i>\nand you\n\n01:00:00.000 --> 01:00:01.000\nBob: yes\n"
    )
    assert read_annotation(path) == [
        Segment("x", 1, 2.5, "Ann_Lee"), Segment("x", 3600, 3601, "Bob"),
    ]  # fmt: skip


def test_destinations_by_their_names(tmp_path):
    (tmp_path / "old.txt").mkdir()

    def kind(*args):
        found = Destination.parse(*args)
        return found.form, found.folder

    assert kind(None) == kind("-") == ("rttm", False)
    assert kind(tmp_path / "a.TextGrid") == ("textgrid", False)
    assert kind(tmp_path / "a.textgrid", "csv") == ("csv", False)
    assert kind(tmp_path / "rttm") == ("rttm", False)
    assert kind(tmp_path / "out") == kind(f"{tmp_path}/out.d/") == ("rttm", True)
    assert kind(tmp_path / "out", "eaf") == ("eaf", True)
    assert kind(tmp_path / "old.txt") == ("rttm", True)
    assert kind("/dev/null") == ("rttm", False)
    with pytest.raises(DiarizeError, match=r"a\.xyz: unknown format"):
        kind(tmp_path / "a.xyz")


def test_a_destination_that_cannot_be_written_is_found_before_writing(tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "none/a.rttm", tmp_path / "file/a.rttm", "/proc/none/out/"):
        with pytest.raises(DiarizeError, match="cannot"):
            Destination.parse(out).check()
    with pytest.raises(DiarizeError, match=r"x\.srt: a \.srt file contains one recording, not 2"):
        Destination.parse(tmp_path / "x.srt").check(2)


def test_a_folder_gets_one_file_per_recording(tmp_path):
    two = [Turn("a b/c", 0, 1, "x"), Turn("d", 0, 1, "x")]
    Destination.parse(tmp_path / "out", "vtt").write(two)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a%20b%2Fc.vtt", "d.vtt"]


def reader(module):
    return pytest.importorskip(module, reason=f"{module} is not installed")


def test_praatio_reads_the_textgrid(tmp_path):
    textgrid = reader("praatio.textgrid")
    write_annotation(tmp_path / "r.TextGrid", TURNS[:2], Media(12.5))
    grid = textgrid.openTextgrid(str(tmp_path / "r.TextGrid"), includeEmptyIntervals=False)
    assert grid.maxTimestamp == 12.5
    assert {n: [tuple(e)[:2] for e in grid.getTier(n).entries] for n in grid.tierNames} == {
        "Zoë": [(0.0, 2.25)], '<x>&"y"': [(2.0, 3.5)],
    }  # fmt: skip


def test_pympi_reads_the_eaf(tmp_path):
    elan = reader("pympi.Elan")
    write_annotation(tmp_path / "r.eaf", TURNS, Media(4000.0, "r.wav"))
    eaf = elan.Eaf(str(tmp_path / "r.eaf"))
    assert sorted(a[:2] for a in eaf.get_annotation_data_for_tier("Zoë")) == [
        (0, 2250), (3661500, 3662125),
    ]  # fmt: skip


def test_subtitle_readers_read_the_subtitles(tmp_path):
    srt, webvtt = reader("srt"), reader("webvtt")
    found = list(srt.parse(annotation_text("srt", TURNS)))
    assert [(c.start.total_seconds(), c.content) for c in found] == [
        (t.start, t.label) for t in TURNS
    ]
    captions = list(webvtt.from_buffer(io.StringIO(annotation_text("vtt", TURNS))))
    assert captions[0].voice == "Zoë"
    assert [c.start_in_seconds for c in captions] == [int(t.start) for t in TURNS]


def test_ffmpeg_reads_the_subtitles(tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg")
    for name in ("srt", "vtt"):
        write_annotation(tmp_path / f"r.{name}", TURNS)
        got = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", tmp_path / f"r.{name}", "-f", "srt", "-"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert got.stderr == ""
        assert "01:01:01,500 --> 01:01:02,125\nZoë" in got.stdout
