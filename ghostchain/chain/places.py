"""Where the records of blocks stand, as a column that native code reads: the logs of blocks that
nobody has read yet are found without a look-up in the database for each.

    row   body locator 16 | receipts locator 16 | CRC-32 u32 of the number u64 and both locators

The row of a block is at 36 * number; integers are big-endian. The file repeats what the index says
(`chain/index.py`) and is written, synced and made again with the blooms, so the database says up to
where it is surely on disk. A row that is missing or damaged costs its reader a look-up, no more.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from ghostchain.storage.files import Locator, storage_failure

NUMBER = struct.Struct(">Q")
CHECK = struct.Struct(">I")
ROW_BYTES = 36


def row_of(number: int, body: Locator, receipts: Locator) -> bytes:
    """The row of a block."""
    both = body.encode() + receipts.encode()
    return both + CHECK.pack(zlib.crc32(both, zlib.crc32(NUMBER.pack(number))))


class PlaceFile:
    """The rows of all blocks. One writer; readers ask only for committed blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def put(self, number: int, rows: Sequence[bytes]) -> None:
        """The rows of neighbours, from this block on. Raises: StorageFailed."""
        try:
            os.pwrite(self._file, b"".join(rows), number * ROW_BYTES)
        except OSError as error:
            raise storage_failure(error, self._path) from error

    def sync(self) -> None:
        """Raises: StorageFailed."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise storage_failure(error, self._path) from error

    @property
    def file(self) -> int:
        """The descriptor, for reading."""
        return self._file

    def close(self) -> None:
        os.close(self._file)
