"""Shift a trained network's logits so that 0.5 means 0.5 on held-back pictures.

The level is found by Platt's fit of a logistic curve to the network's logits ("Probabilistic outputs for support vector
machines", 1999) on pictures that it was not trained on. Only the level is moved, into the bias of the last convolution;
the slope stays, since a mask's edge should not become softer than the network drew it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from figureground._files import replacing
from figureground.training.augmentation import Sample

BIAS = "heads.0.bias"  # of the convolution that gives the finest logits
EVERY = 4  # pixels: the fit needs no more than each fourth row and column


def calibrate(weights: Path, model: nn.Module, held: Sequence[Sample], size: int) -> float:
    """Move the level of `weights` (safetensors, in place) by what `held` shows; return by how much, in logits.

    model : the network that the weights belong to. Weights that were calibrated before stay as they are (0.0).
    """
    with safe_open(weights, "np") as file:
        notes = dict(file.metadata() or {})
    if "calibrated" in notes:
        return 0.0
    tensors = load_file(weights)
    model.load_state_dict(tensors)
    logits, truth = _answers(model.eval(), held, size)
    slope, offset = fit(logits, truth)
    shift = float(np.clip(offset / slope, -4, 4)) if slope > 0.1 else 0.0
    tensors[BIAS] = tensors[BIAS] + shift
    with replacing(weights) as part:
        save_file(tensors, part, {**notes, "calibrated": json.dumps(round(shift, 4))})
    return shift


def fit(logits: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope a and offset b that maximize the likelihood of sigmoid(a · logit + b) for a truth in [0, 1]; both (n,)."""
    a, b = 1.0, 0.0
    for _ in range(25):
        probability = 1 / (1 + np.exp(-np.clip(a * logits + b, -30, 30)))
        weight = probability * (1 - probability) + 1e-9
        gradient = np.array([np.mean((probability - truth) * logits), np.mean(probability - truth)])
        cross = np.mean(weight * logits)
        curvature = np.array([[np.mean(weight * logits**2), cross], [cross, np.mean(weight)]])
        step = np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient)
        a, b = a - float(np.clip(step[0], -1, 1)), b - float(np.clip(step[1], -1, 1))
    return a, b


@torch.no_grad()
def _answers(model: nn.Module, held: Sequence[Sample], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits and truth of the held-back pictures at the network's own size, thinned out; each (n,)."""
    logits, truth = [], []
    for rgb, mask in held:
        resized = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(resized.astype(np.float32) / 255).permute(2, 0, 1)[None]
        logits.append(model(x)[0][0, 0].numpy()[::EVERY, ::EVERY].ravel())
        wanted = np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA), np.float64) / 255
        truth.append(wanted[::EVERY, ::EVERY].ravel())
    return np.concatenate(logits).astype(np.float64), np.concatenate(truth)
