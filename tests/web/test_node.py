"""The decoder for JavaScript in Node: golden streams, streams to refuse, memory and time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from node import needs_node, run_script

import nvrc_decoder
from nvrc_conformance.manifest import MANIFEST_PATH, FaultStream, GoldenStream, load_manifest

MANIFEST = load_manifest()
FOLDER = MANIFEST_PATH.parent
KINDS = {"reject": 65, "unsupported": 69, "limit": 77}
# `open` reads INDEX and END for the number of frames; their faults are then those of random access (spec 2.8).
BY_RANDOM_ACCESS = {"reject-2-13-gops": ("E_INDEX", "R2.15")}
FAULT_BYTES = 16 << 20
FAULT_SECONDS = 5

pytestmark = needs_node
QUICK = [stream for stream in MANIFEST.streams if stream.bytes < 3000]


@cache
def decoded(*files: str) -> dict[str, Any]:
    """File -> what became of it, all decoded by one process."""
    return dict(zip(files, run_script("streams.mjs", *(FOLDER / file for file in files)), strict=True))


def check_golden(stream: GoldenStream, result: Any) -> None:
    assert "error" not in result, result
    frames = list(stream.frame_md5)
    assert result["frames"] == frames
    assert result["some"] == {n: frames[int(n)] for n in result["some"]}
    assert result["tail"] == frames[len(frames) // 2 :]
    with nvrc_decoder.open(FOLDER / stream.file) as video:
        picture = video.info.format
        assert (result["width"], result["height"]) == (picture.width, picture.height)
        assert result["rate"] == {"numerator": picture.rate.numerator, "denominator": picture.rate.denominator}
        assert (result["bitDepth"], result["frameCount"]) == (picture.bit_depth, len(frames))
    assert result["profile"] == stream.profile


@pytest.mark.parametrize("stream", QUICK, ids=lambda stream: stream.id)
def test_small_golden_streams_decode(stream: GoldenStream) -> None:
    check_golden(stream, decoded(*(stream.file for stream in QUICK))[stream.file])


@pytest.mark.full
def test_large_golden_streams_decode() -> None:
    large = [stream for stream in MANIFEST.streams if stream not in QUICK]
    results = decoded(*(stream.file for stream in large))
    for stream in large:
        check_golden(stream, results[stream.file])


@pytest.mark.parametrize("fault", MANIFEST.faults, ids=lambda fault: fault.id)
def test_faults_are_refused(fault: FaultStream) -> None:
    result = decoded(*(fault.file for fault in MANIFEST.faults))[fault.file]
    error = result["error"]
    code, requirement = BY_RANDOM_ACCESS.get(fault.id, (fault.code, fault.requirement))
    assert (error["kind"], error["code"], error["requirement"] or None) == (KINDS[fault.expect], code, requirement)
    assert error["message"].startswith(f"error[{code}] ")
    assert error["sentence"] in error["message"]
    assert result["bytes"] < FAULT_BYTES
    assert result["seconds"] < FAULT_SECONDS


def test_memory_has_a_limit() -> None:
    stream = MANIFEST.stream("nano-two-gops")
    assert run_script("memory.mjs", FOLDER / stream.file, 10_000_000) == [{"frames": stream.frame_count}]
    over = {"code": "E_LIMIT", "kind": 77, "sentence": "the memory is within the limit of this decoder"}
    for limit in (0, 1000, 30_000):
        assert run_script("memory.mjs", FOLDER / stream.file, limit) == [over]


def test_a_rewind_that_fails_is_made_good() -> None:
    stream = MANIFEST.stream("nano-two-gops")
    (result,) = run_script("rewind.mjs", FOLDER / stream.file)
    assert result == {"codes": ["E_READ", "E_READ"], "indices": [1, 2]}


def test_every_kind_of_input_is_opened(serve: Callable[..., Any]) -> None:
    stream = MANIFEST.stream("nano-two-gops")
    file = FOLDER / stream.file
    (result,) = run_script("inputs.mjs", file, f"http://{serve(file).host}/stream.nvrc")
    assert result["counts"] == [stream.frame_count] * 8
    unread, unknown = ["NvrcError", "E_READ", 74], ["TypeError", None, None]
    assert result["wrong"] == [unread, unread, unread, unknown, unknown, unread]
