"""Adapt a frozen network to a few labeled pictures: train a head or the decoder, and write one ONNX file."""
