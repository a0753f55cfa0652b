"""A chain that clients' tests fork: what is on it up to the block of the fork, and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.node.process import Ghostd

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
STRANGER = "0x" + "11" * 20
# Counts in slot 0: tells it without data, else adds the word given.
COUNTER = "0x60158060095f395ff336600c575f545f5260205ff35b5f355f54015f5500"
# Logs the word that it is given.
LOGGER = "0x602a8060095f395ff35f355f527f" + "5a" * 32 + "60205fa100"


@dataclass(frozen=True, slots=True)
class Remote:
    """At block the counter stands at 7 and the stranger has 123 wei; later blocks change both."""

    url: str
    counter: str
    block: int


def prepared(node: Ghostd) -> Remote:
    """The chain, on a development node without blocks."""
    counter: str = sent(node, None, data=COUNTER)["contractAddress"]
    logger: str = sent(node, None, data=LOGGER)["contractAddress"]
    sent(node, counter, data="0x" + f"{7:064x}")
    sent(node, logger, data="0x" + "ab" * 32)
    block = int(sent(node, STRANGER, value=123)["blockNumber"], 16)
    sent(node, counter, data="0x" + f"{30:064x}")
    sent(node, STRANGER, value=1000)
    sent(node, logger, data="0x" + "cd" * 32)
    return Remote(node.url, counter, block)


def sent(node: Ghostd, to: str | None, value: int = 0, data: str = "0x") -> Any:
    request = {"from": ALICE, "value": hex(value), "data": data}
    if to is not None:
        request["to"] = to
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))
