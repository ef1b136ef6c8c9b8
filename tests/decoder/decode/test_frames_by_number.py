"""`len(video)`, `video[i]`, slices and times: the right frames, at the cost of a seek, beside the iteration."""

from __future__ import annotations

import io
from fractions import Fraction
from pipes import Pipe
from typing import Any

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest

MANIFEST = load_manifest()
STREAM = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
MD5S = STREAM.frame_md5
COUNT, GOPS = len(MD5S), 4


def video(data: bytes = DATA, **options: Any) -> nvrc_decoder.Video:
    return nvrc_decoder.open(io.BytesIO(data), **options)


@pytest.mark.parametrize("verify", [True, False])
def test_every_frame_by_its_number(verify: bool) -> None:
    with video(verify=verify) as opened:
        assert len(opened) == COUNT
        for number in [*range(COUNT), *reversed(range(COUNT)), 3, 3]:
            frame = opened[number]
            assert (frame.number, frame.md5()) == (number, MD5S[number])
            assert opened[number - COUNT].number == number


def test_slices_are_lists() -> None:
    with video() as opened:
        for part in (slice(None), slice(2, 5), slice(None, None, -2), slice(-3, None), slice(4, 4), slice(2, 10**9)):
            assert [frame.md5() for frame in opened[part]] == list(MD5S[part])


def test_ascending_frames_decode_each_gop_once() -> None:
    times = nvrc_decoder.StageTimes()
    with video(times=times) as opened:
        for number in range(COUNT):
            opened[number]
        assert times.gops == GOPS
        opened[::-1]
        assert times.gops == 2 * GOPS


def test_one_frame_costs_one_gop() -> None:
    times = nvrc_decoder.StageTimes()
    with video(times=times) as opened:
        opened[-1]
    assert times.gops == 1


def test_the_iteration_goes_on_where_it_was() -> None:
    with video() as opened:
        assert next(opened).number == 0
        opened[COUNT - 1], opened[2:4]
        assert [frame.number for frame in opened] == list(range(1, COUNT))
        opened[0]
        assert list(opened) == []
        opened.seek(5)
        opened[0]
        assert next(opened).number == 5


@pytest.mark.parametrize(("index", "error"), [(COUNT, IndexError), (-COUNT - 1, IndexError), (10**30, IndexError)])
def test_no_such_frame(index: Any, error: type[Exception]) -> None:
    with video() as opened, pytest.raises(error, match=f"the stream has {COUNT}"):
        opened[index]


@pytest.mark.parametrize("index", [1.5, "1", None, (1, 2)])
def test_what_is_no_number(index: Any) -> None:
    with video() as opened, pytest.raises(TypeError):
        opened[index]


def test_a_pipe_has_no_length_but_can_be_listed() -> None:
    pipe: Any = Pipe(DATA)
    with nvrc_decoder.open(pipe) as opened:
        for use in (len, lambda opened: opened[0], lambda opened: opened[:2]):
            with pytest.raises(nvrc_decoder.UnknownLengthError, match="pipe"):
                use(opened)
        assert opened
        assert len(list(opened)) == COUNT


def test_a_closed_video_says_so() -> None:
    opened = video()
    opened.close()
    for use in (len, lambda opened: opened[0], lambda opened: opened.seek(0), lambda opened: opened.frame_count):
        with pytest.raises(nvrc_decoder.InputError, match="closed") as caught:
            use(opened)
        assert caught.value.code == "E_CLOSED"
    assert list(opened) == []


def test_a_damaged_gop_is_an_error_for_its_frames_only() -> None:
    data, lost = bytearray(DATA), []
    with video() as opened:
        table = opened._random_access()
    data[table.index.entries[1].offset + 20] ^= 1
    first, behind = (table.index.entries[number].first_frame for number in (1, 2))
    with video(bytes(data), on_damage=lost.append) as opened:
        with pytest.raises(nvrc_decoder.InvalidStreamError):
            opened[first]
        assert opened[behind].md5() == MD5S[behind]
        assert lost == []
        assert [frame.number for frame in opened] == [*range(first), *range(behind, COUNT)]
    assert len(lost) == 1


def test_times_follow_from_the_rate() -> None:
    with video() as opened:
        rate = opened.info.format.rate
        assert [frame.time for frame in opened[:3]] == [Fraction(number) / rate for number in range(3)]


def test_reversed_and_in() -> None:
    with video() as opened:
        assert [frame.number for frame in reversed(opened)] == list(reversed(range(COUNT)))
