"""Decoded pictures: planes, frames, formats, and how they are to be shown."""
