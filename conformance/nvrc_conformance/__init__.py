"""The conformance suite: the manifest of the golden streams, their generator, and digests of decoding stages."""
