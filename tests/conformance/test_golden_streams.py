"""The golden streams decode to what the manifest says, stage by stage, on both engines. Nothing here writes them."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from itertools import filterfalse

import pytest
from case_choice import full_except, pairwise

import nvrc_decoder
from nvrc_conformance.features import features_of
from nvrc_conformance.generate import BYTES_MAX
from nvrc_conformance.manifest import GoldenStream, load_manifest
from nvrc_conformance.stages import DecodedGop, decode_stream, frames_of, stages_of
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

MANIFEST = load_manifest()
WHOLE_GOP = 1 << 16
# Where the fast run seeks: several GOPs, a pyramid, blocks of motion, empty nodes, an encoder's stream.
SOUGHT = [MANIFEST.stream(name) for name in ("nano-four-gops", "lite-pyramid", "main-split-empty", "trained-nano")]


def is_slow(stream: GoldenStream) -> bool:
    """Whether the NumPy reference takes seconds for it."""
    return stream.frame_count * stream.width * stream.height > 1_000_000 or stream.frame_count > 256


every_stream = pytest.mark.parametrize(
    "stream",
    [pytest.param(s, marks=pytest.mark.full if is_slow(s) else (), id=s.id) for s in MANIFEST.streams],
)


@lru_cache(maxsize=1)
def decoded(name: str) -> list[DecodedGop]:
    return list(decode_stream(MANIFEST.read(name)))


def md5s(frames: list[Planes]) -> list[str]:
    return [frame.md5() for frame in frames]


def whole_md5(frames: list[Planes]) -> str:
    total = hashlib.md5(usedforsecurity=False)
    for frame in frames:
        for chunk in frame.chunks():
            total.update(chunk)
    return total.hexdigest()


@every_stream
def test_file_is_the_one_in_the_manifest(stream: GoldenStream) -> None:
    data = MANIFEST.read(stream.id)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (stream.bytes, stream.sha256)


@every_stream
def test_stages_and_features(stream: GoldenStream) -> None:
    gops = decoded(stream.id)
    assert stages_of(gops) == stream.stages
    assert features_of(MANIFEST.read(stream.id), gops) == stream.features


@every_stream
def test_reference_frames(stream: GoldenStream) -> None:
    with nvrc_decoder.open(io.BytesIO(MANIFEST.read(stream.id)), engine="reference") as video:
        frames = list(video)
    picture = video.info.format
    assert (picture.width, picture.height, picture.chroma_format, picture.bit_depth, video.info.profile) == (
        stream.width,
        stream.height,
        stream.chroma_format,
        stream.bit_depth,
        stream.profile,
    )
    assert (tuple(md5s(frames)), whole_md5(frames)) == (stream.frame_md5, stream.md5)
    assert [plane.shape for plane in frames[0].planes()] == list(picture.plane_shapes)


@pytest.mark.parametrize(
    ("stream", "rewriting", "threads", "batch"),
    [
        pytest.param(*row, marks=pytest.mark.full if is_slow(row[0]) else ())
        for row in sorted(
            pairwise(MANIFEST.streams, ["off", "nodes", "layout"], [1, 2], [1, WHOLE_GOP]), key=lambda row: row[0].id
        )
    ],
    ids=lambda value: getattr(value, "id", value),
)
def test_onnx_runtime_frames(stream: GoldenStream, rewriting: str, threads: int, batch: int) -> None:
    found: list[str] = []
    synthesizers: dict[int, OrtSynthesizer] = {}
    for item in decoded(stream.id):
        network, count = item.network, item.gop.frame_count
        if item.network_number not in synthesizers:
            synthesizers[item.network_number] = OrtSynthesizer(
                *network.parts(item.sequence),
                threads=threads,
                optimization=rewriting != "off",
                layout=rewriting == "layout",
                batch=batch,
            )
        found += md5s(synthesizers[item.network_number].synthesise(item.grids, count, range(count)))
    assert tuple(found) == stream.frame_md5


@pytest.mark.parametrize("stream", full_except(filterfalse(is_slow, MANIFEST.streams), *SOUGHT), ids=lambda s: s.id)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.full)], ids=["two", "every"])
def test_any_frame_by_itself(stream: GoldenStream, every: bool) -> None:
    """Random access equals decoding from the start, with and without INDEX, with and without the GOP's digest."""
    data = MANIFEST.read(stream.id)
    last = stream.frame_count - 1
    small = every and stream.frame_count * stream.width * stream.height < 100_000
    chosen = range(last, -1, -1) if small else (last, last // 2)
    for verify in (True, False):
        with nvrc_decoder.open(io.BytesIO(data), engine="reference", verify=verify) as video:
            assert video.frame_count == stream.frame_count
            for number in chosen:
                video.seek(number)
                assert next(video).md5() == stream.frame_md5[number]
        with nvrc_decoder.open(io.BytesIO(data), engine="reference", verify=verify) as video:
            first = stream.frame_count // 2 if small else last
            video.seek(first)
            assert tuple(md5s(list(video))) == stream.frame_md5[first:]


@pytest.mark.full
def test_onnx_runtime_makes_parts_of_a_gop() -> None:
    """Runs of frames that start and end anywhere, where temporal filters and predictions reach over their ends."""
    for name in ("lite-schedules", "main-random", "main-sparse", "lite-motion", "main-pyramid", "nano-keys"):
        for item in decode_stream(MANIFEST.read(name)):
            network, count = item.network, item.gop.frame_count
            active = network.header.stage_channels, network.header.stage_blocks
            integers = network.layers, network.multipliers, network.header.pyramid
            synthesizer = OrtSynthesizer(network.profile, item.sequence, *active, *integers, threads=1, batch=WHOLE_GOP)
            wanted = md5s(frames_of(item))
            for first in range(count):
                for end in (first + 1, (first + count + 1) // 2, count):
                    frames = synthesizer.synthesise(item.grids, count, range(first, end))
                    assert md5s(frames) == wanted[first:end]


def test_streams_cover_the_format() -> None:
    assert len(MANIFEST.streams) == len({stream.id for stream in MANIFEST.streams}) >= 8
    assert sum(stream.bytes for stream in MANIFEST.streams) <= BYTES_MAX
    covered = {feature for stream in MANIFEST.streams for feature in stream.features}
    assert covered >= {
        *("profile nano", "profile lite", "profile main"),
        *("chroma 4:0:0", "chroma 4:2:0", "chroma 4:4:4", "8 bits", "10 bits"),
        *("odd size", "one sample", "one column", "one frame a GOP", "several GOPs", "GOPs of unequal length"),
        *("several NETWORK units", "absent slots", "inactive channels", "stage without grids"),
        *("inactive blocks", "no blocks", "one multiplier", "a multiplier a channel"),
        *("no planes", "luma and planes", "luma without planes", "planes without luma", "planes without features"),
        *("temporal stem with planes", "planes without motion", "motion", "motion at both clips", "several pyramids"),
        *(f"pyramid {spacings}" for spacings in ("1-1", "4-1", "8-2", "8-4", "8-8", "16-1", "16-2", "16-16")),
        *("last frame is a key", "last key after the last frame", "chain of keys", "chain of many keys"),
        *("step factor 1", "step factor 255", "node multiplier clipped at 1", "node multiplier clipped at 2048"),
        *("all nodes coded", "empty nodes", "grid of empty nodes"),
        *("coded node after the last frame", "empty node after the last frame"),
        *("fractional displacements", "displacements of half a sample", "displacements between eighths"),
        *("displacements larger than the picture", "blend weight 0", "blend weight between", "blend weight 32"),
        *("wavelet at both clips", "half samples at both clips", "nodes at both clips"),
        *("schedule kind temporal-first", "schedule kind octree", "schedule kind explicit"),
        *("schedule temporal-first", "schedule octree", "schedule without splits", "32 splits"),
        *("phase x", "phase y", "phase t", "halve x alone", "halve y alone", "halve t alone"),
        *("grid escapes", "weight escapes", "bias escapes", "grid values at both ends", "accumulators at the bound"),
        *("context.hidden1 clipped at 2047", "context.hidden2 clipped at 2047", "widest context network"),
        *("every shift", "every bias shift", "biases at both ends", "accumulators over half the bound, unclipped"),
        *(f"level {level}" for level in range(1, 7)),
        *("side of two bytes", "unit length of two bytes", "unit length of three bytes", "grid length of three bytes"),
        *("frame count of two bytes", "GOP count of two bytes", "more than 256 nodes", "positions over 32767"),
        *("INDEX", "no INDEX", "METADATA", "METADATA of presentation", "unknown optional unit", "later minor version"),
    }
    lengths = {gop.frame_count for stream in MANIFEST.streams for gop in stream.stages.gops if gop.nodes}
    assert lengths >= {1, 2, 10, 12, 33}
    for profile in ("nano", "lite", "main"):
        bound = [stream for stream in MANIFEST.streams if "accumulators at the bound" in stream.features]
        assert profile in {stream.profile for stream in bound}


def test_the_folder_holds_the_streams_of_the_manifest() -> None:
    folder = MANIFEST.path.parent / "streams"
    assert {file.name for file in folder.iterdir()} == {MANIFEST.file(stream).name for stream in MANIFEST.streams}
