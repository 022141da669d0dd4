"""rembg's sessions: a network that gives masks, loaded once."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from figureground.errors import UsageError
from figureground.settings import Settings

DEFAULT = "bria-rmbg"
"""rembg's own default. Its weights are for non-commercial use."""
CUSTOM: Mapping[str, Mapping[str, Any]] = {
    "u2net_custom": {"input_size": 320, "mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"},
    "dis_custom": {"input_size": 1024, "mean": "0.5,0.5,0.5", "std": "1,1,1"},
    "ben_custom": {"input_size": 1024, "mean": "0.5,0.5,0.5", "std": "1,1,1"},
}
"""Sessions of rembg's that take a file, `model_path`, and how they prepare a picture."""
SESSION_KEYWORDS = frozenset({"model_path", "providers"})
"""Keywords of rembg's that a session heeds."""


def warn(message: str) -> None:
    """Say that something is done in another way than rembg does it."""
    warnings.warn(message, UserWarning, stacklevel=4)


@dataclass(frozen=True, slots=True)
class RembgSession:
    """A loaded network; `predict` may be called from several threads."""

    model_name: str
    masks: Callable[[Image.Image], list[Image.Image]]

    def predict(self, img: Image.Image, *args: Any, **kwargs: Any) -> list[Image.Image]:
        """Return the masks of a picture.

        Parameters
        ----------
        img : PIL.Image.Image
        *args, **kwargs
            Are taken, as rembg takes them, and have no effect.

        Returns
        -------
        list of PIL.Image.Image
            One mask of mode L and of the picture's size.
        """
        return self.masks(img)

    @classmethod
    def name(cls) -> str:
        """Return the name of the kind of session."""
        return "figureground"


def new_session(model_name: str = DEFAULT, *args: Any, sess_opts: Any = None, **kwargs: Any) -> RembgSession:
    """Load a network.

    Parameters
    ----------
    model_name : str
        A name of rembg's, such as ``u2net`` or ``isnet-general-use``, or a method of figureground, such as ``subject``.
    sess_opts : onnxruntime.SessionOptions, optional
        Its ``intra_op_num_threads`` is heeded; so is the environment variable ``OMP_NUM_THREADS``.
    **kwargs
        ``model_path``, the file of a session such as ``u2net_custom``; ``providers``, of which the first is taken. Others have
        no effect, with a warning.

    Raises
    ------
    UsageError
        For a name that is not known, or that is not supported, with what to use instead.
    WeightsError
        Where the weights cannot be had, are damaged, or their license is not allowed.
    """
    for name in sorted(set(kwargs) - SESSION_KEYWORDS):
        warn(f"new_session: the keyword '{name}' has no effect")
    settings = _settings(sess_opts, kwargs.get("providers"))
    if model_name == "birefnet-general-fp16":
        warn("birefnet-general-fp16 is computed in 32 bits, as birefnet-general")
        model_name = "birefnet-general"
    if model_name in CUSTOM:
        return _custom(model_name, kwargs.get("model_path"), settings)
    from figureground.models.onnx_saliency import NETWORKS, REFUSED

    if model_name in NETWORKS or model_name in REFUSED:
        return _of_network(model_name, {"network": model_name}, settings)
    return _of_method(model_name, settings)


def _settings(options: Any, providers: Sequence[Any] | None) -> Settings:
    """Return settings with the threads and the device that rembg's arguments name."""
    settings = Settings.from_environment()
    threads = getattr(options, "intra_op_num_threads", 0) or os.environ.get("OMP_NUM_THREADS", "0")
    if str(threads).isdigit() and int(threads) > 0:
        settings = replace(settings, threads=int(threads))
    if providers:
        first = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
        settings = replace(settings, device=str(first).removesuffix("ExecutionProvider").lower())
    return settings


def _custom(name: str, path: Any, settings: Settings) -> RembgSession:
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"'{name}' needs a file: new_session('{name}', model_path='my.onnx')")
    layout = {"rescale": "max", "output_kind": "probability", "resample": "lanczos", "stretch": True, **CUSTOM[name]}
    return _of_network(name, {"weights": os.fspath(path), **layout}, settings)


def _of_network(name: str, options: Mapping[str, Any], settings: Settings) -> RembgSession:
    """Return a network whose map is turned into a mask as rembg does: cut to 8 bits, then resized."""
    from figureground import models

    model: Any = models.module("onnx_saliency").load(settings, **options)

    def masks(image: Image.Image) -> list[Image.Image]:
        values = model.raw(np.asarray(image.convert("RGB")))
        small = Image.fromarray((values.clip(0, 1) * np.float32(255)).astype(np.uint8))
        return [small.resize(image.size, Image.Resampling.LANCZOS)]

    return RembgSession(name, masks)


def _of_method(name: str, settings: Settings) -> RembgSession:
    from figureground.pipeline import Separator

    separate = Separator(name, settings)
    return RembgSession(name, lambda image: [Image.fromarray(separate(image).mask8())])
