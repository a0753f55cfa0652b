"""A network namespace of one's own: its loopback is the network, and its firewall the scissors.

Root and iproute2 make one; iptables cuts it. Where the kernel has netem, `slow` adds latency and
loss to everything on the loopback; elsewhere there is only loss, by the firewall's own dice.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence

INSIDE = "GHOST_TEST_NAMESPACE"
"""Environment variable that names the namespace to whatever runs inside."""


def missing() -> str | None:
    """What this machine lacks to make one, None when nothing."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("ip", "iptables"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    finished = run_inside(["iptables", "-A", "INPUT", "-p", "udp", "--dport", "9", "-j", "DROP"])
    return None if finished.returncode == 0 else f"no namespace: {finished.stderr.strip()}"


def run_inside(
    argv: Sequence[str], *, timeout: float = 60.0, capture: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs the command in a new namespace, which is gone afterwards."""
    name = f"ghost-{os.getpid()}-{os.urandom(3).hex()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return made
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        return subprocess.run(
            ["ip", "netns", "exec", name, *argv],
            capture_output=capture,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, INSIDE: name},
        )
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def enter(module: str, *, timeout: float) -> int | None:
    """Runs the module again, with this process's arguments, in a new namespace: its exit code, 4
    when there can be none. None: this process is inside already."""
    try:
        Scissors()
    except RuntimeError:
        why = missing()
        if why is not None:
            print(f"cannot partition here: {why}", file=sys.stderr)
            return 4
        inside = [sys.executable, "-m", module, *sys.argv[1:]]
        return run_inside(inside, timeout=timeout, capture=False).returncode
    return None


class Scissors:
    """Cuts the namespace that this process runs in. Raises: RuntimeError in any other place."""

    def __init__(self) -> None:
        name = os.environ.get(INSIDE)
        found = subprocess.run(
            ["ip", "netns", "identify", str(os.getpid())],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        if not name or found != name:
            raise RuntimeError("not inside a namespace of the test's own")

    def cut(self, ports: Iterable[int], others: Iterable[int]) -> None:
        """No datagram passes between the two sets of UDP ports, either way."""
        for left, right in itertools.product(ports, others):
            self._drop("--sport", str(left), "--dport", str(right))
            self._drop("--sport", str(right), "--dport", str(left))

    def lose(self, probability: float) -> None:
        """Every datagram is lost with that probability, besides what is cut."""
        self._drop("-m", "statistic", "--mode", "random", "--probability", f"{probability:.4f}")

    def heal(self) -> None:
        """Everything passes again."""
        subprocess.run(["iptables", "-F", "INPUT"], check=True)

    def slow(self, delay_ms: int, loss: float = 0.0) -> bool:
        """Everything on the loopback takes that long; False where the kernel has no netem."""
        self.quicken()
        rule = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", f"{delay_ms}ms"]
        if loss:
            rule += ["loss", f"{loss * 100:.2f}%"]
        return subprocess.run(rule, capture_output=True, check=False).returncode == 0

    def quicken(self) -> None:
        """Undoes `slow`."""
        subprocess.run(
            ["tc", "qdisc", "del", "dev", "lo", "root"], capture_output=True, check=False
        )

    def _drop(self, *match: str) -> None:
        subprocess.run(["iptables", "-A", "INPUT", "-p", "udp", *match, "-j", "DROP"], check=True)
