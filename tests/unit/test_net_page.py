"""docs/transport.md says what the code does: refusals, channels, limits."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

from ghostchain.net import tls
from ghostchain.net.channels import LIMITS, PRIORITY
from ghostchain.net.endpoint import SIMULTANEOUS_SECONDS, EndpointSettings, network_name
from ghostchain.net.limits import GateLimits
from ghostchain.net.link import HANDSHAKE_DATAGRAMS_MAX
from tests.unit.net_peers import identity

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "transport.md").read_text()


def rows_of(section: str) -> list[list[str]]:
    """The cells of the rows of the table in the section, without its head."""
    _, _, rest = PAGE.partition(f"\n## {section}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def amount(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def test_refusals_are_those_of_the_handshake() -> None:
    """Each alert and its words; the names of alerts are those of RFC 8446."""
    source = inspect.getsource(tls)
    for alert, words, _ in rows_of("What a peer sees that is refused"):
        name = tls.AlertDescription(int(alert)).name
        text = words.strip("`").rstrip()
        assert text in source, text
        assert f"AlertDescription.{name}" in source, name


def test_channels_are_those_of_the_table_in_the_order_of_priority() -> None:
    listed = rows_of("Channels")
    assert [row[0].strip("`") for row in listed] == [channel.name for channel in PRIORITY]
    for row, channel in zip(listed, PRIORITY, strict=True):
        limits = LIMITS[channel]
        assert row[1:] == [
            str(int(channel)),
            amount(limits.frame_bytes_max),
            amount(limits.queue_bytes_max),
            amount(limits.window_bytes),
            amount(limits.receive_bytes),
            str(limits.receive_messages),
            f"{limits.stall_seconds} s",
        ]


def test_limits_of_the_gate_are_those_of_the_code() -> None:
    limits = dataclasses.asdict(GateLimits())
    assert limits.pop("spare_loopback") is True
    listed = {
        row[0].strip("`"): int(re.match(r"\d+", row[2]).group())  # type: ignore[union-attr]
        for row in rows_of("Who may begin a connection")
    }
    assert listed == limits


def test_other_figures_are_those_of_the_code() -> None:
    settings = EndpointSettings(identity(1), "x")
    text = " ".join(PAGE.split())
    for claim in (
        f"A handshake ends after {settings.handshake_seconds:.0f} seconds or "
        f"{HANDSHAKE_DATAGRAMS_MAX} datagrams",
        f"nothing comes for {settings.idle_seconds:.0f} seconds",
        f"quiet for {settings.keep_alive_seconds:.0f} is asked",
        f"together may have {settings.queued_bytes_max >> 20} MiB waiting",
        f"{settings.unread_bytes_max >> 20} MiB sent here",
        f"at most {tls.CERTIFICATE_BYTES_MAX} bytes",
        f"encapsulation key {tls.ENCAPSULATION_KEY_BYTES}",
        f"ciphertext {tls.CIPHERTEXT_BYTES}",
        f"`{tls.X25519MLKEM768:#x}`",
    ):
        assert claim in text, claim
    assert SIMULTANEOUS_SECONDS == 5
    assert network_name(446782, bytes.fromhex("0102abcd") + bytes(28)) == "ghost/446782/0102abcd/1"
