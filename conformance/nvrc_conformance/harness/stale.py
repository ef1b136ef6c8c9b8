"""What the manifest says of the streams against what the installed decoder finds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import nvrc_decoder
from nvrc_conformance.faults.describe import OUTCOMES
from nvrc_conformance.features import features_of
from nvrc_conformance.manifest import FaultStream, GoldenStream, Manifest, load_manifest, stage_paths
from nvrc_conformance.stages import decode_stream, stages_of
from nvrc_decoder.errors import NvrcError

__all__ = ["stale_digests"]


def stale_digests(suite: Path) -> Iterator[str]:
    """Decode every stream of a suite that `lint_suite` finds nothing wrong with; a sentence for each stale value.

    Args:
        suite: the folder with ``manifest.json``.
    """
    manifest = load_manifest(suite)
    for stream in manifest.streams:
        try:
            yield from _golden_faults(manifest, stream)
        except NvrcError as error:
            yield f"{stream.id} does not decode: {error}."
    for fault in manifest.faults:
        yield from _refusal_faults(manifest, fault)


def _golden_faults(manifest: Manifest, stream: GoldenStream) -> Iterator[str]:
    data = manifest.file(stream).read_bytes()
    decoded = list(decode_stream(data))
    sequence = decoded[0].sequence
    fields = {name: getattr(sequence, name) for name in ("width", "height", "chroma_format", "bit_depth")}
    fields |= {"profile": sequence.profile_spec.name, "features": features_of(data, decoded)}
    for name, value in fields.items():
        if getattr(stream, name) != value:
            yield f"The field {name} of {stream.id} in the manifest is stale."
    found = dict(stage_paths(stages_of(decoded)))
    listed = dict(stage_paths(stream.stages))
    for path in dict.fromkeys((*listed, *found)):
        if found.get(path) != listed.get(path):
            yield f"The stage {path} of {stream.id} in the manifest is stale."
    total, frames = hashlib.md5(usedforsecurity=False), []
    with nvrc_decoder.open(manifest.file(stream), provider="cpu") as video:
        for frame in video:
            frames.append(frame.md5())
            for chunk in frame.chunks():
                total.update(chunk)
    if tuple(frames) != stream.frame_md5:
        yield f"The MD5s of the frames of {stream.id} in the manifest are stale."
    if total.hexdigest() != stream.md5:
        yield f"The MD5 of {stream.id} in the manifest is stale."


def _refusal_faults(manifest: Manifest, fault: FaultStream) -> Iterator[str]:
    try:
        with nvrc_decoder.open(manifest.file(fault), provider="cpu") as video:
            for _ in video:
                pass
    except NvrcError as error:
        ending = OUTCOMES.get(error.exit_code)
        if ending == fault.expect and error.code != fault.code:
            yield f"{fault.id} is refused with {error.code}, the manifest says {fault.code}."
        elif ending not in (fault.expect, *fault.also):
            yield f"{fault.id} ends with {error.code}, the manifest says {fault.expect}."
    else:
        yield f"{fault.id} is decoded, and should be refused."
