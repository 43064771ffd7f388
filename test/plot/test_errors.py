import csv

import pytest

from diarize.io.rttm import read_rttm
from diarize.io.uem import read_uem
from diarize.plot.errors import ErrorSpan, error_seconds, error_spans, map_speakers
from diarize.segments import Segment


def segs(*items):
    return [Segment("r", start, end, label) for start, end, label in items]


def test_each_kind_of_error_is_where_it_belongs():
    ref = segs((0, 4, "a"), (3, 6, "b"), (8, 9, "a"))
    hyp = segs((1, 5, "x"), (3, 4, "y"), (7, 9, "y"))
    mapping = {"x": "a", "y": "b"}
    assert error_spans(ref, hyp, [(0, 10)], mapping) == [
        ErrorSpan(0, 1, miss=1, false_alarm=0, confusion=0),
        ErrorSpan(4, 5, miss=0, false_alarm=0, confusion=1),  # b speaks, x = a is found
        ErrorSpan(5, 6, miss=1, false_alarm=0, confusion=0),
        ErrorSpan(7, 8, miss=0, false_alarm=1, confusion=0),
        ErrorSpan(8, 9, miss=0, false_alarm=0, confusion=1),
    ]
    assert error_seconds(error_spans(ref, hyp, [(0, 10)], mapping)) == (2, 1, 2)


def test_only_the_regions_count_and_an_unmapped_label_never_agrees():
    ref, hyp = segs((0, 10, "a")), segs((0, 10, "a"))
    assert error_spans(ref, hyp, [(2, 4), (4, 5), (9, 20)], {}) == [
        ErrorSpan(2, 5, 0, 0, 1),
        ErrorSpan(9, 10, 0, 0, 1),
    ]
    assert error_spans(ref, hyp, [(0, 20)], {"a": "a"}) == []
    assert error_spans([], [], [(0, 20)], {}) == []


def test_mapping_takes_the_most_time_in_common_inside_the_regions():
    ref = segs((0, 10, "a"), (10, 14, "b"))
    hyp = segs((0, 4, "x"), (4, 14, "y"), (20, 30, "z"))
    # x-a 4 s, y-a 6 s, y-b 4 s: x-a and y-b together make 8 s.
    assert map_speakers(ref, hyp, [(0, 30)]) == {"x": "a", "y": "b"}
    assert map_speakers(ref, hyp, [(3, 10)]) == {"y": "a"}
    assert map_speakers(ref, [], [(0, 30)]) == {}
    assert map_speakers(ref, hyp, []) == {}


def test_seconds_are_those_of_md_eval_on_real_output(shared_data):
    pack = shared_data / "voxconverse_scoring"
    uem = read_uem(pack / "vox.uem")
    sides = []
    for name in ("ref.test.rttm", "diaper10.rttm"):
        side = {}
        for seg in read_rttm(pack / name):
            side.setdefault(seg.recording, []).append(seg)
        sides.append(side)
    checked = 0
    with open(pack / "expected6.tsv") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            if (row["case"], float(row["collar"]), row["ignore_overlap"]) != (
                "diaper10_uem", 0.0, "0",
            ) or row["file_id"] == "OVERALL":  # fmt: skip
                continue
            ref, hyp = (side.get(row["file_id"], []) for side in sides)
            regions = uem[row["file_id"]]
            spans = error_spans(ref, hyp, regions, map_speakers(ref, hyp, regions))
            wanted = [float(row[name]) for name in ("miss_s", "fa_s", "conf_s")]
            assert error_seconds(spans) == pytest.approx(wanted, abs=1e-5), row["file_id"]
            checked += 1
    assert checked == 232
