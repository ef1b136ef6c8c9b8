"""What the tests of pools share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of an unbroken encode in this process."""
    from segment_cases import encoded

    return encoded(tmp_path_factory.mktemp("whole"))
