"""Segments on a Ray cluster of two nodes: the same bytes, whatever is killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

pytest.importorskip("torch")
pytest.importorskip("ray", reason='Ray is not installed: pip install "nvrc-ref[ray]"')
from encoder_cases import options
from ray_cluster import PATIENCE, RayCluster, ray_cluster
from segment_cases import encoded

from nvrc_decoder.errors import LimitError, OutputError, UnsupportedError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder import cluster as cluster_module
from nvrc_encoder.cluster import Cluster
from nvrc_encoder.segments import ray_pool
from nvrc_encoder.segments.coordinator import Overall
from nvrc_encoder.segments.job import Job
from nvrc_encoder.segments.ray_pool import RayPool
from nvrc_encoder.training.interruption import Interruption

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def machines() -> Iterator[RayCluster]:
    """Two nodes with a processor each."""
    with ray_cluster() as started:
        yield started


@pytest.fixture
def pool(machines: RayCluster) -> Iterator[Callable[..., RayPool]]:
    """Makes pools, and closes them."""
    made: list[RayPool] = []

    def make(**resources: Any) -> RayPool:
        made.append(RayPool(Cluster(machines.address, **resources)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def job(folder: Path) -> Job:
    places = (folder / f"segment-00000.{suffix}" for suffix in ("yuv", "nvrc", "checkpoint"))
    return Job(0, "a job", VideoFormat(16, 16, Fraction(25)), 1, *places, {}, options(), 1)


def test_a_cluster_writes_the_same_bytes(tmp_path: Path, whole: bytes, pool: Callable[..., RayPool]) -> None:
    waiting, handler = [], signal.getsignal(signal.SIGTERM)

    def told(state: Overall) -> None:
        waiting.append(len(list(tmp_path.glob("*.yuv"))))

    assert encoded(tmp_path, pool=pool(), told=told) == whole
    assert max(waiting) == 2
    assert signal.getsignal(signal.SIGTERM) is handler
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_killed_worker_costs_no_byte(
    tmp_path: Path,
    whole: bytes,
    machines: RayCluster,
    pool: Callable[..., RayPool],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    killed: list[int] = []

    def told(state: Overall) -> None:
        if not killed and any(share > 0.1 for share in state.running.values()):
            killed.extend(machines.workers("_work")[:1])
            os.kill(killed[0], signal.SIGKILL)

    assert encoded(tmp_path, pool=pool(), told=told) == whole
    assert caplog.text.count("a worker of the cluster was lost") == 1
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_lets_workers_save(tmp_path: Path, whole: bytes, pool: Callable[..., RayPool]) -> None:
    interruption = Interruption()

    def told(state: Overall) -> None:
        if not interruption.asked and any(share > 0.3 for share in state.running.values()):
            interruption.ask(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        encoded(tmp_path, pool=pool(), told=told, interruption=interruption)
    assert re.fullmatch(r"(\d finished and )?\d half-done segments?", interruption.kept or "")
    assert list(tmp_path.glob("*.checkpoint"))
    assert encoded(tmp_path, pool=pool(), resume=True) == whole


def test_workers_that_always_die_end_the_encode(tmp_path: Path, pool: Callable[..., RayPool]) -> None:
    one = pool()

    def dies(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    one._task = one._ray.remote(max_retries=0)(dies)
    one.submit(job(tmp_path))
    with pytest.raises(LimitError, match=r"lost 4 times in a row.*--resume") as caught:
        wait_until(lambda: one.next_done(0.1), PATIENCE)
    assert caught.value.code == "E_WORKER"


def test_a_job_that_no_node_can_run_waits_and_can_be_stopped(
    tmp_path: Path, pool: Callable[..., RayPool], caplog: pytest.LogCaptureFixture
) -> None:
    one = pool(cpus=3, gpus=0.5)
    assert one.size == 1
    one.submit(job(tmp_path))
    assert "no node of the cluster has 3 processors and 0.5 GPUs" in caplog.text
    assert one.next_done(0.1) is None
    assert one.shares() == {0: 0.0}
    one.stop()
    assert one.shares() == {}


def test_a_node_that_does_not_see_the_frames_says_so(
    tmp_path: Path, pool: Callable[..., RayPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pool()

    def refused(*arguments: object) -> object:
        ray_pool._VISIBLE_AFTER = 0.0
        return ray_pool._work(*arguments)  # type: ignore[arg-type]

    one._task = one._ray.remote(max_retries=0)(refused)
    one.submit(job(tmp_path))
    with pytest.raises(OutputError, match=r"segment-00000.yuv: the node \S+ does not see it.*--checkpoint"):
        wait_until(lambda: one.next_done(0.1), PATIENCE)


def test_a_node_with_other_versions_is_refused(
    tmp_path: Path, pool: Callable[..., RayPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pool()
    monkeypatch.setattr(ray_pool, "_versions", lambda: {"nvrc-ref": "0.0.1", "PyTorch": "2"})
    one.submit(job(tmp_path))
    with pytest.raises(UnsupportedError, match=r"has nvrc-ref \S+, and the encode runs with 0.0.1") as caught:
        wait_until(lambda: one.next_done(0.1), PATIENCE)
    assert caught.value.code == "E_RAY"


def test_a_node_without_nvrc_ref_says_so(tmp_path: Path, pool: Callable[..., RayPool]) -> None:
    one = pool()

    def missing(*arguments: object) -> None:
        raise ModuleNotFoundError("No module named 'nvrc_encoder'")

    one._task = one._ray.remote(max_retries=0)(missing)
    one.submit(job(tmp_path))
    with pytest.raises(OutputError, match=r"No module named 'nvrc_encoder'.*nvrc-ref\[encoder,ray\]") as caught:
        wait_until(lambda: one.next_done(0.1), PATIENCE)
    assert caught.value.code == "E_RAY"


@pytest.mark.parametrize(
    ("address", "reason"), [("127.0.0.1:1", "no answer in 3 s"), ("nonsense", "ValueError: Invalid address format")]
)
def test_an_unreachable_cluster_is_one_error(address: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_PATIENCE", 3.0 if ":" in address else 60.0)
    began = time.monotonic()
    with pytest.raises(OutputError, match=rf"at {address} cannot be reached \({reason}.*ray start --head") as caught:
        RayPool(Cluster(address))
    assert caught.value.code == "E_RAY"
    assert time.monotonic() - began < 60


def test_a_lost_node_costs_no_byte(
    tmp_path: Path, whole: bytes, machines: RayCluster, pool: Callable[..., RayPool], caplog: pytest.LogCaptureFixture
) -> None:
    killed = []

    def told(state: Overall) -> None:
        busy = [node for node in machines.nodes if node.workers("_work")]
        if not killed and len(busy) == 2:
            killed.append(busy[1])  # the head is the first
            busy[1].kill()

    one = pool()
    assert encoded(tmp_path, pool=one, told=told) == whole
    assert "a worker of the cluster was lost" in caplog.text
    assert len(killed) == 1
