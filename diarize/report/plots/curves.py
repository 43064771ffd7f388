"""Training curves from the log of a training run."""

from pathlib import Path
from typing import Any

from diarize.errors import DiarizeError
from diarize.io.json_text import parse_json
from diarize.io.numbers import is_finite
from diarize.report.plots.figure import figure_format, fonts_for, save_figure

Series = dict[str, list[tuple[float, float]]]

PANELS = (
    "loss",
    "terms (last layer)",
    "validation error (%)",
    "speaker count right (%)",
    "learning rate",
)
_HEIGHTS = (2.0, 2.0, 2.0, 1.0, 0.8)
# Entries of the training log that are neither a loss nor one of its terms.
_NO_TERMS = {"step", "grad_norm", "example_rate", "audio_rate", "data_share", "elapsed",
             "cpu_elapsed"}
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555", "#8C6D31")


def read_log(path: str | Path) -> list[Series]:
    """Return ``{name: [(step, value), …]}`` for each panel of ``PANELS``, empty without values.

    The log has one JSON object per line with ``kind`` (train or valid), ``step`` and values.  Other
    kinds, values that are not finite numbers, and a last line truncated by a kill are ignored.  For
    a repeated step the later line counts.  Raises DiarizeError with the line that is not a JSON
    object, and for a log without values to draw.
    """
    found: list[dict[str, dict[float, float]]] = [{} for _ in PANELS]
    for entry in read_entries(path):
        step = entry.get("step")
        if not is_finite(step):
            continue
        for name, value in entry.items():
            panel = panel_of(entry.get("kind"), name)
            if panel is not None and is_finite(value):
                found[panel].setdefault(name, {})[step] = float(value)
    if not any(found):
        raise DiarizeError(f"{path}: no line with a step and a value to draw yet")
    return [{name: sorted(v.items()) for name, v in panel.items()} for panel in found]


def read_entries(path: str | Path) -> list[dict[str, Any]]:
    """Return the JSON objects of the log ``path``; a truncated last line is ignored."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as err:
        raise DiarizeError(f"cannot read the log {path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise DiarizeError(f"{path}: not UTF-8 text") from err
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = parse_json(line, path, number)
        except DiarizeError:
            if number == len(lines):
                continue
            raise
        if not isinstance(entry, dict):
            raise DiarizeError(f"{path}:{number}: expected a JSON object, got {line[:40]!r}")
        entries.append(entry)
    return entries


def panel_of(kind: Any, name: str) -> int | None:
    """Return the index in ``PANELS`` of the value ``name`` of a line, or None.

    >>> panel_of("train", "loss"), panel_of("train", "dice"), panel_of("valid", "der")
    (0, 1, 2)
    >>> panel_of("train", "elapsed"), panel_of("event", "text")
    (None, None)
    """
    if kind == "train" and name not in _NO_TERMS:
        return {"loss": 0, "lr": 4}.get(name, 1)
    if kind == "valid":
        return {"der": 2, "miss": 2, "fa": 2, "conf": 2, "count_acc": 3}.get(name)
    return None


def draw_curves(panels: list[Series], path: str | Path, title: str = "") -> None:
    """Write the curves of ``read_log`` as PNG, PDF or SVG by suffix, without empty panels."""
    figure_format(path)
    with fonts_for([title, *(name for names in panels for name in names)]):
        _draw_curves(panels, path, title)


def _draw_curves(panels: list[Series], path: str | Path, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [i for i, names in enumerate(panels) if names]
    heights = [_HEIGHTS[i] for i in shown]
    fig = Figure(figsize=(10, 1.0 + 1.3 * sum(heights)), dpi=130, layout="constrained")
    FigureCanvasAgg(fig)
    axes = fig.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, i in zip(axes, shown, strict=True):
        _draw_panel(axis, PANELS[i], panels[i])
    axes[-1].set_xlabel("step")
    if title:
        fig.suptitle(title, x=0.02, ha="left", size=12, weight="bold", parse_math=False)
    save_figure(fig, path)


def _draw_panel(axis: Any, label: str, names: Series) -> None:
    for i, name in enumerate(by_prominence(names)):
        points = names[name]
        steps, values = [p[0] for p in points], [p[1] for p in points]
        colour = _LINES[i % len(_LINES)]
        axis.plot(
            steps, values, color=colour, label=name, zorder=4 if i == 0 else 3,
            linewidth=1.8 if i == 0 else 1.2, markersize=3,
            marker="o" if len(points) <= 40 else None,
        )  # fmt: skip
        if name == "der":
            low = min(range(len(values)), key=values.__getitem__)
            axis.annotate(
                f"{values[low]:.2f} %", (steps[low], values[low]), textcoords="offset points",
                xytext=(0, 8), ha="right" if low else "left", size=9, color=colour, weight="bold",
            )  # fmt: skip
    axis.set_ylabel(label.replace(" (", "\n("), size=9)
    axis.tick_params(labelsize=8)
    if "%" in label:
        axis.set_ylim(bottom=0, top=100 if "count" in label else None)
    elif is_log_scale(label, names):
        _log_scale(axis)
    axis.grid(color="#E4E4E4", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.margins(x=0.02)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if len(names) > 1:
        legend = axis.legend(
            loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, handlelength=1
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _log_scale(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def by_prominence(names: Series) -> list[str]:
    """Return the names of a panel in the order of drawing: loss and DER first, others sorted."""
    return sorted(names, key=lambda name: (name not in ("loss", "der"), name))


def is_log_scale(label: str, names: Series) -> bool:
    """Return whether a panel has a logarithmic axis: positive values that are no percentages."""
    positive = all(value > 0 for points in names.values() for _, value in points)
    return positive and "%" not in label and label != PANELS[-1]
