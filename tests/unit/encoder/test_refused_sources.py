"""Sources that cannot be encoded as asked, and what the message says to do."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from nvrc_decoder.errors import InputError, InvalidStreamError
from nvrc_encoder.source import open_source
from nvrc_ref.main import run


@pytest.mark.parametrize(("rate", "advised"), [(25, False), (50, True)])
def test_only_another_rate_is_told_how(tmp_path: Path, rate: int, advised: bool) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 Cmono\nFRAME\n" + bytes(8))
    with pytest.raises(InputError, match="a frame rate of its own, 25: leave out --rate") as caught:
        open_source(tmp_path / "a.y4m", rate=rate)
    assert ("ffmpeg" in str(caught.value)) == advised


def test_a_stream_is_no_video_to_encode(tmp_path: Path) -> None:
    (tmp_path / "a.nvrc").write_bytes(bytes.fromhex("894e5652430d0a1a") + bytes(99))
    with pytest.raises(InvalidStreamError, match="stream already; nvrc-ref decode"):
        open_source(tmp_path / "a.nvrc")


def test_a_skip_of_all_frames_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 Cmono\nFRAME\n" + bytes(8))
    assert run(["encode", str(tmp_path / "a.y4m"), "-o", str(tmp_path / "a.nvrc"), "--skip", "5"]) == 66
    assert "a.y4m has no frames after the first 5" in capsys.readouterr().err
