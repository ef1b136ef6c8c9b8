"""From units to frames: what is decoded when, in which memory."""
