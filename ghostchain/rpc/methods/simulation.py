"""Blocks that nobody makes: eth_simulateV1."""

from __future__ import annotations

from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import Parameter, block_id
from ghostchain.rpc.simulation.request import simulation_request
from ghostchain.rpc.simulation.running import simulate

METHODS = (
    Method(
        "eth_simulateV1",
        simulate,
        (
            Parameter("simulation", simulation_request),
            Parameter("block", block_id, required=False, default="latest"),
        ),
        Cost.SLOW,
    ),
)
