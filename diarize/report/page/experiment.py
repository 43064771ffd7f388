"""Index page of an experiment: results, training curves, and links to pages and pictures."""

import os
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

from diarize import __version__
from diarize.errors import DiarizeError
from diarize.report.page.curves import curve_figures
from diarize.report.page.html import fill, framed, read_asset
from diarize.report.page.tables import Cell, label, number, table
from diarize.report.plots.curves import read_entries, read_log

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file: http: https:; "
    "base-uri 'none'; form-action 'none'"
)
# Files of an experiment that the page links to, if they exist.
_FILES = ("RESULTS.md", "config.yaml", "train_log.jsonl", "train.log", "best.yaml",
          "images/curves.png")  # fmt: skip
_FIGURES = {"der": "DER", "miss": "missed", "fa": "false alarm", "conf": "confusion",
            "count_acc": "count right"}  # fmt: skip


def experiment_page(exp: Path, page: Path) -> str:
    """Return the index of the experiment ``exp`` as HTML for the file ``page``.

    It shows those that exist of ``train_log.jsonl``, ``result_lines.txt``, ``RESULTS.md`` and the
    pages and pictures in ``images``; links are relative to the page.  Raises DiarizeError where
    none exists.
    """
    if not exp.is_dir():
        raise DiarizeError(f"{exp}: no such directory; name an experiment, such as exp/train")
    log, lines = exp / "train_log.jsonl", exp / "result_lines.txt"
    results = read_result_lines(lines) if lines.is_file() else []
    base = page.resolve().parent
    parts = {
        "results": _results(results),
        "curves": _section("Training", _curves(log)) if log.is_file() else "",
        "recordings": _section("Recordings", _cards(exp / "images", base)),
        "document": _document(exp / "RESULTS.md"),
    }
    if not any(parts.values()):
        raise DiarizeError(
            f"{exp}: no train_log.jsonl, result_lines.txt or images; run training and scoring "
            "(stages 4 to 8)"
        )
    links = [exp / name for name in _FILES if (exp / name).is_file()]
    named = "".join(f"<li>{_link(path, base, str(path.relative_to(exp)))}</li>" for path in links)
    body = fill(read_asset("experiment.html"), {
        **parts,
        "files": _section("Files", f'<ul class="files">{named}</ul>' if named else ""),
        "version": escape(__version__),
    })  # fmt: skip
    return framed(str(exp), _facts(log), _POLICY, body, read_asset("experiment.css"))


def read_result_lines(path: Path) -> list[dict[str, str]]:
    """Return the values of the RESULT lines that diarize-results prints, one set each."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["RESULT"]:
            found.append(dict(word.partition("=")[::2] for word in words[1:]))
    return found


def _results(results: list[dict[str, str]]) -> str:
    if not results:
        return ""
    rows = [
        [Cell(label(found.get("set", "")), is_head=True)]
        + [number("–" if found.get(key, "na") == "na" else f"{found[key]} %") for key in _FIGURES]
        for found in results
    ]
    head = [Cell("set"), *(number(name) for name in _FIGURES.values())]
    return table("Results", f"Collar {results[0].get('collar', '?')} s.", head, rows)


def _curves(log: Path) -> str:
    try:
        panels = read_log(log)
    except DiarizeError:
        # A log without a value yet is no fault of the experiment.
        if any(entry.get("kind") in ("train", "valid") for entry in read_entries(log)):
            raise
        return ""
    return f'<div class="charts">{curve_figures(panels)}</div>'


def _cards(images: Path, base: Path) -> str:
    """Return the recordings with a page or a picture, each with links to them."""
    found = {path.stem for kind in ("*.html", "*.png") for path in images.glob(kind)} - {"curves"}
    cards = []
    for stem in sorted(found):
        page, picture = images / f"{stem}.html", images / f"{stem}.png"
        name = unquote(stem, errors="surrogatepass")
        target = page if page.is_file() else picture
        shown = _link(target, base, name)
        if picture.is_file():
            shown += (f'<a href="{_url(target, base)}"><img loading="lazy" alt="Timeline of '
                      f'{escape(name)}" src="{_url(picture, base)}"></a>')  # fmt: skip
        cards.append(f"<li>{shown}</li>")
    return f'<ul class="cards">{"".join(cards)}</ul>' if cards else ""


def _document(path: Path) -> str:
    """Return RESULTS.md as HTML, without its title; HTML in it is shown as text."""
    if not path.is_file():
        return ""
    from markdown import Markdown

    text = path.read_text(encoding="utf-8").partition("\n")[2]
    reader = Markdown(extensions=["tables"])
    reader.preprocessors.deregister("html_block")
    reader.inlinePatterns.deregister("html")
    # A table of names and values has no titles of columns.
    body = reader.convert(text).replace("<th></th>", "<td></td>")
    return f'<details><summary>RESULTS.md</summary><div class="markdown">{body}</div></details>'


def _facts(log: Path) -> str:
    """Return the number of steps and the best validation error of a training."""
    entries = read_entries(log) if log.is_file() else []
    steps = [e["step"] for e in entries if e.get("kind") == "train" and "step" in e]
    errors = [(e["der"], e.get("step")) for e in entries
              if e.get("kind") == "valid" and isinstance(e.get("der"), int | float)]  # fmt: skip
    facts = [f"<strong>{max(steps)}</strong> steps"] if steps else []
    if errors:
        least, step = min(errors)
        facts.append(f"best validation DER <strong>{least:.2f} %</strong> at step {step}")
    return "".join(f"<span>{fact}</span>" for fact in facts)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _url(path: Path, base: Path) -> str:
    return escape(quote(Path(os.path.relpath(path.resolve(), base)).as_posix()))


def _link(path: Path, base: Path, text: str) -> str:
    return f'<a href="{_url(path, base)}"><bdi>{escape(text)}</bdi></a>'
