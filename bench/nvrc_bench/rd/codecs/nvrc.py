"""The codec of this project, run as a separate process, so that its time and memory can be measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nvrc_bench.rd.codecs.base import Codec, UnavailableError, probe
from nvrc_bench.rd.config import option_words

__all__ = ["Nvrc"]

_KEPT = ("training_seconds", "estimated_bytes", "seconds")


class Nvrc(Codec):
    """``nvrc-ref encode`` of this or of another installation; options are passed on as they are."""

    suffix = "nvrc"
    parameter = "--lambda"
    default_points = ("0.002", "0.005", "0.012", "0.03")

    @property
    def _command(self) -> list[str]:
        return list(self.spec.command) or [sys.executable, "-m", "nvrc_ref"]

    def version(self) -> str:
        output, _ = probe([*self._command, "--version"], self.spec.name, self.spec.environment)
        words = [output.strip(), self.spec.version or ("" if self.spec.command else _revision())]
        return ", ".join(word for word in words if word)

    def encode(self, point: str) -> list[list[str]]:
        words = [*self._command, "encode", "{input}", "-o", "{output}", "--quiet", "--report", "{folder}/report.json"]
        for option, value in (("--profile", self.spec.profile), ("--preset", self.spec.preset)):
            if value is not None:
                words += [option, value]
        words += [self.spec.parameter or self.parameter, point]
        return [[*words, *option_words(self.spec.options, "--"), *self.spec.arguments]]

    def decode(self) -> list[str]:
        return [*self._command, "decode", "{input}", "-o", "{output}", "--threads", str(self.threads)]

    def details(self, folder: Path, stream: Path) -> dict[str, Any]:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        components = {name: 8 * size for name, size in report.get("components", {}).items()}
        return {
            "component_bits": components or None,
            "kmac_per_pixel": report.get("kmac_per_pixel"),
            "kmac": self._kmac(stream),
            "float_psnr_y": report.get("psnr_y_of_float_layers"),
            "structure": report.get("structure"),
            "report": {key: value for key, value in report.items() if key in _KEPT or key.startswith("kmac")},
        }

    def _kmac(self, stream: Path) -> dict[str, Any] | None:
        """The fields of `info` about the cost of decoding, of the stream or of its first network."""
        command = [*self._command, "info", str(stream), "--json"]
        try:
            output, _ = probe(command, self.spec.name, self.spec.environment)
            document = json.loads(output)
            places = [*document.get("networks", [])[:1], document]
        except (UnavailableError, ValueError, AttributeError):
            return None
        return {key: value for place in places for key, value in place.items() if "kmac" in key} or None


def _revision() -> str:
    """The checkout's revision, marked as dirty if files were changed; empty for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        output, _ = probe(command, "git")
    except UnavailableError:
        return ""
    return f"revision {output.strip()}"
