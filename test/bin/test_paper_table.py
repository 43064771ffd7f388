"""A paper's table: published figures as printed, ours where there is an RTTM, a dash elsewhere."""

import pytest

from diarize.bin.paper_table import main
from diarize.config import from_dict, read_yaml
from diarize.errors import DiarizeError
from diarize.report.published import Table, parse_figure, pooled_der, reproduce, score_output

TABLE = """title: Small
source: somewhere
columns: {A: a_test, B: b_test}
rows:
  - {name: old, figures: {A: "12.3", B: "(40.00)"}}
outputs:
  - {row: old, column: B, reference: ref, uem: uem, system: sys}
"""


def rttm(*turns):
    return "".join(f"SPEAKER r 1 {s} {d} <NA> <NA> {who} <NA> <NA>\n" for s, d, who in turns)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "t.yaml").write_text(TABLE)
    data = tmp_path / "data/b_test"
    data.mkdir(parents=True)
    (data / "rttm").write_text(rttm((0, 10, "x")))
    (data / "uem").write_text("r 1 0 20\n")
    (tmp_path / "exp/one/infer_b_test").mkdir(parents=True)
    (tmp_path / "exp/one/infer_b_test/rttm").write_text(rttm((2, 8, "s")))
    return tmp_path


def call(folder, *words):
    return main(["--table", f"{folder}/t.yaml", *words])


def test_ours_beside_published_and_a_dash_where_there_is_none(folder, capsys):
    pattern = f"mine={folder}/exp/one/infer_{{set}}/rttm"
    assert call(folder, "--data-root", f"{folder}/data", "--ours", pattern) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| | A | B |" in lines
    assert "| old | 12.3 | (40.00) |" in lines
    assert "| mine | – | 20.00 |" in lines
    # 10 s of speech less 0.25 s on both sides; of the 2 s missed the first 0.25 s are not scored.
    assert f"| &nbsp; +0.25 s collar | – | ({100 * 1.75 / 9.5:.2f}) |" in lines
    assert any("infer_b_test/rttm` against" in line for line in lines)


def test_name_of_the_corpus_in_a_pattern(folder, capsys):
    (folder / "exp/adapt_b").mkdir()
    (folder / "exp/adapt_b/rttm").write_text(rttm((0, 10, "s")))
    pattern = f"mine={folder}/exp/adapt_{{corpus}}/rttm"
    assert call(folder, "--data-root", f"{folder}/data", "--ours", pattern) == 0
    assert "| mine | – | 0.00 |" in capsys.readouterr().out


def test_published_output_that_gives_other_digits(folder, capsys):
    files = {"ref": rttm((0, 10, "x")), "uem": "r 1 0 20\n", "sys": rttm((5, 5, "s"))}
    for name, text in files.items():
        (folder / name).write_text(text)
    assert call(folder, "--published-output", str(folder), "--out", f"{folder}/out.md") == 1
    assert "**differs**" in (folder / "out.md").read_text()
    assert "sys: 50.00 here, (40.00) published" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ours", "x=y"], "needs --data-root"),
        (["--data-root", ".", "--ours", "nothing"], "NAME=PATTERN"),
        (["--published-output", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options(folder, words, message, capsys):
    assert call(folder, *words) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [(("A: \"12.3\"", "C: \"12.3\""), "no column 'C'"), (("12.3", "best"), "contains no figure"),
     (("{row: old", "{row: new"), "no row 'new'")],
)  # fmt: skip
def test_wrong_table(folder, change, message, capsys):
    (folder / "t.yaml").write_text(TABLE.replace(*change))
    assert call(folder) == 1
    assert message in capsys.readouterr().err


def test_output_of_other_recordings_is_an_error(folder):
    data = folder / "data/b_test"
    (folder / "other").write_text(rttm((0, 1, "x")).replace("SPEAKER r", "SPEAKER q"))
    with pytest.raises(DiarizeError, match="none of its recordings"):
        score_output(data / "rttm", folder / "other", data / "uem")


def test_output_without_speech_is_all_missed(folder):
    data = folder / "data/b_test"
    (folder / "empty").write_text("")
    scores = score_output(data / "rttm", folder / "empty", data / "uem")
    assert pooled_der(scores) == {0.0: 100.0, 0.25: 100.0}


@pytest.fixture(scope="module")
def table_1(repo_root):
    path = repo_root / "egs/eend_m2f/diar1/conf/table1.yaml"
    return from_dict(Table, read_yaml(path), str(path))


def test_table_1_is_as_printed(table_1):
    assert len(table_1.columns) == 9
    ft = table_1.row("EEND-M2F + FT, the paper").figures
    assert ft["DIHARD-III"] == "16.07"
    assert parse_figure(table_1.row("DiaPer").figures["VoxConverse"]) == ("22.10", 0.25)


def test_published_voxconverse_figures_come_out(table_1, shared_data):
    found = reproduce(table_1, shared_data / "voxconverse_scoring")
    assert [one.scored for one in found] == ["6.12", "23.20", "22.10"]
    assert all(one.same for one in found)
