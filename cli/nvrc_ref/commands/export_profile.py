"""`nvrc-ref export-profile`: the ONNX graph of a profile, from its PyTorch definition."""

from __future__ import annotations

import click

from nvrc_decoder.packages import require_packages
from nvrc_decoder.profiles import PROFILES
from nvrc_ref.output.files import atomic_file

__all__ = ["command"]


@click.command("export-profile")
@click.argument("profile_name", metavar="PROFILE", type=click.Choice([profile.name for profile in PROFILES]))
@click.option("-o", "--output", required=True, help="ONNX file to write; - for the standard output.")
def command(profile_name: str, output: str) -> None:
    """Export the graph of PROFILE with placeholder weights, as the decoder ships it."""
    require_packages(("torch", "onnx", "onnxscript"), "exporting")
    from nvrc_encoder.export_profile import export_profile

    model = export_profile(next(profile for profile in PROFILES if profile.name == profile_name))
    with atomic_file(output) as file:
        file.write(model.SerializeToString(deterministic=True))
