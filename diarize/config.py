"""Conversion between YAML and dataclasses; errors locate unknown keys and wrong types."""

import dataclasses
import difflib
import re
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.numbers import is_finite

T = TypeVar("T")


MAX_INTEGER = 2**63 - 1
"""Largest integer of a configuration, in absolute value."""
MAX_NUMBER = 1e12
"""Largest other number, in absolute value: products with rates and counts are exact or finite."""

# First line of a file that `write_yaml` makes, and its last, which ends a YAML document.
_HEAD = "# diarize: complete if the last line is '...'\n"
_END = "..."
# Errors of PyYAML for bad text; those of Python are for a tag that does not suit its value.
_FAULTS = (
    yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError,
    RecursionError,
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e-4`` as a number and refuses repeated keys and aliases.

    A few lines of nested aliases may expand to billions of values.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node; DiarizeError, with file and line, for an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise DiarizeError(
                f"{self.name}:{event.start_mark.line + 1}: alias *{event.anchor}: aliases are not "
                "accepted; write the values"
            )
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    # YAML 1.1 requires a dot and a sign in an exponent; 1e-4 is common.
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise DiarizeError(f"{loader.name}:{line}: a key must be a word, not a list or mapping")
        if key in seen:
            raise DiarizeError(f"{loader.name}:{line}: the key '{key}' occurs twice")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _construct_int(loader: _Loader, node: yaml.Node) -> int:
    value = yaml.SafeLoader.construct_yaml_int(loader, node)
    if abs(value) > MAX_INTEGER:  # a larger one may be too long to print
        raise ValueError(f"an integer beyond {MAX_INTEGER}")
    return value


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping in the YAML file ``path``.

    Raises DiarizeError for a file without content, such as a full disk leaves (``{}``
    is an empty mapping), and for a file of `write_yaml` without its last line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as err:
        raise DiarizeError(f"cannot read the config {path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise DiarizeError(f"{path} is no valid YAML: {err}") from err
    if text.startswith(_HEAD) and not text.rstrip("\r\n").endswith("\n" + _END):
        raise DiarizeError(
            f"{path} is cut short: its last line, '{_END}', is missing; restore the file, or run "
            "the command again that writes it"
        )
    value = parse_yaml(text, path)
    if value is None:
        raise DiarizeError(
            f"{path} has no content: restore the file, or write {{}} into it for all defaults"
        )
    if not isinstance(value, dict):
        raise DiarizeError(f"{path}: expected 'key: value' lines, not a {type(value).__name__}")
    return value


def parse_yaml(text: str, where: str | Path) -> Any:
    """Return the value of YAML text, of plain types only; ``where`` begins every error.

    Raises DiarizeError for bad syntax, a tag that does not suit its value (``!!int x``), a tag of
    a Python object, an alias, a repeated key, and nesting beyond Python's limit.
    """
    loader = None
    try:
        loader = _Loader(text)  # which checks the characters
        loader.name = str(where)
        return loader.get_single_data()
    except _FAULTS as err:
        deep = isinstance(err, RecursionError)
        reason = "nested too deeply" if deep else " ".join(str(err).split())[:500]
        raise DiarizeError(f"{where} is no valid YAML: {reason}") from err
    finally:
        if loader is not None:
            loader.dispose()


def write_yaml(path: str | Path, value: Any, comment: str = "") -> None:
    """Write a dataclass or mapping, or its YAML text, atomically, so that a cut is noticed.

    ``comment`` is a line at the beginning.
    """
    text = value if isinstance(value, str) else dump_yaml(value)
    with atomic_write(path) as handle:
        handle.write(_HEAD + (f"# {comment}\n" if comment else "") + f"{text}{_END}\n")


def dump_yaml(value: Any) -> str:
    """Return a dataclass or mapping as YAML text, in the order of its fields."""
    return yaml.safe_dump(to_dict(value), sort_keys=False, allow_unicode=True)


def to_dict(value: Any) -> Any:
    """Return ``value`` with dataclasses as dicts and tuples as lists, all plain YAML types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: to_dict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_dict(v) for v in value]
    return value


def apply_overrides(config: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return ``config`` with each ``a.b=value`` (value in YAML) set; the last one wins.

    >>> apply_overrides({"train": {"steps": 10}}, ["train.steps=20"])
    {'train': {'steps': 20}}
    """
    config = {k: dict(v) if isinstance(v, dict) else v for k, v in config.items()}
    for item in overrides:
        dotted, sep, text = item.partition("=")
        if not sep or not dotted:
            raise DiarizeError(f"--set requires section.key=value, not '{item}'")
        *parents, key = dotted.split(".")
        place = config
        for parent in parents:
            child = place.get(parent)
            if child is None:
                child = {}
            if not isinstance(child, dict):
                raise DiarizeError(f"--set {item}: '{parent}' is a value, not a section")
            place[parent] = child = dict(child)
            place = child
        place[key] = parse_yaml(text, f"--set {item[:80]}")
    return config


def from_dict(cls: type[T], mapping: dict[str, Any] | None, where: str) -> T:
    """Return the dataclass ``cls`` filled from ``mapping``; ``where`` begins every error.

    Fields may be dataclasses, lists, tuples, dicts, optional or plain values.  Raises
    DiarizeError for an unknown key (with the nearest known one), a missing key, a value of
    another type (an int is accepted as a float), or a float that is NaN or infinite.
    """
    mapping = {} if mapping is None else mapping
    if not isinstance(mapping, dict):
        raise DiarizeError(f"{where}: expected a section with keys, got {mapping!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in mapping:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(fields)}"
            raise DiarizeError(f"{where}: unknown key '{key}'; {hint}")
    values = {k: _convert(v, hints[k], f"{where}: {k}") for k, v in mapping.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING
        if required and field.default_factory is dataclasses.MISSING and name not in values:
            raise DiarizeError(f"{where}: the key '{name}' is missing")
    try:
        return cls(**values)
    except DiarizeError as err:
        raise DiarizeError(f"{where}: {err}") from err


def _convert(value: Any, kind: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    args = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, args, where)
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value, where)
    if origin in (list, tuple):
        return _convert_sequence(value, origin, args, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise DiarizeError(f"{where}: expected 'key: value' lines, got {value!r}")
        return {k: _convert(v, args[1], f"{where}.{k}") for k, v in value.items()}
    if origin is typing.Literal:
        if value not in args:
            raise DiarizeError(f"{where}: {value!r} is none of {', '.join(map(repr, args))}")
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not is_finite(value):
            raise DiarizeError(f"{where}: expected a finite number, got {value!r}")
        if abs(value) > MAX_NUMBER:
            raise DiarizeError(f"{where}: {value!r} is out of range: at most {MAX_NUMBER:.0e}")
        return float(value)
    elif kind is not Any and (
        not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    ):
        raise DiarizeError(f"{where}: expected {kind.__name__}, got {value!r}")
    elif kind is int and abs(value) > MAX_INTEGER:
        raise DiarizeError(f"{where}: an integer beyond {MAX_INTEGER}")
    return value


def _convert_union(value: Any, args: tuple, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    options = [a for a in args if a is not type(None)]
    for option in options[:-1]:
        try:
            return _convert(value, option, where)
        except DiarizeError:
            continue
    return _convert(value, options[-1], where)


def _convert_sequence(value: Any, origin: type, args: tuple, where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise DiarizeError(f"{where}: expected a list, got {value!r}")
    kinds = [args[0]] * len(value)
    if origin is tuple and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise DiarizeError(f"{where}: expected {len(args)} values, got {len(value)}")
        kinds = list(args)
    pairs = zip(value, kinds, strict=True)
    return origin(_convert(v, k, f"{where}[{i}]") for i, (v, k) in enumerate(pairs))
