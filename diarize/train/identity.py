"""Identity of a training: the settings, data and initial weights that a resumed run must share."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from diarize.errors import DiarizeError
from diarize.kaldi.contents import compare_contents

# Earlier checkpoints contain these paths among the settings, and no digests of the contents.
_PATHS = ("train_data", "init_model")


def describe_run(
    train: Sequence[Mapping[str, str]],
    valid: Mapping[str, str],
    init_model: str | None = None,
    weights: str = "",
    left_out: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """Return the data of a training as plain values, for `check_data`.

    ``train`` and ``valid`` are results of `diarize.kaldi.contents.describe_data`,
    ``init_model`` is the file of the initial weights and ``weights`` their `digest_weights`.
    ``left_out`` are the names of the unusable recordings of each training set.
    """
    return {
        # Earlier trainings do not have the key.
        **({"left_out": ["\n".join(names) for names in left_out]} if any(left_out) else {}),
        "train": [dict(contents) for contents in train],
        "valid": dict(valid),
        "init_model": {"path": str(init_model), "weights": weights},
    }


def digest_weights(state: Mapping[str, torch.Tensor]) -> str:
    """Return a digest of names and values, independent of file, device and memory layout."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        values = state[name].detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {values.dtype} {tuple(state[name].shape)}\n".encode())
        digest.update(values.view(torch.uint8).numpy())
    return digest.hexdigest()


def check_settings(path: str | os.PathLike, old: Mapping, new: Mapping) -> None:
    """Raise DiarizeError, with the differences, unless the settings of ``path`` are ``new``."""
    gone = object()
    changed = [
        f"{key}: {'unset' if old.get(key, gone) is gone else repr(old[key])}"
        f" -> {'unset' if new.get(key, gone) is gone else repr(new[key])}"
        for key in sorted({*old, *new})
        if old.get(key, gone) != new.get(key, gone) and (key not in _PATHS or key in new)
    ]
    if changed:
        raise DiarizeError(
            f"{path} was made with other settings ({'; '.join(changed[:8])}): use these "
            "settings or another directory, or remove this one to start anew"
        )


def check_data(
    path: str | os.PathLike, settings: Mapping, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Raise DiarizeError, with the differences, unless the data of ``path`` are ``new``.

    ``old`` is empty for a checkpoint of an earlier version; only the paths of the training data
    and of the initial model are then known, from its ``settings``.
    """
    if not new:
        return
    if not old:
        found = _compare_paths(settings, new)
    else:
        found = _compare_sets(old["train"], new["train"])
        found += _compare_left_out(old, new)
        found += _prefixed(f"validation set {new['valid']['path']}", old["valid"], new["valid"])
        before, now = old["init_model"], new["init_model"]
        if before["weights"] != now["weights"]:
            found.append(f"initial model {now['path']}: other weights than those of the "
                         f"beginning, from {before['path']}")
    if found:
        raise DiarizeError(
            f"{path} was made with other data ({'; '.join(found)}): restore the data, or train "
            f"on the new data in another directory, from these weights with --init-model {path}"
        )


def _compare_sets(old: Sequence[Mapping], new: Sequence[Mapping]) -> list[str]:
    if len(old) != len(new):
        names = [", ".join(contents["path"] for contents in sets) for sets in (old, new)]
        return [f"{len(old)} training sets, now {len(new)}: {names[0]} -> {names[1]}"]
    pairs = zip(old, new, strict=True)
    return [text for a, b in pairs for text in _prefixed(f"training set {b['path']}", a, b)]


def _compare_left_out(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, now = (" ".join(x.get("left_out", ())).split() for x in (old, new))
    if before == now:
        return []
    shown = [f"{len(names)} ({', '.join(names[:3])}{', ...' if names[3:] else ''})"
             for names in (before, now)]
    return [f"recordings left out by --skip-bad: {shown[0]}, now {shown[1]}"]


def _prefixed(head: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [f"{head}: {text}" for text in compare_contents(old, new)]


def _compare_paths(settings: Mapping, new: Mapping[str, Any]) -> list[str]:
    """Return the differences of paths; earlier versions recorded no contents."""
    now = [contents["path"] for contents in new["train"]], new["init_model"]["path"]
    return [
        f"{key}: {settings[key]!r} -> {paths!r}"
        for key, paths in zip(_PATHS, now, strict=True)
        if key in settings and settings[key] != paths
    ]
