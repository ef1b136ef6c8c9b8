"""A stream of more than 32 GiB, in a file with a hole: offsets of more than 32 bits lead to the right GOP."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_conformance.sparse import HOLE_LOG2, crc_with_zeros, write_sparse
from nvrc_decoder.bitstream.random_access import RandomAccess

MANIFEST = load_manifest()
NAME = "nano-four-gops"


@pytest.mark.parametrize("log2", [0, 1, 7, 16])
def test_the_crc_of_zeros_is_that_of_zlib(log2: int) -> None:
    assert crc_with_zeros(zlib.crc32(b"head"), log2) == zlib.crc32(b"head" + bytes(1 << log2))


def test_offsets_beyond_32_bits_lead_to_their_gops(tmp_path: Path) -> None:
    path = tmp_path / "sparse.nvrc"
    write_sparse(path, MANIFEST.read(NAME))
    frame_md5 = MANIFEST.stream(NAME).frame_md5
    assert path.stat().st_size > 1 << HOLE_LOG2
    assert path.stat().st_blocks < 1000
    with path.open("rb") as file:
        access = RandomAccess(file)
        assert access.has_index
        assert access.gop_count == 4
    with nvrc_decoder.open(path, engine="reference") as video:
        assert [video[n].md5() for n in (len(frame_md5) - 1, 0)] == [frame_md5[-1], frame_md5[0]]
    with nvrc_decoder.open(path, engine="reference") as video:
        first = [next(video).md5() for _ in range(9)]
        with pytest.raises(nvrc_decoder.LimitError, match="max_unit_bytes"):
            next(video)
    assert tuple(first) == frame_md5[:9]
