"""Files of figures: PNG, PDF or SVG by suffix, with fonts for the characters of the labels."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write

_log = logging.getLogger(__name__)

SUFFIXES = (".png", ".pdf", ".svg")
# No time of creation and no version: equal figures are equal files.
_METADATA = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}
# Names of fonts with many characters; these are tried first.
_LARGE = ("Noto Sans CJK", "NotoSansCJK", "wqy", "DroidSansFallback", "ipag", "Nanum", "Noto")


def figure_format(path: str | os.PathLike) -> str:
    """Return the suffix of ``path`` in lower case; DiarizeError unless it is one of `SUFFIXES`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise DiarizeError(f"{path}: unknown format; figures are {' '.join(SUFFIXES)}")
    return suffix


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Write a matplotlib figure in the format of the suffix of ``path``, whole or not at all."""
    suffix = figure_format(path)
    with atomic_write(path, "wb") as handle:
        figure.savefig(handle, format=suffix[1:], metadata=_METADATA[suffix])


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Draw text in this context with fonts that have all characters of ``texts``.

    The default font is followed by installed ones for the characters that it lacks.  If there is
    none for some characters, a warning names them and the package to install; they are drawn as
    boxes.
    """
    import matplotlib

    needed = {char for text in texts for char in text if char.isprintable() and char != " "}
    default = matplotlib.rcParams["font.sans-serif"][0]
    families = [default, *_fallbacks("".join(sorted(needed - _characters_of(_default_path()))))]
    settings = {"font.family": families, "svg.hashsalt": "diarize"}
    # A missing glyph is reported above; a font without a bold face is no fault.
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        fonts.setLevel(logging.ERROR)
        try:
            yield
        finally:
            fonts.setLevel(level)


@lru_cache(maxsize=8)
def _fallbacks(missing: str) -> tuple[str, ...]:
    """Return the names of installed fonts with the characters ``missing``, as few as possible."""
    from matplotlib import font_manager

    left, families = set(missing), []
    paths = sorted(font_manager.findSystemFonts(), key=_preference) if left else []
    for path in paths:
        found = left & _characters_of(path)
        if found:
            font_manager.fontManager.addfont(path)
            families.append(font_manager.FontProperties(fname=path).get_name())
            left -= found
        if not left:
            break
    if left:
        shown = "".join(sorted(left)[:10])
        _log.warning(
            "no installed font has the characters %s; they are drawn as boxes: install a font, "
            "for example the Debian package fonts-noto-cjk", shown,
        )  # fmt: skip
    return tuple(families)


def _preference(path: str) -> tuple[int, str]:
    name = os.path.basename(path)
    found = (i for i, part in enumerate(_LARGE) if part.lower() in name.lower())
    return next(found, len(_LARGE)), path


@lru_cache(maxsize=64)
def _characters_of(path: str) -> frozenset[str]:
    """Return the characters of a font file; none of a file that cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (RuntimeError, OSError):
        return frozenset()


def _default_path() -> str:
    from matplotlib import font_manager

    return font_manager.findfont("DejaVu Sans")
