"""Tasks by name, and their construction from a configuration or a saved model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diarize.config import from_dict, to_dict
from diarize.errors import DiarizeError
from diarize.models.size import check_model_size
from diarize.tasks.base import QueryTask
from diarize.tasks.language import LanguageOptions, LanguageTask
from diarize.tasks.speaker import EdaOptions, EdaTask, SpeakerOptions, SpeakerTask
from diarize.train.checkpoint import check_modules, check_state, load_model
from diarize.train.options import TrainOptions

# The models of each task by ``model.name``; the first is the default.
TASKS: dict[str, dict[str, tuple[type, type[QueryTask]]]] = {
    "speaker": {"eend_m2f": (SpeakerOptions, SpeakerTask), "eend_eda": (EdaOptions, EdaTask)},
    "language": {"sage_ld": (LanguageOptions, LanguageTask)},
}


@dataclass(frozen=True)
class Config:
    """Training configuration: the sections of the task, and those of the optimisation.

    ``init_modules`` lists the modules that are loaded from an initial model (e.g. only
    ``backbone``, as in EEND-M2F after pretraining); empty: all.
    """

    task: str
    options: Any
    train: TrainOptions = field(default_factory=TrainOptions)
    init_modules: list[str] = field(default_factory=list)


def parse_config(mapping: dict[str, Any], where: str) -> Config:
    """Return the configuration in ``mapping``, as read from YAML; ``where`` names its source.

    ``model: NAME`` is the model of that name with its defaults.
    """
    rest = dict(mapping)
    name = rest.pop("task", "speaker")
    if not isinstance(name, str) or name not in TASKS:
        raise DiarizeError(f"{where}: unknown task '{name}'; known: {', '.join(TASKS)}")
    if isinstance(rest.get("model"), str):
        rest["model"] = {"name": rest["model"]}
    model = model_name(name, rest)
    if model not in TASKS[name]:
        known = ", ".join(TASKS[name])
        raise DiarizeError(f"{where}: model: '{model}' is none of task {name}; known: {known}")
    common = {key: rest.pop(key) for key in ("train", "init_modules") if key in rest}
    shared = from_dict(Shared, common, where)
    options = from_dict(TASKS[name][model][0], rest, where)
    return Config(name, options, shared.train, shared.init_modules)


def model_name(task: str, mapping: dict[str, Any]) -> str:
    """Return ``model.name`` of a configuration of ``task``; without one the default."""
    model = mapping.get("model")
    named = model.get("name") if isinstance(model, dict) else model
    return next(iter(TASKS[task])) if named is None else str(named)


def config_mapping(config: Config) -> dict[str, Any]:
    """Return the mapping that `parse_config` reads back, with all defaults."""
    return {
        "task": config.task,
        **to_dict(config.options),
        "train": to_dict(config.train),
        "init_modules": list(config.init_modules),
    }


def build_task(config: Config, where: str = "configuration") -> QueryTask:
    """Return the task of ``config`` with a freshly initialised model.

    ``where`` names the source of ``config``.  Raises DiarizeError for incompatible or absurd
    sizes, and for ``init_modules`` that the model does not have.
    """
    check_model_size(config.options.model, where)
    try:
        make = TASKS[config.task][config.options.model.name][1]
        task = make(config.options, seed=config.train.seed)
    except ValueError as err:
        raise DiarizeError(f"the model cannot be built: {err}") from err
    check_modules(task.model, config.init_modules)
    return task


@dataclass(frozen=True)
class Shared:
    """Sections of the configuration that all tasks have."""

    train: TrainOptions = field(default_factory=TrainOptions)
    """Optimisation."""
    init_modules: list[str] = field(default_factory=list)
    """Modules that are loaded from an initial model; empty: all."""


def load_task(path: str | Path) -> QueryTask:
    """Return the task of a saved model with its weights, ready for inference.

    Raises DiarizeError if the file is not a model of this package or does not fit.
    """
    state, meta = load_model(path)
    if "config" not in meta:
        raise DiarizeError(f"{path} contains no configuration; train it with diarize-train")
    where = f"{path} (configuration)"
    task = build_task(parse_config(meta["config"], where), where)
    check_state(path, task.model.state_dict(), state)
    task.model.load_state_dict(state)
    task.domain = meta.get("domain")
    return task
