"""How many tasks a cluster has room for."""

from __future__ import annotations

from typing import Any

import pytest

from nvrc_encoder.cluster import LARGEST_NUMBER_OF_TASKS, Cluster, room


class FakeRay:
    """Nodes of eight processors and two GPUs, of 1000 processors, and one that is lost."""

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
            {"Alive": True, "Resources": {"CPU": 1000.0}},
            {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}},
        ]


@pytest.mark.parametrize(
    ("cpus", "gpus", "tasks"),
    [(500, 0.0, 2), (8, 0.0, 126), (1, 0.0, LARGEST_NUMBER_OF_TASKS), (1, 1.0, 2), (1, 2.0, 1), (1, 0.5, 4)],
)
def test_room_is_that_of_living_nodes(cpus: int, gpus: float, tasks: int) -> None:
    assert room(FakeRay(), Cluster("auto", cpus, gpus)) == tasks


def test_a_task_shares_one_gpu_not_two() -> None:
    assert room(FakeRay(), Cluster("auto", 1, 0.6)) == 2
