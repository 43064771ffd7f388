"""Descriptions of configuration keys, from the docstrings of the fields of the dataclasses."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from diarize.config import to_dict


@dataclass(frozen=True)
class Key:
    """One key of a configuration: ``name`` with its sections, such as ``train.optimizer.lr``."""

    name: str
    type: str
    value: Any
    meaning: str


def field_docs(cls: type) -> dict[str, str]:
    """Return the docstrings of the fields of the dataclass ``cls``, inherited ones included.

    The docstring of a field is the string literal after it.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
                found[node.target.id] = " ".join(ast.literal_eval(after.value).split())
    return found


def keys(value: Any, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a dataclass and of its sections, with the values of ``value``."""
    hints, docs = typing.get_type_hints(type(value)), field_docs(type(value))
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from keys(inner, f"{prefix}{field.name}.")
        else:
            yield Key(prefix + field.name, type_name(hints[field.name]), to_dict(inner),
                      docs.get(field.name, ""))


def type_name(hint: Any) -> str:
    """Return a type as it is written in YAML.

    >>> type_name(float | None), type_name(list[str]), type_name(typing.Literal["a", 1])
    ('number or null', 'list of text', 'a, 1')
    """
    names = {float: "number", int: "integer", str: "text", bool: "true or false",
             type(None): "null", Any: "any"}
    if hint in names:
        return names[hint]
    args = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return ", ".join(map(str, args))
    if origin in (list, tuple):
        return f"list of {type_name(args[0])}"
    if origin is dict:
        return "mapping"
    return " or ".join(type_name(arg) for arg in args)


def commented_yaml(value: Any, width: int = 100) -> str:
    """Return a dataclass as YAML, each key below its description as a comment."""
    return "\n".join(_lines(value, 0, width)) + "\n"


def _lines(value: Any, depth: int, width: int) -> Iterator[str]:
    indent = "  " * depth
    docs = field_docs(type(value))
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        comment = f"{indent}# "
        yield from textwrap.wrap(
            docs.get(field.name, ""), width, initial_indent=comment, subsequent_indent=comment
        )
        if dataclasses.is_dataclass(inner):
            yield f"{indent}{field.name}:"
            yield from _lines(inner, depth + 1, width)
        else:
            text = yaml.safe_dump(
                to_dict(inner), default_flow_style=True, allow_unicode=True, width=10**6
            )
            yield f"{indent}{field.name}: {text.removesuffix('...' + chr(10)).strip()}"
