"""The training run: what is optimised, its loop, its searches, its checkpoints."""
