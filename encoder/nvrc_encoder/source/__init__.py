"""Readers of the input: every format is read as native YUV planes."""
