"""The conformance suite: golden streams, their manifest and the generator that makes them."""
