"""Page of a long recording: size, time to make and to load it, memory and drawing in Chromium.

    python bench/report_page.py [--hours 1] [--turns 3000] [--speakers 6] [--chromium PATH]

The recording is noise that is louder where somebody speaks; the output is the reference with
errors of all kinds, and the posteriors of 10 queries are its masks.  Requires playwright and a
Chromium.  Memory is the proportional share (Pss) of the process that draws the page, and of one
with an empty page.  Last comes one line per figure, ``BENCH name=… value=… unit=…``.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
RATE = 16000
# Time of the next 60 frames, and the median of 20 changes of the zoom until the second frame, in
# ms; "zoom_cpu" is the CPU time of the drawing thread for one of them.
FRAMES = """() => new Promise(done => {
  const start = performance.now(); let left = 60;
  const step = () => --left ? requestAnimationFrame(step) : done((performance.now() - start) / 60);
  requestAnimationFrame(step); })"""
ZOOM = """async () => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const times = [];
  for (let k = 0; k < 20; k++) {
    document.getElementById(k % 2 ? 'zoom-out' : 'zoom-in').click();
    const start = performance.now();
    await frame(); await frame();
    times.push(performance.now() - start); }
  return times.sort((a, b) => a - b)[10]; }"""


def make_recording(folder: Path, seconds: float, turns: int, speakers: int) -> None:
    """Write wav, RTTMs, UEM and posteriors of a recording ``long``."""
    from diarize.io.ark import ArkWriter
    from diarize.io.audio import write_wav
    from diarize.io.rttm import write_rttm
    from diarize.segments import Segment, Turn

    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, seconds - 1, turns)).round(3)
    ends = np.minimum(starts + rng.gamma(2, 0.55, turns) + 0.15, seconds).round(3)
    who = rng.integers(speakers, size=turns)
    reference = [Segment("long", *t) for t in zip(
        starts.tolist(), ends.tolist(), (f"speaker{k}" for k in who), strict=True)]  # fmt: skip
    frames = round(seconds * 100)
    masks, level = np.full((frames, 10), 0.04, np.float32), np.full(frames, 0.003, np.float32)
    output = []
    for segment, speaker in zip(reference, who.tolist(), strict=True):
        level[round(segment.start * 100) : round(segment.end * 100)] = 0.1
        if rng.random() < 0.06:
            continue
        label = speaker if rng.random() < 0.94 else int(rng.integers(speakers))
        start = max(0.0, segment.start + rng.normal(0, 0.08))
        end = min(seconds, max(start + 0.05, segment.end + rng.normal(0, 0.08)))
        output.append(Turn("long", start, end, f"spk{label}", float(rng.beta(8, 2))))
        masks[round(start * 100) : round(end * 100), label % 10] = rng.uniform(0.7, 1)
    write_rttm(folder / "ref.rttm", reference)
    write_rttm(folder / "hyp.rttm", output)
    (folder / "uem").write_text(f"long 1 0.000 {seconds:.3f}\n")
    noise = rng.standard_normal(frames * RATE // 100, dtype=np.float32)
    write_wav(folder / "long.wav", np.repeat(level, RATE // 100) * noise, RATE)
    arrays = {"posteriors": masks, "activities": np.linspace(0.99, 0.02, 10)}
    for name, array in arrays.items():
        with ArkWriter(folder / "post", name) as writer:
            writer.write("long", array)


def make_page(folder: Path, audio: str) -> tuple[Path, float]:
    """Return the page and the seconds of CPU that diarize-report took."""
    out = folder / f"{audio}.html"
    words = ["long.wav", "--hyp", "hyp.rttm", "--ref", "ref.rttm", "--uem", "uem", "--posteriors",
             "post", "--audio", audio, "--out", str(out)]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "diarize.bin.report", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def renderers() -> dict[int, float]:
    """Return the memory (MB) of each drawing process of Chromium."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (place / "cmdline").read_bytes():
                lines = (place / "smaps_rollup").read_text().splitlines()
                size = next(line for line in lines if line.startswith("Pss:"))
                found[int(place.name)] = int(size.split()[1]) / 1024
        except (OSError, StopIteration):
            continue
    return found


def metrics_of(session: Any) -> dict[str, float]:
    """Return the metrics of the page of a DevTools session; times are in seconds of CPU."""
    return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}


def look(path: Path, chromium: str) -> dict[str, tuple[float, str]]:
    """Return the figures of the page in a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        others = set(renderers())
        blank = browser.new_page()
        blank.goto((path.parent / "blank.html").as_uri())
        empty = max(v for k, v in renderers().items() if k not in others)
        blank.close()
        others = set(renderers())
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        start = time.monotonic()
        page.goto(path.as_uri(), wait_until="commit")
        while not page.evaluate("!!(window.plot && plot.dataset.to)"):
            pass
        drawn = time.monotonic() - start
        while not page.evaluate("audio.readyState >= 2"):
            pass
        ready = time.monotonic() - start
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        before = metrics_of(session)["ThreadTime"]
        zoom = page.evaluate(ZOOM)
        cpu = 1000 * (metrics_of(session)["ThreadTime"] - before) / 20
        page.click("#fit")
        page.click("#play")
        page.wait_for_timeout(2000)
        frame = page.evaluate(FRAMES)
        full = max(v for k, v in renderers().items() if k not in others)
        heap = metrics_of(session)["JSHeapUsedSize"] / 1e6
        browser.close()
    return {
        "drawn": (drawn, "s"), "sound_ready": (ready, "s"), "zoom": (zoom, "ms"),
        "zoom_cpu": (cpu, "ms"), "frame_playing": (frame, "ms"), "memory": (full, "MB"),
        "memory_empty": (empty, "MB"), "script_heap": (heap, "MB"),
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=3000)
    parser.add_argument("--speakers", type=int, default=6)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    args = parser.parse_args()
    if not args.chromium:
        sys.exit("no chromium in PATH; add --chromium PATH")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_recording(place, 3600 * args.hours, args.turns, args.speakers)
        (place / "blank.html").write_text("<!DOCTYPE html><title>blank</title>")
        figures = {}
        for audio in ("none", "embed"):
            page, seconds = make_page(place, audio)
            figures[f"size_{audio}"] = (page.stat().st_size / 1e6, "MB")
            figures[f"cpu_{audio}"] = (seconds, "s")
        figures |= look(page, args.chromium)
    for name, (value, unit) in figures.items():
        print(f"BENCH name={name} value={value:.3g} unit={unit}")


if __name__ == "__main__":
    main()
