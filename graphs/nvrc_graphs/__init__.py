"""What exports the decoder's ONNX graphs from PyTorch."""
