"""An anvil of one's own, asked as a `Ghostd` is."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from pathlib import Path

from tests.node.clients import tool
from tests.node.process import START_SECONDS_MAX, Ghostd


class Anvil(Ghostd):
    """A running anvil on a free port. Use as a context manager. Skips where it is not installed.

    It says each request that it gets, so its output is a file: of a pipe that nobody reads it would
    wait for the reader, for ever. States that it puts on disk (of thousands of blocks some
    gigabytes, which it leaves there) go to the same folder, and that goes with it.
    """

    def __init__(self, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="anvil-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        said = folder / "said"
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                [tool("anvil"), "--port", "0", "--cache-path", str(folder / "states"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = ""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.url:
            if time.monotonic() > deadline or self.process.poll() is not None:
                words = said.read_text()[-2000:]
                self.kill()
                raise AssertionError(f"anvil did not start: {words}")
            time.sleep(0.01)
            if found := re.search(r"Listening on (\S+)\n", said.read_text()):
                self.url = f"http://{found[1]}"

    def _finish(self) -> None:
        self._folder.cleanup()
