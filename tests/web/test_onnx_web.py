"""The models that `export` writes, in onnxruntime-web: frames by MD5, one by one, in one call, and in any order."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import TO_BASE64
from export_cases import MANIFEST, call, path_of

from nvrc_conformance.manifest import GoldenStream
from nvrc_decoder.picture.planes import plane_shapes

pytestmark = pytest.mark.full

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
HOST = "http://127.0.0.1"  # nothing listens there: the test answers
RUNTIME, MODULE = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
FILES = {RUNTIME: "text/javascript", MODULE: "application/wasm"}
SINGLE = 40
"""Of a longer video, only so many frames are also made one by one."""
SETUP = f"""async () => {{
  globalThis.ort = await import("/{RUNTIME}");
  Object.assign(ort.env.wasm, {{ numThreads: 1, wasmPaths: {{ wasm: "/{MODULE}" }} }});
}}"""
OPEN = """async () => {
  await globalThis.session?.release();
  globalThis.session = await ort.InferenceSession.create("/clip.onnx", { executionProviders: ["wasm"] });
  const { inputMetadata, outputMetadata } = session;
  return { inputs: inputMetadata, outputs: outputMetadata };
}"""
RUN = f"""async (calls) => {{
  const base64 = {TO_BASE64};
  const results = [];
  for (const numbers of calls) {{
    const frame = new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), [numbers.length]);
    const planes = await session.run({{ frame }});
    const made = session.outputNames.map((name) => planes[name]);
    results.push(await Promise.all(made.map(async ({{ type, dims, data }}) => [type, dims, await base64(data)])));
  }}
  return results;
}}"""


class Player:
    """A page with onnxruntime-web and no network.

    Attributes:
        page: the page.
        model: the file that it gets as ``/clip.onnx``.
        refused: addresses that it asked for and did not get.
    """

    def __init__(self, page: Any, runtime: Path, model: Path) -> None:
        self.page, self.runtime, self.model = page, runtime, model
        self.refused: list[str] = []
        page.route("**/*", self._answer)
        page.goto(f"{HOST}/")
        page.evaluate(SETUP)

    def _answer(self, route: Any) -> None:
        url: str = route.request.url
        name = url.removeprefix(f"{HOST}/")
        if name == "":
            route.fulfill(body="<!doctype html>", content_type="text/html")
        elif name == "clip.onnx":
            route.fulfill(path=self.model, content_type="application/octet-stream")
        elif name in FILES:
            route.fulfill(path=self.runtime / name, content_type=FILES[name])
        else:
            self.refused.append(url)
            route.abort()

    def open(self, name: str) -> dict[str, Any]:
        """Exports a golden stream and opens the model: what the runtime says of its inputs and outputs."""
        assert call("export", path_of(name), "-o", self.model) == 0
        described: dict[str, Any] = self.page.evaluate(OPEN)
        return described

    def run(self, stream: GoldenStream, calls: Sequence[Sequence[int]]) -> list[list[str]]:
        """MD5 of each frame of each call."""
        results = self.page.evaluate(RUN, [list(map(int, numbers)) for numbers in calls])
        return [digests(stream, planes, len(numbers)) for planes, numbers in zip(results, calls, strict=True)]


def digests(stream: GoldenStream, planes: Sequence[tuple[str, list[int], str]], count: int) -> list[str]:
    """MD5 of each frame of a call: planes are type, dimensions and bytes in base64."""
    kind = "uint8" if stream.bit_depth == 8 else "uint16"
    shapes = plane_shapes(stream.width, stream.height, stream.chroma_format)
    assert [(made, dims) for made, dims, _ in planes] == [(kind, [count, *shape]) for shape in shapes]
    parts = [np.frombuffer(base64.b64decode(data), kind).reshape(count, -1) for _, _, data in planes]
    return [hashlib.md5(b"".join(part[n].tobytes() for part in parts)).hexdigest() for n in range(count)]


@pytest.fixture(scope="module")
def player(chromium: Any, onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    """One page for all models, because the runtime takes long to start."""
    page = chromium.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    player = Player(page, onnxruntime_web, tmp_path_factory.mktemp("model") / "clip.onnx")
    yield player
    page.close()
    assert (faults, player.refused) == ([], [])


@pytest.mark.parametrize("stream", MANIFEST.streams, ids=lambda stream: stream.id)
def test_models_play_in_onnxruntime_web(player: Player, stream: GoldenStream) -> None:
    frames = list(stream.frame_md5)
    player.open(stream.id)
    assert player.run(stream, [range(len(frames))]) == [frames]
    single = frames[:SINGLE]
    assert player.run(stream, [[n] for n in range(len(single))]) == [[frame] for frame in single]


@pytest.mark.parametrize("name", ["nano-two-gops", "nano-nodes", "lite-networks", "main-motion", "main-444-10"])
def test_frames_play_in_any_order(player: Player, name: str) -> None:
    stream = MANIFEST.stream(name)
    frames = stream.frame_md5
    player.open(name)
    order = np.random.default_rng(0).permutation(len(frames))[:20]
    calls = [order, order[::-1], [-1, 0, 0]]
    assert player.run(stream, calls) == [[frames[n] for n in numbers] for numbers in calls]


def test_a_frame_that_is_not_there_is_an_error(player: Player) -> None:
    stream = MANIFEST.stream("nano-400")
    player.open(stream.id)
    with pytest.raises(Exception, match="out of data bounds"):
        player.run(stream, [[stream.frame_count]])
    assert player.run(stream, [[0]]) == [[stream.frame_md5[0]]]


@pytest.mark.parametrize("name", ["nano-400-10", "nano-two-gops", "main-444-10"])
def test_the_runtime_describes_input_and_outputs(player: Player, name: str) -> None:
    stream = MANIFEST.stream(name)
    shapes = plane_shapes(stream.width, stream.height, stream.chroma_format)
    kind = "uint8" if stream.bit_depth == 8 else "uint16"
    tensor = {"isTensor": True}
    assert player.open(name) == {
        "inputs": [{**tensor, "name": "frame", "type": "int64", "shape": ["B"]}],
        "outputs": [
            {**tensor, "name": plane, "type": kind, "shape": ["B", *shape]}
            for plane, shape in zip("yuv", shapes, strict=False)
        ],
    }


def test_the_page_s_program_plays_a_model(player: Player) -> None:
    """The lines of docs/export.md for JavaScript."""
    stream = MANIFEST.stream("nano-two-gops")
    player.open(stream.id)
    (program,) = [text.split("```")[0] for text in PAGE.read_text("utf-8").split("```js\n")[1:]]
    base64_of_planes = f"JSON.stringify(await Promise.all([y, u, v].map(({{ data }}) => ({TO_BASE64})(data))))"
    made = json.loads(player.page.evaluate(f"async () => {{ {program} return {base64_of_planes}; }}"))
    assert hashlib.md5(b"".join(map(base64.b64decode, made))).hexdigest() == stream.frame_md5[0]
