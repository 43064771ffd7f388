"""Picture of one recording over time: reference, hypothesis, and errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from diarize.report.colours import ERROR_COLOURS, EXTRA_COLOURS, SPEAKER_COLOURS
from diarize.report.plots.errors import ErrorSpan, Region
from diarize.report.plots.figure import figure_format, fonts_for, save_figure
from diarize.segments import Segment, clip_segments, merge_segments

INK, FAINT = "#222222", "#E4E4E4"

_STRIP_MINUTES = (5, 10, 15, 20, 30, 60, 120, 240)
_MAX_STRIPS = 6
_WIDTH, _DPI = 14.0, 130  # inches, pixels per inch
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


@dataclass(frozen=True)
class Picture:
    """Content of the picture of one recording; all times in seconds of the recording.

    reference, hypothesis: segments, in any order; one of the two may be empty
    mapping: hypothesis label -> reference label
    regions: the scored regions, the rest is shaded; without any there is no error lane
    title, subtitle: two lines of text, the second may be empty
    waveform: (peaks (P, 2) of minimum and maximum, start, end) or None
    """

    start: float
    end: float
    reference: Sequence[Segment]
    hypothesis: Sequence[Segment]
    mapping: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[ErrorSpan] = ()
    regions: Sequence[Region] = ()
    title: str = ""
    subtitle: str = ""
    waveform: tuple[np.ndarray, float, float] | None = None


@dataclass(frozen=True)
class Row:
    """One row of the picture: label, colour, and bars (start, duration)."""

    label: str
    colour: str
    side: str
    bars: tuple[tuple[float, float], ...]


def picture_rows(picture: Picture) -> list[Row]:
    """Return the rows from top to bottom: reference by first appearance, then the hypothesis.

    A hypothesis speaker has the colour and the order of the mapped reference speaker; unmapped
    speakers come last, in grey.
    """
    ref_labels = _by_appearance(picture.reference)
    colour = {
        label: SPEAKER_COLOURS[i % len(SPEAKER_COLOURS)] for i, label in enumerate(ref_labels)
    }
    hyp_labels = _by_appearance(picture.hypothesis)
    matched = [h for h in hyp_labels if picture.mapping.get(h) in colour]
    matched.sort(key=lambda h: ref_labels.index(picture.mapping[h]))
    extra = [h for h in hyp_labels if h not in matched]
    palette = EXTRA_COLOURS if ref_labels else SPEAKER_COLOURS
    rows = [
        Row(label, colour[label], "reference", _bars(picture.reference, label, picture))
        for label in ref_labels
    ]
    rows += [
        Row(h, colour[picture.mapping[h]], "hypothesis", _bars(picture.hypothesis, h, picture))
        for h in matched
    ]
    rows += [
        Row(h, palette[i % len(palette)], "hypothesis", _bars(picture.hypothesis, h, picture))
        for i, h in enumerate(extra)
    ]
    return rows


def strip_bounds(start: float, end: float) -> list[Region]:
    """Return [start, end) in at most six strips of equal, round length except the last one.

    >>> strip_bounds(0, 45)
    [(0, 45)]
    >>> [(round(a), round(b)) for a, b in strip_bounds(0, 1400)]
    [(0, 300), (300, 600), (600, 900), (900, 1200), (1200, 1400)]
    """
    minutes = (end - start) / 60
    if minutes <= _STRIP_MINUTES[0] * 1.2:
        return [(start, end)]
    step = next((m for m in _STRIP_MINUTES if minutes <= m * _MAX_STRIPS), None)
    seconds = step * 60.0 if step else (end - start) / _MAX_STRIPS
    count = int(np.ceil((end - start) / seconds - 0.1))
    if count * seconds < end - start:  # all are a little longer instead of a short last one
        seconds = (end - start) / count
    return [(start + i * seconds, min(end, start + (i + 1) * seconds)) for i in range(count)]


def format_time(seconds: float, step: float) -> str:
    """Return the text of a tick: ``7.5`` for short views, otherwise ``1:05`` or ``1:02:05``.

    >>> format_time(7.5, 0.5), format_time(65, 15), format_time(3725, 300)
    ('7.5', '1:05', '1:02:05')
    """
    if step < 1:
        return f"{abs(seconds) if seconds > -step / 2 else seconds:.1f}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def draw_picture(picture: Picture, path: str | Path) -> None:
    """Write the picture of ``picture`` as PNG, PDF or SVG by suffix, whole or not at all."""
    figure_format(path)
    labels = {s.label for s in (*picture.reference, *picture.hypothesis)}
    with fonts_for([*labels, picture.title, picture.subtitle, "…"]):
        _draw(picture, path)


def _draw(picture: Picture, path: str | Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = picture_rows(picture)
    strips = strip_bounds(picture.start, picture.end)
    # A strip has rows for its active speakers only: with many speakers most are silent.
    shown = [[row for row in rows if _bars_inside(row, strip)] for strip in strips]
    row_inch = 0.30 if len(strips) == 1 else 0.17
    extra = 4.2 + (1.6 if picture.waveform else 0.0)
    inches = [max(0.8, (len(own) + extra) * row_inch) for own in shown]
    head, foot, between = 0.95, 0.75, 0.42
    height = head + foot + sum(inches) + (len(strips) - 1) * between
    fig = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(fig)
    widest = max([len(r.label) for r in rows] + [len("false alarm")])
    left = 0.25 + 0.075 * min(widest, 24) + 0.25
    step = _tick_step(strips[0])
    full, top = strips[0][1] - strips[0][0], height - head
    for strip, own, inch in zip(strips, shown, inches, strict=True):
        width = (_WIDTH - left - 0.3) * (strip[1] - strip[0]) / full
        box = (left / _WIDTH, (top - inch) / height, width / _WIDTH, inch / height)
        axes = fig.add_axes(box)
        _draw_strip(axes, picture, own, strip, small=len(strips) > 1)
        _label_time(axes, strip, step, 7 if len(strips) > 1 else 9)
        top -= inch + between
    # Names are plain text: a `$` does not begin a formula.
    plain = {"x": left / _WIDTH, "parse_math": False}
    fig.text(y=1 - 0.36 / height, s=picture.title, size=13, weight="bold", color=INK, **plain)
    if picture.subtitle:
        fig.text(y=1 - 0.64 / height, s=picture.subtitle, size=10, color="#555555", **plain)
    unit = "time (s)" if step < 1 else "time (m:ss)"
    fig.text(0.5 + left / _WIDTH / 2, 0.2 / height, unit, size=9, color=INK, ha="center")
    save_figure(fig, path)


def _by_appearance(segments: Sequence[Segment]) -> list[str]:
    first: dict[str, float] = {}
    for seg in segments:
        first[seg.label] = min(seg.start, first.get(seg.label, seg.start))
    return sorted(first, key=lambda label: (first[label], label))


def _bars(segments: Sequence[Segment], label: str, view: Picture) -> tuple:
    own = merge_segments(s for s in segments if s.label == label)
    return tuple((s.start, s.end - s.start) for s in clip_segments(own, view.start, view.end))


def _bars_inside(row: Row, strip: Region) -> list[Region]:
    lo, hi = strip
    return [(max(a, lo), min(a + d, hi)) for a, d in row.bars if a < hi and a + d > lo]


def _tick_step(strip: Region) -> float:
    return next((t for t in _TICKS if (strip[1] - strip[0]) / t <= 20), _TICKS[-1])


def _draw_strip(axes: Any, picture: Picture, rows: list[Row], strip: Region, small: bool) -> None:
    """Draw one strip of ``picture`` into ``axes``, from the top down, one unit per row."""
    lo, hi = strip
    # A bar thinner than a pixel is drawn one pixel wide to stay visible.
    thinnest = (hi - lo) / (axes.get_position().width * _WIDTH * _DPI)
    y, ticks, rules = 0.0, [], []
    if picture.waveform:
        _draw_waveform(axes, picture.waveform, strip, centre=y + 0.8)
        y += 1.6
        rules.append(y)
    for i, row in enumerate(rows):
        if i and rows[i - 1].side != row.side:
            y += 0.3
            rules.append(y - 0.15)
        bars = _bars_inside(row, strip)
        axes.broken_barh(
            [(a, max(b - a, thinnest)) for a, b in bars], (y + 0.12, 0.76),
            facecolors=row.colour, linewidth=0, antialiased=False, zorder=3,
        )  # fmt: skip
        ticks.append((y + 0.5, _shorten(row.label), row.colour))
        y += 1.0
    if picture.regions:
        y += 0.3 if rows else 0.0
        rules.append(y - 0.15)
        y = _draw_errors(axes, picture.errors, strip, y, thinnest, ticks)
    _shade_unscored(axes, picture, strip)
    _finish_axes(axes, y, ticks, rules, 7 if small else 9)
    _label_sides(axes, rows, bool(picture.waveform), small)


def _draw_errors(
    axes: Any,
    errors: Sequence[ErrorSpan],
    strip: Region,
    y: float,
    thinnest: float,
    ticks: list,
) -> float:
    lo, hi = strip
    shown = [e for e in errors if e.start < hi and e.end > lo]
    for name, attribute in (
        ("missed", "miss"), ("false alarm", "false_alarm"), ("confusion", "confusion"),
    ):  # fmt: skip
        bars = [
            (max(e.start, lo), max(min(e.end, hi) - max(e.start, lo), thinnest))
            for e in shown
            if getattr(e, attribute)
        ]
        axes.broken_barh(
            bars, (y + 0.06, 0.6), facecolors=ERROR_COLOURS[name], linewidth=0,
            antialiased=False, zorder=3,
        )  # fmt: skip
        ticks.append((y + 0.36, name, ERROR_COLOURS[name]))
        y += 0.72
    return y


def _draw_waveform(
    axes: Any, waveform: tuple[np.ndarray, float, float], strip: Region, centre: float
) -> None:
    peaks, start, end = waveform
    times = start + (np.arange(len(peaks)) + 0.5) * (end - start) / max(1, len(peaks))
    inside = (times >= strip[0]) & (times < strip[1])
    loudest = max(1e-6, float(np.abs(peaks).max(initial=0.0)))
    scaled = peaks[inside] / loudest * 0.75
    axes.fill_between(
        times[inside], centre - scaled[:, 1], centre - scaled[:, 0], color="#7A8794", linewidth=0.4
    )


def _shade_unscored(axes: Any, picture: Picture, strip: Region) -> None:
    if not picture.regions:
        return
    at = max(strip[0], picture.start)
    for a, b in [*sorted(picture.regions), (strip[1], strip[1])]:
        if min(a, strip[1]) > at:
            axes.axvspan(at, min(a, strip[1]), color="#00000012", linewidth=0, zorder=1)
        at = max(at, b)


def _label_time(axes: Any, strip: Region, step: float, size: int) -> None:
    axes.set_xlim(*strip)
    marks = np.arange(np.ceil(strip[0] / step - 1e-9), np.floor(strip[1] / step + 1e-9) + 1) * step
    axes.set_xticks(marks, [format_time(t, step) for t in marks], size=size)


def _finish_axes(axes: Any, bottom: float, ticks: list, rules: list[float], size: int) -> None:
    axes.set_ylim(max(bottom, 1.0), 0)
    axes.set_yticks([t[0] for t in ticks], [t[1] for t in ticks], size=size, parse_math=False)
    for text, (_, _, colour) in zip(axes.get_yticklabels(), ticks, strict=True):
        text.set_color(colour)
    for y in rules:
        axes.axhline(y, color="#999999", linewidth=0.6, zorder=2)
    axes.tick_params(length=0, axis="y", pad=4)
    axes.tick_params(length=3, axis="x", color="#999999")
    axes.grid(axis="x", color=FAINT, linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")


def _label_sides(axes: Any, rows: list[Row], has_waveform: bool, small: bool) -> None:
    """Write REF and HYP at the right edge, beside their rows."""
    y = 1.6 if has_waveform else 0.0
    for side, text in (("reference", "REF"), ("hypothesis", "HYP")):
        count = sum(r.side == side for r in rows)
        if not count:
            continue
        axes.text(
            1.004, y + count / 2, text, transform=axes.get_yaxis_transform(), rotation=270,
            va="center", ha="left", size=6 if small else 8, color="#777777",
        )  # fmt: skip
        y += count + 0.3


def _shorten(label: str, limit: int = 24) -> str:
    return label if len(label) <= limit else label[: limit - 1] + "…"
