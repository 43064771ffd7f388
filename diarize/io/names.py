"""Names of recordings, utterances, speakers and languages in their normal form.

Two names that look alike must be one: composed and decomposed letters (NFC and NFD, as macOS writes
file names), invisible characters, and the blanks that are not ASCII.  All readers of annotation and
of tables use `normal_names` or `normal_fields`.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Iterable

# Soft hyphen, zero-width spaces and joiners, marks of direction, word joiner, byte order mark.
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
)
_FIELD = re.compile(r"[^ \t\n\r\v\f]+")
_FIRST_FIELD = re.compile(r"^[^ \t\n\r\v\f]+", re.MULTILINE)
_warned: set[str] = set()


def normal_name(name: str) -> str:
    """Return the name composed (NFC), without invisible characters, blanks replaced by ``_``.

    A name of nothing but such characters is returned unchanged.

    >>> normal_name("Zoe\\u0308\\u200b"), normal_name("An\\u00a0Li "), normal_name("a")
    ('Zoë', 'An_Li', 'a')
    """
    if name.isascii():
        return "_".join(name.split()) or name
    text = unicodedata.normalize("NFC", name.translate(_INVISIBLE))
    return "_".join(text.split()) or name


def normal_names(names: Iterable[str], path: str | os.PathLike) -> list[str]:
    """Return the normal form of each name of the file ``path``.

    Changed names cause one warning per file, with their number and an example.  The replacement
    of ASCII blanks causes none.
    """
    old = list(names)
    new = [normal_name(name) for name in old]
    if new != old:
        changed = {a: b for a, b in zip(old, new, strict=True) if _plain(a) != b}
        _warn(path, changed)
    return new


def normal_fields(text: str, path: str | os.PathLike, first_only: bool = False) -> str:
    """Return the text of a table with the fields of each line, or the first, in normal form.

    Changed fields cause a warning, as in `normal_names`.
    """
    if text.isascii():
        return text
    changed: dict[str, str] = {}

    def normal(found: re.Match[str]) -> str:
        name = normal_name(found[0])
        if name != found[0]:
            changed[found[0]] = name
        return name

    text = (_FIRST_FIELD if first_only else _FIELD).sub(normal, text)
    _warn(path, changed)
    return text


def _plain(name: str) -> str:
    return b"_".join(name.encode().split()).decode()


def _warn(path: str | os.PathLike, changed: dict[str, str]) -> None:
    if changed and os.fspath(path) not in _warned:
        _warned.add(os.fspath(path))
        old, new = next(iter(changed.items()))
        print(
            f"WARNING: {path}: {len(changed)} names with decomposed letters, invisible characters "
            f"or unusual blanks are read in their normal form, such as {old!a} as {new}",
            file=sys.stderr,
        )
