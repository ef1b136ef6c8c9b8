"""The only way to change the suite: ``python -m nvrc_conformance.generate``.

Without an option it makes every random stream in memory, adds those that are missing, and refuses to overwrite one
that differs. ``--update`` overwrites. ``--adopt`` adds a stream that an encoder made. The streams that a decoder must
refuse are made of the golden ones in the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from nvrc_conformance.faults.describe import describe_fault
from nvrc_conformance.faults.parts import Parts
from nvrc_conformance.faults.recipes import FAULTS
from nvrc_conformance.features import features_of
from nvrc_conformance.manifest import (
    MANIFEST_PATH,
    STREAM_ID,
    EarlierVersionError,
    FaultStream,
    GoldenStream,
    Manifest,
    load_manifest,
)
from nvrc_conformance.recipes import RECIPES, Recipe
from nvrc_conformance.sampling import random_state
from nvrc_conformance.stages import decode_stream, frames_of, stages_of
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.picture.planes import GopDigest

__all__ = ["BYTES_MAX", "FAULT_BYTES_MAX", "build", "describe", "main"]

BYTES_MAX = 800_000
"""Of all golden streams. The three of about 720x480 samples take 350 kB."""
FAULT_BYTES_MAX = 1_300_000
"""Of all streams to refuse. One has a METADATA of 2^20 bytes."""


@dataclass(frozen=True)
class _Candidate:
    stream: GoldenStream
    data: bytes


def build(recipe: Recipe) -> bytes:
    """The bytes of a random stream; the same on every machine."""
    return recipe.draft.build(random_state(recipe.id))


def describe(name: str, description: str, origin: str, data: bytes) -> GoldenStream:
    """The manifest entry of a stream, decoded with the NumPy reference.

    Raises:
        NvrcError: it does not decode.
        ValueError: a DIGEST does not agree with the frames.
    """
    decoded = list(decode_stream(data))
    total = hashlib.md5(usedforsecurity=False)
    frame_md5 = []
    for number, item in enumerate(decoded):
        digest = GopDigest()
        for frame in frames_of(item):
            digest.update(frame)
            frame_md5.append(frame.md5())
            for chunk in frame.chunks():
                total.update(chunk)
        if digest.digest() != item.digest:
            raise ValueError(f"{name}: the frames of GOP {number} do not match their DIGEST")
    sequence = decoded[0].sequence
    return GoldenStream(
        id=name,
        description=description,
        origin=origin,
        file=f"streams/{name}.nvrc",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        features=features_of(data, decoded),
        profile=sequence.profile_spec.name,
        width=sequence.width,
        height=sequence.height,
        chroma_format=sequence.chroma_format,
        bit_depth=sequence.bit_depth,
        frame_count=len(frame_md5),
        md5=total.hexdigest(),
        frame_md5=tuple(frame_md5),
        stages=stages_of(decoded),
    )


def _check_engines(name: str, data: bytes) -> None:
    """Refuse a stream that the two engines decode differently."""
    for number, item in enumerate(decode_stream(data)):
        wanted = [frame.md5() for frame in frames_of(item)]
        if [frame.md5() for frame in frames_of(item, "onnxruntime")] != wanted:
            raise click.ClickException(f"{name}: ONNX Runtime and the NumPy reference differ in GOP {number}")


def _differs(manifest: Manifest, candidate: _Candidate) -> bool:
    """Whether a committed stream of this id is another one."""
    if candidate.stream.id not in {stream.id for stream in manifest.streams}:
        return False
    old = manifest.stream(candidate.stream.id)
    file = manifest.file(old)
    return old != candidate.stream or not file.exists() or file.read_bytes() != candidate.data


def _store(manifest: Manifest, candidates: Iterable[_Candidate], update: bool) -> None:
    """Write the candidates and the manifest, or nothing.

    Raises:
        click.ClickException: streams would change without `update`, or the suite would be too large.
    """
    chosen = list(candidates)
    changed = [candidate.stream.id for candidate in chosen if _differs(manifest, candidate)]
    if changed and not update:
        raise click.ClickException(
            f"these golden streams would change: {', '.join(changed)}. A change of the format goes through spec, "
            "decoder, encoder and golden streams at once; if that is what you are doing, give --update"
        )
    merged = {stream.id: stream for stream in manifest.streams} | {item.stream.id: item.stream for item in chosen}
    size = sum(stream.bytes for stream in merged.values())
    if size > BYTES_MAX:
        raise click.ClickException(f"all golden streams together would take {size} bytes; the limit is {BYTES_MAX}")
    known = {stream.id for stream in manifest.streams}
    for item in chosen:
        file = manifest.file(item.stream)
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_bytes() != item.data:
            file.write_bytes(item.data)
            click.echo(
                f"{'changed' if item.stream.id in known else 'new'}: {item.stream.id}, {item.stream.bytes} bytes"
            )
    text = manifest.with_streams(merged.values()).text()
    if not manifest.path.exists() or manifest.path.read_text(encoding="utf-8") != text:
        manifest.path.write_text(text, encoding="utf-8")
    click.echo(f"{len(merged)} golden streams, {size} bytes")


def _store_faults(path: Path, update: bool) -> None:
    """Write the streams that must be refused, of those golden streams that the manifest has, or nothing.

    Raises:
        click.ClickException: streams would change without `update`.
    """
    manifest = load_manifest(path)
    known = {fault.id: fault for fault in manifest.faults}
    made: list[tuple[FaultStream, bytes]] = []
    for fault in FAULTS:
        if any(stream.id == fault.sibling for stream in manifest.streams):
            data = fault.make(Parts(manifest.read(fault.sibling)))
            made.append((describe_fault(fault, manifest.stream(fault.sibling), data), data))
    changed = [new.id for new, data in made if new.id in known and _is_other(manifest, known[new.id], new, data)]
    if changed and not update:
        raise click.ClickException(f"these streams would change: {', '.join(changed)}; --update overwrites them")
    for gone in set(known) - {new.id for new, _ in made}:
        manifest.file(known[gone]).unlink(missing_ok=True)
    for new, data in made:
        file = manifest.file(new)
        file.parent.mkdir(exist_ok=True)
        if not file.exists() or file.read_bytes() != data:
            file.write_bytes(data)
            click.echo(f"{'changed' if new.id in known else 'new'}: {new.id}, {new.bytes} bytes")
    text = manifest.with_faults(new for new, _ in made).text()
    if manifest.path.read_text(encoding="utf-8") != text:
        manifest.path.write_text(text, encoding="utf-8")
    click.echo(f"{len(made)} streams to refuse, {sum(new.bytes for new, _ in made)} bytes")


def _is_other(manifest: Manifest, old: FaultStream, new: FaultStream, data: bytes) -> bool:
    file = manifest.file(old)
    return old != new or not file.exists() or file.read_bytes() != data


def _adopt(manifest: Manifest, path: Path, name: str, description: str) -> _Candidate:
    if not STREAM_ID.fullmatch(name):
        raise click.BadParameter("an id has lower-case letters, digits and single hyphens", param_hint="--id")
    if name in {recipe.id for recipe in RECIPES}:
        raise click.BadParameter(f"{name} is the id of a random stream", param_hint="--id")
    data = path.read_bytes()
    _check_engines(name, data)
    return _Candidate(describe(name, description, "adopted", data), data)


def _load(path: Path, replace: bool) -> Manifest:
    """The manifest; an empty one if there is none, or if one of an earlier version is to be replaced.

    Raises:
        click.UsageError: there is no manifest at the default place, and none was named.
        click.ClickException: it is of an earlier version, which only --update replaces.
    """
    if not path.exists():
        if path == MANIFEST_PATH:
            raise click.UsageError(f"there is no manifest at {path}: name one with --manifest")
        return Manifest(path, ())
    try:
        return load_manifest(path)
    except EarlierVersionError as error:
        if not replace:
            raise click.ClickException(f"{error.message}; --update alone replaces it") from error
        click.echo(f"{error.message}: it is replaced; encode and adopt the adopted streams again")
        return Manifest(path, ())


@click.command()
@click.option("--update", is_flag=True, help="Overwrite golden streams that differ.")
@click.option("--adopt", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Add this encoded stream.")
@click.option("--id", "name", help="Id of the stream to add.")
@click.option("--description", default="", help="Its purpose.")
@click.option("--remove", metavar="ID", help="Remove an adopted stream.")
@click.option("--manifest", "path", type=click.Path(path_type=Path), default=MANIFEST_PATH, help="Another manifest.")
def main(update: bool, adopt: Path | None, name: str | None, description: str, remove: str | None, path: Path) -> None:
    """Make the golden streams, or add one with --adopt FILE --id ID.

    Adopted streams are never changed; --update decodes them to make their entries again. A manifest of an earlier
    version of the format is replaced by --update, without the adopted streams.
    """
    manifest = _load(path, update and adopt is None and remove is None)
    try:
        if remove is not None:
            _remove(manifest, remove)
        elif adopt is not None:
            if name is None:
                raise click.UsageError("--adopt needs --id")
            _store(manifest, [_adopt(manifest, adopt, name, description or f"made by the encoder: {name}")], update)
        else:
            candidates = [
                _Candidate(describe(recipe.id, recipe.description, "random", data), data)
                for recipe in RECIPES
                for data in [build(recipe)]
            ]
            for old in manifest.streams:
                if old.origin == "adopted":
                    data = manifest.file(old).read_bytes()
                    candidates.append(_Candidate(describe(old.id, old.description, old.origin, data), data))
            _store(manifest, candidates, update)
            _store_faults(path, update)
    except NvrcError as error:
        raise click.ClickException(str(error)) from error


def _remove(manifest: Manifest, name: str) -> None:
    if name not in {stream.id for stream in manifest.streams if stream.origin == "adopted"}:
        raise click.BadParameter(f"{name} is not the id of an adopted stream", param_hint="--remove")
    manifest.file(manifest.stream(name)).unlink(missing_ok=True)
    rest = manifest.with_streams(stream for stream in manifest.streams if stream.id != name)
    manifest.path.write_text(rest.text(), encoding="utf-8")


if __name__ == "__main__":
    main()
