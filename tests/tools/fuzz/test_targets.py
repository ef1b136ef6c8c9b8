"""Each target takes any bytes; it raises where a decoder does what it must not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz import oracle, targets
from fuzz.mutations import mutations, split_units
from fuzz.oracle import LIMITS, Outcome, WrongFramesError, check_digests, decode, golden_streams
from fuzz.targets import TARGETS, NotCanonicalError
from nvrc_conformance.faults.parts import Parts, assemble
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import NetworkHeader, UnitType
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.limits import Limits

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = load_manifest()
SMALL = MANIFEST.read("nano-sparse")
CASES = {"parse": 200, "entropy": 25, "decode": 20}

every_target = pytest.mark.parametrize("name", TARGETS)


@every_target
def test_a_target_survives_damaged_streams(name: str) -> None:
    for data in mutations(golden_streams(), CASES[name], seed=11):
        TARGETS[name](data)


@every_target
def test_a_target_survives_bytes_of_all_kinds(name: str) -> None:
    for data in (b"", b"\x00", SMALL[:10], SMALL + SMALL, bytes(1000)):
        TARGETS[name](data)


@pytest.mark.full
@every_target
def test_a_target_survives_the_suite(name: str) -> None:
    for item in (*MANIFEST.streams, *MANIFEST.faults):
        TARGETS[name](MANIFEST.file(item).read_bytes())


def test_the_limits_admit_small_golden_streams() -> None:
    streams = golden_streams()
    assert len(streams) > len(MANIFEST.streams) // 2
    for data in streams:
        assert list(UnitReader(io.BytesIO(data), LIMITS))


def test_a_fault_of_the_decoder_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise InternalError("E_INTERNAL", "a fault")

    monkeypatch.setattr(targets, "RandomAccess", fail)
    with pytest.raises(InternalError):
        TARGETS["parse"](SMALL)
    monkeypatch.setattr(targets, "decode_grids", fail)
    with pytest.raises(InternalError):
        TARGETS["entropy"](SMALL)
    monkeypatch.setattr(oracle.nvrc_decoder, "open", fail)
    with pytest.raises(InternalError):
        TARGETS["decode"](SMALL)


def test_a_unit_written_in_another_way_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "serialise_end", lambda content: b"\x03\x01\x00")
    with pytest.raises(NotCanonicalError, match="END"):
        TARGETS["parse"](SMALL)


def test_equal_multipliers_have_two_forms() -> None:
    parts = Parts((ROOT / "spec/examples/stream.nvrc").read_bytes())
    payload = parts.payload(UnitType.NETWORK)
    one_channel_one_multiplier = payload.index(0x81)
    spelled = parts.with_bytes(UnitType.NETWORK, one_channel_one_multiplier, b"\x01")
    assert spelled != parts.data
    assert Parts(spelled).network == parts.network
    TARGETS["parse"](spelled)


def test_another_form_of_a_network_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    serialise = targets.serialise_network
    monkeypatch.setattr(targets, "serialise_network", lambda network, *rest: serialise(_other(network), *rest))
    data = (ROOT / "spec/examples/stream.nvrc").read_bytes()
    with pytest.raises(NotCanonicalError, match="NETWORK"):
        TARGETS["parse"](data)


def test_bytes_of_a_network_that_get_lost_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = targets.serialise
    monkeypatch.setattr(targets, "serialise", lambda *arguments: honest(*arguments)[:-1] + b"\xff")
    with pytest.raises(NotCanonicalError, match="NETWORK"):
        TARGETS["parse"](SMALL)


def _other(network: NetworkHeader) -> NetworkHeader:
    return replace(network, prior=replace(network.prior, context=not network.prior.context))


def test_another_payload_of_grids_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_coded_again", lambda network, gop, grids: [b""])
    with pytest.raises(NotCanonicalError, match="grids"):
        TARGETS["entropy"](SMALL)


def test_another_payload_of_weights_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "encode_parameters", lambda values, specs, layers: b"")
    with pytest.raises(NotCanonicalError, match="NETWORK 0"):
        TARGETS["entropy"](SMALL)


def test_wrong_frames_of_a_decoder_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    right = decode(SMALL)
    check_digests(SMALL, right.frames)
    monkeypatch.setattr(targets, "decode", lambda data: replace(right, frames=right.frames[::-1]))
    with pytest.raises(WrongFramesError, match="DIGEST"):
        TARGETS["decode"](SMALL)


def test_a_frame_that_is_not_saved_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    right = decode(SMALL)
    short = replace(right, frames=right.frames[1:])
    monkeypatch.setattr(targets, "decode", lambda data, on_damage=None: short if on_damage else right)
    with pytest.raises(WrongFramesError, match="saved"):
        TARGETS["decode"](SMALL)


def test_a_missing_frame_does_not_match() -> None:
    with pytest.raises(WrongFramesError):
        check_digests(SMALL, decode(SMALL).frames[:-1])


def test_outcomes_name_how_a_stream_ends() -> None:
    parts = Parts(SMALL)
    units = split_units(SMALL)
    unknown = assemble([units[0], (0x06, b""), *units[1:]])
    assert decode(parts.with_payload(UnitType.DIGEST, bytes(16))) == Outcome("reject", "E_DIGEST")
    assert decode(unknown) == Outcome("unsupported", "E_UNSUPPORTED")
    assert decode(SMALL, limits=Limits(max_width=8)) == Outcome("limit", "E_LIMIT")
    assert decode(SMALL).kind == "decoded"


def test_an_error_without_its_code_is_raised() -> None:
    class NamelessError(InvalidStreamError):
        def __str__(self) -> str:
            return "nameless"

    with pytest.raises(NamelessError), oracle.refusals():
        raise NamelessError("E_CRC", "a message")
