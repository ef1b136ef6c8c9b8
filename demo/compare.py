"""Compares decoded frames with the encoder's promise, and draws source, decoded and error side by side.

``python demo/compare.py SOURCE DECODED --report REPORT -o PICTURE``; exit code 1 where a frame differs from the MD5
that the encoder reported.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.frame import to_bgr
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.source.video import open_source

ERROR_GAIN = 4
MARGIN = 6
LABEL_ROWS = 18


def psnr(a: Planes, b: Planes) -> float:
    """PSNR of luma in dB, 8 bits."""
    mse = float(np.mean((a.y.astype(np.float64) - b.y.astype(np.float64)) ** 2))
    return 10 * math.log10(255 * 255 / mse) if mse else math.inf


def labelled(picture: npt.NDArray[Any], text: str) -> npt.NDArray[np.uint8]:
    """The picture under a line of text."""
    head = np.full((LABEL_ROWS, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(head, text, (2, LABEL_ROWS - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, picture])


def panel(source: Planes, decoded: Planes, video: VideoFormat, number: int) -> npt.NDArray[np.uint8]:
    """Source, decoded and the luma error (grey is none) in a row, uint8 [rows, columns, 3]."""
    difference = (decoded.y.astype(np.int16) - source.y.astype(np.int16)) * ERROR_GAIN + 128
    error = cv2.cvtColor(np.clip(difference, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    pictures = [
        labelled(to_bgr(source, video), f"source, frame {number}"),
        labelled(to_bgr(decoded, video), f"decoded, {psnr(source, decoded):.2f} dB Y"),
        labelled(error, f"luma error x {ERROR_GAIN}"),
    ]
    gap = np.full((pictures[0].shape[0], MARGIN, 3), 255, np.uint8)
    return np.concatenate([pictures[0], gap, pictures[1], gap, pictures[2]], axis=1)


def main() -> int:
    """Compare, draw, say what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("decoded")
    parser.add_argument("--report", type=Path, required=True, help="JSON document of nvrc-ref encode")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG to write")
    arguments = parser.parse_args()
    promised = json.loads(arguments.report.read_text())["frame_md5s"]
    original = open_source(arguments.source, frames=len(promised))
    decoded = list(open_source(arguments.decoded))
    found = [frame.md5() for frame in decoded]
    different = [i for i, (a, b) in enumerate(zip(promised, found, strict=False)) if a != b]
    if different or len(found) != len(promised):
        print(f"DIFFERENT: {len(found)} of {len(promised)} frames, first difference at {different[:1]}")
        return 1
    shown = sorted({0, len(decoded) // 2, len(decoded) - 1})
    rows = [panel(frame, decoded[i], original.picture, i) for i, frame in enumerate(original) if i in shown]
    cv2.imwrite(str(arguments.output), np.concatenate(rows))
    print(f"{len(found)} frames: MD5s of the decoder without PyTorch equal the encoder's")
    print(f"source, decoded, error: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
