"""The start of an encode: flow and grids found without training."""
