import pytest

from diarize.errors import DiarizeError
from diarize.io.formats import FORMATS, annotation_text, read_annotation
from diarize.segments import Segment

SEGMENTS = [
    Segment("rec", 0.5, 2.25, "ann"),
    Segment("rec", 2.0, 3.5, "bob"),
    Segment("rec", 4.0, 4.75, "ann"),
]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"ctm"}))
def test_a_round_trip_keeps_the_segments(tmp_path, name):
    path = tmp_path / f"rec{FORMATS[name].suffix}"
    path.write_text(annotation_text(name, SEGMENTS))
    assert read_annotation(str(path)) == SEGMENTS


def test_a_long_and_a_short_textgrid_and_utf16(tmp_path):
    short = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n5\n<exists>\n2\n'
        '"IntervalTier"\n"ann ""A"""\n0\n5\n2\n0\n1.5\n""\n1.5\n5\n"hello [3] there"\n'
        '"TextTier"\n"marks"\n0\n5\n1\n2.5\n"x"\n'
    )
    path = tmp_path / "r.TextGrid"
    for encoding in ("utf-8", "utf-16"):
        path.write_text(short, encoding=encoding)
        assert read_annotation(str(path)) == [Segment("r", 1.5, 5.0, 'ann_"A"')]
    path.write_text(short[:-30])
    with pytest.raises(DiarizeError, match="cut off"):
        read_annotation(str(path))


def test_words_of_a_ctm_become_stretches(tmp_path):
    path = tmp_path / "x.ctm"
    path.write_text(";; c\nr A 0.0 0.4 hi\nr A 0.6 0.4 you\nr A 3 1 there 0.9\n")
    assert read_annotation(str(path)) == [Segment("r", 0.0, 1.0, "A"), Segment("r", 3.0, 4.0, "A")]


def test_json_of_meeteval_lhotse_and_pyannote(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[{"session_id": "r", "start_time": 1, "end_time": "2.5", "speaker": "a"}]')
    assert read_annotation(str(path)) == [Segment("r", 1.0, 2.5, "a")]
    path.write_text('{"recording_id": "r", "start": 1, "duration": 0.5, "speaker": "a b"}\n')
    assert read_annotation(str(path)) == [Segment("r", 1.0, 1.5, "a_b")]
    path.write_text('{"start": 1, "end": 2, "speaker": "a"}\n')
    assert read_annotation(str(path)) == [Segment("x", 1.0, 2.0, "a")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.ctm", "r A 0\n", "x.ctm:1: 3 fields"),
        ("x.stm", "r A s 2 1 w\n", "x.stm:1: ends"),
        ("x.txt", "1 2 a\n", "x.txt:1: not start"),
        ("x.jsonl", "{\n", "x.jsonl:1: not JSON"),
        ("x.jsonl", '{"start": 1, "end": 2}\n', "no 'label'"),
        ("x.jsonl", "3\n", "not an object"),
        ("x.jsonl", '{"start": 1, "label": "a"}\n', "end 'None'"),
        ("x.TextGrid", "hello", "not a TextGrid"),
        ("x.xml", "", "unknown format"),
    ],
)
def test_damaged_files_name_the_place(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DiarizeError, match=message):
        read_annotation(str(path))
