"""Decoded frames against the manifest: their sizes and MD5s, and where the first wrong sample is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

import nvrc_decoder
from nvrc_conformance.harness.cases import Case, Pixels
from nvrc_decoder.errors import NvrcError

__all__ = ["frames_fault"]

_PLANES = "YUV"


def frames_fault(case: Case, output: Path) -> str | None:
    """What is wrong with the frames that a decoder wrote; None if they are all right.

    Args:
        case: a valid stream.
        output: raw planar frames, one after the other (spec 8.3).
    """
    if case.pixels is None:
        raise ValueError(f"{case.id} has no frames to compare with")
    if not output.is_file():
        return "the decoder exited with 0 and wrote no output file"
    try:
        size = output.stat().st_size
        wrong = _first_wrong(case, output, size, case.pixels.frame_bytes)
    except OSError as error:
        return f"the output cannot be read: {error.strerror}"
    faults = [_size_fault(size, case.pixels.frame_bytes, len(case.frame_md5))]
    if wrong is not None:
        faults.append(_difference(case, case.pixels, *wrong))
    return "; ".join(fault for fault in faults if fault is not None) or None


def _first_wrong(case: Case, output: Path, size: int, frame_bytes: int) -> tuple[int, bytes] | None:
    """Number and bytes of the first whole frame whose MD5 is wrong."""
    with output.open("rb") as file:
        for number, md5 in enumerate(case.frame_md5[: size // frame_bytes]):
            raw = file.read(frame_bytes)
            if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
                return number, raw
    return None


def _size_fault(size: int, frame_bytes: int, frames: int) -> str | None:
    right = frames * frame_bytes
    if size == right:
        return None
    whole, rest = divmod(abs(size - right), frame_bytes)
    count, unit = (abs(size - right), "byte") if rest else (whole, "frame")
    amount = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"the output is {amount} {'short' if size < right else 'too long'}: {size} bytes, must be {right}"


def _difference(case: Case, pixels: Pixels, number: int, raw: bytes) -> str:
    """The first wrong sample of a frame; our own decoder makes the right one."""
    head = f"frame {number} of 0..{len(case.frame_md5) - 1} differs"
    try:
        with nvrc_decoder.open(case.path, provider="cpu") as video:
            right = video[number]
    except NvrcError as error:
        return f"{head} (the place is unknown, since our own decoder fails: {error})"
    shapes = tuple(plane.shape for plane in right.planes())
    if right.md5() != case.frame_md5[number] or shapes != pixels.shapes:
        return f"{head} (the place is unknown, since our own decoder differs from the manifest, too)"
    offset, total, place = 0, 0, ""
    for name, (rows, columns), plane in zip(_PLANES, pixels.shapes, right.planes(), strict=False):
        found = _plane(raw, offset, rows, columns, pixels.sample_bytes)
        offset += found.size * pixels.sample_bytes
        wrong = np.argwhere(found != plane)
        total += len(wrong)
        if not place and len(wrong):
            row, column = wrong[0]
            place = f"plane {name}, row {row}, column {column} is {found[row, column]}, must be {plane[row, column]}"
    return f"{head} first at {place} (wrong samples: {total} of {len(raw) // pixels.sample_bytes})"


def _plane(raw: bytes, offset: int, rows: int, columns: int, sample_bytes: int) -> npt.NDArray[np.integer]:
    """A plane of a raw frame: uint8 or little-endian uint16 [rows, columns]."""
    samples = np.frombuffer(raw, np.dtype(f"<u{sample_bytes}"), rows * columns, offset)
    return samples.reshape(rows, columns)
