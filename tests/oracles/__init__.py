"""Slow, obvious implementations, written from the specification's pseudocode, that the product is held against."""
