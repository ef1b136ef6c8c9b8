"""Initial grids, motion and weights of a training, found without training."""
