"""An HTTP server on the loopback address for the player, a stream, and what is shown beside it."""

from __future__ import annotations

import os
import re
import socketserver
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from nvrc_decoder.errors import InputError
from nvrc_ref.playing.assets import ASSETS, read_asset
from nvrc_ref.playing.reports import Report

__all__ = ["PlayerServer"]

_HOST = "127.0.0.1"
_STREAM = "/stream.nvrc"
_COMPARED = "/compared"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# WebAssembly is compiled; nothing comes from elsewhere.
_POLICY = "default-src 'self' data: blob:; script-src 'self' 'wasm-unsafe-eval'; frame-ancestors 'none'"
_CHUNK = 1 << 16


class PlayerServer(ThreadingHTTPServer):
    """Serves the player and a file or two, on a port that the system chooses. `serve_forever` runs it.

    Args:
        stream: the file, which must exist.
        compared: a stream or y4m file to compare it with; None for none.
        reports: reports about the stream.

    Raises:
        InputError: E_NO_INPUT, a file cannot be read.

    Attributes:
        stream, compared: as given.
        url: the address of the player with the stream.
    """

    daemon_threads = True

    def __init__(self, stream: Path, compared: Path | None = None, reports: Sequence[Report] = ()) -> None:
        self.stream, self.compared = stream, compared
        self.files = {_STREAM: stream} if compared is None else {_STREAM: stream, _COMPARED: compared}
        for file in self.files.values():
            try:
                with file.open("rb"):
                    pass
            except OSError as error:
                raise InputError("E_NO_INPUT", f"cannot open {file}: {error.strerror}") from None
        self.reports = {f"/report-{number}.json": report for number, report in enumerate(reports)}
        super().__init__((_HOST, 0), _Handler)
        self.host = f"{_HOST}:{self.server_address[1]}"
        asked = [f"stream={path}&name={quote(file.name, errors='replace')}" for path, file in self.files.items()]
        asked += [
            f"report={path}&reported={quote(report.name, errors='replace')}" for path, report in self.reports.items()
        ]
        self.url = f"http://{self.host}/player.html?{'&'.join(asked)}"

    def server_bind(self) -> None:
        """As `HTTPServer` does, without its look-up of the machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes a connection early is no fault."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a `Range` header, or None for the whole file.

    Raises:
        IndexError: the range lies behind the end.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found.groups() == ("", ""):
        return None
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), int(found[2] or size - 1)
        if last < first and found[2]:
            return None
    if first >= size:
        raise IndexError
    return first, min(last, size - 1)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the files of the player, the streams and the reports, and nothing else."""

    protocol_version = "HTTP/1.1"
    server: PlayerServer

    def do_GET(self) -> None:
        # A page of another site that has its name point here does not get the stream.
        if self.headers.get("Host") != self.server.host:
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        path = urlsplit(self.path).path
        if path in self.server.files:
            self._send_file(self.server.files[path])
        elif path in self.server.reports:
            self._send_body(self.server.reports[path].text.encode(), "application/json")
        elif path[1:] in ASSETS:
            self._send_body(read_asset(path[1:]), ASSETS[path[1:]])
        elif path == "/":
            self._head(HTTPStatus.FOUND, 0, {"Location": self.server.url})
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815

    def _head(self, status: HTTPStatus, size: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        common = {"Content-Length": str(size), "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
        for name, value in {**common, "X-Content-Type-Options": "nosniff", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_body(self, body: bytes, kind: str) -> None:
        self._head(HTTPStatus.OK, len(body), {"Content-Type": kind})
        if self.command == "GET":
            self.wfile.write(body)

    def _send_file(self, path: Path) -> None:
        try:
            file = path.open("rb")
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            status = os.fstat(file.fileno())
            size = status.st_size
            headers = {
                "Content-Type": "application/octet-stream",
                "Accept-Ranges": "bytes",
                "ETag": f'"{status.st_mtime_ns:x}-{size:x}"',
            }
            try:
                part = byte_range(self.headers.get("Range"), size)
            except IndexError:
                headers["Content-Range"] = f"bytes */{size}"
                self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, headers)
                return
            first, last = part or (0, size - 1)
            if part:
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK, last - first + 1, headers)
            if self.command == "GET":
                file.seek(first)
                self._copy(file, last - first + 1)

    def _copy(self, file: BinaryIO, count: int) -> None:
        while count > 0 and (chunk := file.read(min(count, _CHUNK))):
            self.wfile.write(chunk)
            count -= len(chunk)
        if count:  # the file has become shorter
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""
