"""The rate of a whole video, which is computed in parts."""

from __future__ import annotations

import pytest
import torch
from encoder_cases import gradient_source

from nvrc_encoder import EncodeOptions
from nvrc_encoder.preparation import make_trainer


def test_bits_do_not_depend_on_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    source = gradient_source(48, 32, 11)
    options = EncodeOptions(device="cpu", trials=False, slots=(0, 4, 5, 6, 7, 8), key_spacing=8, node_spacing=2)
    trainer, _, _ = make_trainer(source, list(source), options)
    real = trainer.bank.exact_real(torch.float32)
    (window,) = trainer.windows(11)
    whole = trainer.grid_rate(real, trainer.final_grids(0), 0, window.share, True)
    at_once = [0.0 if bits is None else float(bits.sum()) for bits in whole]
    for frames in (11, 4, 1):
        monkeypatch.setattr(trainer, "_rated", trainer.windows(frames))
        assert [bits or 0.0 for bits in trainer.whole_grid_bits(real)] == pytest.approx(at_once, rel=1e-6)
    assert sum(at_once) > 1000
