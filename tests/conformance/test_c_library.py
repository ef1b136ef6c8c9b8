"""What the library in C does beyond decoding in order: seeking, METADATA, stages, wasm32, fuzzing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from c_decoder import SOURCES, build_test, needs_c, units
from case_choice import full_except

from nvrc_conformance.manifest import GoldenStream, load_manifest, stage_paths
from nvrc_decoder.bitstream.units import UnitType
from spec import c_requirements

MANIFEST = load_manifest()
STREAMS = MANIFEST.streams
# Those of the fast run: GOPs and INDEX, a pyramid with motion, blocks of motion.
FEW = [MANIFEST.stream(name) for name in ("nano-four-gops", "lite-pyramid", "main-split-empty")]
# Under sanitizers the large pictures would take minutes.
SMALL = [stream for stream in STREAMS if stream.width * stream.height <= 8192]
WASM_BYTES = 200_000
# Decodes a stream with build/nvrc.wasm and prints the MD5 of all frames.
RUN_WASM = """
const fs = require("fs"), crypto = require("crypto");
const data = fs.readFileSync(process.argv[3]), hash = crypto.createHash("md5");
const read = (offset, to, count) => {
  new Uint8Array(wasm.memory.buffer, to, count).set(data.subarray(offset, offset + count));
  return 0;
};
const code = new WebAssembly.Module(fs.readFileSync(process.argv[2]));
const wasm = new WebAssembly.Instance(code, { nvrc: { read } }).exports;
let status = wasm.wasm_open(data.length, 2 ** 28);
while (status === 0 && (status = wasm.wasm_decode()) === 0)
  hash.update(new Uint8Array(wasm.memory.buffer, wasm.wasm_frame(), wasm.wasm_frame_size()));
console.log(status, hash.digest("hex"));
"""

pytestmark = needs_c


@pytest.fixture(scope="module")
def seek(sanitized: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_test(sanitized, "seek", tmp_path_factory.mktemp("seek"))


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300)


def file_of(name: str) -> Path:
    return MANIFEST.file(MANIFEST.stream(name))


def without_index(data: bytes) -> bytes:
    """The stream without its INDEX and footer; its GOPs are found by hopping."""
    kept = bytearray(data[:10])
    for first, _, crc in units(data):
        if data[first] != UnitType.INDEX:
            kept += data[first : crc + 4]
    return bytes(kept)


def check_alone(decoder: Path, stream: GoldenStream, start: int, count: int, output: Path) -> None:
    file = MANIFEST.file(stream)
    done = run(decoder, file, "-o", output, "--start", start, "--frames", count)
    assert (done.returncode, done.stderr) == (0, "")
    raw = output.read_bytes()
    size = len(raw) // count
    frames = [hashlib.md5(raw[size * t : size * (t + 1)]).hexdigest() for t in range(count)]
    assert frames == list(stream.frame_md5[start : start + count])


@pytest.mark.parametrize("stream", full_except(STREAMS, *FEW), ids=lambda stream: stream.id)
def test_the_last_frames_decode_alone(decoder: Path, stream: GoldenStream, tmp_path: Path) -> None:
    count = min(2, stream.frame_count)
    check_alone(decoder, stream, stream.frame_count - count, count, tmp_path / "frames.yuv")


@pytest.mark.full
@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.id)
def test_every_frame_decodes_alone(decoder: Path, stream: GoldenStream, tmp_path: Path) -> None:
    for t in range(stream.frame_count):
        check_alone(decoder, stream, t, 1, tmp_path / "frames.yuv")


@pytest.mark.full
@pytest.mark.parametrize("stream", SMALL, ids=lambda stream: stream.id)
def test_seeks_in_any_order_find_the_same_frames(seek: Path, stream: GoldenStream) -> None:
    """Through callbacks, which fail at each read in turn."""
    done = run(seek, MANIFEST.file(stream))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
@pytest.mark.parametrize("name", ["nano-sparse", "nano-four-gops", "lite-networks"])
def test_seeks_hop_where_there_is_no_index(seek: Path, name: str, tmp_path: Path) -> None:
    stream = tmp_path / "hop.nvrc"
    stream.write_bytes(without_index(MANIFEST.read(name)))
    done = run(seek, stream)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
@pytest.mark.parametrize("hop", [False, True])
def test_a_seek_does_not_read_other_gops(seek: Path, hop: bool, tmp_path: Path) -> None:
    """By hopping, it reads the 20 bytes at most that a unit's header and its frame_count may take."""
    data = MANIFEST.read("nano-four-gops")
    stream = tmp_path / "stream.nvrc"
    stream.write_bytes(without_index(data) if hop else data)
    first, _, crc = next(unit for unit in units(stream.read_bytes()) if stream.read_bytes()[unit[0]] == UnitType.GOP)
    assert crc - first > 40
    done = run(seek, stream, first + (20 if hop else 0), crc + 4)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_an_error_outlives_a_count(sanitized: Path, tmp_path: Path) -> None:
    """INDEX is damaged, too, so that counting meets an error of its own, after which it hops."""
    data = bytearray(MANIFEST.read("nano-four-gops"))
    of_type = {data[first]: (first, payload, crc) for first, payload, crc in reversed(list(units(bytes(data))))}
    first, payload, crc = of_type[UnitType.DIGEST]
    data[payload] ^= 1
    data[crc : crc + 4] = zlib.crc32(data[first:crc]).to_bytes(4, "little")
    data[of_type[UnitType.INDEX][2]] ^= 1
    stream = tmp_path / "stream.nvrc"
    stream.write_bytes(data)
    done = run(build_test(sanitized, "count", tmp_path), stream)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_damaged_gop_leaves_others_alone(decoder: Path, tmp_path: Path) -> None:
    stream = MANIFEST.stream("nano-four-gops")
    data = bytearray(MANIFEST.read(stream.id))
    _, payload, _ = next(unit for unit in units(bytes(data)) if data[unit[0]] == UnitType.GOP)
    data[payload + 1] ^= 1
    damaged, output = tmp_path / "damaged.nvrc", tmp_path / "frames.yuv"
    damaged.write_bytes(data)
    assert run(decoder, damaged, "-o", output).returncode == 65
    done = run(decoder, damaged, "-o", output, "--start", stream.frame_count - 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.md5(output.read_bytes()).hexdigest() == stream.frame_md5[-1]


@pytest.mark.parametrize("target", [UnitType.NETWORK, UnitType.GOP])
def test_an_entry_that_leads_astray_is_e_index(decoder: Path, target: int, tmp_path: Path) -> None:
    """The unit_type where the first entry leads is damaged; spec 2.8."""
    data = bytearray(MANIFEST.read("nano-four-gops"))
    first, _, _ = next(unit for unit in units(bytes(data)) if data[unit[0]] == target)
    data[first] = 0x90
    stream = tmp_path / "astray.nvrc"
    stream.write_bytes(data)
    done = run(decoder, stream, "-o", tmp_path / "frames.yuv", "--start", 1)
    assert done.returncode == 65
    assert done.stderr.startswith("error[E_INDEX]")
    assert done.stderr.endswith(", R2.15)\n")


def test_a_seek_past_the_end_finds_no_frame(decoder: Path, tmp_path: Path) -> None:
    stream = MANIFEST.stream("nano-four-gops")
    done = run(decoder, MANIFEST.file(stream), "-o", tmp_path / "frames.yuv", "--start", stream.frame_count)
    assert done.returncode == 66
    assert not (tmp_path / "frames.yuv").exists()


def test_a_seek_checks_the_digest_unit_first(decoder: Path, tmp_path: Path) -> None:
    """A frame in the middle of a GOP does not need the value of DIGEST, but an intact unit (spec 2.8)."""
    data = bytearray(MANIFEST.read("nano-four-gops"))
    _, _, crc = [unit for unit in units(bytes(data)) if data[unit[0]] == UnitType.DIGEST][-1]
    data[crc] ^= 1
    stream = tmp_path / "stream.nvrc"
    stream.write_bytes(data)
    done = run(decoder, stream, "-o", tmp_path / "frames.yuv", "--start", 10, "--frames", 1)
    assert done.returncode == 65
    assert done.stderr.startswith("error[E_CRC]")


def test_a_false_footer_is_no_index(decoder: Path, tmp_path: Path) -> None:
    """The last bytes are those of a footer, but END does not end there: 2.8 asks to hop, which then finds R2.14."""
    data = without_index(MANIFEST.read("nano-four-gops"))
    stream = tmp_path / "false.nvrc"
    stream.write_bytes(data + bytes(8) + b"NVRX")
    done = run(decoder, stream, "-o", tmp_path / "frames.yuv", "--start", 1)
    assert done.returncode == 65
    assert done.stderr.startswith("error[E_TRAILING]")


def test_info_counts_frames_and_lists_metadata(decoder: Path) -> None:
    done = run(decoder, file_of("nano-presentation"), "--info")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert {"width=20", "height=14", "rate=25/1", "frames=4", "gops=2"} <= set(lines)
    assert "metadata at frame 0: nvrc.times (20 bytes)" in lines


def test_info_reports_metadata_that_is_damaged(decoder: Path, tmp_path: Path) -> None:
    data = bytearray(MANIFEST.read("nano-presentation"))
    first, payload, crc = next(unit for unit in units(bytes(data)) if data[unit[0]] == UnitType.METADATA)
    data[payload + 1] = 0xFF
    stream = tmp_path / "metadata.nvrc"
    stream.write_bytes(data)
    assert run(decoder, stream, "--info").stderr.startswith("error[E_CRC]")
    data[crc : crc + 4] = zlib.crc32(data[first:crc]).to_bytes(4, "little")
    stream.write_bytes(data)
    assert run(decoder, stream, "--info").stderr.startswith("error[E_UTF8]")


@pytest.mark.parametrize("words", [["--start", "x"], ["--frames"], ["--start", "1"], ["--what"], ["-o"]])
def test_wrong_arguments_are_usage(decoder: Path, words: list[str]) -> None:
    done = run(decoder, file_of("nano-sparse"), *words)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize("stream", full_except(STREAMS, *FEW), ids=lambda stream: stream.id)
def test_stages_are_those_of_the_manifest(decoder: Path, stream: GoldenStream) -> None:
    done = run(decoder, MANIFEST.file(stream), "--stages", "/dev/stdout")
    assert (done.returncode, done.stderr) == (0, "")
    assert [tuple(line.split(" ")) for line in done.stdout.splitlines()] == stage_paths(stream.stages)


def test_stages_before_an_error_are_kept(decoder: Path, tmp_path: Path) -> None:
    """They tell where a decoder with a wrong frame went wrong."""
    wrong = MANIFEST.path.parent / "faults" / "reject-8-1-digest.nvrc"
    done = run(decoder, wrong, "--stages", tmp_path / "stages", "-o", tmp_path / "frames")
    assert done.returncode == 65
    assert "gops[0].synthesis.subplanes " in (tmp_path / "stages").read_text(encoding="utf-8")
    assert not (tmp_path / "frames").exists()


def test_the_table_of_requirements_is_current() -> None:
    """Run `python tools/spec/c_requirements.py` where it is not."""
    annex = c_requirements.ANNEX.read_text(encoding="utf-8")
    assert c_requirements.HEADER.read_text(encoding="utf-8") == c_requirements.render(annex)


@pytest.fixture(scope="module")
def wasm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("clang") is None or shutil.which("wasm-ld") is None:
        pytest.skip("needs clang and wasm-ld")
    folder = tmp_path_factory.mktemp("wasm")
    done = run("make", "-C", SOURCES, "wasm", f"BUILD={folder}")
    if "unable to create target" in done.stderr:
        pytest.skip("this clang has no target wasm32")
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "nvrc.wasm"


@pytest.mark.full
def test_wasm_builds_without_a_library_and_is_small(wasm: Path) -> None:
    assert wasm.stat().st_size < WASM_BYTES


@pytest.mark.full
@pytest.mark.parametrize("name", ["nano-sparse", "nano-split", "lite-networks", "main-random", "nano-400-10"])
def test_wasm_decodes_the_same_frames(wasm: Path, name: str, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("needs node")
    script = tmp_path / "run.cjs"
    script.write_text(RUN_WASM, encoding="utf-8")
    done = run("node", script, wasm, file_of(name))
    stream = MANIFEST.stream(name)
    assert (done.returncode, done.stdout) == (0, f"1 {stream.md5}\n"), done.stderr


@pytest.mark.full
def test_mutations_find_no_fault(tmp_path: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("needs clang")
    done = run("make", "-C", SOURCES, "fuzz", f"BUILD={tmp_path}")
    if done.returncode and "libclang_rt" in done.stderr:
        pytest.skip("this clang has no sanitizers")
    assert (done.returncode, done.stderr) == (0, "")
    small = [MANIFEST.file(stream) for stream in STREAMS if stream.bytes < 1024]
    found = run(tmp_path / "mutations", 1, 0, 3000, *small)
    assert (found.returncode, found.stderr) == (0, "")
    report = json.loads(found.stdout)
    assert report["accepted"] + report["rejected"] == 3000
    assert {"E_RANGE", "E_ENTROPY", "E_DIGEST", "E_CRC", "E_INDEX"} <= set(report["codes"])
