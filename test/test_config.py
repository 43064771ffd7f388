"""Configuration: what is read, and what is refused with which words."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from diarize.config import apply_overrides, dump_yaml, from_dict, read_yaml, write_yaml
from diarize.errors import DiarizeError


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    sizes: list[int] = field(default_factory=list)
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    name: str
    mode: Literal["a", "b"] = "a"
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)


def test_values_arrive_with_their_types():
    got = from_dict(Outer, {"name": "x", "limit": 3, "inner": {"rate": 2, "sizes": [1]}}, "f")
    assert got == Outer("x", "a", 3, Inner(2.0, [1]))
    assert isinstance(got.inner.rate, float)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"name": "x", "mod": "a"}, "f: unknown key 'mod'; did you mean 'mode'"),
        ({}, "f: the key 'name' is missing"),
        ({"name": 3}, "f: name: expected str, got 3"),
        ({"name": "x", "mode": "c"}, "f: mode: 'c' is none of 'a', 'b'"),
        ({"name": "x", "limit": "3"}, "f: limit: expected int, got '3'"),
        ({"name": "x", "limit": True}, "f: limit: expected int, got True"),
        ({"name": "x", "inner": {"sizes": [1, "a"]}}, r"f: inner: sizes\[1\]: expected int"),
        ({"name": "x", "inner": {"pair": [1]}}, "f: inner: pair: expected 2 values, got 1"),
        ({"name": "x", "inner": {"rate": float("nan")}}, "f: inner: rate: expected a finite"),
        ({"name": "x", "inner": 5}, "f: inner: expected a section with keys, got 5"),
    ],
)
def test_faults_name_their_place(mapping, message):
    with pytest.raises(DiarizeError, match=message):
        from_dict(Outer, mapping, "f")


def test_yaml_round_trip_and_exponents(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(dump_yaml(Outer("x", inner=Inner(1e-4))) + "extra: 1e-4\n")
    mapping = read_yaml(path)
    assert mapping.pop("extra") == 1e-4
    assert from_dict(Outer, mapping, "f").inner.rate == 1e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", r"c.yaml:2: the key 'a' occurs twice"),
        ("a: [1\n", r"c.yaml is no valid YAML"),
        ("? [a]\n: 1\n", r"c.yaml:1: a key must be a word, not a list"),
        ("- 1\n", r"c.yaml: expected 'key: value' lines, not a list"),
        ("a: !!python/object/apply:os.system ['true']\n", r"c.yaml is no valid YAML"),
        ("a: &x 1\nb: *x\n", r"c.yaml:2: alias \*x"),
        ("[" * 5000, r"c.yaml .*nested"),
        ("a: 2026-13-45\n", r"c.yaml is no valid YAML"),
    ],
)
def test_bad_yaml_is_refused(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(DiarizeError, match=message):
        read_yaml(path)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n"])
def test_an_empty_config_is_not_all_defaults(tmp_path, text):
    """A file of 0 bytes, which a full disk leaves, was read as all defaults."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(DiarizeError, match=r"c\.yaml has no content: .*\{\}"):
        read_yaml(path)
    path.write_text("{}\n")
    assert read_yaml(path) == {}


def test_a_written_config_that_is_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    write_yaml(path, Outer("x", inner=Inner(1e-4, [1, 2])), "for the test")
    whole = path.read_text()
    assert "# for the test\n" in whole
    assert from_dict(Outer, read_yaml(path), "f").inner.sizes == [1, 2]
    path.write_text(whole.rstrip("\n"))  # nothing is missing but the last newline
    assert read_yaml(path)["name"] == "x"
    for length in range(len(whole) - 1):
        path.write_text(whole[:length])
        with pytest.raises(DiarizeError, match=r"c\.yaml (has no content|is cut short)"):
            read_yaml(path)


def test_a_missing_config_is_named():
    with pytest.raises(DiarizeError, match=r"cannot read the config nowhere"):
        read_yaml("nowhere.yaml")


def test_overrides():
    config = {"a": {"b": 1}, "c": 2}
    assert apply_overrides(config, ["a.b=[1, 2]", "d.e=x"]) == {
        "a": {"b": [1, 2]}, "c": 2, "d": {"e": "x"},
    }
    assert config == {"a": {"b": 1}, "c": 2}
    with pytest.raises(DiarizeError, match="'c' is a value, not a section"):
        apply_overrides(config, ["c.d=1"])
    with pytest.raises(DiarizeError, match="--set requires"):
        apply_overrides(config, ["a.b"])
