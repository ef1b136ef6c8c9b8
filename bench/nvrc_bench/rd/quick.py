"""The run of ``bench --quick``: a demonstration that takes a few minutes on two cores."""

from __future__ import annotations

from pathlib import Path

from nvrc_bench.rd.config import ClipSpec, CodecSpec, RunSpec
from nvrc_decoder.errors import InputError
from nvrc_encoder.options import EncodeOptions

__all__ = ["QUICK_NOTE", "quick_run"]

_DEMO = Path(__file__).resolve().parents[3] / "demo" / "city_352x200.mp4"
_FRAMES, _SIZE = 16, "176x144"
_ITERATIONS = 250
_SECONDS = 270.0
"""Time limit of the points, so that the whole run takes less than five minutes on any machine."""
# Qualities as low as those of short encodes, so that the curves overlap.
_POINTS = ("32", "37", "42", "46")


QUICK_NOTE = (
    f"note: --quick takes {_FRAMES} frames of {_SIZE} from the demo clip and trains for {_ITERATIONS} iterations; the "
    f"default preset has {EncodeOptions().plan(_FRAMES).iterations}. It leaves out the other frames, larger pictures, "
    f"AV1 and VP9, and points that are not done after {_SECONDS / 60:.1f} minutes."
)


def quick_run() -> RunSpec:
    """The middle of half of the demo clip's frames, three short points of nvrc, x264 and x265.

    Raises:
        InputError: E_NO_INPUT, the package is installed without the checkout that has the clip.
    """
    if not _DEMO.exists():
        raise InputError("E_NO_INPUT", "--quick needs the demo clip of a checkout; name a clip and codecs instead")
    clip = ClipSpec(str(_DEMO), name="city-quick", frames=_FRAMES, crop=_SIZE)
    ours = CodecSpec(
        "nvrc",
        name=f"nvrc nano {_ITERATIONS} iterations",
        profile="nano",
        options={"iterations": _ITERATIONS},
        points=("0.002", "0.008", "0.03"),
    )
    others = (CodecSpec(kind, points=_POINTS) for kind in ("x264", "x265"))
    return RunSpec((clip,), (ours, *others), anchor="x264", jobs=2, threads=1, seconds=_SECONDS)
