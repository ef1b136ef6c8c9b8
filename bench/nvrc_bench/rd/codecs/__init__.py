"""Codecs as command lines: how each encodes a clip at a rate point, decodes it again, and counts its bytes."""
