"""The conformance suite: golden streams, their manifest and generator, digests of stages, a harness for any decoder."""
