"""How far the first iterations of a training carry the grids."""

from __future__ import annotations

import dataclasses

import numpy as np
from encoder_cases import gradient_source

from nvrc_decoder.picture.planes import Planes
from nvrc_encoder import EncodeOptions
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.run import Run


def changes_of_grids(times: int) -> list[float]:
    """Mean changes of the grids in 12 iterations, for a picture repeated `times` along both axes."""
    small = gradient_source(48, 32, 9)
    clip = [Planes(*(np.tile(plane, (times, times)) for plane in frame.planes())) for frame in small]
    picture = dataclasses.replace(small.picture, width=48 * times, height=32 * times)
    options = EncodeOptions(device="cpu", trials=False, channels=8, gop=64, iterations=60, motion=False)
    trainer, _, _ = make_trainer(Source("tiled", picture, len(clip), lambda: iter(clip)), clip, options)
    before = [None if grid is None else grid.detach().clone() for grid in trainer.grids[0]]
    run = Run(trainer, options.plan())
    for _ in range(12):
        run.advance()
    pairs = zip(trainer.grids[0], before, strict=True)
    return [float((now.detach() - old).abs().mean()) for now, old in pairs if now is not None and old is not None]


def test_large_pictures_are_trained_as_far() -> None:
    ratios = np.array(changes_of_grids(12)) / changes_of_grids(1)
    assert 0.85 < ratios.mean() < 1.15
