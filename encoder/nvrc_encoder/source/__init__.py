"""Readers of the input: every format becomes native YUV planes."""
