"""What moves the weights: Muon for the matrices inside the network, AdamW for its first and last layers, biases and norms.

Muon: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), whose step is the momentum made
orthogonal by Newton and Schulz's iteration, so that every direction of a layer learns; scaled as in Liu et al., "Muon is
Scalable for LLM Training" (2025), so that both take the same rate. AdamW: Loshchilov and Hutter (ICLR 2019).
"""

from typing import Any

import torch
from torch import Tensor, nn

PICTURE = 3  # channels: what reads no more reads the picture itself, or each channel alone


class Optimiser:
    """Muon and AdamW over one network, with the parts of torch's interface that the loop needs."""

    def __init__(self, model: nn.Module, rate: float, decay: float) -> None:
        self.parameters = list(model.parameters())
        self.inner = [p for p in self.parameters if p.ndim > 1 and p.shape[0] > 1 and p.shape[1] > PICTURE]
        inner = {id(p) for p in self.inner}
        outer = [p for p in self.parameters if id(p) not in inner]
        self.flat = [_rows(p, p.detach()) for p in self.inner]  # the same memory: what moves here moves there
        self.muon = torch.optim.Muon(self.flat, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        groups = [
            {"params": [p for p in outer if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in outer if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, rate)

    def step(self, rate: float) -> None:
        """Move every weight by its gradient, at this rate."""
        for flat, p in zip(self.flat, self.inner, strict=True):
            flat.grad = None if p.grad is None else _rows(p, p.grad)
        for each in (self.muon, self.adamw):
            for group in each.param_groups:
                group["lr"] = rate
            each.step()  # type: ignore[no-untyped-call]

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def steps(self) -> int:
        """How many were done."""
        return max((int(state["step"]) for state in self.adamw.state.values()), default=0)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def _rows(p: Tensor, values: Tensor) -> Tensor:
    """A kernel's values, (out, in, h, w), or a matrix's, as (out, numbers), in the order in which `p` lies in memory."""
    return (values if p.is_contiguous() else values.permute(0, 2, 3, 1)).flatten(1)
