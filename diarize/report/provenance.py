"""Provenance of figures: versions, revision, command and machine, for RESULTS.md."""

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import datetime
from importlib import metadata
from pathlib import Path

import diarize
from diarize.errors import DiarizeError
from diarize.io.json_text import parse_json
from diarize.io.numbers import is_finite


def describe_run(
    command: str, train_seconds: float | None = None, total_seconds: float | None = None
) -> dict[str, str]:
    """Return the properties of a run: date, versions, revision, command, machine, times."""
    about = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "diarize": f"{diarize.__version__}, git {git_revision()}",
        "python": platform.python_version(),
    }
    for package in ("torch", "torchaudio", "numpy", "scipy"):
        about[package] = package_version(package)
    about["platform"] = f"{platform.platform()}, {cpu_name()}, {cpu_count()} CPUs usable"
    if command:
        about["command"] = f"`{command}`"
    if train_seconds is not None:
        about["training"] = f"{train_seconds:.0f} s"
    if total_seconds is not None:
        about["whole run"] = f"{total_seconds:.0f} s"
    return about


def package_version(name: str) -> str:
    """Return the version of an installed package, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def git_revision() -> str:
    """Return the commit of the checkout of this package, with ``+changes`` if edited."""
    root = Path(diarize.__file__).resolve().parents[1]
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}+changes" if _git(root, "status", "--porcelain", "-uno") else commit


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def cpu_name() -> str:
    """Return the name of the processor, or the architecture where the system has no name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def preparation(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the choices and omissions of the preparation of each set, by ``data of <set>``.

    These are the entries of ``<root>/<set>/prepare.json`` that can change a DER.
    """
    about = {}
    for name in names:
        place = root / name / "prepare.json"
        if not place.is_file():
            continue
        try:
            report = parse_json(place.read_bytes(), place)
            said = [f"{key}: {value}" for key, value in report["options"].items()]
            beyond = report.get("beyond_the_audio", {})
            cut = beyond.get("turns_cut", 0) + beyond.get("turns_dropped", 0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise DiarizeError(f"{place}: not the report of a preparation: {err}") from err
        if cut:
            said.append(f"turns beyond the audio: {cut} ({beyond.get('seconds', '?')} s)")
        if report.get("left_out"):
            said.append(f"left out: {', '.join(report['left_out'])}")
        if report.get("differs_from_published"):
            said.append("the corpus is not as published (see prepare.json)")
        if said:
            about[f"data of {name}"] = "; ".join(said)
    return about


def training_seconds(log: Path) -> float | None:
    """Return the last ``elapsed`` in a training log, None without one.

    Lines truncated by a kill are ignored.
    """
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as err:
        raise DiarizeError(f"cannot read {log}: {err}") from err
    for line in reversed(lines):
        try:
            elapsed = parse_json(line, log)["elapsed"]
        except (DiarizeError, KeyError, TypeError):
            continue
        if is_finite(elapsed):
            return float(elapsed)
    return None


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
