"""Files of figures: formats, fonts for the characters of labels, equal files of equal figures."""

import pytest

from diarize.bin import plot
from diarize.errors import DiarizeError
from diarize.io.rttm import write_rttm
from diarize.report.plots import figure
from diarize.report.plots.timeline import Picture, draw_picture
from diarize.segments import Segment

pytest.importorskip("matplotlib")

HEAD = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture(autouse=True)
def no_cache():
    yield
    figure._fallbacks.cache_clear()


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PDF"])
def test_the_suffix_is_the_format_and_files_are_reproducible(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    write_rttm("ref", [Segment("r", 0, 2, "ann")])
    for name in ("a", "b"):
        assert plot.main(["--ref", "ref", "--out", f"{name}{suffix}"]) == 0
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert data.startswith(HEAD[suffix.lower()])
    assert data == (tmp_path / f"b{suffix}").read_bytes()


def test_a_directory_has_figures_of_the_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rttm("ref", [Segment(r, 0, 2, "ann") for r in "ab"])
    assert plot.main(["--ref", "ref", "--out", "images", "--format", "svg"]) == 0
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["a.svg", "b.svg"]


def test_an_unknown_suffix_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert plot.main(["--ref", "none", "--out", "x.jpeg"]) == 1
    assert "x.jpeg: unknown format" in capsys.readouterr().err
    assert plot.main(["curves", "--log", "none", "--out", "x.tiff"]) == 1
    assert "x.tiff: unknown format" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DiarizeError, match=r"x\.gif"):
        draw_picture(Picture(0, 1, [], []), "x.gif")


def drawn(tmp_path, labels, name="x.svg"):
    turns = [Segment("r", i, i + 1, label) for i, label in enumerate(labels)]
    draw_picture(Picture(0, len(labels), turns, [], title=labels[0]), tmp_path / name)
    return (tmp_path / name).read_text(errors="replace")


def test_a_label_that_looks_like_a_formula_is_drawn_as_it_is(tmp_path):
    """matplotlib notes the text of each label beside its outlines."""
    text = drawn(tmp_path, [r"$\frac{1}$", "$x^2$", "a$", "a_b^c\\d"])
    for label in (r"$\frac{1}$", "$x^2$", "a$", "a_b^c\\d"):
        assert f"<!-- {label} -->" in text


def test_characters_without_a_font_are_named_with_what_to_install(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    for _ in range(2):
        drawn(tmp_path, ["会议", "ann"])
    [record] = caplog.records
    assert "会议" in record.getMessage()
    assert "fonts-noto-cjk" in record.getMessage()


def test_the_default_font_alone_is_used_for_what_it_has(tmp_path, monkeypatch):
    def fail():
        raise AssertionError("fonts were searched")

    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", fail)
    drawn(tmp_path, ["Zoë", "Ωmega", "Борис", "ann"])


def test_cjk_labels_are_drawn_with_a_font_that_has_them(tmp_path, caplog):
    from matplotlib import font_manager

    if not any("会" in figure._characters_of(p) for p in font_manager.findSystemFonts()):
        pytest.skip("no font with Chinese characters is installed")
    for name in ("x.svg", "x.png", "x.pdf"):
        drawn(tmp_path, ["会议", "ann"], name)
    assert caplog.records == []
    assert "WenQuanYi" in drawn(tmp_path, ["会议"]) or len(figure._fallbacks("会议")) == 1
