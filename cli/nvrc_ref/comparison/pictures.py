"""The pictures that `nvrc-ref compare` writes: two frames side by side, and a plot of PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from nvrc_decoder.errors import InputError
from nvrc_output.files import atomic_file, prove_writable, spare_inputs
from nvrc_output.text import counted
from nvrc_ref.comparison.measure import Comparison
from nvrc_ref.comparison.videos import OpenVideo
from nvrc_ref.plots import plot_format

__all__ = ["Pictures"]


@dataclass(frozen=True)
class Pictures:
    """The pictures to write.

    Attributes:
        png: a file for a frame of both videos and their difference; None for none.
        frame: the number of that frame; None for the worst.
        plot: a file for the plot; None for none.

    Raises:
        click.UsageError: a frame without a picture.
    """

    png: str | None
    frame: int | None
    plot: str | None

    def __post_init__(self) -> None:
        if self.frame is not None and self.png is None:
            raise click.UsageError("--frame says which frame --png shows: give --png, too")

    def check(self, inputs: list[str]) -> None:
        """Refuse files that could not be written, before anything is decoded.

        Raises:
            click.UsageError: a name does not end as its format does.
            OutputError: E_OUTPUT or E_IO.
            MissingExtraError: E_MISSING_EXTRA, matplotlib is not installed.
        """
        spare_inputs([self.png, self.plot], inputs)
        for target in (self.png, self.plot):
            if target is not None:
                prove_writable(Path(target))
        if self.png is not None and Path(self.png).suffix.lower() != ".png":
            raise click.UsageError(f"--png writes a PNG: {self.png!r} does not end in .png")
        if self.plot is not None:
            plot_format(self.plot)

    def write(self, result: Comparison, source: OpenVideo, decoded: OpenVideo) -> None:
        """Write the picture and the plot that were asked for.

        Raises:
            InputError: E_NO_FRAME, the frame was not compared.
        """
        if self.png is not None:
            if result.kept is None:
                compared = f"only {counted(len(result.frames), 'frame')} compared"
                raise InputError("E_NO_FRAME", f"there is no frame {self.frame}: {compared}")
            from nvrc_ref.comparison.side_by_side import side_by_side

            data = side_by_side(*result.kept, (source.picture, decoded.picture))
            with atomic_file(self.png) as file:
                file.write(data)
        if self.plot is not None:
            from nvrc_ref.comparison.plot import draw

            title = f"{Path(decoded.name).name} against {Path(source.name).name}"
            data = draw(result, title, plot_format(self.plot))
            with atomic_file(self.plot) as file:
                file.write(data)
