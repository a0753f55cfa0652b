"""Which pages and names may reach the node.

Browsers: a page may call from an allowed origin only (CORS). A Host header that is neither an IP
address nor an allowed name is refused, which stops DNS rebinding; a body type that browsers send
without asking first is refused from foreign origins, which stops forged posts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

# Asked for by a preflight; the other accepted ones are sent by browsers without one.
PREFLIGHTED_TYPES = frozenset(
    {b"application/json", b"application/json-rpc", b"application/jsonrequest"}
)
SIMPLE_TYPES = frozenset({b"", b"text/plain", b"application/octet-stream"})
# Hosts whose verdict is remembered: clients send the same few again and again.
REMEMBERED_MAX = 1024


class Access:
    """Hosts and origins, in lower case; "*" among them is any."""

    def __init__(self, hosts: Collection[str], origins: Collection[str]) -> None:
        self.hosts = frozenset(hosts)
        self.origins = frozenset(origins)
        self.verdicts: dict[bytes, bool] = {}

    def host_is_allowed(self, header: bytes) -> bool:
        verdict = self.verdicts.get(header)
        if verdict is None:
            verdict = self.judge_host(header.decode("latin-1"))
            if len(self.verdicts) >= REMEMBERED_MAX:
                self.verdicts.clear()
            self.verdicts[header] = verdict
        return verdict

    def judge_host(self, header: str) -> bool:
        if "*" in self.hosts or not header:
            return True
        try:
            name = (urlsplit(f"//{header}").hostname or "").lower()
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def origin_is_allowed(self, origin: bytes) -> bool:
        return "*" in self.origins or origin.decode("latin-1").lower() in self.origins

    def refuses_type(self, content_type: bytes, origin: bytes | None) -> tuple[int, str] | None:
        """(HTTP status, reason) of a post that is not read, or None."""
        kind = content_type.partition(b";")[0].strip().lower()
        if kind in PREFLIGHTED_TYPES:
            return None
        if kind not in SIMPLE_TYPES:
            return 415, "invalid content type, only application/json is supported"
        if origin is not None and not self.origin_is_allowed(origin):
            return 403, "origin not allowed"
        return None

    def cors_headers(self, origin: bytes | None) -> bytes:
        """Header lines for a page of this origin; none where it is not allowed."""
        if origin is None or not self.origin_is_allowed(origin):
            return b""
        return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origin
