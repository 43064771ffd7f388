import csv
import json

import pytest

from diarize.bin.score import main


def turn(recording: str, start: float, end: float, label: str) -> str:
    """Return one line of an RTTM file."""
    return f"SPEAKER {recording} 1 {start} {end - start} <NA> <NA> {label} <NA> <NA>\n"

LINE = "SPEAKER {} {} {} {} <NA> <NA> {} <NA> <NA>\n"


def write(path, rows, channel="1"):
    path.write_text("".join(LINE.format(r, channel, a, d, who) for r, a, d, who in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    ref = write(tmp_path / "ref.rttm", [("a", 0, 4, "A"), ("a", 3, 5, "B"), ("b", 0, 10, "A")])
    sys = write(tmp_path / "sys.rttm", [("a", 0, 3, "x"), ("a", 3, 6, "y"), ("b", 0, 9, "z")])
    uem = tmp_path / "all.uem"
    uem.write_text("a 1 0 10\nb 1 0 12\n")
    return ref, sys, str(uem)


def run(files, *options):
    ref, sys, uem = files
    return main(["-r", ref, "-s", sys, "-u", uem, *options])


def test_table_json_and_csv_agree(files, tmp_path, capsys):
    out = [str(tmp_path / name) for name in ("o.json", "o.csv")]
    assert run(files, "--json", out[0], "--csv", out[1], "--breakdown", "--by-speaker") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    last = next(x.split() for x in shown.out.splitlines() if x.startswith("OVERALL"))
    # a: 9 s of speech, 1 s missed, 1 s false alarm; b: 10 s, 1 s missed.
    assert last[:6] == ["OVERALL", "19.00", "15.79", "10.53", "5.26", "0.00"]
    assert last[-2:] == ["3", "3"]
    data = json.loads((tmp_path / "o.json").read_text())
    overall = data["overall"]["collar"]
    assert list(overall) == ["0", "0.25"]
    assert overall["0"]["der"] == pytest.approx(3 / 19)
    assert overall["0.25"]["scored_speech"] == pytest.approx(16.5)
    assert data["overall"]["speaker_count_accuracy"] == 1
    assert data["recordings"]["a"]["jer"] == pytest.approx((1 / 4 + 1 / 6) / 2)
    assert [one["mapped_to"] for one in data["by_speaker"]] == ["x", "y", "z"]
    with open(out[1], newline="") as handle:
        table = list(csv.DictReader(handle))
    assert [(r["recording"], r["collar"]) for r in table][:3] == [
        ("a", "0"), ("b", "0"), ("OVERALL", "0"),
    ]  # fmt: skip
    assert float(table[2]["der"]) == pytest.approx(3 / 19, abs=1e-6)


def test_the_classic_mistakes_are_warned_of(files, tmp_path, capsys):
    ref, _, uem = files
    sys = write(
        tmp_path / "s2.rttm", [("a", 0, 30, "x"), ("b.wav", 0, 9, "z"), ("c", 0, 1, "z")], "2"
    )
    assert main(["-r", ref, "-s", sys, "-u", uem]) == 0
    err = capsys.readouterr().err
    warnings = dict(line.removeprefix("diarize-score: warning: ").split(": ", 1)
                    for line in err.splitlines())
    found = {key: text for name, text in warnings.items()
             for key in ("all missed", "ignored", "suffix", "channels", "beyond") if key in name}
    assert found["all missed"] == "b"
    assert found["ignored"] == "2 recordings, such as b.wav"
    assert found["suffix"].startswith("b.wav ")
    assert found["channels"].startswith("a (1")
    assert found["beyond"].startswith("a (30.000 s of 10.000 s)")
    assert main(["-r", ref, "-s", ref]) == 0
    assert "warning: no UEM" in capsys.readouterr().err


def test_confidence_and_comparison(files, tmp_path, capsys):
    worse = write(tmp_path / "w.rttm", [("a", 0, 3, "x"), ("b", 0, 5, "z")])
    assert run(files, "--compare", worse, "--bootstrap", "200", "-c", "0") == 0
    out = capsys.readouterr().out
    assert "95 % confidence interval" in out
    assert "A - B: -42.11" in out
    assert "p = 0.5 (paired randomisation); A is better on 2" in out


def test_a_missing_uem_is_one_line(files, capsys):
    assert main(["-r", files[0], "-s", files[1], "-u", "none.uem"]) == 1
    err = capsys.readouterr().err
    assert "none.uem" in err
    assert len(err.splitlines()) == 1


def test_an_empty_reference_is_refused(files, tmp_path, capsys):
    empty = write(tmp_path / "empty.rttm", [])
    assert main(["-r", empty, "-s", files[1]]) == 1
    assert "nothing can be scored" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [
    [("a", 500, 3000, "A"), ("b", 4300, 4000, "A")],  # in milliseconds
    [("a", 1, 0, "A")],
])  # fmt: skip
def test_a_reference_without_speech_in_the_regions_is_refused(files, tmp_path, capsys, rows):
    ref = write(tmp_path / "other.rttm", rows)
    assert main(["-r", ref, "-s", files[1], "-u", files[2]]) == 1
    shown = capsys.readouterr()
    assert f"{ref}: 0 s of speech" in shown.err
    assert shown.out == ""


def test_a_reference_mostly_beyond_the_audio_is_refused(files, tmp_path, capsys):
    ref = write(tmp_path / "other.rttm", [("a", 8, 3, "A"), ("a", 5, 1, "A"), ("b", 12, 8, "A"),
                                          ("b", 1, 7.9, "A")])  # fmt: skip
    (tmp_path / "reco2dur").write_text("a 9\nb 12\n")
    command = ["-r", ref, "-s", files[1], "-u", files[2]]
    assert main([*command, "--reco2dur", str(tmp_path / "reco2dur")]) == 1
    assert f"{ref}: recording b: 8.0 of 15.9 s" in capsys.readouterr().err
    assert main(command) == 0


def test_a_recording_without_a_turn_in_its_regions_is_warned_of(files, tmp_path, capsys):
    ref = write(tmp_path / "other.rttm", [("a", 0, 4, "A"), ("b", 500, 900, "A")])
    assert main(["-r", ref, "-s", files[1], "-u", files[2]]) == 0
    assert "no reference turn within the UEM, so all output counts as false alarm: b" in (
        capsys.readouterr().err
    )


def test_an_empty_output_is_all_missed(files, tmp_path, capsys):
    empty = write(tmp_path / "empty.rttm", [])
    assert main(["-r", files[0], "-s", empty, "-u", files[2]]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[2:4] == ["100.00", "100.00"]


def two_recordings(tmp_path):
    files = {
        "r1": [("r1", 0, 5, "A")], "r2": [("r2", 0, 5, "A")],
        "h1": [("r1", 0, 5, "x")], "h2": [("r2", 1, 4, "x")],
    }  # fmt: skip
    (tmp_path / "uem").write_text("r1 1 0 10\nr2 1 0 10\n")
    return {name: write(tmp_path / name, rows) for name, rows in files.items()}


@pytest.mark.parametrize("command", ["score", "score_language"])
def test_repeated_files_are_all_scored(command, tmp_path, capsys):
    from diarize.bin import score, score_language

    run_it = {"score": score.main, "score_language": score_language.main}[command]
    name = two_recordings(tmp_path)
    words = ["-r", name["r1"], "-r", name["r2"], "-s", name["h1"], "-s", name["h2"], "-c", "0"]
    assert run_it([*words, "-u", str(tmp_path / "uem"), "--json", str(tmp_path / "j")]) == 0
    report = json.loads((tmp_path / "j").read_text())
    assert report["reference"] == f"{name['r1']}, {name['r2']}"
    if command == "score":
        assert report["overall"]["collar"]["0"]["der"] == pytest.approx(0.1)
    else:
        assert report["whole"]["mapped"]["0.00"]["der"] == pytest.approx(10.0)


def test_a_recording_of_two_uems_is_refused(tmp_path, capsys):
    name = two_recordings(tmp_path)
    other = tmp_path / "other.uem"
    other.write_text("r1 1 0 10\n")
    twice = ["-u", str(tmp_path / "uem"), str(other)]
    assert main(["-r", name["r1"], "-s", name["h1"], *twice]) == 1
    err = capsys.readouterr().err
    assert f"{other}: recording r1" in err


def test_an_option_of_one_value_is_refused_twice(tmp_path, capsys):
    name = two_recordings(tmp_path)
    words = ["-r", name["r1"], "-s", name["h1"], "--compare", name["h1"], "--compare", name["h2"]]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "--compare" in capsys.readouterr().err


def test_directories_of_rttm_and_uem_are_scored(tmp_path, capsys):
    for side in ("ref", "sys", "uem"):
        (tmp_path / side).mkdir()
    write(tmp_path / "ref/r1.rttm", [("r1", 0, 5, "A")])
    write(tmp_path / "ref/r2.RTTM", [("r2", 0, 5, "A")])
    write(tmp_path / "sys/r1.rttm", [("r1", 0, 5, "x")])
    write(tmp_path / "sys/r2.rttm", [("r2", 1, 4, "x")])
    (tmp_path / "ref/notes.txt").write_text("not an RTTM\n")
    for name in ("r1", "r2"):
        (tmp_path / f"uem/{name}.uem").write_text(f"{name} 1 0 10\n")
    ref, sys, uem = (str(tmp_path / side) for side in ("ref", "sys", "uem"))
    assert main(["-r", ref, "-s", sys, "-u", uem, "-c", "0", "0.25"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["OVERALL", "10.00", "10.00"]
    assert main(["-r", ref, f"{ref}/r1.rttm", "-s", sys]) == 1
    assert f"{ref}/r1.rttm" in capsys.readouterr().err
    assert main(["-r", ref, "-s", uem]) == 1
    assert f"{uem}: no file" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv"])
def test_several_systems_are_one_table(tmp_path, capsys, form):
    ref, uem = tmp_path / "ref.rttm", tmp_path / "all.uem"
    ref.write_text(turn("a", 0, 10, "x"))
    uem.write_text("a 1 0 20\n")
    (tmp_path / "half.rttm").write_text(turn("a", 0, 5, "s"))
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/a.rttm").write_text(turn("a", 0, 12, "s"))
    args = ["-r", str(ref), "-u", str(uem), "-c", "0", "--table-format", form,
            "--systems", f"ha_lf={tmp_path}/half.rttm", f"more={tmp_path}/dir"]
    assert main(args) == 0
    out = capsys.readouterr().out
    name = r"ha\_lf" if form == "latex" else "ha_lf"
    (half,) = [line for line in out.splitlines() if name in line]
    (more,) = [line for line in out.splitlines() if "more" in line]
    cells = {"text": None, "markdown": "|", "latex": "&", "csv": ","}[form]
    values = [cell.strip(" \\") for cell in half.strip("|").split(cells)]
    assert values[1:6] == ["0.00", "50.00", "50.00", "0.00", "0.00"]
    assert "20.00" in more


@pytest.mark.parametrize(
    ("options", "token"),
    [(["--systems", "x"], "NAME=PATH"), (["--systems", "x=a", "x=b"], "twice"),
     (["--systems", "x=a", "--json", "j"], "--json"),
     (["-s", "a", "--table-format", "csv"], "--table-format"),
     ([], "--systems")],
)
def test_faulty_lists_of_systems_are_refused(tmp_path, capsys, options, token):
    ref = tmp_path / "ref.rttm"
    ref.write_text(turn("a", 0, 10, "x"))
    try:
        status = main(["-r", str(ref), *options])
    except SystemExit as err:
        status = err.code
    assert status in (1, 2)
    assert token in capsys.readouterr().err


def test_breakdown_follows_the_overall_result_and_the_comparison(tmp_path, capsys):
    ref, hyp = tmp_path / "ref.rttm", tmp_path / "hyp.rttm"
    ref.write_text(turn("a", 0, 10, "x") + turn("b", 0, 10, "x"))
    hyp.write_text(turn("a", 0, 5, "s") + turn("b", 0, 9, "s"))
    args = ["-r", str(ref), "-s", str(hyp), "--breakdown", "--compare", str(ref)]
    assert main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    places = [next(i for i, line in enumerate(lines) if word in line)
              for word in ("A - B", "OVERALL", "By number of reference", "By recording")]
    assert places == sorted(places)
