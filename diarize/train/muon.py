"""Muon optimiser (Jordan et al., 2024), batched over matrices of equal shape."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# The quintic of Jordan et al.: steep at zero, and near 1 where singular values are not small.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
_EPS = 1e-7


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return ``matrices`` (n, rows, columns) with singular values of about 1.

    Five Newton-Schulz iterations yield values between 0.5 and 1.5: in bfloat16 on a GPU, and in
    float32 on a CPU, where bfloat16 would take over ten times as long.
    """
    x = matrices.float() if matrices.device.type == "cpu" else matrices.bfloat16()
    if x.shape[1] > x.shape[2]:
        return orthogonalize(x.mT).mT
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=_EPS)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum at the step size of AdamW.

    Equal to ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"`` (Liu et al., 2025,
    arXiv 2502.16982) up to rounding.  The latter processes the matrices one by one, and in bfloat16
    on a CPU as well; here all of one shape are one product.

    A step changes nothing if ``found_inf`` (a tensor of one number) is set to 1, as with torch's
    fused optimisers; the host does not wait for it.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Run one step; parameters without a gradient are unchanged."""
        keep = None if self.found_inf is None else self.found_inf == 0
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():
                updates = self._momentum(params, group["momentum"], keep)
                steps = orthogonalize(torch.stack(updates)).to(params[0].dtype)
                decay, scale = group["lr"] * group["weight_decay"], 0.2 * math.sqrt(max(shape))
                if keep is not None:
                    steps, decay = steps * keep, decay * keep
                torch._foreach_mul_(params, 1 - decay)
                torch._foreach_add_(params, list(steps), alpha=-scale * group["lr"])

    def _momentum(
        self, params: list[nn.Parameter], momentum: float, keep: Tensor | None
    ) -> list[Tensor]:
        """Return the gradients, moved towards their running means, which are updated."""
        means = []
        for p in params:
            state = self.state[p]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(p.grad)
            means.append(state["momentum_buffer"])
        gradients = [p.grad for p in params]
        if keep is not None:
            # A mean that is averaged with itself does not change.
            gradients = [torch.where(keep, *pair) for pair in zip(gradients, means, strict=True)]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, means, momentum))
