"""A small wav2vec 2.0 model and its weights under other toolkits' names."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def names() -> ModuleType:
    """The module ssl_names.py."""
    path = Path(__file__).with_name("ssl_names.py")
    spec = importlib.util.spec_from_file_location("features_ssl_names", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
