"""`export`: a folder that plain ONNX Runtime turns into the same frames, or no folder."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.gop import Network, decode_grids, load_network
from nvrc_decoder.errors import InternalError
from nvrc_decoder.export import export_video, fill_initializers
from nvrc_decoder.limits import DEFAULT_LIMITS
from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.synthesis.cuda.providers import import_onnxruntime
from nvrc_decoder.synthesis.onnx.initializers import PREDICTED, graph_initializers
from nvrc_decoder.synthesis.onnx.session import graph_bytes
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_output.files import atomic_directory
from nvrc_ref.main import run

onnxruntime = import_onnxruntime()
MANIFEST = load_manifest()
# Every profile, sample format and kind of network; absent slots, several GOPs and networks, odd sizes, motion.
STREAMS = [
    *("nano-1x1", "nano-400-10", "nano-444", "nano-four-gops", "lite-networks", "lite-420-10", "main-444-10"),
    *("nano-motion", "nano-planes", "lite-motion", "main-motion-column", "main-pyramid"),
]
STREAM = "nano-two-gops"


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def path_of(name: str) -> Path:
    return MANIFEST.file(MANIFEST.stream(name))


def exported(name: str, folder: Path) -> dict[str, object]:
    folder.mkdir()
    return export_video(io.BytesIO(MANIFEST.read(name)), folder).manifest


def readme_script(folder: Path) -> str:
    (script,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return script


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


@pytest.mark.parametrize("name", STREAMS)
def test_the_readme_s_script_makes_the_frames(tmp_path: Path, bare_packages: Path, name: str) -> None:
    exported(name, tmp_path / "out")
    lines = run_bare(bare_packages, readme_script(tmp_path / "out"), tmp_path / "out").split("\n")[:-1]
    expected = MANIFEST.stream(name).frame_md5
    assert lines == [f"{t} {md5} ok" for t, md5 in enumerate(expected)]


def test_the_script_notices_a_wrong_frame(tmp_path: Path, bare_packages: Path) -> None:
    manifest = exported(STREAM, tmp_path / "out")
    gop = manifest["gops"][1]  # type: ignore[index]
    file = tmp_path / "out" / gop["inputs"]["luma"]["file"]
    values = np.load(file)
    values[0, 0] += 9
    np.save(file, values)
    output = run_bare(bare_packages, readme_script(tmp_path / "out"), tmp_path / "out")
    first = gop["first_frame"]
    assert [line.endswith("ok") for line in output.splitlines()][: first + 1] == [True] * first + [False]


def test_bare_interpreter_has_nothing_else(tmp_path: Path, bare_packages: Path) -> None:
    code = "import importlib.util as u\nprint([n for n in %r if u.find_spec(n)])"
    names = ("nvrc_decoder", "nvrc_ref", "onnx", "torch", "constriction", "cv2")
    assert run_bare(bare_packages, code % (names,), tmp_path) == "[]\n"


@pytest.mark.parametrize("stream", STREAMS)
def test_inputs_are_those_of_the_decoder(tmp_path: Path, stream: str) -> None:
    folder = tmp_path / "out"
    exported(stream, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    table = RandomAccess(io.BytesIO(MANIFEST.read(stream)), DEFAULT_LIMITS)
    sequence, stated = table.sequence, {item["name"]: item["shape"] for item in manifest["inputs"]}
    for number, gop in enumerate(manifest["gops"]):
        record = table.gop(number)
        count = record.gop.frame_count
        assert (gop["first_frame"], gop["frame_count"]) == (record.first_frame, count)
        network = load_network(sequence, record.network)
        header = network.header
        grids = decode_grids(sequence, network, count, record.gop.grids, record.gop.node_maps)
        active = header.stage_channels, header.stage_blocks
        arguments = network.profile, sequence, *active, network.layers, network.multipliers, header.pyramid
        planes = ReferenceSynthesizer(*arguments).predicted(grids, count, range(count))
        right = {name: planes.get(stage) for name, stage in PREDICTED.items()}
        for name, shape in stated.items():
            expected = grids[int(name[4:])] if name.startswith("grid") else right[name]
            assert (expected is None) == (name not in gop["inputs"])
            if expected is not None:
                values = values_of(folder, gop["inputs"][name])
                assert list(values.shape) == [count, *shape[1:]]
                assert np.array_equal(values[:, : expected.shape[1]], expected)
                assert not values[:, expected.shape[1] :].any()


def values_of(folder: Path, place: dict[str, object]) -> np.ndarray:
    """A file of a manifest, read without knowing .npy."""
    data = (folder / str(place["file"])).read_bytes()[place["offset"] :]  # type: ignore[misc]
    values = np.frombuffer(data, "<f4").reshape(place["shape"])  # type: ignore[call-overload]
    assert np.array_equal(values, np.load(folder / str(place["file"])))
    return values


def test_frames_in_one_batch(tmp_path: Path) -> None:
    name = "main-pair"
    manifest = exported(name, tmp_path / "out")
    stream = MANIFEST.stream(name)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "network_0.onnx"))
    assert [item.name for item in session.get_inputs()] == [item["name"] for item in manifest["inputs"]]  # type: ignore[attr-defined]
    (gop,) = manifest["gops"]  # type: ignore[misc]
    count = gop["frame_count"]
    one_by_one = []
    for frames in [range(count), *(range(t, t + 1) for t in range(count))]:
        feeds = {}
        for item in manifest["inputs"]:  # type: ignore[attr-defined]
            run = np.clip(np.arange(frames.start - item["halo"], frames.stop + item["halo"]), 0, count - 1)
            feeds[item["name"]] = np.zeros((len(run), *item["shape"][1:]), np.float32)
            if item["name"] in gop["inputs"]:
                feeds[item["name"]] = np.load(tmp_path / "out" / gop["inputs"][item["name"]]["file"])[run]
        one_by_one.append(session.run(["rows"], feeds)[0])
    assert count == len(stream.frame_md5) > 1
    assert np.array_equal(one_by_one[0], np.concatenate(one_by_one[1:]))
    assert list(one_by_one[0].shape[1:]) == manifest["output"]["shape"][1:]  # type: ignore[index]


@pytest.mark.parametrize("name", ["nano-two-gops", "lite-networks", "main-444-10"])
def test_graph_holds_the_weights_of_the_stream(tmp_path: Path, name: str) -> None:
    exported(name, tmp_path / "out")
    table = RandomAccess(io.BytesIO(MANIFEST.read(name)), DEFAULT_LIMITS)
    sequence, network = table.sequence, load_network(table.sequence, table.gop(0).network)
    model = onnx.load(tmp_path / "out" / "network_0.onnx")
    onnx.checker.check_model(model, full_check=True)
    tensors = initializers(sequence, network)
    shipped = onnx.load_from_string(graph_bytes(network.profile))
    for found, placeholder in zip(model.graph.initializer, shipped.graph.initializer, strict=True):
        assert (found.name, found.dims) == (placeholder.name, placeholder.dims)
        assert found.data_location == onnx.TensorProto.DEFAULT
        assert not found.external_data
        if found.name in tensors:
            assert np.array_equal(onnx.numpy_helper.to_array(found), tensors.pop(found.name))
        else:
            assert found == placeholder
    assert tensors == {}
    model.graph.ClearField("initializer")
    shipped.graph.ClearField("initializer")
    assert model == shipped


def initializers(sequence: SequenceHeader, network: Network) -> dict[str, np.ndarray]:
    active = network.header.stage_channels, network.header.stage_blocks
    return dict(graph_initializers(network.profile, sequence, *active, network.layers, network.multipliers))


def all_tensors() -> tuple[bytes, dict[str, np.ndarray]]:
    table = RandomAccess(io.BytesIO(MANIFEST.read(STREAM)), DEFAULT_LIMITS)
    network = load_network(table.sequence, table.gop(0).network)
    return graph_bytes(PROFILES[0]), initializers(table.sequence, network)


def test_names_shapes_and_types_have_to_match() -> None:
    model, tensors = all_tensors()
    weight = tensors["head.pointwise.weight"]
    for changes, words in (
        ({"head.pointwise.weight": weight[:-1]}, "another shape"),
        ({"head.pointwise.weight": weight.astype(np.float64)}, "another shape or type"),
        ({"nothing": weight}, "no place for"),
    ):
        with pytest.raises(InternalError, match=words):
            fill_initializers(model, {**tensors, **changes})
    del tensors["head.limit"]
    with pytest.raises(InternalError, match=r"head\.limit"):
        fill_initializers(model, tensors)


def test_every_truncation_of_a_graph_is_noticed() -> None:
    model, tensors = all_tensors()
    for length in [*range(0, len(model), 997), len(model) - 1]:
        with pytest.raises(InternalError):
            fill_initializers(model[:length], tensors)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("export", path_of(STREAM), "-o", tmp_path / "out", "--json", "--engine", "reference") == 0
    document = json.loads(capsys.readouterr().out)
    stream = MANIFEST.stream(STREAM)
    assert (document["md5"], document["frames"]) == (stream.md5, len(stream.frame_md5))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert (document["files"], document["bytes"]) == (len(files), sum(path.stat().st_size for path in files))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert call("export", path_of(STREAM), "-o", tmp_path / "out2") == 0
    assert "README.md" in capsys.readouterr().out


def test_from_a_pipe(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "nvrc_ref", "export", "-", "-o", str(tmp_path / "out")]
    result = subprocess.run(words, input=MANIFEST.read(STREAM), capture_output=True)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["md5"] == MANIFEST.stream(STREAM).md5


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert call("export", path_of(STREAM), "-o", f"{tmp_path / 'out'}/") == 0
    assert (tmp_path / "out" / "manifest.json").exists()


def test_bad_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep").write_text("x")
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "full", tmp_path / "file", tmp_path / "none" / "out"):
        assert call("export", path_of(STREAM), "-o", target) == 74
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error[E_OUTPUT]")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "keep"]
    assert call("export", path_of(STREAM), "-o", "-") == 2
    assert call("export", path_of(STREAM), "-o", tmp_path / "out", "--engine", "reference", "--provider", "cuda") == 2
    assert call("export", tmp_path / "none.nvrc", "-o", tmp_path / "out") == 66


def test_a_damaged_stream_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = MANIFEST.read(STREAM)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for number, bad in enumerate((data[:-20], data[: len(data) // 2], bytes(flipped))):
        source = tmp_path / f"{number}.nvrc"
        source.write_bytes(bad)
        assert call("export", source, "-o", tmp_path / "out") == 65
        assert capsys.readouterr().err.startswith("error[E_")
        source.unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_digest_that_is_wrong_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvrc_decoder.picture.planes.GopDigest.digest", lambda self: bytes(16))
    assert call("export", path_of(STREAM), "-o", tmp_path / "out") == 65
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for place in ("numpy.lib.format.write_array_header_1_0", "pathlib.Path.write_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            assert call("export", path_of(STREAM), "-o", tmp_path / "out") == 74
        assert "No space left" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    def stop() -> None:
        with atomic_directory(tmp_path / "out", merge=False) as folder:
            (folder / "a").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


def test_exporting_imports_neither_torch_nor_onnx(tmp_path: Path) -> None:
    code = (
        "import sys; from nvrc_ref.main import run; "
        f"run(['export', {str(path_of(STREAM))!r}, '-o', {str(tmp_path / 'out')!r}, '--engine', 'reference']); "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'cv2', 'av'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
