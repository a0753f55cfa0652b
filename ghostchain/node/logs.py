"""Structured logs: one event a line, for people by default, for machines with --log-json.

An event is a short message and named fields. Secrets are never fields: nothing here filters them.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from contextlib import nullcontext
from typing import TextIO

import orjson

RESET = "\x1b[0m"
CLEAR_LINE = "\r\x1b[K"
COLOURS = {
    logging.DEBUG: "\x1b[2m",
    logging.INFO: "\x1b[32m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}


def event(logger: logging.Logger, level: int, message: str, /, **fields: object) -> None:
    """Logs message with fields; costs one comparison when the level is off."""
    if logger.isEnabledFor(level):
        # As `logger.log` would, but for where in the source it is, which takes longest to find.
        record = logging.LogRecord(logger.name, level, "", 0, message, None, None)
        record.fields = fields
        logger.handle(record)


def readable(value: object) -> str:
    """A field as people read it: bytes as hex, floats short, text quoted where it has spaces."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return f'"{text}"' if " " in text else text


def json_value(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 53:
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


class HumanFormatter(logging.Formatter):
    """`12:00:01.123 INFO  sealed block            number=7 transactions=2`."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self.colour = colour

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname:<7}"
        if self.colour:
            level = f"{COLOURS.get(record.levelno, '')}{level}{RESET}"
        fields: dict[str, object] = getattr(record, "fields", {})
        shown = " ".join(f"{name}={readable(value)}" for name, value in fields.items())
        line = f"{clock}.{int(record.msecs):03d} {level} {record.getMessage():<28} {shown}"
        if record.exc_info:
            line = f"{line.rstrip()}\n{self.formatException(record.exc_info)}"
        return line.rstrip()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (Unix seconds), level, logger, message, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        document: dict[str, object] = {
            "time": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update((name, json_value(value)) for name, value in fields.items())
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(document, default=str).decode()


def speaks_json() -> bool:
    """Whether `configure` chose JSON."""
    return any(isinstance(one.formatter, JsonFormatter) for one in logging.getLogger().handlers)


class TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Log lines with one line below them that stands, and changes, while something takes long."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._standing = ""

    def emit(self, record: logging.LogRecord) -> None:
        with self.lock or nullcontext():
            if self._standing:
                self.stream.write(CLEAR_LINE)
            super().emit(record)
            self._draw()

    def stand(self, text: str) -> None:
        """Shows another line; none when there is no text."""
        with self.lock or nullcontext():
            if text or self._standing:
                self.stream.write(CLEAR_LINE)
            self._standing = text
            self._draw()

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(self._standing[:width])
        self.stream.flush()


def stand(text: str) -> None:
    """The line that stands below the logs of a terminal; nothing where they go elsewhere."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, TerminalHandler):
            handler.stand(text)


def configure(*, json: bool, level: str, stream: TextIO | None = None) -> None:
    """All of the node's logs go to stream (standard error) in the chosen form."""
    stream = stream or sys.stderr
    is_read = stream.isatty() and not json
    handler = TerminalHandler(stream) if is_read else logging.StreamHandler(stream)
    formatter = JsonFormatter() if json else HumanFormatter(colour=stream.isatty())
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
