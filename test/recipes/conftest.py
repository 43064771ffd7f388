"""The layouts of corpora, laid out once for all tests that only read them."""

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the package of layouts


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory) -> Callable[..., tuple[Path, dict[str, str]]]:
    """A function: corpus -> its root and the variables of db.sh; ``fresh`` in another place."""
    made: dict[str, Path] = {}

    def lay_out(corpus: str, fresh: Path | None = None) -> tuple[Path, dict[str, str]]:
        module = importlib.import_module(f"layouts.{corpus}")
        if corpus not in made:
            made[corpus] = tmp_path_factory.mktemp(corpus) / "corpus"
            module.variables = module.make(made[corpus])
        root = made[corpus]
        if fresh is not None:
            shutil.copytree(root, fresh)
        moved = {key: value.replace(str(root), str(fresh or root), 1)
                 for key, value in module.variables.items()}
        return fresh or root, moved

    return lay_out
