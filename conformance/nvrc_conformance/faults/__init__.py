"""Streams that a decoder must refuse: a golden stream with one fault, everything else about it repaired."""
