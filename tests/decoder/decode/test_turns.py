"""Symbols and frames concurrently: who goes first, and who waits for whom."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.decode import engines, symbols
from nvrc_decoder.decode.engines import Engines
from nvrc_decoder.decode.prefetch import Prefetch
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

pytest.importorskip("onnxruntime")

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
PATIENCE = 30.0


def frames(**options: Any) -> tuple[str, ...]:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="onnxruntime", **options) as video:
        return tuple(frame.md5() for frame in video)


def test_the_engine_starts_during_the_first_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    made = threading.Event()
    order: list[str] = []
    make, decode = Engines.synthesizer, symbols.decode_grids

    def of(self: Engines, *arguments: Any) -> Any:
        synthesizer = make(self, *arguments)
        order.append("session")
        made.set()
        return synthesizer

    def decode_grids(*arguments: Any, **options: Any) -> Any:
        assert made.wait(PATIENCE)
        order.append("symbols")
        return decode(*arguments, **options)

    monkeypatch.setattr(Engines, "synthesizer", of)
    monkeypatch.setattr(symbols, "decode_grids", decode_grids)
    assert frames() == FOUR.frame_md5
    assert order[:2] == ["session", "symbols"]


@pytest.mark.parametrize("lookahead", [True, False])
@pytest.mark.parametrize("cores", [1, 3])
def test_inputs_are_prepared_in_turn(cores: int, lookahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cores", lambda: cores)
    turns: list[Any] = []
    held: list[bool] = []
    init, features = Prefetch.__init__, OrtSynthesizer._features

    def noted(self: Prefetch[Any], *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        turns.append(self.turn)

    def made(self: OrtSynthesizer, *arguments: Any) -> Any:
        held.append(turns[-1].locked())
        return features(self, *arguments)

    monkeypatch.setattr(Prefetch, "__init__", noted)
    monkeypatch.setattr(OrtSynthesizer, "_features", made)
    assert frames(lookahead=lookahead) == FOUR.frame_md5
    assert held == [True] * FOUR.frame_count
