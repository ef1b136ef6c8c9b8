"""The synthesis network and its prediction in PyTorch, for training."""
