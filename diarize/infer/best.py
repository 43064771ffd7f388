"""Result of the tuning: the file best.yaml."""

import os
from collections.abc import Mapping, Sequence

from diarize.config import dump_yaml, write_yaml
from diarize.infer.config import NetworkOptions
from diarize.infer.tune import GRID_NAMES, TunePoint


def write_best(
    path: str | os.PathLike,
    network: NetworkOptions,
    results: Sequence[TunePoint],
    best: TunePoint,
    files: Mapping[str, str],
    oracle: bool = False,
) -> None:
    """Write an inference configuration with the ``best`` point, and the table of all results.

    ``files`` are those of the search; ``oracle``: the numbers of speakers were known.  Results
    are sorted by DER; errors are in percent.
    """
    chosen = {
        **files,
        "recordings": best.recordings,
        "speakers": "oracle" if oracle else "query threshold",
        "collar": 0.0,
        **_figures(best),
    }
    head = {"postprocess": best.options, "network": network, "chosen": chosen}
    names = (*GRID_NAMES, *_figures(best))
    lines = ["table:\n"]
    for point in sorted(results, key=lambda point: round(point.der, 9)):
        values = {n: getattr(point.options, n) for n in GRID_NAMES} | _figures(point)
        lines.append("- {" + ", ".join(f"{n}: {values[n]}" for n in names) + "}\n")
    write_yaml(
        path, dump_yaml(head) + "".join(lines),
        "Chosen by diarize-postprocess tune; errors in percent.",
    )  # fmt: skip


def _figures(point: TunePoint) -> dict[str, float]:
    """Return DER, its parts and the accuracy of the number of speakers, in percent."""

    def percent(seconds: float) -> float:
        return round(100 * seconds / point.speech, 3)

    return {
        "der": round(100 * point.der, 3),
        "miss": percent(point.miss),
        "fa": percent(point.false_alarm),
        "conf": percent(point.confusion),
        "count_acc": round(100 * point.counts_right / point.recordings, 2),
    }
