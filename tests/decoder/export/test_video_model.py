"""A video as an ONNX model: its frames are those of the stream, in any runtime, in any order."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from case_choice import full_except
from export_cases import MANIFEST, call, export, md5s, path_of, session_of
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

import nvrc_decoder
from nvrc_decoder.errors import InputError
from nvrc_decoder.export import export_split
from nvrc_decoder.synthesis.cuda.providers import import_onnxruntime

onnxruntime = import_onnxruntime()
NAMES = [stream.id for stream in MANIFEST.streams]
# Its GOPs have two NETWORKs of different slots and pyramids.
STREAM = "lite-networks"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "export.md"
CONTROL = {"Scan", "Loop", "If", "Identity", "ConstantOfShape"}
"""Operators of a model beside those of the shipped graphs: control, and what it needs."""
TABLES = {"Split", "Not", "Equal", "Less", "Or", "Neg", "Abs", "Where", "Min", "Max"}


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def example(heading: str, number: int) -> str:
    """A program of the page."""
    section = PAGE.read_text("utf-8").split(heading)[1]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[number]


@pytest.fixture(scope="module")
def bare_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with numpy and onnxruntime, and nothing else that is installed."""
    bare = tmp_path_factory.mktemp("packages")
    for name in ("numpy", "onnxruntime"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        for part in (package, *package.parent.glob(f"{name}.libs")):
            (bare / part.name).symlink_to(part)
    return bare


def run_bare(packages: Path, code: str, folder: Path) -> str:
    """Run code in a fresh interpreter that finds only the standard library and `packages`."""
    first = f"import sys; sys.path.append({str(packages)!r})\n"
    words = [sys.executable, "-I", "-S", "-c", first + code]
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "name", full_except(NAMES, "nano-1x1", "nano-400-10", "nano-chain", "lite-networks", "main-pyramid", "nano-split")
)
def test_frames_are_those_of_the_stream(name: str) -> None:
    model, _ = export(name)
    session, expected = session_of(model), MANIFEST.stream(name).frame_md5
    assert [md5s(session, [t])[0] for t in range(len(expected))] == list(expected)
    assert md5s(session, range(len(expected))) == list(expected)


@pytest.mark.parametrize("name", full_except(["nano-two-gops", "nano-nodes", "lite-pyramid"], "nano-two-gops"))
def test_frames_in_any_order(name: str) -> None:
    session, expected = session_of(export(name)[0]), MANIFEST.stream(name).frame_md5
    order = np.random.default_rng(0).permutation(len(expected))[:20]
    wanted = [*order, *order[::-1], -1]
    assert md5s(session, wanted) == [expected[t] for t in wanted]


def test_numbers_of_no_frame_are_errors() -> None:
    session, count = session_of(export("nano-400")[0]), len(MANIFEST.stream("nano-400").frame_md5)
    onnxruntime.set_default_logger_severity(4)
    try:
        for number in (count, -count - 1, 1 << 40):
            with pytest.raises(Exception, match="out of data bounds"):
                session.run(None, {"frame": np.array([number])})
    finally:
        onnxruntime.set_default_logger_severity(2)


@pytest.mark.parametrize("name", full_except(["nano-two-gops", "nano-400-10", "nano-444"], "nano-400-10", "nano-444"))
def test_the_page_s_programs_play_a_model(tmp_path: Path, bare_packages: Path, name: str) -> None:
    assert call("export", path_of(name), "-o", tmp_path / "clip.onnx") == 0
    expected = MANIFEST.stream(name).frame_md5
    checked = run_bare(bare_packages, example("## Metadata", 0), tmp_path)
    assert checked.splitlines() == [f"{t} {md5} ok" for t, md5 in enumerate(expected)]
    if name != "nano-400-10":
        shown = "\nimport hashlib\nprint(hashlib.md5(y.tobytes() + u.tobytes() + v.tobytes()).hexdigest())"
        code = example("# Export", 0) + shown
        assert run_bare(bare_packages, code, tmp_path).split() == [expected[0]]


def test_the_page_s_program_notices_a_wrong_frame(tmp_path: Path, bare_packages: Path) -> None:
    model = onnx.load_from_string(export("nano-400")[0])
    (grid,) = (item for item in model.graph.initializer if item.name == "grid0")
    grid.raw_data = bytes(value ^ 7 for value in grid.raw_data)
    onnx.save(model, tmp_path / "clip.onnx")
    assert "WRONG" in run_bare(bare_packages, example("## Metadata", 0), tmp_path)


def test_bare_interpreter_has_nothing_else(tmp_path: Path, bare_packages: Path) -> None:
    code = "import importlib.util as u\nprint([n for n in %r if u.find_spec(n)])"
    names = ("nvrc_decoder", "nvrc_ref", "onnx", "torch", "constriction", "cv2")
    assert run_bare(bare_packages, code % (names,), tmp_path) == "[]\n"


@pytest.mark.parametrize("name", full_except(["lite-networks", "nano-400", "main-pyramid"], "lite-networks"))
def test_a_model_is_plain_onnx(name: str) -> None:
    pytest.importorskip("torch")
    from nvrc_graphs.export import OPERATORS

    data, exported = export(name)
    assert exported.bytes == len(data)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    every = list(graphs(model.graph))
    used = {item for graph in every for node in graph.node for item in node.input}
    assert [item.name for item in model.graph.initializer if item.name not in used] == []
    assert not any(graph.initializer for graph in every[1:])
    operators = {node.op_type for graph in every for node in graph.node}
    assert operators <= OPERATORS | CONTROL | TABLES
    assert {node.domain for graph in every for node in graph.node} == {""}
    names = [node.name for graph in every for node in graph.node]
    assert "" not in names
    assert len(set(names)) == len(names)


class GatherElements(OpRun):
    """That of the onnx package fails for more than 32 values."""

    op_domain = ""

    def _run(self, data: Any, indices: Any, axis: int) -> tuple[Any]:
        return (np.take_along_axis(data, indices, axis),)


@pytest.mark.parametrize(
    "name", full_except(["nano-two-gops", "nano-factors", "lite-networks", "main-split-empty"], "nano-two-gops")
)
def test_another_runtime_gives_the_same_frames(name: str) -> None:
    evaluator = ReferenceEvaluator(onnx.load_from_string(export(name)[0]), new_ops=[GatherElements])
    expected = MANIFEST.stream(name).frame_md5
    assert md5s(evaluator, range(len(expected))) == list(expected)


@pytest.mark.parametrize(("name", "kind"), [("nano-two-gops", np.int8), ("nano-escapes", np.int16)])
def test_grids_are_as_narrow_as_they_fit(name: str, kind: type[np.generic]) -> None:
    model = onnx.load_from_string(export(name)[0])
    grids = [onnx.numpy_helper.to_array(item) for item in model.graph.initializer if re.match("grid[0-9]+$", item.name)]
    assert any(grid.dtype == kind for grid in grids)
    for grid in grids:
        assert grid.dtype == (np.int16 if np.abs(grid.astype(int)).max() > 127 else np.int8)
        # Of the nodes that are all 0, at most one is stored: the last.
        assert np.array([values.any() for values in grid[:-1]]).all()


def test_metadata_describe_the_video() -> None:
    name = "nano-presentation"
    found = session_of(export(name)[0]).get_modelmeta().custom_metadata_map
    stream = MANIFEST.stream(name)
    assert (found["md5"], json.loads(found["frame_md5"])) == (stream.md5, list(stream.frame_md5))
    assert found["frame_count"] == str(len(stream.frame_md5))
    assert found["profile"] == "nano"
    with nvrc_decoder.open(io.BytesIO(MANIFEST.read(name))) as video:
        shown = video.presentation
    assert shown.sample_aspect is not None
    assert shown.orientation is not None
    assert shown.mastering is not None
    assert Fraction(found["nvrc.sar"].replace(":", "/")) == shown.sample_aspect
    assert (found["nvrc.orientation"], found["nvrc.mastering"]) == (shown.orientation.text(), shown.mastering.text())
    base = Fraction(found["time_base"])
    times = json.loads(found["frame_times"])
    assert [time * base for time in times] == [shown.timeline.start(t) for t in range(len(stream.frame_md5) + 1)]
    page = PAGE.read_text("utf-8").split("## Metadata")[1]
    assert [key for key in found if f"`{key}`" not in page] == []


def test_metadata_without_presentation() -> None:
    _, exported = export("nano-two-gops")
    assert exported.metadata["gops"] == "[0, 2]"
    assert [key for key in exported.metadata if key.startswith("nvrc.") or "time" in key] == []


@pytest.mark.parametrize(("start", "frames"), [(1, 1), (1, 3), (2, None), (5, 9)])
def test_a_part_has_its_frames(start: int, frames: int | None) -> None:
    model, exported = export(STREAM, start=start, frames=frames)
    expected = MANIFEST.stream(STREAM).frame_md5[start : None if frames is None else start + frames]
    assert json.loads(exported.metadata["frame_md5"]) == list(expected)
    assert exported.metadata["first_frame"] == str(start)
    assert md5s(session_of(model), range(len(expected))) == list(expected)


def test_a_part_decodes_no_other_gop() -> None:
    _, exported = export("nano-many-gops", start=40, frames=2)
    assert exported.gops <= 2


def test_there_is_no_part_beyond_the_end() -> None:
    with pytest.raises(InputError, match="no frame 99"):
        export(STREAM, start=99)


@pytest.mark.parametrize("name", full_except(["lite-networks", "nano-400", "main-pyramid", "nano-escapes"], "nano-400"))
def test_a_split_video_has_the_same_frames(name: str, tmp_path: Path, bare_packages: Path) -> None:
    exported = export_split(io.BytesIO(MANIFEST.read(name)), tmp_path, threads=1)
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    expected, found = MANIFEST.stream(name).frame_md5, []
    for gop in manifest["gops"]:
        model = (tmp_path / manifest["networks"][gop["network"]]).read_bytes()
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        planes = session_of(model).run(
            None, {"frame": np.arange(gop["frame_count"]), **np.load(tmp_path / gop["file"])}
        )
        found += [hashlib.md5(b"".join(p.tobytes() for p in parts)).hexdigest() for parts in zip(*planes, strict=True)]
    assert found == list(expected) == json.loads(manifest["frame_md5"])
    assert exported.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    lines = run_bare(bare_packages, example("## Parts", 0), tmp_path).splitlines()
    assert [line.split()[0] for line in lines] == [str(gop["first_frame"]) for gop in manifest["gops"]]
