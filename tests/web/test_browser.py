"""The decoder in Chromium: in a worker, from bytes, files and servers with and without range requests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from browser import decode
from test_node import BY_RANDOM_ACCESS, KINDS

import nvrc_decoder
from nvrc_conformance.manifest import MANIFEST_PATH, GoldenStream, load_manifest
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.picture.format import CHROMA_NAMES
from nvrc_ref.playing import server as player
from nvrc_ref.playing.server import PlayerServer
from spec.c_requirements import ANNEX, read_rows

MANIFEST = load_manifest()
FOLDER = MANIFEST_PATH.parent
LARGE = MANIFEST.stream("main-large")
LARGE_FRAMES = list(LARGE.frame_md5) * 4
BLOCK = 65536

pytestmark = pytest.mark.full


class Noting(PlayerServer):
    """Notes which bytes of the stream are asked for."""

    def __init__(self, stream: Path) -> None:
        self.asked: list[tuple[int, int]] = []
        super().__init__(stream)


def noting(monkeypatch: pytest.MonkeyPatch, server: Noting) -> None:
    whole = player.byte_range

    def noted(header: str | None, size: int) -> tuple[int, int] | None:
        part = whole(header, size)
        server.asked.append(part or (0, size - 1))
        return part

    monkeypatch.setattr(player, "byte_range", noted)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A stream of several GOPs that is much longer than a block."""
    path = tmp_path / "large.nvrc"
    parts = [str(MANIFEST.file(LARGE))] * 4
    subprocess.run([sys.executable, "-m", "nvrc_ref", "join", *parts, "-o", str(path)], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("stream", MANIFEST.streams, ids=lambda stream: stream.id)
def test_golden_streams_decode_in_a_worker(page: Any, serve: Callable[..., Any], stream: GoldenStream) -> None:
    workers: list[str] = []
    page.on("worker", lambda worker: workers.append(worker.url.rpartition("/")[2]))
    result = decode(page, serve(MANIFEST.file(stream)), MANIFEST.read(stream.id))
    assert result.get("frames") == list(stream.frame_md5), result
    assert result["count"] == stream.frame_count
    chroma = CHROMA_NAMES[stream.chroma_format]
    assert result["format"] == [stream.profile, stream.width, stream.height, chroma, stream.bit_depth]
    assert workers == ["worker.js"]


@pytest.mark.parametrize("how", ["url", "bytes", "buffer", "blob"])
@pytest.mark.parametrize("name", ["nano-two-gops", "lite-networks", "main-motion"])
def test_every_kind_of_source_decodes(page: Any, serve: Callable[..., Any], name: str, how: str) -> None:
    stream = MANIFEST.stream(name)
    source = "/stream.nvrc" if how == "url" else MANIFEST.read(name)
    server = serve(MANIFEST.file(stream))
    for first in (0, 1):
        result = decode(page, server, source, first, how)
        assert (result["frames"], result["count"]) == (list(stream.frame_md5[first:]), stream.frame_count)


def error_of(path: Path) -> NvrcError:
    """What the command line prints of a stream."""
    with pytest.raises(NvrcError) as caught, nvrc_decoder.open(path) as video:
        for _ in video:
            pass
    return caught.value


def required(text: str) -> str:
    """What the command line says is required, without the value that the stream has instead; "" where it says it in
    other words."""
    found = re.match(r"required: (.*?)(?:; it is -?\d+)?$", text)
    return found[1] if found else ""


def test_all_faults_are_refused_in_a_worker(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    server = serve(clip)
    sentences = {number: sentence for number, _, _, sentence in read_rows(ANNEX.read_text("utf-8"))}
    for fault in MANIFEST.faults:
        result = decode(page, server, (FOLDER / fault.file).read_bytes())
        code, requirement = BY_RANDOM_ACCESS.get(fault.id, (fault.code, fault.requirement))
        found = result.get("name"), result.get("code"), result.get("kind"), result.get("requirement") or None
        assert found == ("NvrcError", code, KINDS[fault.expect], requirement), fault.id
        if requirement is not None:
            assert result["sentence"] == sentences[requirement], fault.id
        sentence, section = result["sentence"], result["section"]
        place = f"spec {section}, {requirement}" if requirement else f"spec {section}"
        assert result["message"].startswith(f"error[{code}] "), fault.id
        assert result["message"].endswith(f": required: {sentence} ({place})"), fault.id
        if fault.id not in BY_RANDOM_ACCESS:
            error = error_of(FOLDER / fault.file)
            assert place == f"spec {error.section}", fault.id
            assert required(error.message) in ("", sentence), fault.id


def test_a_seek_reads_what_it_needs(
    page: Any, serve: Callable[..., Any], large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = large.stat().st_size
    frames = LARGE_FRAMES
    server = serve(large, Noting)
    noting(monkeypatch, server)
    last = len(frames) - 1
    assert decode(page, server, "/stream.nvrc", last, "url")["frames"] == frames[last:]
    read = sum(end - begin + 1 for begin, end in server.asked)
    assert all(begin % BLOCK == 0 for begin, _ in server.asked)
    assert len(server.asked) <= 6
    assert read < size / 2
    server.asked.clear()
    assert decode(page, server, "/stream.nvrc", how="url")["frames"] == frames
    assert sum(end - begin + 1 for begin, end in server.asked) == size, "each byte once"


def test_servers_without_ranges_send_all(
    page: Any, serve: Callable[..., Any], large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "byte_range", lambda header, size: None)
    last = len(LARGE_FRAMES) - 1
    assert decode(page, serve(large), "/stream.nvrc", last, "url")["frames"] == LARGE_FRAMES[last:]


def test_a_missing_file_is_a_read_error(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    result = decode(page, serve(clip), "/elsewhere.nvrc", how="url")
    assert (result["name"], result["code"], result["kind"]) == ("NvrcError", "E_READ", 74)
    assert f"the server answered {HTTPStatus.NOT_FOUND.value}" in result["message"]


def test_an_empty_file_is_invalid(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "empty.nvrc"
    path.write_bytes(b"")
    server = serve(path)
    for source, how in (("/stream.nvrc", "url"), (b"", "bytes"), (b"", "blob")):
        result = decode(page, server, source, how=how)
        assert (result["name"], result["kind"]) == ("NvrcError", 65)


def test_a_file_that_changes_is_a_read_error(page: Any, serve: Callable[..., Any], large: Path) -> None:
    page.goto(f"http://{serve(large).host}/player.html")
    page.evaluate("""async () => {
      const { NvrcVideo } = await import("/nvrc.js");
      globalThis.video = await NvrcVideo.open("/stream.nvrc");
    }""")
    data = large.read_bytes()
    large.write_bytes(data + b" ")
    message = page.evaluate("() => video.frame(0).then(() => 'no error', (error) => error.message)")
    assert message.startswith("error[E_READ] ")
    assert "the file on the server has changed" in message


def test_closing_rejects_what_is_waited_for(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    page.goto(f"http://{serve(clip).host}/player.html")
    messages = page.evaluate("""async () => {
      const { NvrcVideo } = await import("/nvrc.js");
      const video = await NvrcVideo.open("/stream.nvrc");
      const waiting = video.frame(1);
      video.close();
      return Promise.all([waiting, video.frame(0)].map((frame) => frame.then(() => "", (error) => error.message)));
    }""")
    assert messages == ["the video is closed"] * 2


def test_frames_that_are_not_there_are_range_errors(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    page.goto(f"http://{serve(clip).host}/player.html")
    names = page.evaluate("""async () => {
      const { NvrcVideo } = await import("/nvrc.js");
      const video = await NvrcVideo.open("/stream.nvrc");
      const bad = [-1, 0.5, NaN, "0", video.frameCount, 1e300];
      const made = bad.flatMap((n) => [video.frame(n), video.seek(n)]);
      return Promise.all(made.map((promise) => promise.then(() => "", (error) => error.name)));
    }""")
    assert set(names) == {"RangeError"}
