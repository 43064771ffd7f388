"""Damaged and hostile files of every format: each is read, or one line names it and the fault.

    bench/attacks.py --files 400 --seed 1

Files are cut, and have bytes changed, numbers replaced by absurd ones, words by hostile ones, and
parts removed, inserted or repeated.  Half of the damage to a packed file is done to its content,
which is packed again with valid checksums.  Prints a table of outcomes by format and returns
status 1 if any file gave a traceback, hung, took more memory than stated, ran a command, or made
a file outside of its directory:

    read      the file is read: the damage is in values, or without consequence
    refused   one line that names the file, or the recording or directory that it belongs to, or a
              file that it names
"""

import argparse
import gzip
import io
import os
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from attack_formats import Format, formats

from diarize.errors import DiarizeError

LIMIT = 30  # s for one file
GIGABYTES = 4  # that reading one file may add to the address space
OUTCOMES = ("read", "refused")
CANARY = "canary"  # made in the directory of the campaign by any command that is run
Rng = np.random.Generator

NUMBERS = [
    b"-1", b"0", b"nan", b"inf", b"1e308", b"-1e308", b"1e-320", b"", b"2147483647", b"4294967296",
    b"9223372036854775807", b"9" * 25, b"9" * 400, b"9" * 5000, b"0x" + b"9" * 5000, b"1_0",
    b"1e999999999", b"\xd9\xa1\xd9\xa2", b"1/0",
]  # fmt: skip
WORDS = [
    b"!!python/object/apply:os.system ['touch %s']", b"touch %s |", b"`touch %s`", b"$(touch %s)",
    b"../../%s", b"/tmp/%s", b"*a", b"&a [*a]", b"!!int x", b"!!timestamp x", b"!!bool 3", b"~",
    b"[" * 3000, b"{a: " * 3000, b'{"a":' * 3000, b"<a>" * 3000, b"null", b"[1]", b"{}", b"\x00",
    b"\xff\xfe", b"\xe2\x80\xae", b"\x1b[2J", b"\n\n", b"\t", b'"', b"&lt;&e;", b"%YAML 9.9\n---\n",
    b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
]  # fmt: skip
INTEGERS = [struct.pack(form, value) for form in ("<i", "<q", ">q") for value in
            (-1, 0, 2**31 - 1, -(2**31), 1)]  # fmt: skip
PICKLE = b"\x80\x02cposix\nsystem\nX%c\0\0\0touch %sq\0\x85R."


def cut(data: bytearray, rng: Rng) -> None:
    """Remove the end."""
    del data[int(rng.integers(0, len(data))) :]


def flip(data: bytearray, rng: Rng) -> None:
    """Change 1 to 20 bytes, half of the time in the first 100."""
    limit = min(len(data), 100) if rng.random() < 0.5 else len(data)
    for place in rng.integers(0, limit, rng.integers(1, 21)):
        data[place] ^= int(rng.integers(1, 256))


def lose(data: bytearray, rng: Rng) -> None:
    """Remove up to a third anywhere."""
    size = int(rng.integers(1, max(2, len(data) // 3)))
    place = int(rng.integers(0, max(1, len(data) - size)))
    del data[place : place + size]


def insert(data: bytearray, rng: Rng) -> None:
    """Insert random bytes anywhere."""
    place = int(rng.integers(0, len(data)))
    data[place:place] = rng.bytes(int(rng.integers(1, 2000)))


def repeat(data: bytearray, rng: Rng) -> None:
    """Repeat a part up to 50 times."""
    first, last = sorted(rng.integers(0, len(data) + 1, 2))
    data[last:last] = data[first : min(last, first + 20000)] * int(rng.integers(1, 50))


def number(data: bytearray, rng: Rng) -> None:
    """Replace a number of text by an absurd one."""
    found = list(re.finditer(rb"-?[0-9][0-9.]*", data))
    if not found:
        return flip(data, rng)
    start, end = found[int(rng.integers(len(found)))].span()
    data[start:end] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return None


def word(data: bytearray, rng: Rng) -> None:
    """Replace a word of text by a hostile one."""
    found = list(re.finditer(rb"[^\s:,<>\"=]+", data))
    if not found:
        return insert(data, rng)
    start, end = found[int(rng.integers(len(found)))].span()
    data[start:end] = WORDS[int(rng.integers(len(WORDS)))].replace(b"%s", CANARY.encode())
    return None


def integer(data: bytearray, rng: Rng) -> None:
    """Overwrite bytes by an extreme integer, half of the time in the first 100."""
    value = INTEGERS[int(rng.integers(len(INTEGERS)))]
    limit = min(len(data), 100) if rng.random() < 0.5 else len(data)
    place = int(rng.integers(0, max(1, limit - len(value))))
    data[place : place + len(value)] = value


def program(data: bytearray, rng: Rng) -> None:
    """Put a pickle that runs a command in place of all."""
    data[:] = PICKLE.replace(b"%c", bytes([6 + len(CANARY)])).replace(b"%s", CANARY.encode())


DAMAGES: tuple[Callable, ...] = (
    cut, flip, lose, insert, repeat, number, number, word, word, integer, integer, program,
)  # fmt: skip


def damaged(data: bytes, damage: Callable, rng: Rng) -> bytes:
    """Return ``data``, or half of the time the content of a packed file, after the damage."""
    inside = rng.random() < 0.5
    if inside and data[:2] == b"\x1f\x8b":
        return gzip.compress(damaged(gzip.decompress(data), damage, rng), 1)
    if inside and data[:4] == b"PK\x03\x04":
        return _damaged_zip(data, damage, rng)
    out = bytearray(data)
    damage(out, rng)
    if inside and data[257:262] == b"ustar" and len(out) > 512:
        out[148:156] = b" " * 8
        out[148:156] = b"%06o\0 " % (sum(out[:512]) & 0o777777)
    return bytes(out)


def _damaged_zip(data: bytes, damage: Callable, rng: Rng) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = next((n for n in names if n.endswith("data.pkl")), names[0])
        if rng.random() < 0.3:
            chosen = names[int(rng.integers(len(names)))]
        for name in names:
            content = bytearray(old.read(name))
            if name == chosen and content:
                damage(content, rng)
            new.writestr(name, bytes(content))
    return out.getvalue()


def outcome(form: Format, path: Path) -> str:
    """Return one of ``OUTCOMES``, or the description of a fault."""
    signal.alarm(LIMIT)
    try:
        form.read(path)
        return "read"
    except DiarizeError as err:
        text = str(err)
        parts = (path.name, path.parent.name, " r:", "recording r", "cannot open",
                 "a shell command", "not an audio file")
        named = any(part in text for part in parts)
        return "refused" if named and "\n" not in text else f"message: {text!r}"
    except TimeoutError:
        return f"hangs for {LIMIT} s"
    except BaseException as err:  # that none is raised is what is tested
        last = traceback.extract_tb(err.__traceback__)[-1]
        at = f"{Path(last.filename).name}:{last.lineno}"
        return f"traceback: {type(err).__name__}: {str(err)[:150]} ({at})"
    finally:
        signal.alarm(0)


def campaign(
    count: int, seed: int, folder: Path, only: str = ""
) -> tuple[dict[str, Counter], list[str]]:
    """Return format -> outcomes of ``count`` damaged files, and the faults."""

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    rng = np.random.default_rng(seed)
    known = {k: v for k, v in formats(folder / "files").items() if not only or only in k}
    shutil.copytree(folder / "files", folder / "whole")
    table: dict[str, Counter] = {name: Counter() for name in known}
    os.chdir(folder)
    found = {name: outcome(form, form.path) for name, form in known.items()}
    faults = [f"{name}, undamaged: {text}" for name, text in found.items() if text != "read"]
    shutil.rmtree(folder / "files")
    shutil.copytree(folder / "whole", folder / "files")
    for index in range(count):
        name = list(known)[index % len(known)]
        path = known[name].path
        home = folder / "files" / path.relative_to(folder / "files").parts[0]
        before = path.read_bytes()
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        data = damaged(before, damage, rng)
        path.write_bytes(data)
        found = outcome(known[name], path)
        outside = {p.name for p in folder.iterdir()} - {"files", "whole", "faults"}
        if outside:
            found = f"made {sorted(outside)}"
            for extra in outside:
                (folder / extra).unlink()
        if found not in OUTCOMES:
            faults.append(f"{index:04d} {name} {damage.__name__}: {found}")
            (folder / "faults").mkdir(exist_ok=True)
            (folder / "faults" / f"{index:04d}-{path.name}").write_bytes(data)
            found = "fault"
        table[name][found] += 1
        shutil.rmtree(home)
        shutil.copytree(folder / "whole" / home.name, home, copy_function=shutil.copy2)
    return table, faults


def main() -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=400, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--only", default="", metavar="TEXT", help="formats with this in the name")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep files with a fault there")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as temporary:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (GIGABYTES << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        table, faults = campaign(args.files, args.seed, Path(temporary), args.only)
        os.chdir(here)
        if args.keep and faults:
            shutil.copytree(Path(temporary) / "faults", args.keep, dirs_exist_ok=True)
    print(f"seed {args.seed}, {args.files} files")
    columns = (*OUTCOMES, "fault")
    print(f"{'':18}" + "".join(f"{name:>9}" for name in columns))
    for name, counts in table.items():
        print(f"{name:18}" + "".join(f"{counts[column]:9}" for column in columns))
    print(f"{'all':18}" + "".join(f"{sum(c[n] for c in table.values()):9}" for n in columns))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
