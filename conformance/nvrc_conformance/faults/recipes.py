"""All streams that a decoder must refuse."""

from __future__ import annotations

from nvrc_conformance.faults.coded import CODED_FAULTS
from nvrc_conformance.faults.container import CONTAINER_FAULTS
from nvrc_conformance.faults.edges import EDGE_FAULTS
from nvrc_conformance.faults.ending import ENDING_FAULTS
from nvrc_conformance.faults.forged import FORGED_FAULTS
from nvrc_conformance.faults.headers import HEADER_FAULTS
from nvrc_conformance.faults.layers import LAYER_FAULTS
from nvrc_conformance.faults.limits import LIMIT_FAULTS
from nvrc_conformance.faults.network import NETWORK_FAULTS
from nvrc_conformance.faults.parts import Fault

__all__ = ["FAULTS"]

FAULTS: tuple[Fault, ...] = (
    *CONTAINER_FAULTS,
    *ENDING_FAULTS,
    *HEADER_FAULTS,
    *NETWORK_FAULTS,
    *CODED_FAULTS,
    *EDGE_FAULTS,
    *LAYER_FAULTS,
    *FORGED_FAULTS,
    *LIMIT_FAULTS,
)
