"""Two videos in the player: A left of the split, B right of it, frame by frame."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_player import SHOTS, check_number, expected, load, pixels

import nvrc_decoder
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest
from nvrc_decoder.errors import NvrcError
from nvrc_ref.main import run
from nvrc_ref.playing import server as serving
from nvrc_ref.playing.server import PlayerServer

MANIFEST = load_manifest()
A = MANIFEST.file(MANIFEST.stream("trained-main"))
B = MANIFEST.file(MANIFEST.stream("trained-nano"))
BAD = MANIFEST_PATH.parent / "faults" / "reject-8-1-digest.nvrc"

pytestmark = pytest.mark.full


def beside(serve: Callable[..., Any], a: Path, b: Path) -> Any:
    return serve(a, partial(PlayerServer, compared=b))


def raw(stream: Path, path: Path) -> Path:
    """The frames of a stream as y4m, upside down."""
    assert run(["decode", str(stream), "-o", str(path), "--quiet"]) == 0
    data = path.read_bytes()
    with nvrc_decoder.open(stream) as video:
        samples, size = video.info.format, video.info.format.frame_bytes
    header, _, rest = data.partition(b"\n")
    luma = samples.width * samples.height * samples.dtype.itemsize
    frames = [rest[at + 6 : at + 6 + size] for at in range(0, len(rest), size + 6)]
    rows = samples.width * samples.dtype.itemsize
    turned = [b"".join(f[at : at + rows] for at in range(luma - rows, -1, -rows)) + f[luma:] for f in frames]
    path.write_bytes(header + b"\n" + b"".join(b"FRAME\n" + frame for frame in turned))
    return path


def own_pixels(page: Any, serve: Callable[..., Any], stream: Path) -> list[Any]:
    """What the player shows of every frame of a stream that is alone."""
    load(page, serve(stream).url)
    frames = []
    for number in range(page.evaluate("() => nvrcPlayer.playback.video.frameCount")):
        page.evaluate("(n) => nvrcPlayer.playback.seek(n)", number)
        frames.append(pixels(page))
    return frames


def check_split(page: Any, number: int, column: int, a: list[Any], b: list[Any]) -> None:
    """The canvas shows frame `number` of A left of a column, and of B right of it, to the bit."""
    check_number(page, number, min(len(a), len(b)))
    shown = pixels(page)
    assert page.locator("#split").input_value() == str(column)
    assert np.array_equal(shown[:, :column], a[number][:, :column])
    assert np.array_equal(shown[:, column:], b[number][:, column:])


def test_each_side_of_the_split_is_its_own_video(page: Any, serve: Callable[..., Any]) -> None:
    a, b = own_pixels(page, serve, A), own_pixels(page, serve, B)
    assert not np.array_equal(a[0], b[0])
    width, last = a[0].shape[1], len(a) - 1
    load(page, beside(serve, A, B).url)
    check_split(page, 0, width // 2, a, b)
    split = page.locator("#split")
    for column in (0, 1, 17, width - 1, width):
        split.fill(str(column))
        check_split(page, 0, column, a, b)
    split.fill("31")
    page.locator("#bar").fill("7")
    check_split(page, 7, 31, a, b)
    for key, number in ((".", 8), (".", 9), (",", 8)):
        page.keyboard.press(key)
        check_split(page, number, 31, a, b)
    page.locator("#bar").focus()
    page.keyboard.press("End")
    check_split(page, last, 31, a, b)
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    page.locator("#play:not(.playing)").wait_for(timeout=60_000)
    check_split(page, last, 31, a, b)
    assert not page.locator("#error").is_visible()


def test_the_split_moves_by_keys_and_pointers(page: Any, serve: Callable[..., Any]) -> None:
    a, b = own_pixels(page, serve, A), own_pixels(page, serve, B)
    width = a[0].shape[1]
    load(page, beside(serve, A, B).url)
    split = page.get_by_role("slider", name="Split between A and B")
    split.focus()
    for key, column in (("ArrowRight", width // 2 + 1), ("ArrowLeft", width // 2), ("Home", 0), ("End", width)):
        page.keyboard.press(key)
        check_split(page, 0, column, a, b)
    page.keyboard.press("ArrowLeft")
    assert split.get_attribute("aria-valuetext") == f"A left of column {width - 1} of {width}, B right of it"
    for key, column in (("b", 0), ("a", width), ("s", width // 2)):
        page.keyboard.press(key)
        check_split(page, 0, column, a, b)
    box = page.locator("#canvas").bounding_box()
    middle, x = box["y"] + box["height"] / 3, [box["x"] + box["width"] * share for share in (0.5, 0.25)]
    page.mouse.move(x[0], middle)
    page.mouse.down()
    page.mouse.move(x[1], middle, steps=4)
    page.mouse.up()
    assert abs(int(split.input_value()) - width / 4) <= 1
    check_split(page, 0, int(split.input_value()), a, b)
    assert not page.evaluate("() => nvrcPlayer.playback.playing"), "to move the split is no click on the picture"
    page.evaluate("() => { nvrcPlayer.playback.speed = 0.1; }")
    page.mouse.click(box["x"] + box["width"] * 0.8, middle)
    assert page.evaluate("() => nvrcPlayer.playback.playing")


def test_a_touch_moves_the_split(chromium: Any, serve: Callable[..., Any]) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    load(page, beside(serve, A, B).url)
    box = page.locator("#canvas").bounding_box()
    touch = context.new_cdp_session(page)
    y = box["y"] + box["height"] / 2
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.6), ("touchMove", 0.75), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["x"] + box["width"] * share, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    width = page.evaluate("() => canvas.width")
    assert abs(int(page.locator("#split").input_value()) - 0.75 * width) <= 2
    context.close()


@pytest.mark.parametrize("name", ["trained-nano", "lite-420-10", "main-444-10", "nano-400-10", "nano-presentation"])
def test_a_stream_and_raw_video_are_compared(page: Any, serve: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """The raw frames are turned as the stream asks. A comparison with its own frames, upside down in luma."""
    stream = MANIFEST.file(MANIFEST.stream(name))
    flipped = raw(stream, tmp_path / "source.y4m")
    same = tmp_path / "same.y4m"
    assert run(["decode", str(stream), "-o", str(same), "--quiet"]) == 0
    a = own_pixels(page, serve, stream)
    last = len(a) - 1
    load(page, beside(serve, stream, same).url)
    width = a[0].shape[1]
    page.keyboard.press("End")
    page.locator("#split").fill(str(width // 3))
    check_split(page, last, width // 3, a, a)
    page.keyboard.press("i")
    assert "PSNR, A and B\tY 100.00 dB" in page.locator("#overlay").inner_text()
    load(page, beside(serve, stream, flipped).url)
    page.keyboard.press("End")
    check_number(page, last, len(a))
    page.keyboard.press("b")
    assert not np.array_equal(pixels(page), a[last])
    page.keyboard.press("a")
    assert np.array_equal(pixels(page), a[last])


def test_psnr_is_that_of_compare(
    page: Any, serve: Callable[..., Any], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flipped = raw(clip, tmp_path / "source.y4m")
    capsys.readouterr()
    assert run(["compare", str(flipped), str(clip), "--json", "--no-ms-ssim", "--quiet"]) == 0
    frames = json.loads(capsys.readouterr().out)["per_frame"]
    load(page, beside(serve, clip, flipped).url)
    page.keyboard.press("i")
    for number in (0, 1, len(frames) - 1):
        page.evaluate("(n) => nvrcPlayer.playback.seek(n)", number)
        assert f"PSNR, A and B\tY {frames[number]['psnr']['y']:.2f} dB" in page.locator("#overlay").inner_text()


def test_large_raw_video_is_read_in_parts(
    page: Any, serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 3 TB, most of which is a hole: the first and the last frame are there."""
    flipped = raw(B, tmp_path / "source.y4m").read_bytes()
    with nvrc_decoder.open(B) as video:
        stride = 6 + video.info.format.frame_bytes
    header = flipped.index(b"\n") + 1
    path = tmp_path / "large.y4m"
    with path.open("wb") as file:
        file.write(flipped)
        file.truncate(header + stride * 400_000_000)
    sent: list[int] = []
    whole = serving.byte_range

    def noted(asked: str | None, size: int) -> tuple[int, int] | None:
        part = whole(asked, size)
        sent.append((part or (0, size - 1))[1] - (part or (0, 0))[0] + 1)
        return part

    monkeypatch.setattr(serving, "byte_range", noted)
    load(page, beside(serve, B, path).url)
    page.keyboard.press("End")
    check_number(page, len(expected(B)) - 1, len(expected(B)))
    assert re.search(r"large\.y4m has 400000000 frames: the first \d+ are shown", page.locator("#note").inner_text())
    assert max(sent) <= 2 * 65536
    assert sum(sent) < 1_000_000


def test_the_shorter_video_is_played(page: Any, serve: Callable[..., Any]) -> None:
    short, long = (MANIFEST.file(MANIFEST.stream(name)) for name in ("nano-two-gops", "nano-random"))
    a, b = own_pixels(page, serve, long), own_pixels(page, serve, short)
    width = a[0].shape[1]
    load(page, beside(serve, long, short).url)
    assert page.locator("#note").inner_text() == "nano-random.nvrc has 6 frames: the first 3 are shown"
    page.keyboard.press("End")
    check_split(page, 2, width // 2, a, b)
    assert page.locator("#time").inner_text().split(" / ")[1] == "00:00.120"
    page.keyboard.press(" ")
    page.locator("#play:not(.playing)").wait_for(timeout=60_000)
    check_split(page, 2, width // 2, a, b)
    assert not page.locator("#error").is_visible()


def test_videos_of_two_sizes_are_not_compared(page: Any, serve: Callable[..., Any]) -> None:
    other = MANIFEST.file(MANIFEST.stream("nano-random"))
    load(page, beside(serve, A, other).url)
    page.locator("#error").wait_for()
    assert page.locator("#error").inner_text().split("\n\n")[:3] == [
        "nano-random.nvrc",
        "Error",
        "trained-main.nvrc is 96x54, nano-random.nvrc is 48x32: only videos of the same size are compared",
    ]
    assert not page.locator("#split").is_visible()
    page.keyboard.press(".")
    check_number(page, 1, len(expected(A)))
    assert np.abs(pixels(page).astype(int) - expected(A)[1]).max() <= 1, "the first video is played alone"


def told(path: Path) -> tuple[str, str]:
    """The code of what is wrong with a stream and what is required, as the command line says it."""
    with pytest.raises(NvrcError) as caught, nvrc_decoder.open(path) as video:
        list(video)
    return caught.value.code, caught.value.message.split("; it is ")[0]


@pytest.mark.parametrize("fault", ["reject-3-6-depth", "reject-3-1-width", "reject-3-3-rate"])
def test_a_bad_second_stream_is_told(page: Any, serve: Callable[..., Any], fault: str) -> None:
    path = next(MANIFEST_PATH.parent / one.file for one in MANIFEST.faults if one.id == fault)
    load(page, beside(serve, A, path).url)
    page.locator("#error").wait_for()
    name, code, required, *_ = page.locator("#error").inner_text().split("\n\n")
    assert name == path.name
    assert (code, required[0].lower() + required[1:]) == told(path)


def test_damage_of_the_second_stream_is_told(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    data = bytearray(B.read_bytes())
    data[len(data) // 2] ^= 255  # in its GOP
    path = tmp_path / "damaged.nvrc"
    path.write_bytes(data)
    load(page, beside(serve, A, path).url)
    page.locator("#error").wait_for()
    assert page.locator("#error").inner_text().split("\n\n")[:2] == ["damaged.nvrc", told(path)[0]]


def test_a_wrong_digest_of_the_second_stream_is_told(page: Any, serve: Callable[..., Any]) -> None:
    with nvrc_decoder.open(BAD) as video:
        size = video.info.format.width, video.info.format.height
    same = next(MANIFEST.file(stream) for stream in MANIFEST.streams if (stream.width, stream.height) == size)
    load(page, beside(serve, same, BAD).url)
    assert not page.locator("#error").is_visible()
    page.keyboard.press(" ")
    page.locator("#error").wait_for()
    assert page.locator("#error").inner_text().split("\n\n")[:2] == [BAD.name, "E_DIGEST"]


def test_raw_video_that_lies_is_told(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "lies.y4m"
    path.write_bytes(b"YUV4MPEG2 W65535 H65535 F25:1\nFRAME\n" + bytes(100))
    load(page, beside(serve, A, path).url)
    page.locator("#error").wait_for()
    text = page.locator("#error").inner_text()
    assert "the header says 65535x65535, 6442319873 bytes a frame; only 106 bytes follow" in text
    assert text.startswith("lies.y4m\n\n")
    assert page.evaluate("() => performance.memory.usedJSHeapSize") < 100_000_000


def choose(page: Any, action: str, *paths: Path) -> None:
    """Files that the player's button is given."""
    with page.expect_file_chooser() as chooser:
        page.locator(f".text[data-action={action}]").click()
    chooser.value.set_files([str(path) for path in paths])


def test_files_are_dropped_and_chosen(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    """A y4m file is shown beside what is open; two files replace it; `Compare with` takes a stream, too."""
    flipped = raw(A, tmp_path / "source.y4m")
    load(page, serve(A).url)
    page.keyboard.press(".")
    page.locator("#file").set_input_files(str(flipped))
    page.locator("#split").wait_for()
    check_number(page, 1, len(expected(A)))
    assert page.locator("#tag-b").inner_text() == "B: source.y4m"
    choose(page, "compare", B)
    page.locator("#tag-b", has_text="trained-nano.nvrc").wait_for()
    assert page.locator("#tag-a").inner_text() == "A: trained-main.nvrc"
    choose(page, "open", flipped, B)
    page.locator("#tag-a", has_text="trained-nano.nvrc").wait_for()
    assert page.locator("#tag-b").inner_text() == "B: source.y4m"
    choose(page, "open", A)
    page.locator("#format", has_text="96x54").wait_for()
    check_number(page, 0, len(expected(A)))
    assert page.locator("#name").inner_text() == "trained-main.nvrc"
    assert not page.locator("#split").is_visible()
    choose(page, "open", A, B, flipped)
    page.locator("#error").wait_for()
    assert "one video is played, or two are compared" in page.locator("#error").inner_text()


def test_raw_video_needs_a_stream_beside_it(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    flipped = raw(A, tmp_path / "source.y4m")
    load(page, serve(A).url)
    page.locator("#file").set_input_files([str(flipped), str(flipped)])
    page.locator("#error").wait_for()
    assert "open the stream first" in page.locator("#error").inner_text()
    page.keyboard.press(".")
    check_number(page, 1, len(expected(A)))
    assert not page.locator("#error").is_visible()


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("desktop", 1100, 760, "light"), ("dark", 1100, 760, "dark"), ("narrow", 360, 640, "light")],
)
def test_two_videos_fit_their_window(
    page: Any, serve: Callable[..., Any], clip: Path, tmp_path: Path, name: str, width: int, height: int, scheme: str
) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    cut = tmp_path / "cut-off.nvrc"
    cut.write_bytes(clip.read_bytes()[:40])
    for shot, other in (("compare", raw(clip, tmp_path / "source.y4m")), ("compare-error", cut)):
        load(page, beside(serve, clip, other).url)
        page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"{name}-{shot}.png")
        size = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size == [width, height]
