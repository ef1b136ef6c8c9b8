"""A `Video` belongs to one process: what a fork or pickle makes of it is said at once, and nothing hangs."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import nvrc_decoder

STREAM = str(Path(__file__).resolve().parents[3] / "conformance" / "streams" / "nano-motion.nvrc")

CHILD = """
import os, sys, nvrc_decoder
videos = [nvrc_decoder.open(sys.argv[1], lookahead=lookahead) for lookahead in (True, False)]
for video in videos:
    next(video)
whole = nvrc_decoder.open(sys.argv[1])
count = len(list(whole))
child = os.fork()
if child == 0:
    for video in (*videos, whole):
        for use in (next, len, lambda v: v.seek(2), lambda v: v[0], lambda v: v[:2], lambda v: v.frame_count):
            try:
                use(video)
            except nvrc_decoder.InputError as error:
                assert error.code == "E_FORK" and "open one in each worker" in error.message
            else:
                raise AssertionError("no error")
        video.close()
    with nvrc_decoder.open(sys.argv[1]) as own:
        assert len(list(own)) == count
    {end}
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
assert [len(list(video)) for video in videos] == [count - 1, count - 1]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("end", ["sys.exit(7)", "os._exit(7)", "del videos, video, whole, own; sys.exit(7)"])
def test_a_forked_child_is_told_and_ends(end: str) -> None:
    code = CHILD.replace("{end}", end)
    done = subprocess.run([sys.executable, "-c", code, STREAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("begin", [False, True])
def test_a_video_is_not_pickled_or_copied(begin: bool) -> None:
    with nvrc_decoder.open(STREAM) as video:
        if begin:
            next(video)
        for use in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="open one in each worker"):
                use(video)


def test_errors_survive_the_way_between_processes() -> None:
    error = nvrc_decoder.InvalidStreamError("E_CRC", "wrong", offset=3, unit="GOP 1", section="2.3", file="a.nvrc")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) == "error[E_CRC] a.nvrc, GOP 1 at byte 0x3: wrong (spec 2.3)"
    assert vars(again) == vars(error)


def test_frames_are_pickled() -> None:
    with nvrc_decoder.open(STREAM) as video:
        frame = next(video)
    assert pickle.loads(pickle.dumps(frame)).md5() == frame.md5()
