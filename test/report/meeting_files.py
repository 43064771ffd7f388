"""Files of a short recording with difficult labels, and their page."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diarize.bin import report, score
from diarize.segments import Segment

RATE = 16000
SECONDS = 40
EVIL = "</script><script>document.title='run'</script>"
LABELS = (EVIL, "$x$", "张伟", "נועה", '"a"&amp;<b>')


@dataclass(frozen=True)
class Meeting:
    """Files of a recording: audio, reference, output, evaluated regions, posteriors."""

    folder: Path
    wav: Path
    ref: Path
    hyp: Path
    uem: Path
    posteriors: Path

    def page(self, name: str, *options: str) -> Path:
        """Write a page and return its path."""
        out = self.folder / name
        words = [str(self.wav), "--hyp", str(self.hyp), "--ref", str(self.ref), "--uem",
                 str(self.uem), "--out", str(out), *options]  # fmt: skip
        assert report.main(words) == 0
        return out

    def scores(self, collar: float) -> dict[str, float]:
        """Return the seconds of diarize-score at a collar, by the names of its JSON report."""
        out = self.folder / f"score_{collar}.json"
        words = ["-r", str(self.ref), "-s", str(self.hyp), "-u", str(self.uem), "-c", str(collar),
                 "--json", str(out)]  # fmt: skip
        assert score.main(words) == 0
        return json.loads(out.read_text())["overall"]["collar"][f"{collar:g}"]


def turns(seed: int) -> list[Segment]:
    """Return random turns of all labels, with overlaps and pauses."""
    rng = np.random.default_rng(seed)
    out = []
    for label in LABELS:
        at = rng.uniform(0, 6)
        while at < SECONDS - 1:
            end = min(at + rng.uniform(0.2, 4), SECONDS)
            out.append(Segment("meeting", round(at, 3), round(end, 3), label))
            at = end + rng.uniform(0.5, 9)
    return sorted(out)
