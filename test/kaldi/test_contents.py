"""Contents of training data: what counts as a change, what does not, and the time it takes."""

import json
import time

import pytest

from diarize.kaldi.contents import compare_contents, describe_data

NAMES = ("a", "b", "c")


@pytest.fixture
def folder(tmp_path):
    """A data directory of three recordings."""
    return write_dir(tmp_path / "data")


def write_dir(path, names=NAMES):
    path.mkdir()
    write(path, "wav.scp", names, "{0} {1}/{0}.wav")
    write(path, "reco2dur", names, "{0} 10.000")
    write(path, "rttm", names, "SPEAKER {0} 1 1.000 2.000 <NA> <NA> ann <NA> <NA>")
    return path


def write(path, name, names, line):
    (path / name).write_text("".join(line.format(n, path) + "\n" for n in names))


def differences(folder, change):
    before = describe_data(folder)
    change()
    return compare_contents(before, describe_data(folder))


def test_a_moved_directory_is_the_same(folder, tmp_path):
    before = describe_data(folder)
    moved = folder.rename(tmp_path / "elsewhere")
    write(moved, "wav.scp", NAMES, "{0} {1}/{0}.wav")
    assert compare_contents(before, describe_data(moved)) == []


def test_another_way_to_write_the_same_reference_is_the_same(folder):
    def change():
        write(folder, "rttm", reversed(NAMES), "SPEAKER {0} 1  1.0 2.00 <NA> <NA> ann <NA> <NA>")

    assert differences(folder, change) == []


def test_lost_and_new_recordings_are_named(folder):
    def change():
        for name, line in (("wav.scp", "{0} {0}.wav"), ("reco2dur", "{0} 10.0")):
            write(folder, name, ("b", "d"), line)
        write(folder, "rttm", ("b", "d"), "SPEAKER {0} 1 1.0 2.0 <NA> <NA> ann <NA> <NA>")

    assert differences(folder, change) == [
        "3 recordings, now 2, missing: a and 1 more, new: d"
    ]


@pytest.mark.parametrize(
    ("table", "text", "found"),
    [
        ("rttm", "SPEAKER b 1 1.000 2.000 <NA> <NA> bob <NA> <NA>\n", "reference changed in a and"),
        ("reco2dur", "a 10.0\nb 10.5\nc 10.0\n", "duration changed in b"),
        ("uem", "a 1 0.0 5.0\n", "evaluated regions (uem): absent before, now present"),
    ],
)
def test_each_table_that_training_reads_counts(folder, table, text, found):
    (message,) = differences(folder, lambda: (folder / table).write_text(text))
    assert message.startswith(found)


def test_evaluated_regions_are_compared(folder):
    (folder / "uem").write_text("a 1 0.0 5.0\nb 1 0.0 10.0\nc 1 0.0 10.0\n")
    change = "a 1 0.0 5.0\nb 1 0.0 9.0\nc 1 0.0 10.0\n"
    found = differences(folder, lambda: (folder / "uem").write_text(change))
    assert found == ["evaluated regions (uem) changed in b"]


def test_durations_that_are_made_later_are_no_change(folder):
    text = (folder / "reco2dur").read_text()
    (folder / "reco2dur").unlink()
    assert differences(folder, lambda: (folder / "reco2dur").write_text(text)) == []


def test_languages_from_segments(folder):
    (folder / "rttm").unlink()
    write(folder, "segments", NAMES, "{0}-1 {0} 0.0 5.0")
    write(folder, "utt2lang", NAMES, "{0}-1 en")
    before = describe_data(folder, "language")
    (folder / "utt2lang").write_text("a-1 en\nb-1 hi\nc-1 en\n")
    assert compare_contents(before, describe_data(folder, "language")) == ["reference changed in b"]


def test_manifest_by_the_names_of_its_files(tmp_path):
    path = tmp_path / "mixture.scp"

    def manifest(root, gap):
        mixture = {"speakers": [{"utts": [{"wav": f"{root}/x.wav", "gap": gap}]}]}
        path.write_text("".join(f"m{i} {json.dumps(mixture)}\n" for i in range(3)))
        return describe_data(path)

    before = manifest("/one/place", 0.5)
    assert compare_contents(before, manifest("/another", 0.5)) == []
    assert compare_contents(before, manifest("/one/place", 0.25)) == [
        "content changed in m0 and 2 more"
    ]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert compare_contents(before, describe_data(path))[0].endswith("now 2, missing: m2")


def test_directory_in_place_of_a_manifest(folder, tmp_path):
    path = tmp_path / "mixture.scp"
    path.write_text("a {}\nb {}\nc {}\n")
    found = compare_contents(describe_data(path), describe_data(folder))
    assert found == ["manifest before, now data directory"]


def test_a_hundred_thousand_recordings_take_seconds(tmp_path):
    """1.5 s of CPU when it was written; the bound is for busy machines."""
    folder = write_dir(tmp_path / "large", [f"r{i:06d}" for i in range(100_000)])
    begin = time.process_time()
    contents = describe_data(folder)
    assert time.process_time() - begin < 8
    assert contents["reference"].count("\n") == 0
    assert sum(map(len, contents.values())) < 3_000_000
