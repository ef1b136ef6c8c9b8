"""Measurements: rate-distortion of this and other codecs, and the speed and memory of decoding."""
