"""Evaluated stretches of recordings: the parts that their annotation covers."""

from collections.abc import Iterable, Mapping, Sequence

from diarize.errors import DiarizeError
from diarize.timebase import FrameGrid

# (first sample, last sample + 1) of each stretch, sorted and separate.
Stretches = list[tuple[int, int]]


def to_stretches(regions: Iterable[tuple[float, float]], total: int, rate: int) -> Stretches:
    """Return (start, end) seconds as samples within [0, total); adjacent stretches are joined.

    >>> to_stretches([(0.0, 1.0), (1.0, 2.0), (2.5, 9.0), (9.5, 10.0)], 400, 100)
    [(0, 200), (250, 400)]
    """
    grid = FrameGrid(rate, 1)
    out: Stretches = []
    for first, last in regions:
        start, stop = grid.to_samples(first), min(grid.to_samples(last), total)
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], stop)
        elif start < stop:
            out.append((start, stop))
    return out


def clip_stretches(stretches: Stretches, start: int, stop: int) -> Stretches:
    """Return the parts within samples [start, stop), counted from ``start``.

    >>> clip_stretches([(0, 10), (20, 30)], 5, 25)
    [(0, 5), (15, 20)]
    """
    inside = ((max(a, start) - start, min(b, stop) - start) for a, b in stretches)
    return [(a, b) for a, b in inside if a < b]


def stretches_of(
    uem: Mapping[str, Sequence[tuple[float, float]]], lengths: Mapping[str, int], rate: int,
    where: str,
) -> dict[str, Stretches]:
    """Return the evaluated stretches of each recording of ``lengths`` (samples at ``rate`` Hz).

    Regions are cut at the end of the recording.  Raises DiarizeError, beginning with ``where``,
    for recordings without an evaluated sample.
    """
    out = {name: to_stretches(uem.get(name, ()), n, rate) for name, n in lengths.items()}
    empty = [name for name, found in out.items() if not found]
    if empty:
        name = empty[0]
        fault = "no line" if name not in uem else (
            f"no region within the {lengths[name] / rate:.2f} s"
        )
        more = f" and {len(empty) - 1} more" if empty[1:] else ""
        raise DiarizeError(
            f"{where}: {fault} of recording {name}{more}, so nothing of it is annotated: add its "
            "regions, or take it out of the directory (utils/subset_data_dir.sh)"
        )
    return out


def crop_bounds(stretch: tuple[int, int], total: int, wanted: int) -> tuple[int, int]:
    """Return the first and the last start of a crop of ``wanted`` of ``total`` samples.

    The crop is within the stretch.  If the stretch is shorter than the crop, it is within the
    crop, which is within the recording.

    >>> crop_bounds((40, 60), 100, 10), crop_bounds((40, 60), 100, 30)
    ((40, 50), (30, 40))
    >>> crop_bounds((90, 95), 100, 30), crop_bounds((40, 60), 100, 200)
    ((65, 70), (0, 0))
    """
    start, stop = stretch
    if stop - start >= wanted:
        return start, stop - wanted
    return max(0, stop - wanted), max(0, min(start, total - wanted))
