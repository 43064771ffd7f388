import json
import re
import time

import pytest

from diarize.bin.results import main
from diarize.io.rttm import write_rttm
from diarize.io.uem import write_uem
from diarize.report import provenance
from diarize.score.columns import problem_from_segments
from diarize.score.der import Evaluation
from diarize.score.hypotheses import score_hypotheses
from diarize.score.jer import JaccardErrors, jaccard_errors
from diarize.segments import Segment, Turn

BEST = """
postprocess: {query_threshold: 0.7, mask_threshold: 0.4, median: 11, num_speakers: null}
chosen:
  {posteriors: exp/m/infer_dev, reference: data/dev/rttm, recordings: 8,
   speakers: query threshold, der: 9.5}
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ref = [Segment("a", 0, 10, "ann"), Segment("b", 0, 4, "ann"), Segment("b", 4, 8, "bob")]
    hyp = [Segment("a", 0, 9, "x"), Segment("b", 0, 8, "x"), Segment("c", 2, 3, "x")]
    for name, found in (("dev", ref), ("test", hyp)):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "exp" / "m" / f"infer_{name}").mkdir(parents=True)
        write_rttm(f"data/{name}/rttm", ref)
        write_uem(f"data/{name}/uem", {"a": [(0, 20)], "b": [(0, 10)], "c": [(0, 10)]})
        write_rttm(f"exp/m/infer_{name}/rttm", found)
    (tmp_path / "exp/m/infer_dev/best.yaml").write_text(BEST)
    log = [{"kind": "train", "step": s, "elapsed": 60.4 * s} for s in (1, 2)]
    log.append({"kind": "valid", "step": 2, "der": 3.0})
    (tmp_path / "exp/m/train_log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in log))
    return tmp_path


def words(sets="dev test", *more):
    return [
        "--exp", "exp/m", "--sets", sets, "--valid", "dev", "--data-root", "data",
        "--out", "exp/m/RESULTS.md", *more,
    ]  # fmt: skip


def test_the_last_line_is_the_result_of_the_test_set(work, capsys):
    started = time.time() - 1000
    assert main(words("dev test", "--started", str(started), "--task", "speaker")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "exp/m/RESULTS.md written"
    assert re.sub(r"total_s=100[0-5] ", "total_s=T ", lines[1]) == (
        "RESULT task=speaker set=test collar=0.00 der=33.33 miss=5.56 fa=5.56 conf=22.22 "
        "count_acc=33.33 train_s=121 total_s=T recordings=3 minutes=0.7 der_95=na"
    )
    assert len(lines) == 2


def test_a_figure_says_what_it_rests_on(work, capsys):
    """One recording of 30 s gave "der=22.78", without a word."""
    assert main(words("test")) == 0
    shown = capsys.readouterr()
    assert "warning: test: 3 recordings, 0.7 min" in shown.err
    assert "test: 3 recordings, 0.7 min" in (work / "exp/m/RESULTS.md").read_text()
    names = [f"r{i}" for i in range(8)]
    write_rttm("data/test/rttm", [Segment(name, 0, 10, "ann") for name in names])
    found = [Segment(name, 0, 10 - i, "x") for i, name in enumerate(names)]
    write_rttm("exp/m/infer_test/rttm", found)
    write_uem("data/test/uem", {name: [(0, 60)] for name in names})
    assert main(words("test")) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    low, high = re.search(r"recordings=8 minutes=8\.0 der_95=(\S+)-(\S+)$", shown.out).groups()
    # 35 % wrong; the standard error of the mean of 0, 10, ... 70 % is 8.7 %.
    assert 17 <= float(low) <= 25
    assert 45 <= float(high) <= 53
    page = (work / "exp/m/RESULTS.md").read_text()
    assert f"| 35.00 | {low}-{high} |" in page


def test_times_that_are_not_known_are_na(work, capsys):
    (work / "exp/m/train_log.jsonl").unlink()
    assert main(words("dev")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "RESULT task=speaker set=dev collar=0.00 der=0.00 miss=0.00 fa=0.00 conf=0.00 "
        "count_acc=100.00 train_s=na total_s=na recordings=3 minutes=0.7 der_95=na"
    )


def test_the_page(work):
    assert main(words("dev test", "--command", "./run.sh --stage 1 | tee log")) == 0
    page = (work / "exp/m/RESULTS.md").read_text()
    lines = page.splitlines()
    assert lines[0] == "# Results of exp/m"
    assert "| command | `./run.sh --stage 1 \\| tee log` |" in lines
    assert "| training | 121 s |" in lines
    assert f"| numpy | {provenance.package_version('numpy')} |" in lines
    assert re.search(
        r"^\| diarize \| \d\S+, git ([0-9a-f]{12}(\+changes)?|unknown) \|$", page, re.M
    )
    assert re.search(r"^\| date \| \d{4}-\d\d-\d\d ", page, re.M)
    row = "| test | 3 | 0.01 | {} | 53.33 | 33.33 | `exp/m/infer_test/rttm` |"
    assert row.format("0.00 | 33.33 | na | 5.56 | 5.56 | 22.22") in lines
    # The collar takes 1.5 s of 18 s of speech, 0.25 s of the miss and 0.5 s of the confusion.
    assert row.format("0.25 | 31.82 | na | 4.55 | 6.06 | 21.21") in lines
    start = lines.index("## test by number of speakers")
    assert lines[start + 4 : start + 7] == [
        "| 0 | 1 | na | na | na | na | na | 0.00 |",
        "| 1 | 1 | 10.00 | 10.00 | 0.00 | 0.00 | 7.89 | 100.00 |",
        "| 2 | 1 | 50.00 | 0.00 | 0.00 | 50.00 | 50.00 | 0.00 |",
    ]
    start = lines.index("Speakers found in test (rows: true number, columns: found)")
    assert lines[start + 2 : start + 7] == [
        "| true | 0 | 1 | 2 |", "|---|---|---|---|",
        "| **0** |  | 1 |  |", "| **1** |  | 1 |  |", "| **2** |  | 1 |  |",
    ]  # fmt: skip
    assert (
        "From `exp/m/infer_dev/best.yaml`, chosen on `exp/m/infer_dev` against `data/dev/rttm` "
        "(8 recordings, DER 9.5 %, collar 0, number of speakers by query threshold)."
    ) in lines
    assert "| query_threshold | 0.7 |" in lines
    assert "| num_speakers | – |" in lines


def test_the_page_says_what_the_preparation_chose(work, capsys):
    place = work / "data/test/prepare.json"
    report = {"options": {"mic": "mix", "uem": "setup"}, "left_out": {"IS1003b": "why"},
              "beyond_the_audio": {"turns_cut": 2, "turns_dropped": 1, "seconds": 1.5}}
    place.write_text(json.dumps(report))
    assert main(words()) == 0
    page = (work / "exp/m/RESULTS.md").read_text()
    assert ("| data of test | mic: mix; uem: setup; turns beyond the audio: 3 (1.5 s); "
            "left out: IS1003b |") in page
    assert "data of dev" not in page
    place.write_text(json.dumps({"options": {}, "differs_from_published": ["test: recordings"]}))
    assert main(words()) == 0
    assert "| data of test | the corpus is not as published (see prepare.json) |" in (
        work / "exp/m/RESULTS.md").read_text()
    place.write_text("[]")
    assert main(words()) == 1
    assert "data/test/prepare.json: not the report" in capsys.readouterr().err


def test_a_best_yaml_of_the_experiment_comes_first_and_none_is_said(work):
    (work / "exp/m/best.yaml").write_text("postprocess: {query_threshold: 0.33}\n")
    assert main(words()) == 0
    assert "| query_threshold | 0.33 |" in (work / "exp/m/RESULTS.md").read_text()
    (work / "exp/m/best.yaml").unlink()
    (work / "exp/m/infer_dev/best.yaml").unlink()
    assert main(words()) == 0
    assert "thresholds were not tuned" in (work / "exp/m/RESULTS.md").read_text()


def test_without_uem_the_durations_are_the_regions(work, capsys):
    (work / "data/test/uem").unlink()
    (work / "data/test/reco2dur").write_text("a 20.0\nb 10\nc 2.5\n")
    assert main(words()) == 0
    assert " fa=2.78 " in capsys.readouterr().out.splitlines()[-1]  # 0.5 s of c lie inside


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("exp/m/infer_test/rttm", None), "exp/m/infer_test/rttm: missing"),
        (("data/test/uem", None), "data/test: no uem"),
        (("data/test/rttm", None), "cannot read data/test/rttm"),
        (("data/test/uem", "a 1 0 20\n"), "data/test/uem: no line for recording b of"),
        (("exp/m/infer_test/rttm", "SPEAKER a 1 zero 1 <NA> <NA> x <NA> <NA>\n"),
         "exp/m/infer_test/rttm:1: field 4"),
        (("exp/m/infer_dev/best.yaml", "a: [\n"), "best.yaml is no valid YAML"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_status_1(work, capsys, edit, message):
    path, text = edit
    if text is None:
        (work / path).unlink()
    else:
        (work / path).write_text(text)
    assert main(words()) == 1
    out, err = capsys.readouterr()
    assert message in err
    assert (err.count("\n"), out) == (1, "")
    assert not (work / "exp/m/RESULTS.md").exists()


def test_a_reference_beyond_the_audio_is_refused(work, capsys):
    """Otherwise all output for the recording counts as false alarm."""
    (work / "data/test/reco2dur").write_text("a 20\nb 3\nc 10\n")
    assert main(words("test")) == 1
    assert "data/test/rttm: recording b: 5.0 of 8.0 s" in capsys.readouterr().err


def test_many_hypotheses_are_scored_as_each_alone():
    ref = [Segment("r", 0, 4, "a"), Segment("r", 3, 6, "b")]
    hyps = [[], [Segment("r", 0, 4, "x")], [Segment("r", 0, 6, "x"), Segment("r", 9, 20, "y")]]
    got = score_hypotheses(ref, hyps, [(0, 10)])
    assert [(t.miss, t.false_alarm, t.confusion, t.scored_speech) for t in got] == [
        (7, 0, 0, 7), (3, 0, 0, 7), (1, 1, 2, 7),
    ]  # fmt: skip
    silent = score_hypotheses([], hyps, [(0, 10)])
    assert [(t.false_alarm, t.scored_speech) for t in silent] == [(0, 0), (4, 0), (7, 0)]


def test_jaccard_error():
    ref = [Segment("r", 0, 4, "a"), Segment("r", 4, 8, "b"), Segment("r", 9, 10, "c")]
    hyp = [Segment("r", 0, 6, "x"), Segment("r", 6, 8, "y")]
    # a-x 4/6 and b-y 2/4; c is not found.
    uem = {"r": [(0, 10)]}

    def jer_files(*files):
        return jaccard_errors(Evaluation(problem_from_segments(*files)))

    assert jer_files(ref, hyp, uem)["r"].error == pytest.approx(3 - 4 / 6 - 2 / 4)
    assert jer_files(ref, hyp, {"r": [(0, 4)]})["r"] == JaccardErrors(0.0, 1)
    assert jer_files(ref, [], uem)["r"] == JaccardErrors(3.0, 3)
    assert jer_files([], hyp, uem)["r"] == JaccardErrors(0.0, 0)


def test_training_seconds_pass_over_a_line_cut_short(tmp_path):
    log = tmp_path / "log"
    assert provenance.training_seconds(log) is None
    log.write_text('{"elapsed": 5}\n{"kind": "valid"}\n[1]\n{"elapsed": 9')
    assert provenance.training_seconds(log) == 5.0


LANGUAGE_FIELDS = re.compile(
    r"count_acc=\S+ train_s=\S+ total_s=na recordings=1 minutes=0.3 der_95=na "
)


@pytest.fixture
def languages(work):
    """Sets of two languages and of one in each recording; hi is found under another name."""
    ref = [Segment("a", 0, 10, "hi"), Segment("a", 10, 16, "en"), Segment("b", 0, 20, "en")]
    hyp = [Segment("a", 0, 12, "L1"), Segment("a", 12, 16, "en"), Segment("b", 0, 20, "en")]
    for name, recording in (("two", "a"), ("one", "b")):
        (work / "data" / name).mkdir()
        (work / "exp" / "m" / f"infer_{name}").mkdir()
        found = [s for s in hyp if s.recording == recording]
        if name == "one":
            found = [Segment("b", 0, 15, "en"), Segment("b", 15, 20, "hi")]
        write_rttm(f"data/{name}/rttm", [s for s in ref if s.recording == recording])
        write_rttm(f"exp/m/infer_{name}/rttm", found)
        write_uem(f"data/{name}/uem", {recording: [(0, 20)]})
    kinds = [Segment("a", 0, 10, "inter"), Segment("a", 10, 16, "intra")]
    write_rttm("data/two/kinds.rttm", kinds)
    return work


def test_lines_of_languages_have_names_and_second_languages(languages, capsys):
    assert main(words("two one", "--task", "language")) == 0
    lines = [LANGUAGE_FIELDS.sub("", x) for x in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        # 2 of 16 s go to the wrong one; hi is never named.
        "RESULT task=language set=two collar=0.00 der=12.50 miss=0.00 fa=0.00 conf=12.50 "
        "named_der=75.00 second_language=na",
        "RESULT task=language set=one collar=0.00 der=25.00 miss=0.00 fa=0.00 conf=25.00 "
        "named_der=25.00 second_language=25.00",
    ]


def test_the_page_of_languages_keeps_the_protocols_apart(languages):
    assert main(words("two one", "--task", "language")) == 0
    page = (languages / "exp/m/RESULTS.md").read_text()
    titles = re.findall("^## (.*)$", page, re.M)
    assert titles == [
        "Scores", "Names", "By kind of sentence", "Speech outside the main language",
        "Windows of 10 s", "two by number of languages", "one by number of languages",
        "Thresholds",
    ]  # fmt: skip
    sections = dict(zip(titles, re.split("^## .*$", page, flags=re.M)[1:], strict=True))
    rows = {title: text.strip().splitlines() for title, text in sections.items()}
    assert "| two | 0.00 | 75.00 | 12.50 |" in rows["Names"]
    assert "| two | inter | 0.00 | 0.00 | 0.00 | 0.00 | 10 |" in rows["By kind of sentence"]
    assert "| two | intra | 33.33 | 0.00 | 0.00 | 33.33 | 6 |" in rows["By kind of sentence"]
    assert rows["Speech outside the main language"][-1] == "| one | 25.00 |"
    # Two windows of 10 s each: of the first set 0 and 2 s wrong, of the second 0 and 5 s.
    assert "| two | 2 | 10.00 | 10.00 | 60.00 |" in rows["Windows of 10 s"]
    assert "| one | 2 | 25.00 | 25.00 | 25.00 |" in rows["Windows of 10 s"]
    assert "not comparable" in sections["Windows of 10 s"]
    assert "by number of speakers" not in page


def test_confidences_have_a_table(work):
    assert main(words()) == 0
    assert "Confidence" not in (work / "exp/m/RESULTS.md").read_text()
    found = [Turn("a", 0, 9, "x", 0.97), Turn("b", 0, 8, "x", 0.65), Turn("c", 2, 3, "x", 0.61)]
    write_rttm("exp/m/infer_test/rttm", found)
    assert main(words()) == 0
    page = (work / "exp/m/RESULTS.md").read_text()
    assert "Confidence of the turns in test" in page
    assert "| 0.60 to 0.70 | 2 | 9 | 64.6 | 44.4 |" in page
    assert "| 0.95 to 1.00 | 1 | 9 | 97.0 | 100.0 |" in page
