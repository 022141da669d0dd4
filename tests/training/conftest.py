"""Exports by torch.onnx take seconds: the same network with the same weights is exported once a session."""

import hashlib

import onnx
import pytest


@pytest.fixture(scope="session", autouse=True)
def _each_network_is_exported_once():
    export = pytest.importorskip("figureground.training.export", reason="the extra 'train' is not installed")
    kept = {}

    def to_onnx(model, size, free=False, channels=3):
        weights = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())).hexdigest()
        key = repr(model), weights, size, free, channels
        if key not in kept:
            kept[key] = exported(model, size, free, channels).SerializeToString()
        return onnx.ModelProto.FromString(kept[key])

    exported = export.to_onnx
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "to_onnx", to_onnx)
        yield
