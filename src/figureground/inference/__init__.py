"""Fetch, verify, cache and run weights: checkpoints from the hub or a folder, ONNX runtimes, torch."""
