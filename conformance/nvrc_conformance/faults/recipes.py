"""All streams that a decoder must refuse."""

from __future__ import annotations

from nvrc_conformance.faults.coded import CODED_FAULTS
from nvrc_conformance.faults.container import CONTAINER_FAULTS
from nvrc_conformance.faults.headers import HEADER_FAULTS
from nvrc_conformance.faults.limits import LIMIT_FAULTS
from nvrc_conformance.faults.network import NETWORK_FAULTS
from nvrc_conformance.faults.parts import Fault

__all__ = ["FAULTS"]

FAULTS: tuple[Fault, ...] = (*CONTAINER_FAULTS, *HEADER_FAULTS, *NETWORK_FAULTS, *CODED_FAULTS, *LIMIT_FAULTS)
