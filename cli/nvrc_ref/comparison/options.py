"""Options of `nvrc-ref compare`: the format of headerless input, and the pictures to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from nvrc_encoder.source.input_video import CHROMA
from nvrc_ref.comparison.pictures import Pictures
from nvrc_ref.encoding.options import chroma_option
from nvrc_ref.options.groups import gathered
from nvrc_ref.options.values import parse_size

if TYPE_CHECKING:
    from nvrc_encoder.source.video import RawFormat

__all__ = ["Headerless", "headerless_options", "picture_options"]


@dataclass(frozen=True)
class Headerless:
    """What the options say of headerless YUV, and of PNGs."""

    size: tuple[int, int] | None
    chroma: str | None
    bit_depth: str

    @property
    def raw(self) -> RawFormat | None:
        """The format of headerless YUV; None without --size."""
        if self.size is None:
            return None
        from nvrc_encoder.source.video import RawFormat

        return RawFormat(*self.size, chroma_format=CHROMA[self.chroma or "420"], bit_depth=int(self.bit_depth))

    @property
    def png_chroma(self) -> int | None:
        """The chroma format that PNGs are converted to; None for their own."""
        return None if self.chroma is None else CHROMA[self.chroma]


headerless_options = gathered(
    "headerless",
    Headerless,
    click.option("--size", callback=parse_size, metavar="WxH", help="Size of headerless YUV."),
    chroma_option,
    click.option(
        "--bit-depth", type=click.Choice(["8", "10"]), default="8", show_default=True, help="Of headerless YUV."
    ),
)
"""``--size``, ``--chroma`` and ``--bit-depth``, as the argument `headerless`."""

picture_options = gathered(
    "pictures",
    Pictures,
    click.option("--png", metavar="FILE", help="Write source, decoded frame and difference side by side."),
    click.option("--frame", type=click.IntRange(min=0), metavar="N", help="Frame of --png.  [default: the worst]"),
    click.option("--plot", metavar="FILE", help='Draw PSNR over frames as .png, .svg or .pdf (extra "bench").'),
)
"""``--png``, ``--frame`` and ``--plot``, as the argument `pictures`."""
