"""`nvrc-ref play`: the server of one stream, and how the command ends."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from nvrc_encoder.source.conversion import raw_advice
from nvrc_encoder.source.video import open_source
from nvrc_ref.main import Settings, group, run
from nvrc_ref.playing.assets import ASSETS
from nvrc_ref.playing.compared import is_y4m
from nvrc_ref.playing.reports import read_report
from nvrc_ref.playing.server import PlayerServer

DATA = bytes(range(256)) * 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PlayerServer]:
    path = tmp_path / "a clip&more.nvrc"
    path.write_bytes(DATA)
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    with PlayerServer(path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: PlayerServer, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(server.host, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_every_file_of_the_player_is_served(server: PlayerServer) -> None:
    for name, kind in ASSETS.items():
        answer, body = get(server, f"/{name}?x")
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        assert len(body) == int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path", ["/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt", "/a%20clip&more.nvrc", "//etc/passwd"]
)
def test_nothing_else_is_served(server: PlayerServer, path: str) -> None:
    answer, body = get(server, path)
    assert answer.status == 404
    assert b"secret" not in body


def test_only_this_address_is_answered(server: PlayerServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    for path in ("/stream.nvrc", "/player.html"):
        answer, body = get(server, path, Host="example.org")
        assert answer.status == 403
        assert DATA[:16] not in body


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=-0"])
def test_an_empty_file_has_no_range(server: PlayerServer, header: str) -> None:
    server.stream.write_bytes(b"")
    answer, body = get(server, "/stream.nvrc", Range=header)
    assert (answer.status, answer.headers["Content-Range"], body) == (416, "bytes */0", b"")


@pytest.mark.parametrize(
    ("header", "status", "first", "last"),
    [
        ("", 200, 0, 1023),
        ("bytes=0-0", 206, 0, 0),
        ("bytes=10-19", 206, 10, 19),
        ("bytes=1000-", 206, 1000, 1023),
        ("bytes=1000-5000", 206, 1000, 1023),
        ("bytes=-24", 206, 1000, 1023),
        ("bytes=-5000", 206, 0, 1023),
        ("bytes=5-2", 200, 0, 1023),
        ("bytes=-", 200, 0, 1023),
        ("bytes=0-1,5-6", 200, 0, 1023),
        ("lines=0-1", 200, 0, 1023),
    ],
)
def test_ranges_are_sent(server: PlayerServer, header: str, status: int, first: int, last: int) -> None:
    answer, body = get(server, "/stream.nvrc", Range=header)
    assert (answer.status, body) == (status, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == (f"bytes {first}-{last}/1024" if status == 206 else None)
    head, nothing = get(server, "/stream.nvrc", "HEAD", Range=header)
    assert (head.status, nothing, head.headers["Content-Length"]) == (status, b"", str(len(body)))


def test_ranges_behind_the_end_are_refused(server: PlayerServer) -> None:
    for header in ("bytes=1024-", "bytes=5000-6000"):
        answer, body = get(server, "/stream.nvrc", Range=header)
        assert (answer.status, answer.headers["Content-Range"], body) == (416, "bytes */1024", b"")


def test_another_method_is_refused(server: PlayerServer) -> None:
    assert get(server, "/stream.nvrc", "POST")[0].status == 501


def test_a_changed_file_has_another_tag(server: PlayerServer) -> None:
    before = get(server, "/stream.nvrc")[0].headers["ETag"]
    assert get(server, "/stream.nvrc")[0].headers["ETag"] == before
    server.stream.write_bytes(DATA + b"x")
    assert get(server, "/stream.nvrc")[0].headers["ETag"] != before
    server.stream.unlink()
    assert get(server, "/stream.nvrc")[0].status == 404


def test_the_address_names_the_file(server: PlayerServer) -> None:
    assert server.url == f"http://{server.host}/player.html?stream=/stream.nvrc&name=a%20clip%26more.nvrc"
    answer, _ = get(server, "/")
    assert (answer.status, answer.headers["Location"]) == (302, server.url)


def test_ctrl_c_ends_the_player(tmp_path: Path) -> None:
    path = tmp_path / "clip.nvrc"
    path.write_bytes(DATA)
    words = [sys.executable, "-u", "-m", "nvrc_ref", "play", str(path), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        found = re.fullmatch(r".*clip\.nvrc: http://(127\.0\.0\.1:\d+)/player\.html\?\S+ \(Ctrl-C ends\)\n", line)
        assert found, line
        connection = http.client.HTTPConnection(found[1], timeout=10)
        connection.request("GET", "/stream.nvrc")
        assert connection.getresponse().read() == DATA
        connection.close()
        child.send_signal(signal.SIGINT)
        rest, errors = child.communicate(timeout=30)
    assert (child.returncode, rest, errors) == (0, "", "")


def test_the_browser_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.nvrc"
    path.write_bytes(DATA)
    opened: list[str] = []
    served = threading.Event()

    def interrupted(server: PlayerServer) -> None:
        served.set()
        for thread in threading.enumerate():
            if thread.name == "browser":
                thread.join(30)
        raise KeyboardInterrupt

    def shown(url: str) -> bool:
        """A browser of the terminal: the server runs while it does."""
        assert served.wait(30)
        opened.append(url)
        return False

    monkeypatch.setattr("webbrowser.open", shown)
    monkeypatch.setattr(PlayerServer, "serve_forever", interrupted)
    result = CliRunner().invoke(group, ["play", str(path)], obj=Settings())
    assert result.exit_code == 0
    assert len(opened) == 1
    assert opened[0] in result.output
    assert "no browser was found" in result.output


def test_names_that_are_not_utf_8_are_served(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.nvrc"
    path.write_bytes(DATA)
    with PlayerServer(path) as server:
        assert parse_qs(urlsplit(server.url).query)["name"] == ["caf?.nvrc"]


def test_inputs_that_cannot_be_played(tmp_path: Path) -> None:
    for word, code in (("-", 2), (str(tmp_path / "none.nvrc"), 66), (str(tmp_path), 66)):
        words = [sys.executable, "-m", "nvrc_ref", "play", word, "--no-browser"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_a_second_file_and_reports_are_served(tmp_path: Path) -> None:
    first, second, report = tmp_path / "a.nvrc", tmp_path / "b&c.y4m", tmp_path / "r 1.json"
    first.write_bytes(DATA)
    second.write_bytes(DATA[::-1])
    report.write_text('{"frames": 3, "psnr": {"y": 30.5}, "seconds": 7}', encoding="utf-8")
    with PlayerServer(first, second, [read_report(str(report))]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            asked = parse_qs(urlsplit(server.url).query)
            assert asked == {
                "stream": ["/stream.nvrc", "/compared"],
                "name": ["a.nvrc", "b&c.y4m"],
                "report": ["/report-0.json"],
                "reported": ["r 1.json"],
            }
            answer, body = get(server, "/compared", Range="bytes=3-9")
            assert (answer.status, body) == (206, DATA[::-1][3:10])
            assert answer.headers["Content-Range"] == "bytes 3-9/1024"
            answer, body = get(server, "/report-0.json")
            assert answer.headers["Content-Type"] == "application/json"
            assert json.loads(body) == {"frames": 3, "psnr": {"y": 30.5}}
            assert get(server, "/report-1.json")[0].status == 404
        finally:
            server.shutdown()
            thread.join()


def test_nothing_is_beside_a_stream_alone(server: PlayerServer) -> None:
    assert [get(server, path)[0].status for path in ("/compared", "/report-0.json")] == [404, 404]


Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """The exit code of `play` with these words, and what it prints on stderr."""

    def call(*words: object) -> tuple[int, str]:
        code = run(["play", *map(str, words), "--no-browser"])
        printed = capsys.readouterr()
        assert printed.out == ""
        return code, printed.err

    return call


def test_second_files_that_cannot_be_shown(tmp_path: Path, refused: Refused) -> None:
    stream, movie, folder = tmp_path / "a.nvrc", tmp_path / "b.mp4", tmp_path / "folder.y4m"
    stream.write_bytes(DATA)
    movie.write_bytes(b"\0\0\0\x20ftypisom")
    folder.mkdir()
    assert refused(stream, "--compare", "-")[0] == 2
    for path in (tmp_path / "none.y4m", folder):
        code, text = refused(stream, "--compare", path)
        assert (code, text.startswith("error[E_NO_INPUT] ")) == (66, True)
    code, text = refused(stream, "--compare", movie)
    assert code == 69
    assert text.startswith("error[E_SOURCE] ")
    assert raw_advice() in text


def test_reports_that_cannot_be_shown(tmp_path: Path, refused: Refused) -> None:
    stream, report = tmp_path / "a.nvrc", tmp_path / "r.json"
    stream.write_bytes(DATA)
    for text, reason in (
        ("{", "is no report of encode or compare: it is not JSON"),
        ('{"frames": 3, "psnr": {"y": 30}, "bytes": 1000}', "it says bytes 1000, this stream has 1024"),
    ):
        report.write_text(text, encoding="utf-8")
        code, message = refused(stream, "--report", report)
        assert code == 66
        assert message.startswith("error[E_REPORT] ")
        assert reason in message


@pytest.mark.full
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
def test_the_advised_command_makes_what_is_compared(tmp_path: Path) -> None:
    """Frames as `encode` reads them: not turned, none repeated; of 10 bits with the other options."""
    turned, plain = tmp_path / "turned.mp4", tmp_path / "plain.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x32:rate=25", "-frames:v", "4"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-pix_fmt", "yuv420p", plain], check=True)
    turn = ["-i", plain, "-metadata:s:v", "rotate=90", "-c", "copy", turned]
    subprocess.run(["ffmpeg", "-v", "error", *turn], check=True)
    found = re.match(r"ffmpeg (.*) OUTPUT\.y4m makes one \(-pix_fmt yuv420p10le -strict -1 for 10 bits\)", raw_advice())
    assert found is not None
    deep = found[1].replace("-pix_fmt yuv420p", "-pix_fmt yuv420p10le -strict -1")
    for name, words, bits in (("8.y4m", found[1], 8), ("10.y4m", deep, 10)):
        made = tmp_path / name
        command = [str(turned) if word == "INPUT" else word for word in words.split(" ")]
        subprocess.run(["ffmpeg", "-v", "error", *command, made], check=True)
        video = open_source(str(made))
        assert (video.picture.width, video.picture.height, video.picture.bit_depth) == (64, 32, bits)
        assert sum(1 for _ in video) == 4
        assert is_y4m(str(made))
