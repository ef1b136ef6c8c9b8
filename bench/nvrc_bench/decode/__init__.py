"""Speed and memory of decoding: end to end, stage by stage, and against other decoders."""
