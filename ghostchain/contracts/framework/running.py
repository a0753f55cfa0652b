"""One call of one contract, from a host to an exit: what the executor's callback runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ghostchain.contracts.framework.contract import NativeContract
from ghostchain.contracts.framework.errors import PANIC_DIVISION, Panic, Revert
from ghostchain.execution.contracts import ContractHost, ContractRunner, Halt

LOGGER = logging.getLogger(__name__)

EXIT_SUCCESS = 0
EXIT_REVERT = 1
EXIT_FAILED = 14  # as a precompile that failed: all gas is gone


def runner(contracts: Mapping[int, type[NativeContract]]) -> ContractRunner:
    """Runs the contracts of a registry. An id without a contract reverts and says so.

    An exception that a contract did not mean ends the frame like a failed precompile, the same on
    every node, and is logged with its trace; what only this node suffers (no memory, too deep a
    Python stack, an interrupt) is raised to stop the block.
    """

    def run(contract_id: int, host: ContractHost) -> tuple[int, bytes]:
        contract = contracts.get(contract_id)
        if contract is None:
            reason = f"no native contract has the id 0x{contract_id:02x}"
            return EXIT_REVERT, Revert.because(reason).data
        return run_contract(contract, host)

    return run


def run_contract(contract: type[NativeContract], host: ContractHost) -> tuple[int, bytes]:
    """As `runner`, for one contract."""
    try:
        return EXIT_SUCCESS, contract(host).answer()
    except Revert as revert:
        return EXIT_REVERT, revert.data
    except Halt as halt:
        return halt.exit, b""
    except ZeroDivisionError:
        return EXIT_REVERT, Panic(PANIC_DIVISION).data
    except (MemoryError, RecursionError):
        raise
    except Exception:
        message = host.message
        LOGGER.critical(
            "native contract %s failed on a call from 0x%s at block %d with data 0x%s",
            contract.__name__,
            message.sender.hex(),
            host.block.number,
            message.data[:1024].hex(),
            exc_info=True,
        )
        return EXIT_FAILED, b""
