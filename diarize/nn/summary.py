"""Shapes and parameter counts of a model, module by module."""

from typing import Any

from torch import Tensor, nn


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters of ``model``."""
    return sum(p.numel() for p in model.parameters())


def summarize_model(model: nn.Module, *inputs: Any, depth: int = 2) -> str:
    """Return one line per module down to ``depth``: name, type, output shape, parameters.

    The shapes are those of one forward pass of ``model(*inputs)``.
    """
    shapes: dict[str, str] = {}
    hooks = []
    chosen = [(n, m) for n, m in model.named_modules() if n and n.count(".") < depth]
    for name, module in chosen:

        def note(_module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
            shapes[name] = _shape(output)

        hooks.append(module.register_forward_hook(note))
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    rows = [("module", "type", "output", "parameters")]
    rows += [
        (name, type(module).__name__, shapes.get(name, "-"), f"{count_parameters(module):,}")
        for name, module in chosen
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}".rstrip()
        for a, b, c, d in rows
    )


def _shape(output: Any) -> str:
    if isinstance(output, Tensor):
        return "x".join(map(str, output.shape)) or "scalar"
    if isinstance(output, tuple | list):
        return ", ".join(_shape(o) for o in output if isinstance(o, Tensor))
    return type(output).__name__
