"""The decoder in C, built once for all tests that run it."""

from __future__ import annotations

from pathlib import Path

import pytest
from c_decoder import build, build_sanitized


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its command line, with optimisation."""
    return build(tmp_path_factory.mktemp("c"), "-O2")


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its command line, with sanitizers; a test that needs it is skipped where the compiler has none."""
    return build_sanitized(tmp_path_factory.mktemp("sanitized"))
