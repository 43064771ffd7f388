"""JSON in files: any fault is a DiarizeError that names file and line."""

import json
import os
from typing import Any

from diarize.errors import DiarizeError


def parse_json(text: str | bytes, path: str | os.PathLike, line: int | None = None) -> Any:
    """Return the value of the JSON ``text`` of the file ``path``, or of one ``line`` of it.

    Raises DiarizeError, naming file and line, for bad syntax, text that is not UTF-8, nesting
    beyond Python's limit, and integers of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        fault, at = "nested too deeply", 1
    except ValueError as err:
        fault, at = getattr(err, "msg", str(err)), getattr(err, "lineno", 1)
    raise DiarizeError(f"{path}:{line or at}: not JSON: {fault}; write the file again")
