"""Fetches, verifies, caches and runs weights: checkpoints from the hub or a folder, ONNX runtimes, torch."""
