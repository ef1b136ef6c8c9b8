"""The coder against an independent one in Python integers, its pinned words, and hostile payloads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import rans

from nvrc_decoder.entropy import coder
from nvrc_decoder.entropy.coder import SymbolDecoder, SymbolEncoder
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.entropy.tables import TABLE_RADII
from nvrc_decoder.errors import InvalidStreamError

TABLES = rans.read_tables()


def encode(*steps: tuple[list[int], list[int], list[int]]) -> bytes:
    encoder = SymbolEncoder()
    for tables, means, values in steps:
        encoder.code_step(np.array(tables), np.array(means), np.array(values))
    return encoder.finish()


@st.composite
def a_step(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    n = draw(st.integers(0, 40))
    tables = draw(st.lists(st.integers(0, 319), min_size=n, max_size=n))
    means = draw(st.lists(st.integers(-256, 255), min_size=n, max_size=n))
    near = st.integers(-3, 3)
    far = st.integers(-300, 300)
    residuals = draw(st.lists(st.one_of(near, near, near, far), min_size=n, max_size=n))
    extremes = st.sampled_from([None] * 20 + [-2047, 2047])
    values = [draw(extremes) or max(-2047, min(2047, m + r)) for m, r in zip(means, residuals, strict=True)]
    return tables, means, values


@settings(deadline=None, max_examples=60)
@given(st.lists(a_step(), max_size=3))
def test_coder_equals_the_oracle_in_both_directions(steps: list[tuple[list[int], list[int], list[int]]]) -> None:
    payload = encode(*steps)
    oracle_encoder = rans.Encoder()
    for tables, means, values in steps:
        oracle_encoder.step(TABLES, tables, means, values)
    assert oracle_encoder.finish() == payload
    decoder, oracle = SymbolDecoder(payload), rans.Decoder(payload)
    for tables, means, values in steps:
        assert decoder.code_step(np.array(tables, dtype=int), np.array(means, dtype=int)).tolist() == values
        assert oracle.step(TABLES, tables, means) == values
    decoder.finish()
    assert oracle.exhausted()


@pytest.mark.parametrize("piece", [1, 3, 64, 199, 200])
def test_the_piece_size_does_not_change_symbols(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(piece)
    tables = rng.integers(0, 320, 200) // rng.choice([1, 40])
    means = rng.integers(-256, 256, 200)
    values = means + rng.integers(-9, 10, 200)
    expected = encode((tables.tolist(), means.tolist(), values.tolist()))
    monkeypatch.setattr(coder, "_PIECE", piece)
    assert encode((tables.tolist(), means.tolist(), values.tolist())) == expected
    decoder = SymbolDecoder(expected)
    assert decoder.code_step(tables, means).tolist() == values.tolist()
    decoder.finish()


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=120), st.lists(a_step(), min_size=1, max_size=3))
def test_any_payload_decodes_as_in_the_oracle(data: bytes, steps: list[tuple[list[int], list[int], list[int]]]) -> None:
    data = data[: len(data) // 4 * 4]
    if data[:4] == bytes(4):
        with pytest.raises(InvalidStreamError, match="E_ENTROPY"):
            SymbolDecoder(data)
        return
    decoder = SymbolDecoder(data)
    oracle = rans.Decoder(data)
    for tables, means, _ in steps:
        try:
            expected = oracle.step(TABLES, tables, means)
        except ValueError:
            with pytest.raises(InvalidStreamError, match="E_ESCAPE"):
                decoder.code_step(np.array(tables), np.array(means))
            return
        if expected and max(map(abs, expected)) > 2047:
            with pytest.raises(InvalidStreamError, match="E_RANGE"):
                decoder.code_step(np.array(tables), np.array(means))
            return
        assert decoder.code_step(np.array(tables, dtype=int), np.array(means, dtype=int)).tolist() == expected
    if oracle.exhausted():
        decoder.finish()
    else:
        with pytest.raises(InvalidStreamError, match="E_ENTROPY"):
            decoder.finish()


def test_words_are_pinned() -> None:
    """The worked example of spec 4.7, and a longer step with words in the middle."""
    assert encode(([128, 83, 83, 83, 200], [0, 2, -1, 0, -3], [1, 2, -24, -1, 30])).hex() == "4c080000be5f9e812ad100e7"
    tables = [37 * j % 320 for j in range(64)]
    values = [7 * j * j % 11 - 5 for j in range(64)]
    payload = encode((tables, [0] * 64, values))
    assert (len(payload), payload[:8].hex(), payload[-8:].hex()) == (72, "00006ce100000000", "d02283aa9e028d71")


def test_no_symbols_take_no_bytes() -> None:
    assert encode() == b""
    assert encode(([], [], [])) == b""
    decoder = SymbolDecoder(b"")
    assert decoder.code_step(np.array([], dtype=int), np.array([], dtype=int)).size == 0
    decoder.finish()


def test_an_empty_payload_is_refused() -> None:
    with pytest.raises(InvalidStreamError, match="E_ESCAPE"):
        SymbolDecoder(b"").code_step(np.full(100_000, 319), np.zeros(100_000, dtype=int))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_payload_that_is_not_whole_words_is_refused(size: int) -> None:
    with pytest.raises(InvalidStreamError, match="E_LENGTH"):
        SymbolDecoder(b"\x01" * size)


@pytest.mark.parametrize("payload", [bytes(4), bytes(4) + b"\x01\0\0\0"])
def test_a_first_word_of_zero_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidStreamError, match="E_ENTROPY"):
        SymbolDecoder(payload)


def test_a_payload_with_a_word_too_many_is_refused() -> None:
    step = [100] * 50, [0] * 50, [1] * 50
    payload = encode(step)
    for longer in (payload + bytes(4), payload + b"\x01\0\0\0"):
        decoder = SymbolDecoder(longer)
        decoder.code_step(np.array(step[0]), np.array(step[1]))
        with pytest.raises(InvalidStreamError, match="E_ENTROPY"):
            decoder.finish()


def test_a_step_too_few_is_noticed() -> None:
    step = [100] * 50, [0] * 50, [1] * 50
    decoder = SymbolDecoder(encode(step, step))
    decoder.code_step(np.array(step[0]), np.array(step[1]))
    with pytest.raises(InvalidStreamError, match="E_ENTROPY"):
        decoder.finish()


def test_values_beyond_the_limit_are_refused() -> None:
    oracle = rans.Encoder()
    oracle.step(TABLES, [0], [0], [-2048])
    with pytest.raises(InvalidStreamError, match="E_RANGE"):
        SymbolDecoder(oracle.finish()).code_step(np.array([0]), np.array([0]))
    with pytest.raises(InvalidStreamError, match="E_RANGE"):
        encode(([0], [0], [2048]))


def test_the_longest_escape_is_the_limit() -> None:
    radius = int(TABLE_RADII[0])
    for prefix, refused in ((20, False), (21, True)):
        value = radius + 2**prefix
        oracle = rans.Encoder()
        oracle.step(TABLES, [0], [0], [value])
        decoder = SymbolDecoder(oracle.finish())
        if refused:
            with pytest.raises(InvalidStreamError, match="E_ESCAPE"):
                decoder.code_step(np.array([0]), np.array([0]), limit=1 << 30)
        else:
            assert decoder.code_step(np.array([0]), np.array([0]), limit=1 << 30).tolist() == [value]
            decoder.finish()


def test_arguments_of_the_other_direction_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no values"):
        SymbolDecoder(b"").code_step(np.array([0]), np.array([0]), np.array([0]))
    with pytest.raises(ValueError, match="needs values"):
        SymbolEncoder().code_step(np.array([0]), np.array([0]))


def test_successive_decoders_can_share_scratch() -> None:
    rng = np.random.default_rng(3)
    scratch = Scratch()
    for count in (50, 9, 200):
        tables, means = rng.integers(0, 320, count), rng.integers(-256, 256, count)
        values = means + rng.integers(-400, 400, count)
        decoder = SymbolDecoder(encode((tables.tolist(), means.tolist(), values.tolist())), scratch=scratch)
        np.testing.assert_array_equal(decoder.code_step(tables, means), values)
        decoder.finish()


@pytest.mark.parametrize("escapes", [False, True])
def test_a_long_step_looks_up_now_and_then(escapes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` can end a step; without it, a step of 30 million symbols would take a minute."""
    monkeypatch.setattr(coder, "_PIECE", 100)
    monkeypatch.setattr(coder, "_ESCAPES", 10)
    count, calls = 1000, 0

    def check() -> None:
        nonlocal calls
        calls += 1

    zeros, values = [0] * count, [100 if escapes else 0] * count
    payload = encode((zeros, zeros, values))
    decoder = SymbolDecoder(payload, check)
    assert decoder.code_step(np.array(zeros), np.array(zeros)).tolist() == values
    # Nine between ten pieces of one table, ten where they are put in order, and one in ten escapes.
    assert calls == 19 + 100 * escapes

    class Ended(BaseException):
        pass

    def end() -> None:
        raise Ended

    with pytest.raises(Ended):
        SymbolDecoder(payload, end).code_step(np.array(zeros), np.array(zeros))
