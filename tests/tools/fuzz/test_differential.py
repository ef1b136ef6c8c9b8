"""Three decoders on the same mutants."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
from pathlib import Path

import pytest

from fuzz import differential, revival
from fuzz.c_decoder import CDecoder, build
from fuzz.differential import disagreement, may_differ, run
from fuzz.mutations import split_units
from fuzz.oracle import DECODED, Outcome, decode
from fuzz.revival import revived, with_right_digests
from nvrc_conformance.faults.parts import Parts
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.units import UnitType
from nvrc_decoder.errors import InternalError

MANIFEST = load_manifest()
SMALL = MANIFEST.read("nano-sparse")


@pytest.fixture(scope="module")
def c_decoder(tmp_path_factory: pytest.TempPathFactory) -> CDecoder:
    if shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("needs the C compiler cc, and make")
    return CDecoder(build(tmp_path_factory.mktemp("c")))


class WrongDecoder(CDecoder):
    """Stands for a decoder with a fault: the last sample of its last frame is one off."""

    def __init__(self) -> None:
        pass

    def decode(self, data: bytes) -> Outcome:
        right = decode(data)
        if right.kind != DECODED:
            return right
        *frames, last = right.frames
        return Outcome(DECODED, "", (*frames, last[:-1] + bytes([last[-1] ^ 1])))


@pytest.mark.full
def test_the_decoders_agree_on_mutants(c_decoder: CDecoder, tmp_path: Path) -> None:
    report = run(c_decoder, 7, 0, 25, tmp_path)
    assert report["disagreements"] == []
    assert report["mutants"] == 25
    assert report["streams"] == sum(report["outcomes"].values()) > 25
    assert report["outcomes"][DECODED] > 5
    assert report["outcomes"]["reject"] > 5


def test_a_wrong_frame_is_reported_and_kept(tmp_path: Path) -> None:
    report = run(WrongDecoder(), 1, 0, 4, tmp_path)
    assert report["disagreements"]
    for entry in report["disagreements"]:
        assert entry["what"] == "the frames differ"
        assert decode((tmp_path / entry["stream"]).read_bytes()).kind == DECODED


@pytest.mark.full
@pytest.mark.parametrize("name", ["nano-sparse", "nano-400-10", "main-split-empty"])
def test_the_library_in_c_gives_golden_frames(c_decoder: CDecoder, name: str) -> None:
    outcome = c_decoder.decode(MANIFEST.read(name))
    found = tuple(hashlib.md5(frame).hexdigest() for frame in outcome.frames)
    assert (outcome.kind, found) == (DECODED, MANIFEST.stream(name).frame_md5)


@pytest.mark.full
def test_the_library_in_c_names_its_refusals(c_decoder: CDecoder) -> None:
    parts = Parts(SMALL)
    assert c_decoder.decode(SMALL[:-1]) == Outcome("reject", "E_TRUNCATED")
    assert c_decoder.decode(SMALL[:8] + b"\x09" + SMALL[9:]) == Outcome("unsupported", "E_VERSION")
    assert c_decoder.decode(parts.with_sequence(width=257, height=1)) == Outcome("limit", "E_LIMIT")
    assert c_decoder.decode(parts.with_payload(UnitType.DIGEST, bytes(16))) == Outcome("reject", "E_DIGEST")


def test_other_kinds_of_outcome_disagree() -> None:
    decoded, other = Outcome(DECODED, "", (b"a",)), Outcome(DECODED, "", (b"b",))
    reject, unsupported, limit = (Outcome(kind, "E_X") for kind in ("reject", "unsupported", "limit"))
    assert disagreement({"A": decoded, "B": decoded}) is None
    assert disagreement({"A": reject, "B": Outcome("reject", "E_Y")}) is None
    assert disagreement({"A": decoded, "B": other}) == "the frames differ"
    assert disagreement({"A": decoded, "B": reject}) == "A: decoded, B: reject E_X"
    assert disagreement({"A": reject, "B": unsupported}) == "A: reject E_X, B: unsupported E_X"
    assert disagreement({"A": decoded, "B": limit}) == "A: decoded, B: limit E_X"


def test_a_limit_stands_for_a_refusal() -> None:
    """Spec 9.1.1: where a stream is over a limit, too, that outcome is as good as the others."""
    reject, unsupported, limit = (Outcome(kind, "E_X") for kind in ("reject", "unsupported", "limit"))
    for refusal in (reject, unsupported):
        assert may_differ({"A": refusal, "B": limit})
        assert disagreement({"A": refusal, "B": limit}) is None
    assert not may_differ({"A": limit, "B": limit})


def test_a_mutant_gets_right_digests() -> None:
    parts = Parts(SMALL)
    wrong = parts.with_payload(UnitType.DIGEST, bytes(16))
    assert decode(wrong).code == "E_DIGEST"
    assert with_right_digests(wrong, decode(wrong, verify=False).frames) == SMALL


def test_an_error_leaves_its_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reads it: the decoders, or what makes another stream of it."""
    seen: list[bytes] = []

    def fail(data: bytes, *arguments: object, **options: object) -> None:
        seen.append(data)
        raise InternalError("E_INTERNAL", "a fault")

    for place in ("decode", "revived", "with_right_digests"):
        with monkeypatch.context() as patch:
            patch.setattr(differential, place, fail)
            with pytest.raises(InternalError):
                run(WrongDecoder(), 1, 0, 50, tmp_path)
        assert (tmp_path / "case.nvrc").read_bytes() == seen[-1]
        assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


def test_a_fault_of_the_decoder_is_not_taken_for_a_wrong_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise InternalError("E_INTERNAL", "a fault")

    monkeypatch.setattr(revival, "parse_network", fail)
    with pytest.raises(InternalError):
        revived(SMALL, random.Random(1))


def test_a_revived_stream_has_other_frames() -> None:
    """Payloads that cannot be decoded become payloads that can, under the same headers."""
    two = MANIFEST.read("nano-two-gops")
    broken = Parts(two).with_gop(grids=(b"\x01\0\0\0",) * len(Parts(two).gop.grids))
    assert decode(broken).kind == "reject"
    alive = revived(broken, random.Random(1))
    assert alive is not None
    assert split_units(alive)[0] == split_units(two)[0]
    assert decode(alive).code == "E_DIGEST"
    outcome = decode(alive, verify=False)
    assert outcome.kind == DECODED
    assert outcome.frames != decode(two).frames
    assert decode(with_right_digests(alive, outcome.frames)) == outcome


def test_what_has_a_wrong_header_is_not_revived() -> None:
    parts = Parts(SMALL)
    for broken in (parts.with_sequence(width=0), parts.with_bytes(UnitType.NETWORK, 0, b"\x09")):
        assert revived(broken, random.Random(1)) is None


def test_what_is_too_large_is_not_revived() -> None:
    parts = Parts(SMALL)
    assert revived(parts.with_sequence(width=4096, height=64), random.Random(1)) is None
    assert revived(parts.with_gop(frame_count=513), random.Random(1)) is None
