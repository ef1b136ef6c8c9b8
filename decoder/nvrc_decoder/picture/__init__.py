"""Decoded frames: planes, format, conversion to RGB, and how to show them."""
