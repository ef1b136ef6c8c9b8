"""Why a requirement is checked, where the faults of several modules share the reason."""

from __future__ import annotations

__all__ = ["BOUND", "CHANNELS", "LEVEL", "RANGE", "RESERVED", "SHIFT", "STRUCTURE", "TABLE", "WORDS"]

BOUND = "The accumulator would overflow, and how is not the same on every machine."
CHANNELS = "An array of the size that the profile allows would be written behind its end."
LEVEL = "A device that accepted the stream by its level would fail while playing."
RANGE = "The value would not fit the range that bounds and types count on."
RESERVED = "A later version could not give the bits a meaning: decoders of today would ignore it."
SHIFT = "A shift by more than the integer has bits is undefined in C and differs between machines."
STRUCTURE = "A decoder would need a combination of grids that the profiles do not have."
TABLE = "A table would be read behind its end."
WORDS = "Two payloads of the same values would both be valid, or damage would go unnoticed."
