"""`nvrc-ref export`: a stream as plain ONNX, for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click

from nvrc_decoder.decode.engines import Engine
from nvrc_decoder.limits import Limits
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.files import atomic_directory, spare_inputs
from nvrc_output.text import counted, emit_json, summary
from nvrc_ref.options import (
    check_provider,
    engine_options,
    json_option,
    limit_option,
    open_stream,
    provider_option,
)

__all__ = ["command"]


@click.command("export")
@click.argument("input_path", metavar="INPUT")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Folder to make; it must not exist, or be empty.")
@engine_options
@provider_option
@limit_option
@json_option
def command(
    input_path: str,
    output: str,
    engine: Engine,
    provider: Provider,
    threads: int | None,
    limits: Limits,
    as_json: bool,
) -> None:
    """Write INPUT (- is the standard input) as plain ONNX into a folder.

    The folder has the synthesis graph of each NETWORK with its weights, the inputs of the frames of each GOP, a
    manifest with the MD5 of every frame, and a README that shows how any ONNX runtime makes the frames. It appears only
    when everything was decoded and every digest was right.
    """
    check_provider(engine, provider)
    if output == "-":
        raise click.UsageError("a folder cannot go to the standard output")
    spare_inputs([output], [input_path])
    from nvrc_decoder.export import export_video

    return_large_arrays()
    with open_stream(input_path) as file, atomic_directory(Path(output), merge=False) as folder:
        exported = export_video(file, folder, engine=engine, provider=provider, threads=threads, limits=limits)
    manifest = exported.manifest
    counts = {
        "frames": manifest["frame_count"],
        "gops": len(manifest["gops"]),
        "networks": len(manifest["networks"]),
        "files": exported.files,
        "bytes": exported.bytes,
        "md5": manifest["md5"],
    }
    if as_json:
        emit_json({"output": output, **counts})
        return
    summary(
        f"{output}: {counted(counts['frames'], 'frame')} in {counted(counts['gops'], 'GOP')}, "
        f"{counted(counts['networks'], 'graph')}, "
        f"{exported.bytes / 1e6:.1f} MB in {counted(exported.files, 'file')}, "
        f"md5 {counts['md5']}; README.md says how to run it"
    )
