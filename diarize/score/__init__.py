"""Scoring.  The package can be called: `score_annotations` as ``diarize.score(ref, hyp).der``."""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """``from diarize import score`` is this package, since modules and functions share names."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from diarize.score.annotations import score_annotations

        return score_annotations(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
