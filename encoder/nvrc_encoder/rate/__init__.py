"""What grids and parameters will take in the stream, as smooth functions."""
