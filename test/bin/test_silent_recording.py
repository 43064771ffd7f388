"""One DER for one set: false alarm counts in a recording whose reference has no speech."""

import json
import re

import pytest

from diarize.bin import baselines, paper_table, results, score, score_language
from diarize.io.rttm import read_rttm, write_rttm
from diarize.io.uem import read_uem, write_uem
from diarize.report.plots.recording import PlotSources
from diarize.score.hypotheses import score_hypotheses
from diarize.score.significance import bootstrap
from diarize.segments import Segment, by_recording

REFERENCE = [Segment("a", 0, 10, "ann"), Segment("b", 0, 4, "ann"), Segment("b", 4, 8, "bob")]
# a: 1 s missed; b: all as one speaker, 4 s confused; c and d without reference: 3 s and none.
OUTPUT = [Segment("a", 0, 9, "x"), Segment("b", 0, 8, "x"), Segment("c", 2, 5, "x")]
UEM = {"a": [(0, 20)], "b": [(0, 10)], "c": [(0, 10)], "d": [(0, 10)]}
DER, MISS, FALSE_ALARM, CONFUSION = "44.44", "5.56", "16.67", "22.22"  # 8, 1, 3, 4 of 18 s
MD_EVAL = "27.78"  # 5 of 18 s
RECORDINGS = "2 recordings, such as c"


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("data/test", "exp/infer_test"):
        (tmp_path / folder).mkdir(parents=True)
    write_rttm("data/test/rttm", REFERENCE)
    write_rttm("exp/infer_test/rttm", OUTPUT)
    write_uem("data/test/uem", UEM)
    (tmp_path / "table.yaml").write_text("{title: T, source: s, columns: {A: test}, rows: []}")
    return tmp_path


FILES = ["-r", "data/test/rttm", "-s", "exp/infer_test/rttm", "-u", "data/test/uem"]


def test_scores_of_people(work, capsys):
    assert score.main([*FILES, "-c", "0", "--json", "r.json", "--csv", "r.csv"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split()[:6] == [
        "OVERALL", "18.00", DER, MISS, FALSE_ALARM, CONFUSION,
    ]  # fmt: skip
    (note,) = [line for line in out.splitlines() if line.startswith("Note: ")]
    assert RECORDINGS in note
    assert "3.00 s" in note
    assert MD_EVAL in note
    data = json.loads((work / "r.json").read_text())
    assert 100 * data["overall"]["collar"]["0"]["der"] == pytest.approx(400 / 9)
    assert data["without_reference"] == ["c", "d"]
    assert data["recordings"]["c"]["collar"]["0"]["false_alarm"] == 3
    assert "c,0,0.000000,0.000000,3.000000,0.000000,,,0,1" in (work / "r.csv").read_text()


def test_results_and_the_line_for_scripts(work, capsys):
    words = ["--exp", "exp", "--sets", "test", "--data-root", "data", "--out", "R.md"]
    assert results.main(words) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert f" der={DER} miss={MISS} fa={FALSE_ALARM} conf={CONFUSION} count_acc=50.00 " in line
    page = (work / "R.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| test | 4 | 0.01 | 0.00 |")]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[5:10] == [DER, "na", MISS, FALSE_ALARM, CONFUSION]  # too few for an interval
    (note,) = re.findall(r"^test: .*md-eval.*$", page, re.M)
    assert RECORDINGS in note
    assert MD_EVAL in note


def test_the_same_count_accuracy(work, capsys):
    assert score.main([*FILES, "-c", "0"]) == 0
    assert "right: 50.00 % of 4 recordings" in capsys.readouterr().out


def test_the_table_of_a_paper(work, capsys):
    words = ["--table", "table.yaml", "--data-root", "data", "--ours", "o=exp/infer_{set}/rttm"]
    assert paper_table.main(words) == 0
    out = capsys.readouterr().out
    assert f"| o | {DER} |" in out
    (behind,) = [line for line in out.splitlines() if line.startswith("* o, A")]
    assert MD_EVAL in behind


def test_baselines_beside_the_system(work, capsys):
    words = ["--ref", FILES[1], "--uem", FILES[5], "--systems", f"o={FILES[3]}", "--collar", "0"]
    assert baselines.main(words) == 0
    out = capsys.readouterr().out
    assert f"| o | {DER} | {MISS} | {FALSE_ALARM} | {CONFUSION} |" in out
    (note,) = [line for line in out.splitlines() if line.startswith("o: ")]
    assert MD_EVAL in note


def test_languages(work, capsys):
    assert score_language.main([*FILES, "-c", "0", "--json", "l.json"]) == 0
    found = json.loads((work / "l.json").read_text())["whole"]["mapped"]["0.00"]
    assert [f"{found[key]:.2f}" for key in ("der", "miss", "fa", "conf")] == [
        DER, MISS, FALSE_ALARM, CONFUSION,
    ]  # fmt: skip
    assert MD_EVAL in capsys.readouterr().out


def test_pictures(work):
    picture = PlotSources(FILES[1], FILES[3], FILES[5]).picture("c", None, None)
    assert [(s.start, s.end, s.false_alarm) for s in picture.errors] == [(2, 5, 1)]
    assert "false alarm 3.00 s" in picture.subtitle


def test_thresholds_are_tuned_by_the_same_figure():
    ref, hyp = by_recording(REFERENCE), by_recording(OUTPUT)
    times = [
        score_hypotheses(ref.get(name, []), [hyp.get(name, [])], regions)[0]
        for name, regions in UEM.items()
    ]
    error, speech = (sum(getattr(t, part) for t in times) for part in ("error", "scored_speech"))
    assert f"{100 * error / speech:.2f}" == DER


def test_bootstrap_and_breakdowns_draw_the_same_recordings(work, capsys):
    assert score.main([*FILES, "-c", "0", "--bootstrap", "50", "--breakdown", "--json", "j"]) == 0
    data = json.loads((work / "j").read_text())
    assert data["by_number_of_speakers"]["0"] == {
        **data["by_number_of_speakers"]["0"], "recordings": 2, "false_alarm": 3.0,
    }  # fmt: skip
    assert sum(x["false_alarm"] for x in data["by_active_speakers"].values()) == 3
    from diarize.score.der import score_files

    scores = score_files(read_rttm(FILES[1]), read_rttm(FILES[3]), read_uem(FILES[5]))
    interval = bootstrap(scores, 50, 0)
    assert data["confidence"]["0"]["high"] == interval.high
    assert interval.high > bootstrap(scores.only({"a", "b"}), 50, 0).high


def test_md_eval_alone_ignores_such_recordings(work, capsys):
    from diarize.bin import md_eval

    assert md_eval.main(FILES) == 0
    assert f"ERROR = {MD_EVAL} percent" in capsys.readouterr().out


def test_with_a_collar_all_agree(work, capsys):
    assert score.main([*FILES, "-c", "0.25"]) == 0
    der = capsys.readouterr().out.splitlines()[-1].split()[2]
    words = ["--ref", FILES[1], "--uem", FILES[5], "--systems", f"o={FILES[3]}", "--collar", "0.25"]
    assert baselines.main(words) == 0
    assert f"| o | {der} |" in capsys.readouterr().out
    words = ["--exp", "exp", "--sets", "test", "--data-root", "data", "--out", "R.md"]
    assert results.main(words) == 0
    assert f"| 0.25 | {der} |" in (work / "R.md").read_text()
    words = ["--table", "table.yaml", "--data-root", "data", "--ours", "o=exp/infer_{set}/rttm"]
    assert paper_table.main(words) == 0
    assert f"({der})" in capsys.readouterr().out


def test_one_der_through_the_shell_script(work, repo_root):
    import subprocess

    words = ["--collars", "0", "--uem", FILES[5], FILES[1], FILES[3], "scoring"]
    done = subprocess.run(
        [repo_root / "utils/score_der.sh", *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[2] == DER
    text = (work / "scoring/result.txt").read_text()
    assert MD_EVAL in text
    assert json.loads((work / "scoring/result.json").read_text())["without_reference"] == ["c", "d"]


def test_a_set_without_any_reference_speech(work, capsys):
    write_rttm("data/test/rttm", [Segment("a", 30, 31, "ann")])  # outside of the UEM
    assert score.main([*FILES, "-c", "0"]) == 1
    assert "data/test/rttm: 0 s of speech" in capsys.readouterr().err
