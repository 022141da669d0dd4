"""What training makes small: BCE and soft IoU on every output of the network, edges weighted."""

import torch
import torch.nn.functional as F
from torch import Tensor


def total_loss(logits: list[Tensor], masks: Tensor) -> Tensor:
    """BCE + soft IoU on every output, edges weighted; logits (N, 1, s, s), finest first, masks (N, 2, S, S): truth and weight.

    The edge weight 1 + 2 |mean of the truth around − truth| and the weighted IoU: after Wei et al., "F³Net" (AAAI 2020);
    theirs is 5, and a lower one leaves the inside of large subjects more say.
    """
    total = torch.zeros((), device=masks.device)
    for level, part in enumerate(logits):
        wanted = masks if part.shape[-1] == masks.shape[-1] else F.adaptive_avg_pool2d(masks, part.shape[-1])
        truth, weight = wanted[:, :1], wanted[:, 1:]  # each (N, 1, s, s)
        bce = (F.binary_cross_entropy_with_logits(part, truth, reduction="none") * weight).sum((1, 2, 3)) / weight.sum(
            (1, 2, 3)
        )
        said = torch.sigmoid(part)
        both = (said * truth * weight).sum((1, 2, 3))
        either = ((said + truth) * weight).sum((1, 2, 3)) - both
        iou = 1 - (both + 1) / (either + 1)
        total = total + (bce + iou).mean() * (1.0 if level == 0 else 0.4)
    return total
