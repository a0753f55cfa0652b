"""Runs inside the executable specification's own environment: precompile calls in, outcomes out.

One call a line on standard input, "fork number gas data" with fork 0 Cancun, 1 Prague, 2 Osaka and
data in hexadecimal; on standard output "success gas_left output". It imports nothing of
GhostChain.
"""

import importlib
import sys
from types import SimpleNamespace

from ethereum_types.numeric import Uint

FORKS = ("cancun", "prague", "osaka")


def tables():
    """By fork: its precompiles by number, and the exception that fails a call."""
    for fork in FORKS:
        package = f"ethereum.forks.{fork}.vm"
        mapping = importlib.import_module(f"{package}.precompiled_contracts.mapping")
        exceptions = importlib.import_module(f"{package}.exceptions")
        by_number = {
            int.from_bytes(address, "big"): run
            for address, run in mapping.PRE_COMPILED_CONTRACTS.items()
        }
        yield by_number, exceptions.ExceptionalHalt


def serve() -> None:
    known = list(tables())
    for line in sys.stdin:
        fork, number, gas, data = line.rstrip("\n").split(" ")
        by_number, halt = known[int(fork)]
        call = SimpleNamespace(
            message=SimpleNamespace(data=bytes.fromhex(data)), gas_left=Uint(int(gas)), output=b""
        )
        try:
            by_number[int(number)](call)
            print(1, int(call.gas_left), bytes(call.output).hex())
        except halt:
            print(0, 0, "")


if __name__ == "__main__":
    serve()
