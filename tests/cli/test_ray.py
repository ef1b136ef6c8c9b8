"""`nvrc-ref encode` and `bench` on a Ray cluster: what they write is what one machine writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_codecs import PLAIN
from ray_cluster import PATIENCE, RayCluster, ray_cluster
from waiting import wait_until

from nvrc_ref.main import run

pytest.importorskip("torch")

ENCODE = ["encode", "a.y4m", "--iterations", "20", "--no-trials", "--gop", "2", "--threads", "1", "--segment", "2"]
BROKEN = {**PLAIN, "name": "broken", "points": [8], "environment": {"FAKE_CODEC_FAILS": "8"}}


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a.y4m"
    frames = (b"FRAME\n" + bytes((7 * i * i + 31 * t) % 256 for i in range(384)) for t in range(6))
    path.write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\n" + b"".join(frames))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture(scope="module")
def machines() -> Iterator[RayCluster]:
    """Two nodes with a processor each."""
    pytest.importorskip("ray", reason='Ray is not installed: pip install "nvrc-ref[ray]"')
    with ray_cluster() as started:
        yield started


@pytest.fixture
def whole(clip: Path) -> bytes:
    """The stream of an unbroken encode by one process."""
    assert run([*ENCODE, "-o", "whole.nvrc", "--quiet"]) == 0
    return Path("whole.nvrc").read_bytes()


@pytest.mark.full
def test_a_cluster_encodes_the_same_file(machines: RayCluster, whole: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*ENCODE, "-o", "b.nvrc", "--ray", machines.address]) == 0
    assert Path("b.nvrc").read_bytes() == whole
    said = capfd.readouterr().err.splitlines()
    assert said[0].endswith("about 1.0 GB of memory with 2 jobs")
    assert said[-1] == "3 segments done, 6 frames"
    assert all("done, " in line for line in said[1:])
    assert {path.name for path in Path.cwd().iterdir()} == {"a.y4m", "whole.nvrc", "b.nvrc"}


def started(*words: str) -> subprocess.Popen[str]:
    """A process of nvrc-ref that heeds Ctrl-C, also where the tests run with it ignored."""

    def heed() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        [sys.executable, "-m", "nvrc_ref", *words], stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )


@pytest.mark.full
def test_an_interrupt_leaves_what_resume_needs(machines: RayCluster, whole: bytes) -> None:
    encode = started(*ENCODE, "-o", "b.nvrc", "--ray", machines.address, "--jobs", "1")
    try:
        wait_until(Path("b.nvrc.checkpoint.segments/segment-00000.json").exists, PATIENCE)
        encode.send_signal(signal.SIGINT)
        _, said = encode.communicate(timeout=PATIENCE)
    finally:
        encode.kill()
        encode.wait()
    assert encode.returncode == 130
    assert "interrupted at 1 finished" in said.splitlines()[-1]
    assert run([*ENCODE, "-o", "b.nvrc", "--quiet", "--resume"]) == 0
    assert Path("b.nvrc").read_bytes() == whole


@pytest.mark.full
def test_tasks_end_with_a_killed_command(machines: RayCluster, clip: Path) -> None:
    encode = started(*ENCODE, "--iterations", "1000000", "-o", "b.nvrc", "--ray", machines.address)
    try:
        wait_until(lambda: len(machines.workers("_work")) == 2, PATIENCE)
    finally:
        encode.kill()
        encode.communicate()
    wait_until(lambda: not machines.workers("_work"), PATIENCE)


def bench(clip: Path, out: str, *words: str) -> dict[str, Any]:
    """The results of a run, some of whose points fail."""
    config = {"clips": [{"path": str(clip)}], "codecs": [PLAIN, BROKEN]}
    Path("run.json").write_text(json.dumps(config))
    assert run(["bench", "--config", "run.json", "-o", out, *words]) == 1
    document: dict[str, Any] = json.loads((Path(out) / "results.json").read_text())
    return document


@pytest.mark.full
def test_a_cluster_measures_the_same_points(machines: RayCluster, clip: Path) -> None:
    here, there = bench(clip, "here", "--jobs", "2"), bench(clip, "there", "--ray", machines.address)
    same = ("key", "clip", "codec", "point", "bytes", "bpp", "psnr", "threads", "commands")
    assert [[point[name] for name in same] for point in there["points"]] == [
        [point[name] for name in same] for point in here["points"]
    ]
    assert len(there["points"]) == 3
    assert [one["point"] for one in there["failed"]] == ["a, broken, point 8"]
    assert there["failed"][0]["reason"].endswith("this step is out of order")
    assert there["settings"] == {"jobs": 2, "threads": 1, "ray": machines.address}
    streams = [sorted(path.read_bytes() for path in Path(out, "streams").rglob("*.bin")) for out in ("here", "there")]
    assert streams[0] == streams[1]


@pytest.mark.parametrize("words", [["encode", "a.y4m", "-o", "b.nvrc"], ["bench", "a.y4m"]], ids=["encode", "bench"])
@pytest.mark.parametrize("option", ["--ray-cpus", "--ray-gpus"])
def test_resources_without_a_cluster_are_refused(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, option, "2"]) == 2
    assert "--ray-cpus and --ray-gpus go with --ray" in capsys.readouterr().err


def test_a_short_video_is_encoded_here(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason='Ray is not installed: pip install "nvrc-ref[ray]"')
    assert run(["encode", "a.y4m", "-o", "b.nvrc", "--iterations", "1", "--no-trials", "--ray", "127.0.0.1:1"]) == 0
    assert "the video fits in one segment, which is encoded here" in capsys.readouterr().err
