"""From a trained state to the bytes of a stream."""
