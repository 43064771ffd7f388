"""Descriptions of configuration keys."""

import dataclasses

import pytest
import yaml

from diarize.bin.train import main as train_main
from diarize.config import from_dict, read_yaml
from diarize.config_help import commented_yaml, field_docs, keys
from diarize.infer.config import InferenceConfig
from diarize.tasks.registry import TASKS, parse_config
from diarize.train.options import TrainOptions

SECTIONS = [*(options for models in TASKS.values() for options, _ in models.values()),
            TrainOptions, InferenceConfig]


def sections_of(value):
    yield type(value)
    for field in dataclasses.fields(value):
        if dataclasses.is_dataclass(inner := getattr(value, field.name)):
            yield from sections_of(inner)


@pytest.mark.parametrize("cls", SECTIONS)
def test_every_key_is_described(cls):
    missing = {
        f"{section.__name__}.{field.name}"
        for section in sections_of(cls())
        for field in dataclasses.fields(section)
        if not field_docs(section).get(field.name)
    }
    assert missing == set()


@pytest.mark.parametrize("cls", SECTIONS)
def test_commented_yaml_is_read_back_as_the_same_configuration(cls):
    text = commented_yaml(cls())
    assert from_dict(cls, yaml.safe_load(text), "text") == cls()
    assert text.count("#") >= len(list(keys(cls())))


def test_keys_have_their_sections_and_types():
    found = {key.name: key for key in keys(TrainOptions())}
    assert found["optimizer.lr"].value == 1e-4
    assert found["max_seconds"].type == "number or null"
    assert found["accumulation"].type == "integer or auto"
    assert "resumed" in found["max_seconds"].meaning


def test_inherited_fields_are_described():
    data = TASKS["speaker"]["eend_m2f"][0]().data
    assert {"crop_seconds", "store"} <= field_docs(type(data)).keys()


@pytest.mark.parametrize("task", ["speaker", "language"])
def test_the_printed_configuration_is_the_whole_and_is_read_back(task, tmp_path, capsys):
    small, whole = tmp_path / "small.yaml", tmp_path / "whole.yaml"
    small.write_text(f"task: {task}\ntrain: {{steps: 7}}\n")
    assert train_main(["--config", str(small), "--print-config"]) == 0
    whole.write_text(capsys.readouterr().out)
    assert "# Number of optimiser steps." in whole.read_text()
    first, second = (parse_config(read_yaml(path), "test") for path in (small, whole))
    assert first == second
    assert second.train.steps == 7
