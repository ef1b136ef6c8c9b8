"""The folder of a segmented encode: frames that wait, checkpoints, and what is finished."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nvrc_decoder.errors import InputError, OutputError
from nvrc_encoder.segments.splitting import Segment
from nvrc_encoder.training.checkpoint import Checkpoint, partial_path

__all__ = ["Workspace", "result_path", "write_result"]

log = logging.getLogger("nvrc_encoder")

_FRAMES, _STREAM, _CHECKPOINT, _RESULT = "yuv", "nvrc", "checkpoint", "json"


_FIGURES = {"frames", "width", "height", "components", "psnr", "ms_ssim_y", "cost", "lambda"}
"""What a report has at least."""


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError("E_IO", f"writing {path} failed: {error.strerror or error}") from error


def _write_whole(path: Path, data: bytes) -> None:
    """Replace a file, whole or not at all.

    Raises:
        OutputError: E_IO, writing failed.
    """
    partial = partial_path(path)
    with _output_errors(path):
        try:
            with open(partial, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def result_path(stream: Path) -> Path:
    """File of a finished segment's result, beside its stream."""
    return stream.with_suffix(f".{_RESULT}")


def write_result(stream: Path, data: bytes, key: Mapping[str, str], document: Mapping[str, Any]) -> None:
    """Write what a finished job leaves: its stream, then its result, which says that the stream is whole.

    Args:
        stream: file of the stream; the result goes beside it.
        data: the stream.
        key: `fingerprint` of what was encoded.
        document: the report.
    """
    result = result_path(stream)
    with _output_errors(result):
        result.unlink(missing_ok=True)  # of a stream that was lost
    _write_whole(stream, data)
    _write_whole(result, json.dumps({"key": dict(key), "report": document}).encode())


class Workspace:
    """The folder of one encode.

    Args:
        folder: the folder, which is made; the caller keeps other processes from it.
        resume: whether what it holds counts; else it is removed, with a warning.

    Raises:
        OutputError: E_IO, it cannot be made.
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder
        with _output_errors(folder):
            folder.mkdir(0o700, exist_ok=True)
            if not resume and any(self._own()):
                log.warning("what %s holds will be overwritten; use --resume to continue it", folder)
                self._remove(self._own())
        if resume and self.count() == (0, 0):
            log.info("there is nothing to resume in %s: the encode starts at the beginning", folder)

    def frames(self, number: int) -> Path:
        """File of a segment's samples, as headerless YUV."""
        return self._path(number, _FRAMES)

    def stream(self, number: int) -> Path:
        """File of a segment's stream."""
        return self._path(number, _STREAM)

    def checkpoint(self, number: int) -> Path:
        """File of a segment's checkpoint."""
        return self._path(number, _CHECKPOINT)

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"segment-{number:05}.{suffix}"

    def write_frames(self, segment: Segment) -> None:
        """Write the samples of a segment.

        Raises:
            OutputError: E_IO, writing failed.
        """
        path = self.frames(segment.number)
        with _output_errors(path), open(path, "wb") as file:
            for frame in segment.frames:
                for chunk in frame.chunks():
                    file.write(chunk)

    def result(self, number: int, key: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """The report of a finished segment; None if it is not finished.

        Args:
            number: number of the segment.
            key: `fingerprint` that it must have; None for any.

        Raises:
            InputError: E_CHECKPOINT, it is damaged, or of other frames or options.
        """
        path = self._path(number, _RESULT)
        if not self.is_finished(number):
            return None
        try:
            content = json.loads(path.read_text("utf-8"))
            found, report = dict(content["key"]), dict(content["report"])
            if not report.keys() >= _FIGURES:
                raise ValueError
        except (OSError, ValueError, TypeError, KeyError):
            raise InputError("E_CHECKPOINT", f"{path} is damaged: remove it to encode the segment again") from None
        if key is not None:
            Checkpoint(self.folder, found, {}).check(key)
        return report

    def finished(self, number: int) -> dict[str, Any]:
        """The report of a segment that has been encoded.

        Raises:
            InputError: E_CHECKPOINT, it is gone, or damaged.
        """
        report = self.result(number)
        if report is None:
            raise InputError(
                "E_CHECKPOINT",
                f"the stream or the result of segment {number + 1} is gone from {self.folder}: let nothing else change "
                "that folder, and use --resume to encode the segment again",
            )
        return report

    def is_finished(self, number: int) -> bool:
        """Whether the result and the stream of a segment exist."""
        return self._path(number, _RESULT).exists() and self.stream(number).exists()

    def goal(self, key: Mapping[str, str]) -> float | None:
        """What `keep_goal` has kept; None if it was for another encode, or nothing was."""
        try:
            content = json.loads(self._goal.read_text("utf-8"))
            return float(content["value"]) if content["key"] == dict(key) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep_goal(self, key: Mapping[str, str], value: float) -> None:
        """Keep the goal of the first segment.

        Raises:
            OutputError: E_IO, writing failed.
        """
        _write_whole(self._goal, json.dumps({"key": dict(key), "value": value}).encode())

    @property
    def _goal(self) -> Path:
        return self.folder / "segment-goal"

    def forget(self, number: int) -> None:
        """Remove the frames and the checkpoint of a finished segment."""
        self._remove([self.frames(number), self.checkpoint(number)])

    def remove(self) -> None:
        """Remove the files of the encode, and the folder if nothing else is in it."""
        self._remove(self._own())
        with suppress(OSError):
            self.folder.rmdir()

    def tidy(self) -> None:
        """Remove what a resumed encode cannot use: frames, which are read again, and the folder if nothing is left."""
        self._remove(self.folder.glob(f"segment-*.{_FRAMES}"))
        if self.count() == (0, 0):
            self.remove()

    def count(self) -> tuple[int, int]:
        """Numbers of finished and of half-done segments that it holds."""
        finished = sum(path.with_suffix(f".{_STREAM}").exists() for path in self.folder.glob(f"segment-*.{_RESULT}"))
        return finished, sum(1 for _ in self.folder.glob(f"segment-*.{_CHECKPOINT}"))

    def _own(self) -> Iterable[Path]:
        return [*self.folder.glob("segment-*"), *self.folder.glob(".segment-*.partial")]

    @staticmethod
    def _remove(paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)
