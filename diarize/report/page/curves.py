"""Training curves as SVG inside of a page."""

import math
from html import escape

from diarize.report.colours import SPEAKER_COLOURS
from diarize.report.plots.curves import PANELS, Series, by_prominence, is_log_scale

_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 26, 8, 26
_MOST_POINTS = 1500
_ERRORS = {"miss": "error-missed", "fa": "error-false-alarm", "conf": "error-confusion"}


def curve_figures(panels: list[Series]) -> str:
    """Return a figure for each panel of `read_log` that has values."""
    shown = [_figure(name, series) for name, series in zip(PANELS, panels, strict=True) if series]
    return "\n".join(shown)


def _figure(title: str, series: Series) -> str:
    """Return a chart and its legend, which contains the last values."""
    names = by_prominence(series)
    points = {name: _thinned(series[name]) for name in names}
    across, up, parts = _axes(title, points, is_log_scale(title, series))
    for i, name in enumerate(names):
        paint = f"var(--{_colour(name, i)})"
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points[name])
        parts.append(f'<polyline style="stroke:{paint}" points="{line}"/>')
        if len(points[name]) == 1:
            x, y = points[name][0]
            place = f'cx="{across(x):.1f}" cy="{up(y):.1f}"'
            parts.append(f'<circle {place} r="3" style="fill:{paint}"/>')
    last = {name: f"{series[name][-1][1]:.4g}" for name in names}
    legend = "".join(
        f'<li><span class="swatch" style="background:var(--{_colour(name, i)})"></span>'
        f"{escape(name)} {value}</li>"
        for i, (name, value) in enumerate(last.items())
    )
    text = "; ".join(f"{name} {value}" for name, value in last.items())
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)} by step; last values: {escape(text)}">'
        + "".join(parts)
        + f'</svg><ul class="legend">{legend}</ul></figure>'
    )


def _colour(name: str, index: int) -> str:
    """Return the CSS variable of a series: an error has the colour that it has in timelines."""
    return _ERRORS.get(name) or f"speaker-{index % len(SPEAKER_COLOURS)}"


def _axes(title: str, points: Series, is_log: bool) -> tuple["_Scale", "_Scale", list[str]]:
    """Return the scales of steps and values, and the SVG of ticks and grid."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    values = [value for own in points.values() for _, value in own]
    steps = [step for own in points.values() for step, _ in own]
    low, high = min(values), max(values)
    if is_log:
        ticks = LogLocator(subs=(1, 2, 5)).tick_values(low, high if high > low else 2 * low)
    else:
        low = min(0.0, low) if "%" in title else low
        ticks = MaxNLocator(5).tick_values(low, high if high > low else low + 1)
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    across = _Scale(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(low, high, _HEIGHT - _BOTTOM, _TOP, is_log)
    parts = []
    for tick in ticks:
        if low <= tick <= high:
            y = up(tick)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
            )
    for tick in MaxNLocator(6, integer=True).tick_values(min(steps), max(steps)):
        if min(steps) <= tick <= max(steps):
            place = f'x="{across(tick):.1f}" y="{_HEIGHT - 8}"'
            parts.append(f'<text {place} text-anchor="middle">{tick:g}</text>')
    return across, up, parts


class _Scale:
    """Linear or logarithmic map of [low, high] to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float, is_log=False) -> None:
        self._map = math.log10 if is_log else float
        self._low = self._map(low)
        self._span = self._map(high) - self._low or 1.0
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        return self._start + self._length * (self._map(value) - self._low) / self._span


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most about `_MOST_POINTS` points, the last one included."""
    step = -(-len(points) // _MOST_POINTS)
    return points[::-step][::-1]
