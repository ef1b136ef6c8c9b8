"""The parts of `nvrc-ref info`: totals over the units of a stream, and code points of colour by name."""
