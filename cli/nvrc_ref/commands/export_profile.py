"""`nvrc-ref export-profile`: the ONNX graph of a profile, from its PyTorch definition."""

from __future__ import annotations

import importlib.util

import click

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.profiles import PROFILES
from nvrc_ref.output.files import atomic_file

__all__ = ["command"]


@click.command("export-profile")
@click.argument("profile_name", metavar="PROFILE", type=click.Choice([profile.name for profile in PROFILES]))
@click.option("-o", "--output", required=True, help="ONNX file to write; - for the standard output.")
def command(profile_name: str, output: str) -> None:
    """Export the graph of PROFILE with placeholder weights, as the decoder ships it."""
    for module in ("torch", "onnx", "onnxscript"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(
                "E_MISSING_EXTRA", f'exporting needs {module}, which is missing: pip install "nvrc-ref[encoder]"'
            )
    from nvrc_encoder.export_profile import export_profile

    model = export_profile(next(profile for profile in PROFILES if profile.name == profile_name))
    with atomic_file(output) as file:
        file.write(model.SerializeToString(deterministic=True))
