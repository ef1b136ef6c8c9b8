"""The player in a headless Chromium: every frame is the right one, and the page says what it should."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import nvrc_decoder
from fuzz.mutations import reseal, split_units
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest
from nvrc_decoder.bitstream.units import UnitType

FOLDER = MANIFEST_PATH.parent
SHOTS = FOLDER.parent / "out" / "web"
FAULT = FOLDER / "faults" / "reject-3-6-depth.nvrc"
PIXELS = """() => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let text = "";
  for (let i = 0; i < data.length; i += 4096) text += String.fromCharCode(...data.subarray(i, i + 4096));
  return [width, height, btoa(text)];
}"""

pytestmark = pytest.mark.full


def load(page: Any, url: str) -> None:
    page.goto(url)
    page.locator("#canvas:visible, #error:visible").first.wait_for()


def pixels(page: Any) -> npt.NDArray[np.uint8]:
    """What the canvas shows: [height, width, 3]."""
    width, height, data = page.evaluate(PIXELS)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]


def expected(stream: Path | bytes) -> list[npt.NDArray[np.uint8]]:
    with nvrc_decoder.open(stream if isinstance(stream, Path) else io.BytesIO(stream)) as video:
        return [frame.to_rgb() for frame in video]


def check_number(page: Any, number: int, count: int) -> None:
    """The page says that it shows this frame, after the last seek is done."""
    page.wait_for_timeout(20)
    page.evaluate("() => nvrcPlayer.playback.seeking")
    assert page.locator("#number").inner_text() == f"frame {number} of {count}"


def check_shown(page: Any, number: int, frames: list[npt.NDArray[np.uint8]]) -> None:
    """The canvas shows frame `number`, which no other one is as near to, and the page says so."""
    check_number(page, number, len(frames))
    shown = pixels(page).astype(int)
    assert np.abs(shown - frames[number]).max() <= 1
    distances = [np.abs(shown - frame).mean() for frame in frames]
    assert int(np.argmin(distances)) == number


def counts(page: Any) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(
        "() => (({ shown, dropped, playing, current }) => ({ shown, dropped, playing, current }))(nvrcPlayer.playback)"
    )
    return result


def test_seeks_and_steps_show_exactly_that_frame(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    frames = expected(clip)
    last = len(frames) - 1
    target = min(17, last - 2)
    load(page, serve(clip).url)
    check_shown(page, 0, frames)
    page.locator("#bar").fill(str(target))
    check_shown(page, target, frames)
    for key, number in ((".", target + 1), (".", target + 2), (",", target + 1), ("Home", 0), (",", 0)):
        page.keyboard.press(key)
        check_shown(page, number, frames)
    for key, number in (("End", last), (".", last), (",", last - 1)):
        page.keyboard.press(key)
        check_shown(page, number, frames)
    page.locator("[data-action=back]").click()
    check_shown(page, last - 2, frames)


def test_the_last_of_many_seeks_wins(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    frames = expected(clip)
    load(page, serve(clip).url)
    page.evaluate("() => [5, 3, 8, 1, 6].map((n) => nvrcPlayer.playback.seek(n))")
    check_shown(page, 6, frames)


def test_play_shows_every_frame_and_ends(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    frames = expected(clip)
    load(page, serve(clip).url)
    page.evaluate("() => { nvrcPlayer.playback.shown = 0; nvrcPlayer.playback.speed = 0.25; }")
    page.keyboard.press(" ")
    assert counts(page)["playing"]
    page.locator("#speed-shown", has_text=re.compile(r"^\d+\.\d fps$")).wait_for()
    page.locator("#play:not(.playing)").wait_for(timeout=60_000)
    state = counts(page)
    assert state["shown"] + state["dropped"] == len(frames) - 1
    assert state["shown"] > 0.8 * len(frames)
    check_shown(page, len(frames) - 1, frames)


def test_a_loop_goes_on_and_a_pause_stays(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    frames = expected(clip)
    load(page, serve(clip).url)
    page.keyboard.press("l")
    assert page.locator("#loop").get_attribute("aria-pressed") == "true"
    page.locator("#speed").select_option("4")
    page.evaluate("() => nvrcPlayer.playback.seek(nvrcPlayer.playback.video.frameCount - 3)")
    page.locator("#play").click()
    page.wait_for_timeout(1000)
    assert counts(page)["playing"]
    page.keyboard.press(" ")
    state = counts(page)
    assert state["shown"] + state["dropped"] > 6
    page.wait_for_timeout(200)
    assert counts(page) == {**state, "playing": False}
    check_shown(page, state["current"], frames)


def test_keys_jump_and_fill_the_screen(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    frames = expected(clip)
    load(page, serve(clip).url)
    page.keyboard.press("ArrowRight")
    check_shown(page, len(frames) - 1, frames)
    page.keyboard.press("ArrowLeft")
    check_shown(page, 0, frames)
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === null")


@pytest.mark.parametrize("name", ["nano-presentation", "nano-400-10", "main-444-10", "lite-420-10"])
def test_turned_and_deep_pictures_are_right(page: Any, serve: Callable[..., Any], name: str) -> None:
    path = FOLDER / "streams" / f"{name}.nvrc"
    frames = expected(path)
    with nvrc_decoder.open(path) as video:
        turn, aspect = video.presentation.orientation, video.presentation.sample_aspect
    if turn is not None:
        frames = [np.rot90(frame[:, ::-1] if turn.flip else frame, turn.degrees // 90) for frame in frames]
    load(page, serve(path).url)
    check_shown(page, 0, frames)
    page.keyboard.press("End")
    check_shown(page, len(frames) - 1, frames)
    rows, columns = frames[0].shape[:2]
    sideways = turn is not None and turn.degrees in (90, 270)
    shape = columns / rows * float(aspect or 1) ** (-1 if sideways else 1)
    box = page.locator("#canvas").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(shape, rel=0.02)


def test_a_file_is_opened_and_an_error_shown(page: Any, serve: Callable[..., Any], clip: Path) -> None:
    load(page, serve(clip).url)
    page.locator("#file").set_input_files(str(FAULT))
    page.locator("#error").wait_for()
    assert page.locator("#error").inner_text().split("\n\n") == [
        "E_RANGE",
        "Required: bit_depth is 8 or 10",
        "SEQUENCE, byte 17 (spec 3.2, R3.6)",
    ]
    assert page.locator("#play").is_disabled()
    assert not page.locator("#canvas").is_visible()
    golden = load_manifest().stream("nano-two-gops")
    path = FOLDER / golden.file
    page.locator("#file").set_input_files(str(path))
    page.locator("#canvas").wait_for()
    assert not page.locator("#error").is_visible()
    check_shown(page, 0, expected(path))
    assert page.locator("#marks i").count() == 2
    assert page.title() == "nano-two-gops.nvrc - nvrc player"


def test_damage_in_the_middle_keeps_the_picture(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    data = bytearray((FOLDER / "streams" / "nano-two-gops.nvrc").read_bytes())
    frames = expected(bytes(data))
    data[-60] ^= 255  # in the second GOP
    path = tmp_path / "damaged.nvrc"
    path.write_bytes(data)
    load(page, serve(path).url)
    page.keyboard.press("End")
    page.locator("#error").wait_for()
    assert page.locator("#error .code").inner_text() == "E_CRC"
    check_shown(page, 0, frames)


def test_play_shows_all_frames_before_damage(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    path = FOLDER / "streams" / "nano-two-gops.nvrc"
    frames = expected(path)
    data = bytearray(path.read_bytes())
    data[-60] ^= 255
    damaged = tmp_path / "damaged.nvrc"
    damaged.write_bytes(data)
    load(page, serve(damaged).url)
    second = page.evaluate("() => nvrcPlayer.playback.video.gops[1]")
    page.keyboard.press(" ")
    page.locator("#error").wait_for()
    assert page.locator("#error .code").inner_text() == "E_CRC"
    check_shown(page, second - 1, frames)
    page.keyboard.press("Home")
    check_shown(page, 0, frames)
    assert not page.locator("#error").is_visible()


def test_play_shows_no_frame_after_a_wrong_digest(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    path = FOLDER / "streams" / "nano-four-gops.nvrc"
    frames = expected(path)
    data = path.read_bytes()
    digest = next(payload for kind, payload in split_units(data) if kind == UnitType.DIGEST)
    damaged = tmp_path / "damaged.nvrc"
    damaged.write_bytes(reseal(data.replace(digest, bytes(16), 1)))
    load(page, serve(damaged).url)
    second = page.evaluate("() => nvrcPlayer.playback.video.gops[1]")
    page.keyboard.press(" ")
    page.locator("#error").wait_for()
    assert page.locator("#error .code").inner_text() == "E_DIGEST"
    check_shown(page, second - 1, frames)


def test_play_checks_the_last_digest(page: Any, serve: Callable[..., Any]) -> None:
    load(page, serve(FOLDER / "faults" / "reject-8-1-digest.nvrc").url)
    assert not page.locator("#error").is_visible()
    page.keyboard.press(" ")
    page.locator("#error").wait_for()
    assert page.locator("#error .code").inner_text() == "E_DIGEST"


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("desktop", 1100, 760, "light"), ("dark", 1100, 760, "dark"), ("narrow", 360, 640, "light")],
)
def test_the_page_fits_its_window(
    page: Any, serve: Callable[..., Any], clip: Path, name: str, width: int, height: int, scheme: str
) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    server = serve(clip)
    for shot, url in (
        (name, server.url),
        (f"{name}-error", serve(FAULT).url),
        (f"{name}-empty", server.url.split("?")[0]),
    ):
        page.goto(url)
        page.locator("#canvas:visible, #error:visible, #empty:visible").first.wait_for()
        page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"{shot}.png")
        size = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size == [width, height]
        stage = page.locator("#stage").bounding_box()
        page.evaluate("() => [number.value, window['speed-shown'].value] = ['frame 12345 of 67890', '119.9 fps']")
        assert page.locator("#stage").bounding_box() == stage, "the controls need no more rows"
