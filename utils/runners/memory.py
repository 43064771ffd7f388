"""Counters of the system: processes that it killed for lack of memory, and the memory limit.

Linux only; elsewhere nothing is found.  Only the standard library is used, as in jobs.py.
"""

import contextlib
from pathlib import Path

ROOT = Path("/")
UNLIMITED = 1 << 60  # version 1 of control groups states a number near 2**63


def kills(root: Path = ROOT) -> tuple[int, ...]:
    """Return the numbers of killed processes: of the machine, and of the own control group."""
    files = [root / "proc/vmstat"]
    files += [group / name for group in _groups(root) for name in
              ("memory.events", "memory.oom_control")]  # fmt: skip
    return tuple(_count(path) for path in files)


def limit(root: Path = ROOT) -> int | None:
    """Return the memory limit of the own control group in bytes; None without a limit."""
    found = []
    for group in _groups(root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                found.append(int((group / name).read_text()))
    found = [size for size in found if size < UNLIMITED]
    return min(found, default=None)


def evidence(before: tuple[int, ...], root: Path = ROOT) -> str:
    """Return a sentence if the system has killed a process since ``before``, else ""."""
    if kills(root) == before:
        return ""
    size = limit(root)
    about = f"; the memory limit is {size / 2**30:.1f} GiB" if size is not None else ""
    return f"the system killed a process for lack of memory during this job{about}"


def _groups(root: Path) -> list[Path]:
    """Return the directories of the own control groups (version 2, or memory of version 1)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    out = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            base = root / "sys/fs/cgroup" / controllers
            own = base / path.lstrip("/")
            # Within a container the path is often that outside of it.
            out.append(own if own.is_dir() else base)
    return out


def _count(path: Path) -> int:
    """Return the value of ``oom_kill`` in a file of the system; 0 without it."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
