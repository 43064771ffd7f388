import csv

import pytest

from diarize.io.rttm import read_rttm
from diarize.io.uem import read_uem
from diarize.report.plots.errors import ErrorSpan, score_one
from diarize.segments import Segment, by_recording


def segs(*items):
    return [Segment("r", start, end, label) for start, end, label in items]


def test_each_kind_of_error_is_where_it_belongs():
    ref = segs((0, 4, "a"), (3, 6, "b"), (8, 9, "a"))
    hyp = segs((1, 5, "x"), (3, 4, "y"), (7, 9, "y"))
    found = score_one(ref, hyp, [(0, 10)])
    assert found.mapping == {"x": "a", "y": "b"}
    assert found.spans == [
        ErrorSpan(0, 1, miss=1, false_alarm=0, confusion=0),
        ErrorSpan(4, 5, miss=0, false_alarm=0, confusion=1),  # b speaks, x = a is found
        ErrorSpan(5, 6, miss=1, false_alarm=0, confusion=0),
        ErrorSpan(7, 8, miss=0, false_alarm=1, confusion=0),
        ErrorSpan(8, 9, miss=0, false_alarm=0, confusion=1),
    ]
    assert (found.times.miss, found.times.false_alarm, found.times.confusion) == (2, 1, 2)


def test_only_the_regions_count():
    ref, hyp = segs((0, 10, "a")), segs((0, 3, "x"), (3, 10, "y"))
    found = score_one(ref, hyp, [(1, 2), (2, 3), (4, 9), (9, 20)])
    assert found.spans == [ErrorSpan(1, 3, 0, 0, 1)]
    assert score_one(ref, ref, [(0, 20)]).spans == []
    assert score_one([], [], [(0, 20)]).spans == []
    assert score_one([], hyp, [(0, 20)]).spans == [ErrorSpan(0, 10, 0, 1, 0)]


def test_mapping_takes_the_most_time_in_common_inside_the_regions():
    ref = segs((0, 10, "a"), (10, 14, "b"))
    hyp = segs((0, 4, "x"), (4, 14, "y"), (20, 30, "z"))
    # x-a 4 s, y-a 6 s, y-b 4 s: x-a and y-b together make 8 s.
    assert score_one(ref, hyp, [(0, 30)]).mapping == {"x": "a", "y": "b"}
    assert score_one(ref, hyp, [(3, 10)]).mapping == {"y": "a"}
    assert score_one(ref, [], [(0, 30)]).mapping == {}
    assert score_one(ref, hyp, []).mapping == {}


def test_seconds_are_those_of_md_eval_on_real_output(shared_data):
    pack = shared_data / "voxconverse_scoring"
    uem = read_uem(pack / "vox.uem")
    sides = [by_recording(read_rttm(pack / name)) for name in ("ref.test.rttm", "diaper10.rttm")]
    checked = 0
    with open(pack / "expected6.tsv") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            if (row["case"], float(row["collar"]), row["ignore_overlap"]) != (
                "diaper10_uem", 0.0, "0",
            ) or row["file_id"] == "OVERALL":  # fmt: skip
                continue
            ref, hyp = (side.get(row["file_id"], []) for side in sides)
            spans = score_one(ref, hyp, uem[row["file_id"]]).spans
            sums = [
                sum(getattr(span, part) * (span.end - span.start) for span in spans)
                for part in ("miss", "false_alarm", "confusion")
            ]
            wanted = [float(row[name]) for name in ("miss_s", "fa_s", "conf_s")]
            assert sums == pytest.approx(wanted, abs=1e-5), row["file_id"]
            checked += 1
    assert checked == 232
