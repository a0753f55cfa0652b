"""Where a directory's fork is read, kept beside its chain, so that it opens again by itself.

The URL and the headers may hold a key, so the file is for the node's user alone, and nothing of it
but the host is ever shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ghostchain.chain.replacing import REMOTE_NAME
from ghostchain.fork.client import RemoteSettings
from ghostchain.fork.endpoints import check_url
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.storage.directory import write_durably
from ghostchain.storage.files import storage_failure


@dataclass(frozen=True, slots=True)
class RemoteRecord:
    """gas_limit: of the fork's own blocks, None for that of the block before each."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    gas_limit: int | None = None

    @classmethod
    def of(cls, settings: RemoteSettings, gas_limit: int | None) -> RemoteRecord:
        """Where a running fork asks. A local socket's path stays right from other folders."""
        has_scheme = bool(urlsplit(settings.url).scheme)
        url = settings.url if has_scheme else str(Path(settings.url).absolute())
        return cls(url, settings.headers, gas_limit)


def write_record(directory: Path, record: RemoteRecord) -> None:
    """Raises: StorageFailed."""
    fields = {
        "url": record.url,
        "headers": [list(header) for header in record.headers],
        "gasLimit": record.gas_limit,
    }
    path = directory / REMOTE_NAME
    try:
        write_durably(path, json.dumps(fields).encode(), mode=0o600)
    except OSError as error:
        raise storage_failure(error, path) from error


def read_record(directory: Path) -> RemoteRecord | None:
    """None when there is none. Raises: StorageCorrupt, without words of the file; StorageFailed."""
    path = directory / REMOTE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_failure(error, path) from error
    try:
        fields = json.loads(content)
        headers = tuple((str(name), str(value)) for name, value in fields["headers"])
        gas_limit = fields["gasLimit"]
        if gas_limit is not None and not (isinstance(gas_limit, int) and 0 < gas_limit < 1 << 63):
            raise ValueError("gasLimit")
        return RemoteRecord(check_url(fields["url"]), headers, gas_limit)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StorageCorrupt(
            f"{path} is damaged: start once with --fork-url, and it is written anew"
        ) from None
