"""Average of the weights of several checkpoints (EEND-M2F, Section 4.2: the ten best)."""

from collections.abc import Sequence
from pathlib import Path

import torch

from diarize.errors import DiarizeError
from diarize.train.checkpoint import check_state, load_model, save_model


def best_checkpoints(directory: Path, count: int) -> list[Path]:
    """Return the files of the ``count`` lowest validation DERs in ``directory``, best first.

    Of equal DERs the later step is first.  If there are fewer checkpoints, all are returned;
    raises DiarizeError if there is none.
    """
    ranked = []
    for path in sorted(directory.glob("valid_step*.pth")):
        _, meta = load_model(path)
        try:
            ranked.append((float(meta["der"]), -int(meta["step"]), path))
        except (KeyError, TypeError, ValueError):
            raise DiarizeError(f"{path} does not contain its validation DER and step") from None
    if not ranked:
        raise DiarizeError(f"{directory}: no checkpoints (valid_step*.pth); train first")
    return [path for *_, path in sorted(ranked)[:count]]


def average(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Return the mean weights of ``paths``, added in float64 and cast back.

    Tensors that are not floating point (counters) are copied from the first, best file.
    """
    first, _ = load_model(paths[0])
    sums = {k: v.double() for k, v in first.items() if v.is_floating_point()}
    for path in paths[1:]:
        state, _ = load_model(path)
        check_state(path, first, state)
        for key in sums:
            sums[key] += state[key].double()
    return {
        key: (sums[key] / len(paths)).to(value.dtype) if key in sums else value
        for key, value in first.items()
    }


def average_best(directory: Path, count: int, out: Path) -> list[dict[str, float]]:
    """Write the mean of the best checkpoints to ``out``; return their steps and DERs.

    ``meta`` is that of the best checkpoint, with ``averaged`` added.
    """
    paths = best_checkpoints(directory, count)
    metas = [load_model(path)[1] for path in paths]
    used = [{"step": meta["step"], "der": meta["der"]} for meta in metas]
    meta = {k: v for k, v in metas[0].items() if k not in ("step", "der", "valid")}
    save_model(out, average(paths), {**meta, "averaged": used})
    return used
