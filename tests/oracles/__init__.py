"""Slow, obvious implementations, written from the specification's pseudocode, that the decoder is checked against."""
