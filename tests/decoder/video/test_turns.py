"""Symbols and frames at a time: who goes first, and who waits for whom."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.decode import engine, symbols
from nvrc_decoder.decode.engine import Synthesizers
from nvrc_decoder.decode.lookahead import Lookahead
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

pytest.importorskip("onnxruntime")

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
PATIENCE = 30.0


def frames(**options: Any) -> tuple[str, ...]:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="onnxruntime", **options) as video:
        return tuple(frame.md5() for frame in video)


def test_the_session_is_made_while_the_first_symbols_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = threading.Event()
    order: list[str] = []
    make, decode = Synthesizers.of, symbols.decode_grids

    def of(self: Synthesizers, *arguments: Any) -> Any:
        synthesizer = make(self, *arguments)
        order.append("session")
        made.set()
        return synthesizer

    def decode_grids(*arguments: Any, **options: Any) -> Any:
        assert made.wait(PATIENCE)
        order.append("symbols")
        return decode(*arguments, **options)

    monkeypatch.setattr(Synthesizers, "of", of)
    monkeypatch.setattr(symbols, "decode_grids", decode_grids)
    assert frames() == FOUR.frame_md5
    assert order[:2] == ["session", "symbols"]


@pytest.mark.parametrize("lookahead", [True, False])
@pytest.mark.parametrize("cores", [1, 3])
def test_symbols_rest_while_the_inputs_of_frames_are_made(
    cores: int, lookahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "cores", lambda: cores)
    resting: list[bool] = []
    rest, features = Lookahead.resting, OrtSynthesizer._features
    within = False

    @contextmanager
    def noted(self: Lookahead[Any]) -> Iterator[None]:
        nonlocal within
        with rest(self):
            within = True
            try:
                yield
            finally:
                within = False

    def made(self: OrtSynthesizer, *arguments: Any) -> Any:
        resting.append(within)
        return features(self, *arguments)

    monkeypatch.setattr(Lookahead, "resting", noted)
    monkeypatch.setattr(OrtSynthesizer, "_features", made)
    assert frames(lookahead=lookahead) == FOUR.frame_md5
    assert resting == [lookahead] * FOUR.frame_count
