"""Every stored row and report of md-eval on VoxConverse, to the printed digit."""

import csv
import gzip

import pytest

from diarize.io.rttm import read_turns
from diarize.io.uem import read_uem
from diarize.score.columns import problem_from_turns
from diarize.score.der import Evaluation

COLUMNS = {
    "scored_speech_s": "scored_speech",
    "miss_s": "miss",
    "fa_s": "false_alarm",
    "conf_s": "confusion",
}
EXPECTED = 9188
PUBLISHED = {"vbx_uem": "6.12", "diaper10_uem": "23.20", "diaper20_uem": "22.10"}


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "voxconverse_scoring"


def rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture(scope="module")
def scores(folder):
    """Scores by (case, collar, skip overlap) of all nine cases."""
    read: dict = {}
    out = {}
    for case in rows(folder / "cases.tsv"):
        for name in (case["ref"], case["sys"]):
            read.setdefault(name, None)
            read[name] = read[name] or read_turns(folder / name)
        uem = None if case["uem"] == "-" else read_uem(folder / case["uem"])
        evaluation = Evaluation(problem_from_turns(read[case["ref"]], read[case["sys"]], uem))
        for collar in ("0.0", "0.25"):
            for skip in ("0", "1"):
                key = (case["case"], collar, skip)
                out[key] = evaluation.scores(float(collar), skip == "1")
    return out


@pytest.mark.parametrize(("name", "form"), [("expected.tsv", ".2f"), ("expected6.tsv", ".6f")])
def test_every_row(scores, folder, name, form):
    expected = rows(folder / name)
    totals = {key: one.total for key, one in scores.items()}
    wrong = []
    for row in expected:
        key = (row["case"], row["collar"], row["ignore_overlap"])
        overall = row["file_id"] == "OVERALL"
        times = totals[key] if overall else scores[key].recordings[row["file_id"]]
        found = {column: f"{getattr(times, part):{form}}" for column, part in COLUMNS.items()}
        found["der_pct"] = f"{100 * times.der:.2f}"
        wrong += [(key, row["file_id"], c, v, row[c]) for c, v in found.items() if v != row[c]]
    assert len(expected) == EXPECTED
    assert not wrong


def test_published_figures(scores):
    found = {case: f"{100 * scores[case, '0.25', '0'].total.der:.2f}" for case in PUBLISHED}
    assert found == PUBLISHED


@pytest.mark.parametrize(
    "stored", ["devsim_nouem_c0.25_o1", "vbx_nouem_c0.0_o1", "vbx_uem_c0.25_o0"]
)
def test_stored_report_line_by_line(ours, folder, stored):
    case, collar, skip = stored.rsplit("_", 2)
    line = next(row for row in rows(folder / "cases.tsv") if row["case"] == case)
    args = [
        "-af",
        "-c",
        collar[1:],
        "-r",
        str(folder / line["ref"]),
        "-s",
        str(folder / line["sys"]),
    ]
    args += ["-1"] if skip == "o1" else []
    args += [] if line["uem"] == "-" else ["-u", str(folder / line["uem"])]
    answer = ours(args)
    with gzip.open(folder / "stdout" / f"{stored}.txt.gz", "rt") as handle:
        expected = handle.read()
    assert answer.status == 0
    assert "\n".join(answer.lines) == expected
