"""Score of annotations in any form: files, segments, turns, results."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from diarize.errors import DiarizeError
from diarize.io.formats import read_annotation
from diarize.io.uem import read_uem
from diarize.score.der import ScoreOptions, score_files
from diarize.score.times import Scores
from diarize.segments import Regions, Segment, Turn

Annotation = str | os.PathLike | Iterable[Any]


def score_annotations(
    ref: Annotation,
    hyp: Annotation,
    uem: str | os.PathLike | Mapping[str, Regions] | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> Scores:
    """Return the error times of ``hyp`` against ``ref``, as ``diarize-score`` computes them.

    ref, hyp: path of an annotation of any format, or segments, turns or results, or a list of
        these
    uem: path or (start, end) seconds of the scored regions by recording; false alarm counts in all
        its recordings; without it, the extent of each recording's reference
    collar: seconds on both sides of each reference boundary that are not scored
    skip_overlap: score only where at most one reference turn is active
    ``.der`` of the result is a fraction, ``.total`` has its parts in seconds, ``.recordings``
    those of each recording.  Raises DiarizeError for a reference without segments.
    """
    reference = _segments(ref)
    if not reference:
        where = f"{ref}: " if isinstance(ref, str | os.PathLike) else ""
        raise DiarizeError(f"{where}the reference has no segment, so nothing can be scored")
    regions = read_uem(uem) if isinstance(uem, str | os.PathLike) else uem
    return score_files(reference, _segments(hyp), regions, ScoreOptions(collar, skip_overlap))


def _segments(given: Annotation) -> list[Segment]:
    if isinstance(given, Segment | Turn):
        return [Segment(*given[:4])]
    if isinstance(given, str | os.PathLike):
        return read_annotation(given)
    items = given.values() if isinstance(given, Mapping) else given
    return [segment for item in items for segment in _segments(item)]
