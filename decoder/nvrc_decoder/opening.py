"""`open`: a file, or a binary file object, becomes a `Video`."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import BinaryIO, SupportsIndex, cast

from nvrc_decoder.bitstream.source import binary_file
from nvrc_decoder.decode.engines import Engine, Engines
from nvrc_decoder.decode.stages import OnDamage, StageTimes
from nvrc_decoder.errors import InputError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.video import Video

__all__ = ["open_video"]


def _check_arguments(threads: object, limits: object, on_damage: object, times: object) -> None:
    if threads is not None and operator.index(cast(SupportsIndex, threads)) < 1:
        raise ValueError(f"threads is {threads}: there is at least one")
    if not isinstance(limits, Limits):
        raise TypeError(f"limits is {type(limits).__name__}: it must be Limits")
    if on_damage is not None and not callable(on_damage):
        raise TypeError(f"on_damage is {type(on_damage).__name__}: it must be a function that takes a Damage")
    if times is not None and not isinstance(times, StageTimes):
        raise TypeError(f"times is {type(times).__name__}: it must be StageTimes")


def _open_file(path: str | os.PathLike[str]) -> BinaryIO:
    name = Path(path)
    if not os.fspath(path):
        raise InputError("E_NO_INPUT", "the name of the stream is empty")
    if name.is_dir():
        raise InputError("E_NO_INPUT", f"{name} is a directory, not a stream")
    try:
        return name.open("rb")
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot open {name}: {error.strerror}") from None


def open_video(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    engine: Engine = "auto",
    provider: Provider = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    verify: bool = True,
    on_damage: OnDamage | None = None,
    times: StageTimes | None = None,
    lookahead: bool = True,
) -> Video:
    """Open a stream for decoding.

    Args:
        path: a file name, or a binary file object, which may be a pipe and is left open; a seekable one is read from
            its start, and nobody else may move its position.
        engine: ``auto``, ``reference`` or ``onnxruntime``.
        provider: where ONNX Runtime runs: ``cuda``, ``cpu``, or ``auto``, CUDA where it can be used.
        threads: threads of ONNX Runtime and of motion on the CPU; None: about one for each core. With several, a few
            frames are made concurrently, if `limits` allow the memory.
        limits: what this process is willing to spend.
        verify: check each GOP's DIGEST before its first frame is given out. Without it, frames are yielded as they
            are decoded, one GOP earlier, and neither corruption nor a faulty engine is detected.
        on_damage: continue after what cannot be decoded, and call this with each `Damage`, in order. Frames of lost
            GOPs are left out (see `Frame.number`), and every DIGEST is checked. Without it, the first damage is an
            error.
        times: clocks to add this decoding to.
        lookahead: decode the symbols of the next GOP in a thread while the frames of this one are made.

    Raises:
        InputError: E_NO_INPUT, there is no such file.
        InvalidStreamError, UnsupportedError, LimitError: the first unit is at fault.
        MissingExtraError: E_MISSING_EXTRA, the engine is not installed, or CUDA was asked for and cannot be used.
        TypeError, ValueError: an argument is none that this takes.
    """
    _check_arguments(threads, limits, on_damage, times)
    engines = Engines(engine, provider, threads)
    owned = isinstance(path, str | os.PathLike)
    file = _open_file(path) if isinstance(path, str | os.PathLike) else binary_file(path)
    try:
        return Video(
            file,
            owns_file=owned,
            engines=engines,
            limits=limits,
            verify=verify,
            on_damage=on_damage,
            times=times,
            lookahead=lookahead,
        )
    except BaseException:
        if owned:
            file.close()
        raise
