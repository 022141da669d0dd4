"""Train the decoder of the embedded network from the frozen encoder's maps, at a low rate: `adapt --deep`.

A path as of a head: each pass over the views may go further from the start, and held-back pictures say where to stop.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from figureground.training.adapt.bases import decoded, rounded
from figureground.training.adapt.head import Views, logits_loss

RATE = 1e-3
PASSES = 30
BATCH = 8
PARTS = ("lateral", "upsample", "fuse", "heads")  # of the network: its decoder


class DeepLearner:
    """A trainer of the decoder on views whose levels are the encoder's five maps: a path of networks."""

    def __init__(self, views: Views, network: Any, seed: int) -> None:
        self.views, self.network, self.seed = views, network, seed

    def regularization_path(self, rows: Tensor) -> Iterator[Any]:
        """Return the networks that these rows of the views teach, one for each pass over them."""
        network = copy.deepcopy(self.network)
        trained = [p for part in PARTS for p in getattr(network, part).parameters()]
        for parameter in trained:
            parameter.requires_grad_(True)
        optimizer = torch.optim.AdamW(trained, RATE)
        generator = torch.Generator().manual_seed(self.seed)
        for number in range(PASSES):
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1, (number + 1) / 3)
            for some in torch.split(rows[torch.randperm(len(rows), generator=generator)], BATCH):
                maps, _, truth = self.views.batch(some)
                optimizer.zero_grad(set_to_none=True)
                logits_loss(decoded(network, maps)[1], truth).mean().backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(trained, 5.0)
                optimizer.step()
            yield rounded(copy.deepcopy(network).requires_grad_(False))

    def logits(self, network: Any, rows: Tensor) -> Tensor:
        """Return the logits of a network of the path, (n, 1, S/2, S/2) float32."""
        with torch.no_grad():
            return torch.cat([decoded(network, self.views.batch(some)[0])[1] for some in torch.split(rows, BATCH)])
