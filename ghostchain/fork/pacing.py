"""How fast a remote node is asked: compute units a second, and pauses that it asks for.

Providers count what a request costs them in compute units. A node that never complains is asked as
fast as it answers; once it has said that it is asked too much, requests are paced for a while.
Pure: time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

UNITS_PER_SECOND = 330
"""What is assumed of a provider that has limits and was not described (the smallest plans)."""

PACED_NS = 60_000_000_000
"""So long after a complaint requests are paced."""

PAUSE_NS_MAX = 30_000_000_000

# About what providers charge; others cost the default.
UNITS = {
    "eth_chainId": 0,
    "net_version": 0,
    "eth_blockNumber": 10,
    "eth_getBalance": 19,
    "eth_getTransactionCount": 26,
    "eth_getCode": 19,
    "eth_getStorageAt": 17,
    "eth_getBlockByNumber": 16,
    "eth_getBlockByHash": 16,
    "eth_getTransactionByHash": 17,
    "eth_getTransactionReceipt": 15,
    "eth_getProof": 21,
    "eth_getLogs": 75,
    "eth_call": 26,
    "eth_estimateGas": 87,
}
UNITS_DEFAULT = 20
UNITS_HEAVY = 300


def units_of(method: str) -> int:
    """Compute units of one request."""
    if method.startswith(("debug_", "trace_")):
        return UNITS_HEAVY
    return UNITS.get(method, UNITS_DEFAULT)


@dataclass(slots=True)
class Pace:
    """A token bucket of one second's compute units.

    units_per_second: None paces only after a complaint. enabled False: never.
    """

    units_per_second: int | None = None
    enabled: bool = True
    _paced_until_ns: int = 0
    _paused_until_ns: int = 0
    _free_at_ns: int = -1_000_000_000_000

    def wait_ns(self, units: int, *, now_ns: int) -> int:
        """So long a request of that cost has to wait; it is counted as made then."""
        start = max(now_ns, self._paused_until_ns)
        if not self.enabled or (self.units_per_second is None and now_ns >= self._paced_until_ns):
            return start - now_ns
        rate = self.units_per_second or UNITS_PER_SECOND
        # A bucket that was not used for a second is full: its first second costs no wait.
        self._free_at_ns = max(self._free_at_ns, start - 1_000_000_000)
        self._free_at_ns += units * 1_000_000_000 // rate
        return max(self._free_at_ns, start) - now_ns

    def on_complaint(self, pause_ns: int, *, now_ns: int) -> None:
        """The remote node said that it is asked too much: nothing for a while, then paced."""
        self._paused_until_ns = max(self._paused_until_ns, now_ns + min(pause_ns, PAUSE_NS_MAX))
        if now_ns >= self._paced_until_ns:
            self._free_at_ns = self._paused_until_ns
        self._paced_until_ns = now_ns + PACED_NS
