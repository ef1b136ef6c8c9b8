"""Gains of the wavelet's bands. Without PyTorch, which options must not import."""

__all__ = ["HIGH_HIGH_GAIN", "HIGH_LOW_GAIN", "LOW_LOW_GAIN"]

LOW_LOW_GAIN, HIGH_LOW_GAIN, HIGH_HIGH_GAIN = 0.5, 0.8129, 1.3216
"""From the orthonormal transform to the decoder's at the finest level, whose low band has a gain of 1 (spec 7.6.5)."""
