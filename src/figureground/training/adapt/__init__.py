"""Adapts a frozen network to a few labeled pictures: a head or the decoder is trained, and one ONNX file written."""
