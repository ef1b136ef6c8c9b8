"""The tiny suite, made once."""

from __future__ import annotations

import pytest
from tiny_suite import Tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A suite of seven streams, and what the fake decoders know of it."""
    return Tiny.make(tmp_path_factory.mktemp("tiny"))
