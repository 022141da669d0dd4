"""Update the weights: AdamW, and Muon for the inner kernels and matrices that start from random weights.

Muon: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). Its step is the momentum made
orthogonal by the iteration of Newton and Schulz, so that every direction of a layer learns; scaled as in Liu et al., "Muon is
Scalable for LLM Training" (2025), so that both take the same rate. AdamW: Loshchilov and Hutter (ICLR 2019). A pre-trained
encoder is always updated by AdamW, at a lower rate that falls from its last block to its first, as in Clark et al.,
"ELECTRA" (ICLR 2020) and in timm's `layer_decay`.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from figureground.training.config import Recipe
from figureground.training.encoder import EfficientNetLite

RGB = 3  # channels: a kernel that reads no more reads the picture itself, or each channel alone


class Optimizer:
    """Muon and AdamW over one network, with the parts of torch's interface that the trainer needs."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        scales = lr_scales(model, recipe)
        self.parameters = list(model.parameters())
        pretrained = {id(p) for module in _pretrained(model) for p in module.parameters()}
        self.inner = [p for p in self.parameters if recipe.optimizer == "muon" and _is_inner(p) and id(p) not in pretrained]
        inner = {id(p) for p in self.inner}
        self.flat = [_rows(p, p.detach()) for p in self.inner]  # the same memory: an update of one is an update of the other
        groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
        for p in self.parameters:
            if id(p) not in inner:
                groups[scales.get(id(p), 1.0), recipe.weight_decay if p.ndim > 1 else 0.0].append(p)
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [{"params": params, "weight_decay": decay, "scale": scale} for (scale, decay), params in groups.items()],
                recipe.lr,
            )
        ]
        if self.flat:
            muon = torch.optim.Muon(self.flat, lr=recipe.lr, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")
            self.optimizers.append(muon)

    def step(self, lr: float) -> None:
        """Update every weight that has a gradient, at this learning rate times its own scale."""
        for flat, p in zip(self.flat, self.inner, strict=True):
            flat.grad = None if p.grad is None else _rows(p, p.grad)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("scale", 1.0)
            optimizer.step()

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for p in self.parameters:
            p.grad = None

    def steps(self) -> int:
        """Return how many steps were done."""
        return max((int(state["step"]) for state in self.optimizers[0].state.values()), default=0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def lr_scales(model: nn.Module, recipe: Recipe) -> dict[int, float]:
    """Return the scale of the learning rate by `id` of each parameter of a pre-trained encoder."""
    scales: dict[int, float] = {}
    for encoder in _pretrained(model):
        for behind, block in enumerate(reversed(encoder.blocks)):
            scales |= {id(p): recipe.encoder_lr * recipe.layer_decay**behind for p in block.parameters()}
    return scales


def _pretrained(model: nn.Module) -> list[EfficientNetLite]:
    return [module for module in model.modules() if isinstance(module, EfficientNetLite)]


def _is_inner(p: Tensor) -> bool:
    return p.ndim > 1 and p.shape[0] > 1 and p.shape[1] > RGB


def _rows(p: Tensor, values: Tensor) -> Tensor:
    """Return a kernel's values, (out, in, h, w), or a matrix's, as (out, numbers), in the order in which `p` lies in memory."""
    return (values if p.is_contiguous() else values.permute(0, 2, 3, 1)).flatten(1)
