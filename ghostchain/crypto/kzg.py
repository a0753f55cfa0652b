"""KZG commitments of EIP-4844 through ckzg, with the setup of the public ceremony.

ckzg ships no setup of its own; the file comes with eth-account, which every Ethereum tool in
Python depends on. Its digest is checked, so a changed file is noticed before it is trusted.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import Any

import ckzg

SETUP_PACKAGE = "eth_account.typed_transactions.blob_transactions"
SETUP_FILE = "kzg_trusted_setup.txt"
SETUP_SHA256 = "d39b9f2d047cc9dca2de58f264b6a09448ccd34db967881a6713eacacf0f26b7"


@functools.cache
def trusted_setup() -> Any:
    """The ceremony's setup, ready for ckzg. Raises RuntimeError when the file is not the known one.

    Cost: a few hundred milliseconds once a process, so it is loaded on first use.
    """
    with resources.as_file(resources.files(SETUP_PACKAGE) / SETUP_FILE) as path:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != SETUP_SHA256:
            raise RuntimeError(f"{SETUP_FILE} has sha256 {digest}, expected {SETUP_SHA256}")
        return ckzg.load_trusted_setup(str(path), 0)
