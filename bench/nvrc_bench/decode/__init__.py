"""Speed and memory of decoding."""
