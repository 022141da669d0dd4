"""The loss: BCE and soft IoU on every output, with weighted edges, and a boundary term on the finest output."""

import torch
import torch.nn.functional as F
from torch import Tensor

COARSE = 0.4  # weight of each coarser output's loss


def total_loss(logits: list[Tensor], masks: Tensor, boundary: float = 0.0) -> Tensor:
    """Return the loss of a batch, a scalar.

    Parameters
    ----------
    logits
        (N, 1, s, s) each, the finest first.
    masks
        (N, 2, S, S): truth in [0, 1], and the weight of each pixel.
    boundary
        Weight of `boundary_loss` on the finest output.

    References
    ----------
    The weight 1 + 2 |mean of the truth around − truth| and the weighted IoU are after Wei et al., "F³Net" (AAAI 2020); theirs
    is 5, and a lower one leaves the inside of large subjects more say.
    """
    total = torch.zeros((), device=masks.device)
    for level, output in enumerate(logits):
        target = masks if output.shape[-1] == masks.shape[-1] else F.adaptive_avg_pool2d(masks, output.shape[-1])
        truth, weight = target[:, :1], target[:, 1:]  # each (N, 1, s, s)
        bce = F.binary_cross_entropy_with_logits(output, truth, reduction="none")
        bce = (bce * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
        probability = torch.sigmoid(output)
        intersection = (probability * truth * weight).sum((1, 2, 3))
        union = ((probability + truth) * weight).sum((1, 2, 3)) - intersection
        iou = 1 - (intersection + 1) / (union + 1)
        total = total + (bce + iou).mean() * (1.0 if level == 0 else COARSE)
        if level == 0 and boundary:
            total = total + boundary * boundary_loss(probability, truth)
    return total


def boundary_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """Return how far the differences between neighboring pixels are from those of the truth, relative to these; a scalar.

    (N, 1, S, S) each, in [0, 1]. 0 where both have the same edges, 1 where the prediction has none.
    """
    error, length = torch.zeros(len(truth), device=truth.device), torch.zeros(len(truth), device=truth.device)
    for axis in (2, 3):
        wanted = truth.diff(dim=axis)
        error = error + (probability.diff(dim=axis) - wanted).abs().sum((1, 2, 3))
        length = length + wanted.abs().sum((1, 2, 3))
    return (error / (length + truth.shape[-1])).mean()
