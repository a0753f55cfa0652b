"""Opening the engines that a chain's contracts need besides the EVM."""

from __future__ import annotations

from pathlib import Path

from ghostchain.chain.genesis import Genesis
from ghostchain.execution.wasm_engine import EngineSettings, open_engine

MODULES_NAME = "wasm-cache"


def open_engines(genesis: Genesis, data_dir: Path) -> None:
    """WASM contracts can run, and what is compiled stays in the data directory, where the chain's
    rules ever ask for it.

    Raises: WasmUnavailable, when wasmtime is not there or another version than the chain's.
    """
    if genesis.config.hybrid_time is not None:
        open_engine(EngineSettings(cache_directory=data_dir / MODULES_NAME))
