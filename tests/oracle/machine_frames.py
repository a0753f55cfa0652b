"""How much native stack the functions of a compiled module take, read from the machine code."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

# x86-64: `sub rsp, n` where a frame begins, in steps when it is large, `add rsp, n` where it ends.
STACK_POINTER = re.compile(rb"\x48\x81[\xc4\xec](....)|\x48\x83[\xc4\xec](.)", re.DOTALL)
# The return address and the caller's frame pointer.
LINKAGE_BYTES = 16
SYMBOLS = 2
NAME = re.compile(r"wasm\[0\]::function\[(\d+)\]")


@dataclass(frozen=True)
class Section:
    kind: int
    address: int
    offset: int
    size: int
    link: int


def frames_of(image: bytes) -> dict[int, int]:
    """Bytes of native stack by function index, of a module serialized by wasmtime (an ELF file)."""
    assert image[:4] == b"\x7fELF"
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    sections = []
    for number in range(count):
        fields = struct.unpack_from("<IIQQQQIIQQ", image, table + number * size)
        sections.append(Section(fields[1], fields[3], fields[4], fields[5], fields[6]))
    frames = {}
    for section in sections:
        if section.kind != SYMBOLS:
            continue
        names = sections[section.link].offset
        for at in range(section.offset, section.offset + section.size, 24):
            name, _, _, place, value, length = struct.unpack_from("<IBBHQQ", image, at)
            text = image[names + name : image.index(b"\0", names + name)].decode()
            match = NAME.match(text)
            if match and 0 < place < count:
                start = sections[place].offset + value - sections[place].address
                frames[int(match[1])] = frame_of(image[start : start + length])
    return frames


def frame_of(code: bytes) -> int:
    """The largest change of the stack pointer; constants that look like one only add to it."""
    largest = 0
    for match in STACK_POINTER.finditer(code):
        change = struct.unpack("<i", match[1])[0] if match[1] else match[2][0]
        if change % 16 == 0 and change < 1 << 22:
            largest = max(largest, change)
    return largest + LINKAGE_BYTES
