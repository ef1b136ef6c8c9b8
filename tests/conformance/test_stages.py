"""The stages of a stream: their lines and values, and of damaged streams the error that says where the fault lies."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from stream_builders import assemble, split

from nvrc_conformance.manifest import load_manifest, stage_paths
from nvrc_conformance.stages import decode_stream, main
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.errors import InvalidStreamError

MANIFEST = load_manifest()


def printed(name: str, *arguments: str) -> list[str]:
    done = CliRunner().invoke(main, [str(MANIFEST.file(MANIFEST.stream(name))), *arguments])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def shown(name: str, path: str) -> list[np.ndarray]:
    """The arrays that it prints for a stage."""
    arrays: list[list[int]] = []
    shapes: list[list[int]] = []
    for line in printed(name, "--show", path):
        if line.startswith("#"):
            shapes.append([int(n) for n in line[1:].split("x")])
            arrays.append([])
        else:
            arrays[-1] += map(int, line.split())
    return [np.array(values).reshape(shape) for values, shape in zip(arrays, shapes, strict=True)]


@pytest.mark.parametrize("name", ["nano-sparse", "lite-motion-planes", "main-motion-column"])
def test_a_line_for_each_stage(name: str) -> None:
    assert printed(name) == [f"{path} {digest}" for path, digest in stage_paths(MANIFEST.stream(name).stages)]


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("networks[0].parameters.stage1.inject", "<i4"),
        ("networks[0].integers", "<i4"),
        ("gops[0].grids.9", "<i2"),
        ("gops[0].synthesis.displacement", "<i2"),
        ("gops[0].synthesis.Luma", "<i2"),
        ("gops[0].synthesis.subplanes", "<i2"),
    ],
)
def test_a_digest_is_that_of_the_values(path: str, word: str) -> None:
    data = b"".join(values.astype(word).tobytes() for values in shown("main-motion-column", path))
    digest = dict(stage_paths(MANIFEST.stream("main-motion-column").stages))[path]
    assert hashlib.sha256(data).hexdigest()[:32] == digest


def test_text_is_shown_as_it_is_hashed() -> None:
    text = "".join(f"{line}\n" for line in printed("nano-sparse", "--show", "sequence"))
    assert text.startswith("width=29\nheight=31\n")
    assert hashlib.sha256(text.encode()).hexdigest()[:32] == MANIFEST.stream("nano-sparse").stages.sequence
    assert printed("nano-planes", "--show", "gops[0].nodes.4") == ["11111"]


def test_an_unknown_stage_is_refused() -> None:
    done = CliRunner().invoke(main, [str(MANIFEST.file(MANIFEST.stream("nano-sparse"))), "--show", "gops[1].grids.2"])
    assert done.exit_code == 2
    assert "no stage gops[1].grids.2" in done.output


def test_stages_before_a_fault_are_printed(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.nvrc"
    data = MANIFEST.read("nano-four-gops")
    gop = next(unit for unit in UnitReader(io.BytesIO(data)) if unit.name == "GOP 3")
    damaged.write_bytes(data[: gop.offset + 9])
    done = CliRunner().invoke(main, [str(damaged)])
    assert done.exit_code == 65
    *lines, said = done.output.splitlines()
    assert lines[0] == f"sequence {MANIFEST.stream('nano-four-gops').stages.sequence}"
    assert lines[-1].startswith("gops[2].synthesis.subplanes ")
    assert said.startswith("error[E_TRUNCATED] ")
    damaged.write_bytes(b"no stream")
    done = CliRunner().invoke(main, [str(damaged)])
    assert (done.exit_code, done.output[:14]) == (65, "error[E_MAGIC]")


def test_subplanes_are_the_frames() -> None:
    stream = MANIFEST.stream("nano-400")
    found = []
    for subplanes in shown(stream.id, "gops[0].synthesis.subplanes"):
        _, rows, columns = subplanes.shape
        plane = subplanes.reshape(2, 2, rows, columns).transpose(2, 0, 3, 1).reshape(2 * rows, 2 * columns)
        cropped = plane[: stream.height, : stream.width].astype(np.uint8)
        found.append(hashlib.md5(cropped.tobytes(), usedforsecurity=False).hexdigest())
    assert tuple(found) == stream.frame_md5


def test_synthesis_has_what_the_network_has() -> None:
    """Motion, planes, the temporal filter and injections where they are; the nodes after the last frame nowhere."""
    (gop,) = MANIFEST.stream("main-sparse").stages.gops
    assert list(gop.synthesis)[:4] == ["stage0.temporal", "stage0.block0", "stage1.sum", "stage1.block0"]
    (gop,) = MANIFEST.stream("main-motion").stages.gops
    motion = ["displacement", "weight", "luma_residual", "Quarter", "Luma", "stage0.inject", "stage0.temporal"]
    assert list(gop.synthesis)[:7] == motion
    # Keys alone have no weights; the frame of a GOP of one has no motion.
    assert "weight" not in MANIFEST.stream("nano-keys").stages.gops[0].synthesis
    assert "displacement" not in MANIFEST.stream("nano-motion-frame").stages.gops[0].synthesis
    assert len(shown("main-motion", "gops[0].synthesis.luma_residual")) == 2
    assert len(shown("main-motion", "gops[0].synthesis.displacement")) == 9 * 2 - 1


def test_errors_of_a_gop_carry_its_offset_and_name() -> None:
    data = MANIFEST.read("nano-four-gops")
    place = next(i for i, unit in enumerate(UnitReader(io.BytesIO(data))) if unit.name == "GOP 2")
    kind, payload = split(data)[place]
    # The last word of the last grid is 0, so that its symbols do not end with its payload.
    damaged = assemble([*split(data)[:place], (kind, payload[:-4] + bytes(4)), *split(data)[place + 1 :]])
    gop = next(unit for unit in UnitReader(io.BytesIO(damaged)) if unit.name == "GOP 2")
    stages = decode_stream(damaged)
    assert [next(stages).network_number for _ in range(2)] == [0, 0]
    with pytest.raises(InvalidStreamError) as caught:
        next(stages)
    assert (caught.value.unit, caught.value.offset) == (gop.name, gop.offset)
