import numpy as np
import pytest
import yaml

from diarize.bin.postprocess import main
from diarize.infer.tune import GRID_NAMES
from diarize.io.ark import ArkWriter
from diarize.io.formats import read_annotation
from diarize.io.rttm import read_rttm, read_rttm_with_confidence, write_rttm
from diarize.io.table import read_table
from diarize.io.uem import write_uem
from diarize.segments import Segment

FRAMES = 1000


def write_posteriors(directory, recordings):
    """recordings: {name: [(activity, mask probability, [(first, last + 1), ...]), ...]}."""
    with (
        ArkWriter(directory, "posteriors") as masks,
        ArkWriter(directory, "activities") as activities,
    ):
        for name, queries in recordings.items():
            mask = np.full((FRAMES, len(queries)), 0.05, dtype=np.float32)
            for column, (_, level, spans) in enumerate(queries):
                for lo, hi in spans:
                    mask[lo:hi, column] = level
            masks.write(name, mask)
            activities.write(name, np.array([q[0] for q in queries], dtype=np.float32))


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Posteriors of two recordings, perfect at thresholds 0.6 and 0.4, and a silent one."""
    monkeypatch.chdir(tmp_path)
    write_posteriors(
        "post",
        {
            "a": [(0.5, 0.9, [(0, 900)]), (0.7, 0.45, [(0, 300), (500, 600)])],
            "b": [(0.9, 0.9, [(100, 400)]), (0.7, 0.45, [(300, 700)]), (0.55, 0.9, [(0, 900)])],
            "quiet": [(0.1, 0.9, [(0, 900)]), (0.2, 0.9, [(0, 900)])],
        },
    )
    truth = [
        Segment("a", 0, 3, "ann"), Segment("a", 5, 6, "ann"),
        Segment("b", 1, 4, "bob"), Segment("b", 3, 7, "cyd"),
    ]  # fmt: skip
    write_rttm("ref", truth)
    write_uem("uem", {name: [(0, 10)] for name in ("a", "b", "quiet")})
    (tmp_path / "conf.yaml").write_text(
        "postprocess: {query_threshold: 0.8, min_gap: 0.0}\n"
        "tune:\n  query_threshold: [0.4, 0.6, 0.65, 0.8]\n  mask_threshold: [0.3, 0.4, 0.5]\n"
        "  median: [1, 11]\n  min_duration: [0.0, 0.5]\nnetwork: {device: cpu}\n"
    )
    return tmp_path


TUNE = "tune --posteriors post --ref ref --uem uem --config conf.yaml --out best.yaml".split()
APPLY = "apply --posteriors post --config best.yaml --uem uem --out out".split()


def test_tune_then_apply(work, capsys):
    assert main(TUNE) == 0
    best = yaml.safe_load((work / "best.yaml").read_text())
    chosen = {k: best["postprocess"][k] for k in GRID_NAMES}
    # 0.65 and 0.6, 0.3 and 0.4, 1 and 11, 0 and 0.5 do equally well: nearest to the default.
    assert tuple(chosen.values()) == (0.65, 0.4, 1, 0.0)
    assert best["network"]["device"] == "cpu"
    assert best["chosen"] == {
        "posteriors": "post", "reference": "ref", "uem": "uem", "recordings": 3,
        "speakers": "query threshold", "collar": 0.0,
        "der": 0.0, "miss": 0.0, "fa": 0.0, "conf": 0.0, "count_acc": 100.0,
    }  # fmt: skip
    assert len(best["table"]) == 4 * 3 * 2 * 2
    row = next(
        r for r in best["table"]
        if tuple(r[k] for k in GRID_NAMES) == (0.8, 0.5, 1, 0.0)
    )  # fmt: skip
    # Only query 0 of b: a (4 s) and cyd (4 s) are missed, of 11 s.
    assert (row["der"], row["miss"], row["fa"], row["conf"]) == (72.727, 72.727, 0.0, 0.0)
    assert row["count_acc"] == 33.33
    assert "DER 0.00 %" in capsys.readouterr().out

    assert main(APPLY) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("out/rttm: 4 segments in 3 recordings\n")
    assert "notice: 1 of 3 recordings have no segment: quiet\n" in err
    assert read_rttm("out/rttm") == [
        Segment("a", 0, 3, "spk1"), Segment("a", 5, 6, "spk1"),
        Segment("b", 1, 4, "spk1"), Segment("b", 3, 7, "spk2"),
    ]  # fmt: skip


def test_kaldi_files(work):
    assert main(TUNE) == 0
    assert main(APPLY) == 0
    assert read_table("out/reco2num_spk", check_sorted=True) == {"a": "1", "b": "2", "quiet": "0"}
    assert read_table("out/segments", fields=4, check_sorted=True) == {
        "a-spk1-00000000-00003000": "a 0.000 3.000",
        "a-spk1-00005000-00006000": "a 5.000 6.000",
        "b-spk1-00001000-00004000": "b 1.000 4.000",
        "b-spk2-00003000-00007000": "b 3.000 7.000",
    }
    speakers = read_table("out/utt2spk", fields=2, check_sorted=True)
    assert all(utt.startswith(f"{speaker}-") for utt, speaker in speakers.items())
    assert list(speakers.values()) == sorted(speakers.values())
    assert read_table("out/spk2utt", check_sorted=True) == {
        "a-spk1": "a-spk1-00000000-00003000 a-spk1-00005000-00006000",
        "b-spk1": "b-spk1-00001000-00004000",
        "b-spk2": "b-spk2-00003000-00007000",
    }


def test_oracle_counts_make_the_query_threshold_irrelevant(work, capsys):
    (work / "counts").write_text("a 1\nb 2\nquiet 0\n")
    assert main([*TUNE, "--reco2num-spk", "counts"]) == 0
    best = yaml.safe_load((work / "best.yaml").read_text())
    assert best["postprocess"]["query_threshold"] == 0.8
    assert best["chosen"]["speakers"] == "oracle"
    assert best["chosen"]["der"] == 0.0
    assert len(best["table"]) == 12
    (work / "counts").write_text("a 1\nb 9\nquiet 1\n")
    assert main([*APPLY, "--reco2num-spk", "counts"]) == 0
    assert read_table("out/reco2num_spk") == {"a": "1", "b": "3", "quiet": "1"}
    assert "more speakers in counts than queries stored for b" in capsys.readouterr().err


def test_the_command_line_wins(work):
    assert main(TUNE) == 0
    assert main([*APPLY, "--num-speakers", "2"]) == 0
    assert read_table("out/reco2num_spk") == {"a": "2", "b": "2", "quiet": "2"}
    assert main([*APPLY, "--max-speakers", "1", "--query-threshold", "0.05"]) == 0
    assert read_table("out/reco2num_spk") == {"a": "1", "b": "1", "quiet": "1"}
    assert main([*APPLY, "--min-duration", "1.5"]) == 0
    assert [s.start for s in read_rttm("out/rttm")] == [0, 1, 3]
    assert main([*APPLY, "--mask-threshold", "0.5"]) == 0
    assert read_table("out/reco2num_spk") == {"a": "0", "b": "1", "quiet": "0"}


def test_output_is_cut_to_the_uem(work):
    assert main(TUNE) == 0
    write_uem("uem", {"a": [(0.5, 2), (2.5, 5.0004)], "b": [(0, 10)], "quiet": [(0, 10)]})
    assert main(APPLY) == 0
    got = [(s.start, s.end) for s in read_rttm("out/rttm") if s.recording == "a"]
    assert got == [(0.5, 2), (2.5, 3)]  # 0.4 ms are nothing in an RTTM


def test_without_config_the_paper_decides(work):
    assert main(["apply", "--posteriors", "post", "--out", "out"]) == 0
    assert read_rttm("out/rttm") == [Segment("b", 1, 4, "spk1")]


def test_frame_shift_of_the_directory(work):
    (work / "post" / "frame_shift").write_text("0.02\n")
    assert main(["apply", "--posteriors", "post", "--out", "out"]) == 0
    assert read_rttm("out/rttm") == [Segment("b", 2, 8, "spk1")]


@pytest.mark.parametrize(
    ("edit", "command", "message"),
    [
        (("conf.yaml", "postproces: {}\n"), TUNE, "conf.yaml: unknown key 'postproces'; did you"),
        (("conf.yaml", "tune: {query_threshold: [2]}\n"), TUNE, "conf.yaml: tune: query_threshold"),
        (("uem", "a 1 0 10\nb 1 0 10\n"), TUNE, "uem: no line for recording quiet"),
        (("uem", "a 1 0 10\nb 1 0 10\n"), [*APPLY[:3], "--uem", "uem", "--out", "o"],
         "uem: no line for recording quiet"),
        (("ref", "SPEAKER zed 1 0 1 <NA> <NA> x <NA> <NA>\n"), TUNE,
         "post/posteriors.scp: nothing for zed of ref"),
        (("ref", ""), TUNE, "no speech in the scored regions"),
        (("counts", "a 1\nb x\nquiet 0\n"), [*TUNE, "--reco2num-spk", "counts"],
         "counts:2: 'x' is no number of speakers"),
        (("counts", "a 1\n"), [*TUNE, "--reco2num-spk", "counts"],
         "counts: no number of speakers for recording b"),
        (("post/frame_shift", "ten\n"), TUNE, "post/frame_shift:1: frame shift 'ten'"),
        (("post/activities.scp", "a post/activities.ark:2\n"), TUNE,
         "post/activities.scp: nothing for b, quiet"),
        (None, ["apply", "--posteriors", "nowhere", "--out", "o"], "nowhere: no such directory"),
        (None, [*APPLY[:3], "--out", "o", "--median", "4"], "command line: median must be an odd"),
        (None, [*APPLY[:3], "--out", "o", "--num-speakers", "9"], "recording a: at least 9 speak"),
        (None, [*APPLY[:3], "--out", "conf.yaml/o"], "conf.yaml/o"),
        (None, [*TUNE[:-1], "nowhere/best.yaml"], "cannot write nowhere/best.yaml"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_status_1(work, capsys, edit, command, message):
    if edit:
        (work / edit[0]).write_text(edit[1])
    assert main(command) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (work / "best.yaml").exists()


def test_tuning_calibrates_the_confidence_that_is_written(work):
    """Of turns with a raw confidence of 0.8 half of the time is right."""
    write_posteriors("post", {"a": [(1.0, 0.8, [(0, 400)]), (1.0, 0.6, [(500, 900)])],
                              "b": [(0.0, 0.9, [])], "quiet": [(0.0, 0.9, [])]})  # fmt: skip
    write_rttm("ref", [Segment("a", 0, 2, "ann"), Segment("a", 5, 5.4, "bob")])
    (work / "conf.yaml").write_text(
        "tune: {query_threshold: [0.5], mask_threshold: [0.5], median: [1], min_duration: [0]}\n"
    )
    assert main(TUNE) == 0
    slope, offset = yaml.safe_load((work / "best.yaml").read_text())["postprocess"]["confidence"]
    assert slope > 0
    assert main(APPLY) == 0
    turns = read_rttm_with_confidence("out/rttm")
    wanted = [1 / (1 + np.exp(-(slope * np.log(p / (1 - p)) + offset))) for p in (0.8, 0.6)]
    assert [turn.confidence for turn in turns] == pytest.approx(wanted, abs=0.001)
    assert 0.7 > wanted[0] > wanted[1]


def test_tuning_calibrates_the_confidence_of_languages(work):
    """In the same way: of turns with a raw confidence of 0.8 half of the time is right."""
    vad = (1.0, 0.9, [(0, 400), (500, 900)])
    silent = [(0.0, 0.9, [])] * 3
    turns = [(1.0, 0.8, [(0, 400)]), (1.0, 0.6, [(500, 900)])]
    write_posteriors("post", {"a": [vad, *turns], "b": silent, "quiet": silent})
    (work / "post/task").write_text("language\n")
    write_rttm("ref", [Segment("a", 0, 2, "eng"), Segment("a", 5, 5.4, "hin")])
    (work / "conf.yaml").write_text(
        "tune: {query_threshold: [0.5], mask_threshold: [0.5], median: [1], min_duration: [0]}\n"
    )
    assert main(TUNE) == 0
    slope, offset = yaml.safe_load((work / "best.yaml").read_text())["postprocess"]["confidence"]
    assert main(APPLY) == 0
    turns = read_rttm_with_confidence("out/rttm")
    wanted = [1 / (1 + np.exp(-(slope * np.log(p / (1 - p)) + offset))) for p in (0.8, 0.6)]
    assert [(turn.label, turn.start, turn.end) for turn in turns] == [("L1", 0, 4), ("L2", 5, 9)]
    assert [turn.confidence for turn in turns] == pytest.approx(wanted, abs=0.001)
    assert 0.7 > wanted[0] > wanted[1]


@pytest.mark.parametrize("out", ["out.json", "out.csv", "out.rttm"])
def test_the_suffix_decides_about_the_format(work, out):
    assert main(TUNE) == 0
    assert main([*APPLY[:-1], out]) == 0
    assert [s.label for s in read_annotation(out)] == ["spk1", "spk1", "spk1", "spk2"]


def test_an_unknown_suffix_and_several_recordings_in_one_are_refused(work, capsys):
    for out, message in (("o.xyz", "o.xyz: unknown format"), ("o.srt", "one recording, not 3")):
        assert main([*APPLY[:-1], out]) == 1
        assert message in capsys.readouterr().err
    assert main([*APPLY, "--format", "srt"]) == 1  # no best.yaml
    assert main(TUNE) == 0
    assert main([*APPLY, "--format", "srt"]) == 0
    assert sorted(p.name for p in (work / "out").iterdir()) == ["a.srt", "b.srt"]


def test_thresholds_beside_the_model_are_found(work):
    (work / "m").mkdir()
    (work / "m/final.pth").write_text("")
    (work / "m/best.yaml").write_text("postprocess: {query_threshold: 0.6, mask_threshold: 0.4}\n")
    (work / "post/model").write_text(f"{work}/m\n")
    assert main("apply --posteriors post --out out".split()) == 0
    assert len(read_rttm("out/rttm")) == 4
    (work / "m/best.yaml").unlink()
    assert main("apply --posteriors post --out out".split()) == 0
    assert len(read_rttm("out/rttm")) == 1


LOW = "--query-threshold 0.6 --mask-threshold 0.4".split()


def test_exhausted_queries_and_impossible_numbers_are_said(work, caplog, capsys):
    (work / "post/num_queries").write_text("3\n")
    assert main([*"apply --posteriors post --out out".split(), *LOW]) == 0
    assert "recording b: 2 of the model's 3 queries are active" in caplog.text
    for words in ("--num-speakers 4", "--num-languages 1"):
        assert main(f"apply --posteriors post --out out {words}".split()) == 1
        [line] = capsys.readouterr().err.splitlines()[-1:]
        assert "num_" in line
