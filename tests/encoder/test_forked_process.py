"""An encode in a process forked from one that has encoded is refused, or runs with one thread; it never hangs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

CODE = """
import io, os, sys
import numpy as np, torch
import nvrc_decoder
from nvrc_encoder import EncodeOptions, array_source, encode

torch.set_num_threads(2)
source = array_source([np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) // 3] * 2)
options = EncodeOptions(preset="draft", iterations=1, trials=False)
encode(source, io.BytesIO(), options)
child = os.fork()
if child == 0:
    try:
        encode(source, io.BytesIO(), options)
    except nvrc_decoder.InputError as error:
        assert error.code == "E_FORK", error
        torch.set_num_threads(1)
        assert encode(source, io.BytesIO(), options).frames == 2
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.full
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_encoder_does_not_hang() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
