"""The decoder in C against the golden streams, and against streams that are damaged."""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
import zlib
from pathlib import Path

import pytest
from c_decoder import build_test, needs_c, units

from nvrc_conformance.manifest import MANIFEST_PATH, FaultStream, GoldenStream, load_manifest

MANIFEST = load_manifest()
EXAMPLES = MANIFEST_PATH.parents[1] / "spec" / "examples"
REPORT = re.compile(r"error\[E_[A-Z0-9_]+\] at byte 0x[0-9a-f]+: .+ \(spec \d+\.\d+(, R\d+\.\d+)?\)\n")
REJECTIONS = {65, 69, 77}
EXIT_CODES = {"valid": 0, "reject": 65, "unsupported": 69, "limit": 77}

pytestmark = needs_c


def decode(decoder: Path, stream: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(decoder), str(stream), "-o", str(output)], capture_output=True, text=True, timeout=120)


def check_frames(decoder: Path, stream: GoldenStream, output: Path) -> None:
    done = decode(decoder, MANIFEST.file(stream), output)
    assert (done.returncode, done.stderr) == (0, "")
    raw = output.read_bytes()
    size, rest = divmod(len(raw), stream.frame_count)
    assert rest == 0
    frames = [hashlib.md5(raw[size * t : size * (t + 1)]).hexdigest() for t in range(stream.frame_count)]
    assert frames == list(stream.frame_md5)


def check_rejected(decoder: Path, data: bytes, folder: Path) -> None:
    stream, output = folder / "damaged.nvrc", folder / "damaged.yuv"
    stream.write_bytes(data)
    done = decode(decoder, stream, output)
    assert done.returncode in REJECTIONS, done.stderr
    assert REPORT.fullmatch(done.stderr), done.stderr
    assert not output.exists()


def small_streams() -> list[bytes]:
    return [MANIFEST.read(s.id) for s in MANIFEST.streams if s.bytes < 1500]


@pytest.mark.parametrize("stream", MANIFEST.streams, ids=lambda stream: stream.id)
def test_the_c_decoder_decodes_the_golden_streams(decoder: Path, stream: GoldenStream, tmp_path: Path) -> None:
    check_frames(decoder, stream, tmp_path / "frames.yuv")


@pytest.mark.parametrize("fault", MANIFEST.faults, ids=lambda fault: fault.id)
def test_the_c_decoder_refuses_for_the_same_reason(decoder: Path, fault: FaultStream, tmp_path: Path) -> None:
    done = decode(decoder, MANIFEST.file(fault), tmp_path / "frames.yuv")
    allowed = {EXIT_CODES[outcome] for outcome in (fault.expect, *fault.also)}
    assert done.returncode in allowed, done.stderr
    assert REPORT.fullmatch(done.stderr), done.stderr
    assert not (tmp_path / "frames.yuv").exists()
    if done.returncode == EXIT_CODES[fault.expect]:
        assert f"error[{fault.code}]" in done.stderr
        assert fault.requirement is None or done.stderr.endswith(f", {fault.requirement})\n")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.nvrc")), ids=lambda path: path.stem)
def test_the_c_decoder_decodes_the_spec_examples(decoder: Path, path: Path, tmp_path: Path) -> None:
    """The DIGEST in each example is the answer."""
    done = decode(decoder, path, tmp_path / "frames.yuv")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_c_decoder_rejects_truncated_streams(decoder: Path, tmp_path: Path) -> None:
    data = MANIFEST.read("nano-sparse")
    for size in range(0, len(data), 7):
        check_rejected(decoder, data[:size], tmp_path)
    check_rejected(decoder, data[:-1], tmp_path)


def test_the_c_decoder_rejects_flipped_bytes(decoder: Path, tmp_path: Path) -> None:
    seeded = random.Random(1)
    for data in seeded.choices(small_streams(), k=100):
        damaged = bytearray(data)
        at = seeded.choice([i for i in range(len(data)) if i != 9])  # every value of minor is valid (spec 2.2)
        damaged[at] ^= seeded.randrange(1, 256)
        check_rejected(decoder, bytes(damaged), tmp_path)


@pytest.mark.full
def test_the_c_decoder_survives_faults_behind_a_crc(decoder: Path, tmp_path: Path) -> None:
    """A flip whose crc is right reaches every check behind that of the crc, or leaves a valid stream."""
    seeded = random.Random(2)
    for data in seeded.choices(small_streams(), k=100):
        check_survived(decoder, flip_behind_crc(seeded, data), tmp_path)


def flip_behind_crc(seeded: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    first, payload, crc = seeded.choice(list(units(data)))
    damaged[seeded.randrange(payload, crc)] ^= 1 << seeded.randrange(8)
    damaged[crc : crc + 4] = zlib.crc32(damaged[first:crc]).to_bytes(4, "little")
    return bytes(damaged)


def check_survived(decoder: Path, data: bytes, folder: Path) -> None:
    stream = folder / "flipped.nvrc"
    stream.write_bytes(data)
    done = decode(decoder, stream, folder / "flipped.yuv")
    assert done.returncode in REJECTIONS | {0}, done.stderr
    assert done.returncode == 0 or REPORT.fullmatch(done.stderr), done.stderr


@pytest.mark.full
@pytest.mark.parametrize("name", ["nano-sparse", "nano-split", "lite-bound", "main-pyramid", "nano-1x1"])
def test_the_sanitizers_find_no_fault_in_a_stream(sanitized: Path, name: str, tmp_path: Path) -> None:
    stream = MANIFEST.stream(name)
    check_frames(sanitized, stream, tmp_path / "frames.yuv")


@pytest.mark.full
def test_the_sanitizers_find_no_fault_in_flips(sanitized: Path, tmp_path: Path) -> None:
    seeded = random.Random(3)
    for data in seeded.choices(small_streams(), k=50):
        check_survived(sanitized, flip_behind_crc(seeded, data), tmp_path)


@pytest.mark.full
def test_the_c_decoder_frees_all_when_memory_ends(sanitized: Path, tmp_path: Path) -> None:
    program = build_test(sanitized, "allocator", tmp_path)
    stream = MANIFEST.file(MANIFEST.stream("nano-planes"))
    assert subprocess.run([str(program), str(stream)], timeout=120).returncode == 0


def test_the_c_decoder_has_exit_codes_for_its_input(decoder: Path, tmp_path: Path) -> None:
    assert decode(decoder, tmp_path / "absent.nvrc", tmp_path / "frames.yuv").returncode == 66
    assert not (tmp_path / "frames.yuv").exists()
    assert subprocess.run([str(decoder)], capture_output=True).returncode == 2
