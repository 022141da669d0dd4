"""Train the embedded network: data and recipe in, weights and an ONNX file out."""
