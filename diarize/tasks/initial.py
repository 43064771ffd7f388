"""Configuration of a training that begins with the weights of another model."""

from pathlib import Path
from typing import Any

from diarize.config import to_dict
from diarize.errors import DiarizeError
from diarize.features.ssl_conv import FROM_INIT_MODEL
from diarize.tasks.registry import Config, model_name, parse_config
from diarize.train.checkpoint import load_model

SECTIONS = ("model", "criterion")


def with_initial_model(
    mapping: dict[str, Any], where: str, path: str | Path | None
) -> tuple[Config, list[str]]:
    """Return the configuration, its model and criterion completed from the initial model.

    Keys of the sections ``model`` and ``criterion`` that ``mapping`` does not have are those of
    the configuration in the model file ``path``; without a ``path`` they have their defaults.
    The second value is a notice for each key that differs from its default for this reason.
    Raises DiarizeError for a model of another task.
    """
    own = load_model(path)[1].get("config") if path else None
    if not own:
        return parse_config(mapping, where), []
    parse_config(own, f"{path} (configuration)")
    task, given = own.get("task", "speaker"), mapping.get("task", "speaker")
    if task != given:
        parse_config(mapping, where)
        raise DiarizeError(
            f"{path} is a model of the task {task}, {where} is for {given}; use another "
            "initial model"
        )
    model = model_name(task, own)
    named = {**mapping, "model": _named(mapping.get("model"), model)}
    try:
        config, mapping = parse_config(named, where), named
    except DiarizeError:
        config = parse_config(mapping, where)  # of the default model, or with a fault of its own
    if config.options.model.name != model:
        raise DiarizeError(
            f"{path} is a model {model}, {where} is for {config.options.model.name}; give "
            "another initial model"
        )
    held = {section: own.get(section) or {} for section in SECTIONS}
    if not config.init_modules or "features" in config.init_modules:
        held["model"] = without_files(held["model"])
    merged = dict(mapping)
    for section in SECTIONS:
        merged[section] = _merge(held[section], mapping.get(section) or {})
    full = parse_config(merged, f"{where}, with model and criterion of {path}")
    taken = [
        f"{key}={value!r}"
        for section in SECTIONS
        for key, value in _changes(
            section, to_dict(getattr(config.options, section)),
            to_dict(getattr(full.options, section)),
        )
    ]
    return full, [f"from {path}: {', '.join(taken)}"] if taken else []


def _named(model: Any, name: str) -> Any:
    """Return the section ``model``, with ``name`` if it has none."""
    if model is None or isinstance(model, dict):
        return {"name": name, **(model or {})}
    return {"name": model} if isinstance(model, str) else model


def without_files(model: dict[str, Any]) -> dict[str, Any]:
    """Return the section ``model`` with the weights of its front-ends from the initial model.

    The files may be gone, and all weights come with the initial model.
    """
    out = dict(model)
    for key in ("ssl_conv", "ssl_full", "conv"):
        section = out.get(key)
        if isinstance(section, dict):
            inner = without_files(section)
            out[key] = {**inner, "weights": FROM_INIT_MODEL} if inner.get("weights") else inner
    return out


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``over``, section by section."""
    out = dict(base)
    for key, value in over.items():
        inner = out.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict)
        out[key] = _merge(inner, value) if both else value
    return out


def _changes(prefix: str, old: Any, new: Any) -> list[tuple[str, Any]]:
    """Return the dotted keys whose values differ, with the new values."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            pair for key in new for pair in _changes(f"{prefix}.{key}", old.get(key), new[key])
        ]
    return [] if old == new else [(prefix, new)]
