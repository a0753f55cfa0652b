"""The engine of WASM contracts: the door to `native/wasm`.

One engine serves the process. Executors of hybrid blocks open it with the defaults when nobody
did; a node opens it first, to say where compiled modules are kept on disk.

The engine is wasmtime's shared library out of its wheel, called from C, of one major version only:
what it compiles, and what of a module it could refuse, belongs to a version. What a contract pays
and where it stops does not depend on it: that is written into the module before (module.h).

Oracle: the same contract under other optimisation levels and CPU features, and what each host
function means written again in Python, in tests/oracle/test_wasm_hosts.py and test_wasm_runtime.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from ghostchain._native import ffi, lib
from ghostchain.primitives.errors import GhostError

WASMTIME_MAJOR = 50
MODULE_CACHE_BYTES_MAX = 256 << 20
MODULE_CACHE_COUNT_MAX = 4096
OPTIMISATION_LEVELS = ("none", "speed", "speed_and_size")
_ERROR_BYTES = 512


class WasmUnavailable(GhostError):
    """WASM contracts cannot run in this process; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How modules are compiled and kept. What a contract does and pays is the same for all.

    cache_directory: made when missing, for this user alone; None keeps compiled modules in memory
    only. flags: settings of the compiler, for tests ("has_avx=false").
    """

    cache_directory: Path | None = None
    cache_bytes_max: int = MODULE_CACHE_BYTES_MAX
    cache_modules_max: int = MODULE_CACHE_COUNT_MAX
    optimisation: str = "speed"
    flags: str = ""


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Compiled modules in memory, and how they came there since the engine was opened.

    memory_bytes: of linear memories kept for the next contracts.
    """

    modules: int
    bytes: int
    hits: int
    loaded: int
    compiled: int
    evicted: int
    refused_files: int
    memory_bytes: int


_lock = Lock()


def library_path() -> Path:
    """wasmtime's shared library.

    Raises: WasmUnavailable, when wasmtime is not installed, or in another major version.
    """
    try:
        found = version("wasmtime")
    except PackageNotFoundError:
        raise WasmUnavailable(
            f"WASM contracts need the package wasmtime {WASMTIME_MAJOR}"
        ) from None
    if found.split(".")[0] != str(WASMTIME_MAJOR):
        raise WasmUnavailable(
            f"wasmtime {found} is installed, but this chain's contracts are compiled by "
            f"wasmtime {WASMTIME_MAJOR}"
        )
    spec = find_spec("wasmtime")
    for folder in spec.submodule_search_locations or () if spec else ():
        for library in sorted(Path(folder).glob("*/_libwasmtime.*")):
            return library
    raise WasmUnavailable(f"wasmtime {found} has no shared library for this machine")


def open_engine(settings: EngineSettings | None = None) -> None:
    """Opens the engine, in the place of one that was open.

    Raises: WasmUnavailable, also while a contract runs.
    """
    with _lock:
        _open(settings or EngineSettings())


def ensure_engine() -> None:
    """Opens the engine with the defaults when none is open."""
    if lib.ghost_wasm_is_open():
        return
    with _lock:
        if not lib.ghost_wasm_is_open():
            _open(EngineSettings())


def close_engine() -> None:
    """Closes the engine and forgets what it compiled. Raises: WasmUnavailable while one runs."""
    with _lock:
        if lib.ghost_wasm_close() != lib.GHOST_OK:
            raise WasmUnavailable("a contract is running")


def _open(settings: EngineSettings) -> None:
    def text(value: str) -> object:
        return ffi.new("char[]", value.encode())

    directory = settings.cache_directory
    kept = [text(str(library_path())), text(settings.flags)]
    kept.append(ffi.NULL if directory is None else text(str(directory)))
    options = ffi.new(
        "ghost_wasm_options *",
        {
            "library": kept[0],
            "flags": kept[1],
            "cache_directory": kept[2],
            "optimisation": OPTIMISATION_LEVELS.index(settings.optimisation),
            "cache_bytes_max": settings.cache_bytes_max,
            "cache_modules_max": settings.cache_modules_max,
        },
    )
    error = ffi.new("char[]", _ERROR_BYTES)
    if lib.ghost_wasm_open(error, _ERROR_BYTES, options) != lib.GHOST_OK:
        raise WasmUnavailable(ffi.string(error).decode("utf-8", "replace"))


def engine_fingerprint() -> bytes:
    """What names compiled code: version, settings and CPU features; zeros when none is open."""
    out = ffi.new("uint8_t[32]")
    lib.ghost_wasm_fingerprint(out)
    return bytes(out)


def engine_statistics() -> EngineStatistics:
    native = ffi.new("ghost_wasm_stats *")
    lib.ghost_wasm_statistics(native)
    return EngineStatistics(
        modules=native.modules,
        bytes=native.bytes,
        hits=native.hits,
        loaded=native.loaded,
        compiled=native.compiled,
        evicted=native.evicted,
        refused_files=native.refused_files,
        memory_bytes=native.memory_bytes,
    )


def forget_modules() -> None:
    """Drops compiled modules from memory: the next call loads them from disk or compiles."""
    lib.ghost_wasm_forget()
