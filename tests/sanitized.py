"""Runs the kernel tests against the ASan and UBSan build that `make sanitize` has just made.

The extension is found through a copy of the package's Python files beside it, the sanitizer's
run-time library is loaded first. Any finding ends the process with a report and a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SANITIZED = ROOT / "build" / "sanitized"

# One suite for all builds: the same tests that run on the optimised core. Those that measure or
# that start other processes are left out, the sanitizer slows them without seeing more.
TESTS = ("tests/oracle", "tests/property", "tests/fuzz")


def runtime_library(name: str) -> str:
    compiler = os.environ.get("CC", "cc")
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> int:
    package = SANITIZED / "ghostchain"
    for path in (ROOT / "ghostchain").rglob("*"):
        if path.is_file() and path.suffix != ".so" and "__pycache__" not in path.parts:
            target = package / path.relative_to(ROOT / "ghostchain")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    environment = dict(os.environ)
    environment["PYTHONPATH"] = f"{SANITIZED}:{ROOT}"
    environment["LD_PRELOAD"] = f"{runtime_library('libasan.so')} {runtime_library('libubsan.so')}"
    # Python itself never frees all it takes at exit, so leaks are looked for elsewhere.
    environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1"
    environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    # The sanitizer's run time cannot live with libraries that are bound to their own symbols first.
    environment["PYCRYPTODOME_DISABLE_DEEPBIND"] = "1"
    environment["GHOSTCHAIN_SANITIZED"] = "1"
    environment["HYPOTHESIS_MAX_EXAMPLES"] = environment.get("HYPOTHESIS_MAX_EXAMPLES", "20")
    command = [sys.executable, "-P", "-m", "pytest", *TESTS, "-x", "-p", "no:cacheprovider"]
    command += ["-o", "pythonpath="]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
