"""The tracks of a container: the choice of the video, the losses of the others, and whether the file is complete."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nvrc_decoder.errors import InvalidStreamError, UnsupportedError
from nvrc_decoder.picture.presentation import ORIENTATION
from nvrc_encoder.source.findings import Findings

__all__ = [
    "choose_track",
    "cut_off",
    "find_lost_tracks",
    "find_missing",
    "has_own_rate",
    "has_time_stamps",
    "sure_frame_count",
]

_ATTACHED_PICTURE = 1 << 10
_NO_TIME_STAMPS = 1 << 7
_MICROSECONDS = 1_000_000
# Containers whose header states the duration; FFmpeg estimates it for the others.
_WITH_DURATION = frozenset({"mov", "matroska", "avi", "flv", "asf", "nut", "mxf"})
_SLACK_SECONDS = 0.1


def _is_picture(stream: Any) -> bool:
    """Whether a track is a picture attached to the file, such as the cover of a song."""
    return bool(int(getattr(stream, "disposition", 0)) & _ATTACHED_PICTURE)


def choose_track(container: Any, name: str) -> Any:
    """The first video track.

    Raises:
        InvalidStreamError: E_SOURCE, there is none, only a still picture.
        UnsupportedError: E_SOURCE, FFmpeg has no decoder for it.
    """
    tracks = [stream for stream in container.streams.video if not _is_picture(stream)]
    form = container.format.name
    if form.endswith("_pipe") or form == "image2":
        message = (
            f"{name} is a still picture, not a video: "
            "ffmpeg -i INPUT -frames:v 1 -c:v ffv1 OUTPUT.mkv makes a video of one frame"
        )
        raise InvalidStreamError("E_SOURCE", message)
    if not tracks:
        what = "no video, only a cover picture" if container.streams.video else "no video stream"
        raise InvalidStreamError("E_SOURCE", f"{name} has {what}")
    if tracks[0].codec_context is None:
        raise UnsupportedError("E_SOURCE", f"FFmpeg has no decoder for the video of {name}")
    return tracks[0]


def has_own_rate(container: Any) -> bool:
    """Whether a container states a frame rate; streams without a container, such as .h264, do not."""
    return not int(container.format.flags) & _NO_TIME_STAMPS


def has_time_stamps(container: Any, stream: Any) -> bool:
    """Whether a container has a time stamp for each frame; those of AVI are in coding order, not in display order."""
    reordered = container.format.name == "avi" and stream.codec_context.has_b_frames
    return has_own_rate(container) and not reordered


def sure_frame_count(stream: Any, file_bytes: int) -> int | None:
    """The number of frames by the container; None unless its index agrees and all frames are in the file."""
    entries = list(getattr(stream, "index_entries", ()))
    if not stream.frames or len(entries) != stream.frames:
        return None
    whole = all(not entry.is_discard and entry.size and entry.pos + entry.size <= file_bytes for entry in entries)
    return len(entries) if whole else None


def cut_off(stream: Any, file_bytes: int) -> str:
    """How many of the indexed frames are in the file, as the start of a sentence; empty where all of them are."""
    entries = list(getattr(stream, "index_entries", ()))
    inside = sum(entry.pos + entry.size <= file_bytes for entry in entries)
    return f"the file was cut off: {inside} of {len(entries)} frames are in it; " if inside < len(entries) else ""


def find_missing(container: Any, stream: Any, frames: int, end: float) -> str | None:
    """The missing part of a file, in words; None where nothing is known to be missing.

    Args:
        container, stream: the container and its video, read to the end.
        frames: number of frames that were decoded.
        end: end of the last packet of all tracks, in seconds.
    """
    discarded = sum(entry.is_discard for entry in getattr(stream, "index_entries", ()))
    expected = stream.frames - discarded
    if frames < expected:
        return f"{frames} of {expected} frames could be read"
    if not _WITH_DURATION & set(container.format.name.split(",")) or not container.duration:
        return None
    begin = (container.start_time or 0) / _MICROSECONDS
    seconds = container.duration / _MICROSECONDS
    slack = max(_SLACK_SECONDS, 1.5 / float(stream.average_rate or 25))
    return f"{end - begin:.2f} of {seconds:.2f} s could be read" if end - begin < seconds - slack else None


def _tracks(count: int) -> str:
    return f"{count} track{'s' if count > 1 else ''}"


def _turned_suffix(tracks: list[Any]) -> str:
    """Suffix of a container for `tracks` that keeps rotation, which FFmpeg 5.1 loses in Matroska; for PCM only mov."""
    return "mov" if any(getattr(s.codec_context, "name", "").startswith("pcm_") for s in tracks) else "mp4"


def find_lost_tracks(container: Any, video: Any, findings: Findings) -> None:
    """Add a line for each kind of track that a stream cannot carry."""
    lost = findings.lost
    others = [stream for stream in container.streams if stream is not video]
    count = Counter("picture" if stream.type == "video" and _is_picture(stream) else stream.type for stream in others)
    text = [s for s in others if s.type == "subtitle"]
    suffix = "mp4" if any(getattr(s.codec_context, "name", "") in ("mov_text", "tx3g") for s in text) else "mkv"
    for kind, name, letter in (("audio", "audio", "a"), ("subtitle", "subtitles", "s")):
        if count[kind]:
            tracks = [stream for stream in others if stream.type == kind]
            fitting = _turned_suffix(tracks) if ORIENTATION in findings.entries else suffix
            lost[kind] = (
                f"dropped: {name} ({_tracks(count[kind])}); after decoding, mux it back in: "
                f"ffmpeg -i DECODED.mp4 -i INPUT -map 0:v -map 1:{letter} -c copy OUTPUT.{fitting}"
            )
    if count["video"]:
        number = next(
            i for i, stream in enumerate(container.streams.video) if stream is not video and not _is_picture(stream)
        )
        lost["video"] = (
            f"dropped: video ({_tracks(count['video'])} besides the first); extract it to encode it: "
            f"ffmpeg -i INPUT -map 0:v:{number} -c copy OTHER.mkv"
        )
    if count["picture"]:
        lost["picture"] = f"dropped: cover pictures ({count['picture']})"
    rest = {name: count[kind] for kind, name in (("data", "data"), ("attachment", "attachments")) if count[kind]}
    for name, number in rest.items():
        lost[name] = f"dropped: {name} ({_tracks(number)})"
    chapters = len(container.chapters()) if hasattr(container, "chapters") else 0
    if chapters:
        lost["chapters"] = f"dropped: chapters ({chapters})"
    if video.metadata.get("alpha_mode", "0") != "0":
        decoder = "libvpx" if video.codec_context.name == "vp8" else "libvpx-vp9"
        lost["alpha"] = (
            "dropped: alpha; extract it to encode it separately: "
            f"ffmpeg -c:v {decoder} -i INPUT -vf alphaextract -c:v ffv1 ALPHA.mkv"
        )
