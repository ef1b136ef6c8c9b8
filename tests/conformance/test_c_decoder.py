"""The decoder in C against the golden streams, and against streams that are damaged."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvrc_conformance.manifest import MANIFEST_PATH, FaultStream, GoldenStream, load_manifest

SOURCES = MANIFEST_PATH.parent / "decoders" / "c"
EXAMPLES = MANIFEST_PATH.parents[1] / "spec" / "examples"
WARNINGS = "-std=c99 -Wall -Wextra -Wpedantic -Werror"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all"
REPORT = re.compile(r"error\[E_[A-Z0-9_]+\] at byte 0x[0-9a-f]+: .+ \(spec \d+\.\d+(, R\d+\.\d+)?\)\n")
REJECTIONS = {65, 69, 77}
EXIT_CODES = {"reject": 65, "unsupported": 69, "limit": 77}

# Decodes a stream with an allocator that has memory for n allocations, for n = 0, 1, ... until it is enough; then with
# little memory allowed by a limit. The exit code is the number of the check that failed.
ALLOCATOR = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nvrc.h"

static int live, left;

static void *allocate(void *user, size_t size) {
  (void)user;
  if (left-- == 0) return NULL;
  live++;
  return malloc(size);
}

static void release(void *user, void *memory) {
  (void)user;
  live--;
  free(memory);
}

static nvrc_status decode(const uint8_t *data, size_t size, const nvrc_limits *limits, nvrc_error *error) {
  nvrc_allocator allocator = {allocate, release, NULL};
  nvrc_frame frame;
  nvrc_status status = NVRC_FRAME;
  nvrc_decoder *decoder = nvrc_open(data, size, limits, &allocator, error);
  if (!decoder) return NVRC_ERROR;
  while (status == NVRC_FRAME) status = nvrc_decode(decoder, &frame, error);
  nvrc_close(decoder);
  return status;
}

int main(int argc, char **argv) {
  static uint8_t data[1 << 16];
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  size_t size = file ? fread(data, 1, sizeof data, file) : 0;
  nvrc_limits limits = nvrc_default_limits();
  nvrc_error error;
  int n = 0;
  for (;; n++) {
    left = n;
    nvrc_status status = decode(data, size, NULL, &error);
    if (live != 0) return 1;
    if (status == NVRC_END) break;
    if (strcmp(error.code, "E_MEMORY") != 0 || error.kind != NVRC_LIMIT) return 2;
  }
  if (n < 10) return 3;
  left = -1;
  limits.memory_bytes = 4000;
  if (decode(data, size, &limits, &error) != NVRC_ERROR || strcmp(error.code, "E_LIMIT") != 0) return 4;
  return live == 0 ? 0 : 5;
}
"""

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None, reason="needs the C compiler cc, and make"
)


def build(folder: Path, flags: str) -> Path:
    words = ["make", "-C", str(SOURCES), "CC=cc", f"CFLAGS={WARNINGS} {flags}", f"BUILD={folder}"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "nvrc-c"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c"), "-O2")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitized")
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n", encoding="utf-8")
    words = ["cc", *SANITIZERS.split(), "-o", str(folder / "probe"), str(probe)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("cc has no sanitizers here")
    return build(folder, f"-O1 {SANITIZERS}")


def decode(decoder: Path, stream: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(decoder), str(stream), "-o", str(output)], capture_output=True, text=True, timeout=120)


def check_frames(decoder: Path, stream: GoldenStream, output: Path) -> None:
    done = decode(decoder, MANIFEST_PATH.parent / stream.file, output)
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


def units(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The first byte of each unit, of its payload and of its crc (spec 2.3)."""
    at = 10
    while True:
        length = shift = 0
        payload = at + 1
        while True:
            byte = data[payload]
            payload += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        yield at, payload, payload + length
        if data[at] == 0x05:
            return
        at = payload + length + 4


def small_streams() -> list[bytes]:
    return [(MANIFEST_PATH.parent / s.file).read_bytes() for s in load_manifest().streams if s.bytes < 1500]


@pytest.mark.parametrize("stream", load_manifest().streams, ids=lambda stream: stream.id)
def test_the_c_decoder_decodes_the_golden_streams(decoder: Path, stream: GoldenStream, tmp_path: Path) -> None:
    check_frames(decoder, stream, tmp_path / "frames.yuv")


@pytest.mark.parametrize("fault", load_manifest().faults, ids=lambda fault: fault.id)
def test_the_c_decoder_refuses_for_the_same_reason(decoder: Path, fault: FaultStream, tmp_path: Path) -> None:
    done = decode(decoder, MANIFEST_PATH.parent / fault.file, tmp_path / "frames.yuv")
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
    data = (MANIFEST_PATH.parent / "streams" / "nano-sparse.nvrc").read_bytes()
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
    stream = next(stream for stream in load_manifest().streams if stream.id == name)
    check_frames(sanitized, stream, tmp_path / "frames.yuv")


@pytest.mark.full
def test_the_sanitizers_find_no_fault_in_flips(sanitized: Path, tmp_path: Path) -> None:
    seeded = random.Random(3)
    for data in seeded.choices(small_streams(), k=50):
        check_survived(sanitized, flip_behind_crc(seeded, data), tmp_path)


@pytest.mark.full
def test_the_c_decoder_frees_all_when_memory_ends(sanitized: Path, tmp_path: Path) -> None:
    source, program = tmp_path / "allocator.c", tmp_path / "allocator"
    source.write_text(ALLOCATOR, encoding="utf-8")
    objects = [str(path) for path in sanitized.parent.glob("*.o") if path.name != "main.o"]
    flags = f"{WARNINGS} -O1 {SANITIZERS} -I{SOURCES}".split()
    subprocess.run(["cc", *flags, "-o", str(program), str(source), *objects], check=True)
    stream = MANIFEST_PATH.parent / "streams" / "nano-planes.nvrc"
    assert subprocess.run([str(program), str(stream)], timeout=120).returncode == 0


def test_the_c_decoder_has_exit_codes_for_its_input(decoder: Path, tmp_path: Path) -> None:
    assert decode(decoder, tmp_path / "absent.nvrc", tmp_path / "frames.yuv").returncode == 66
    assert not (tmp_path / "frames.yuv").exists()
    assert subprocess.run([str(decoder)], capture_output=True).returncode == 2
