"""How a fuzz target runs: for long under atheris, briefly and repeatably under pytest.

A target is a module `fuzz_<noun>.py` here with two names: `check(data)`, which holds whatever the
bytes are, and `SEEDS`, valid inputs to start from. As a script it runs under atheris (libFuzzer's
engine) and takes libFuzzer's flags:

    python tests/fuzz/fuzz_rlp.py -runs=100000
    python tests/fuzz/fuzz_rlp.py build/fuzz/fuzz_rlp/crash-<hash>      one case again

The corpus grows in build/fuzz/<target>/, where crashing inputs are left too. `test_fuzz.py` runs
them for a moment with mutations from a seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from types import FunctionType, ModuleType

ROOT = Path(__file__).resolve().parents[2]

# Bytes that often mean something: heads of RLP items, type bytes, limits.
TELLING = bytes.fromhex("00 01 02 03 04 47 7b 7f 80 81 94 a0 a1 b7 b8 b9 bf c0 c1 f7 f8 f9 ff")


def mutated(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with a few bytes changed, left out, put in, repeated or taken from another seed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        limit = len(data) if chance.random() < 0.5 else min(16, len(data))
        at = chance.randint(0, limit)
        byte = chance.choice(TELLING) if chance.random() < 0.7 else chance.randrange(256)
        action = chance.randrange(6)
        if action == 0:
            data.insert(at, byte)
        elif action == 1:
            del data[at : at + chance.randint(1, 4)]
        elif action == 2:
            other = chance.choice(seeds)
            data[at:] = other[chance.randint(0, len(other)) :]
        elif action == 3:
            end = at + chance.randint(1, 8)
            data[at:at] = data[at:end] * chance.randint(1, 3)
        elif at < len(data):
            data[at] = byte
    return bytes(data)


def run_briefly(
    check: Callable[[bytes], None], seeds: Sequence[bytes], *, seed: int, count: int
) -> None:
    """Runs the seeds and count mutations of them. Raises: AssertionError with seed and case."""
    chance = Random(seed)
    cases = [*seeds, *(mutated(chance, seeds) for _ in range(count))]
    for number, data in enumerate(cases):
        try:
            check(data)
        except Exception as failure:
            message = f"seed {seed}, case {number}, bytes {data.hex()}: {failure!r}"
            raise AssertionError(message) from failure


def fuzz(check: Callable[[bytes], None], seeds: Sequence[bytes]) -> None:
    """Runs under atheris with the flags of the command line, until they say stop or check fails."""
    import atheris

    for name, module in list(sys.modules.items()):
        if name.startswith("ghostchain."):
            _instrument(atheris, module)
    folder = ROOT / "build" / "fuzz" / Path(sys.argv[0]).stem
    folder.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
    arguments = sys.argv[1:]
    if all(argument.startswith("-") for argument in arguments):
        arguments = [*arguments, f"-artifact_prefix={folder}/", str(folder)]
    atheris.Setup([sys.argv[0], *arguments], check)
    atheris.Fuzz()


def _instrument(atheris: ModuleType, module: ModuleType) -> None:
    """Makes the module's functions and methods tell the engine which branches they take."""
    owners = [module, *(value for value in vars(module).values() if isinstance(value, type))]
    for owner in owners:
        for value in list(vars(owner).values()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                atheris.instrument_func(value)
