"""Builds `ghostchain._native`, the one cffi extension, from the kernels in this folder.

    python native/build.py                 the extension, beside the package (incremental)
    python native/build.py --sanitize      the same with ASan and UBSan, for `make sanitize`
    python native/build.py --target DIR    into DIR instead of ghostchain/

Each kernel is one folder with a public header that cffi reads (declarations only) and any number
of .c files. Objects are compiled in parallel and only when a file they include is newer. Sources
use `__attribute__((target(...)))` for SIMD variants, so one set of flags serves every CPU.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent

# Public headers in the order in which one may refer to another.
PUBLIC_HEADERS = (
    "common/common.h",
    "keccak/keccak.h",
    "secp256k1/secp256k1.h",
    "ed25519/ed25519.h",
    "rlp/transaction.h",
    "merkle/merkle.h",
    "precompiles/precompiles.h",
    "executor/executor.h",
    "reads/logs.h",
    "reads/search.h",
    "reads/reads.h",
    "wasm/module.h",
    "wasm/wasm.h",
    "contracts/contracts.h",
)

# Python functions that C may call (cffi `extern "Python"`), by the header whose types they use.
CALLBACKS = {
    "merkle/merkle.h": """
        extern "Python" int ghost_python_node(void *context, const uint8_t *owner,
            const uint8_t *path, size_t path_length, ghost_view *out);
    """,
    "executor/executor.h": """
        extern "Python" int ghost_python_account(void *context, const uint8_t *address,
            const uint8_t *hashed, ghost_account_record *out);
        extern "Python" int ghost_python_accounts(void *context, size_t count,
            const uint8_t *addresses, const uint8_t *hashed, ghost_account_record *out,
            uint8_t *found);
        extern "Python" int ghost_python_slot(void *context, const uint8_t *address,
            const uint8_t *hashed_address, const uint8_t *key, const uint8_t *hashed_key,
            uint8_t *value);
        extern "Python" int ghost_python_code(void *context, const uint8_t *hash,
            ghost_view *out);
        extern "Python" int ghost_python_block_hash(void *context, uint64_t number,
            uint8_t *hash);
    """,
    "contracts/contracts.h": """
        extern "Python" int ghost_python_contract(void *context, ghost_contract_call *call);
    """,
}

WARNINGS = ["-Wall", "-Wextra", "-Werror"]
OPTIMISED = ["-O3", "-g1", "-fno-semantic-interposition", "-fno-plt"]
SANITIZED = [
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DGHOST_VERIFY=1",
]


def kernels_present() -> list[str]:
    """The public headers whose kernels have sources (common is header-only)."""
    return [
        header
        for header in PUBLIC_HEADERS
        if header.startswith("common/") or any((NATIVE / header).parent.glob("*.c"))
    ]


def declarations(header: str) -> str:
    """The header without comments and preprocessor lines, as cffi's parser wants it."""
    text = (NATIVE / header).read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def emit_binding(path: Path) -> None:
    """Writes the C file that cffi makes of the public headers (unchanged content: untouched)."""
    from cffi import FFI

    headers = kernels_present()
    ffi = FFI()
    ffi.cdef("void free(void *pointer);")
    for header in headers:
        ffi.cdef(declarations(header))
        if header in CALLBACKS:
            ffi.cdef(CALLBACKS[header])
    includes = "\n".join(f'#include "{header}"' for header in headers)
    ffi.set_source("ghostchain._native", f"#include <stdlib.h>\n{includes}\n")
    scratch = path.with_suffix(".new.c")
    ffi.emit_c_code(str(scratch))
    if path.exists() and path.read_bytes() == scratch.read_bytes():
        scratch.unlink()
    else:
        scratch.replace(path)


def compiler() -> list[str]:
    configured = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return [*shlex.split(configured)[:1], "-pthread"]


def is_stale(target: Path, dependencies: Path) -> bool:
    if not target.exists() or not dependencies.exists():
        return True
    built = target.stat().st_mtime
    names = dependencies.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    return any(not Path(name).exists() or Path(name).stat().st_mtime > built for name in names)


def compile_object(source: Path, target: Path, flags: list[str]) -> bool:
    """Compiles source into target when needed. Returns whether it did."""
    dependencies = target.with_suffix(".d")
    if not is_stale(target, dependencies):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [*compiler(), *flags, "-MMD", "-MF", str(dependencies), "-c", str(source)]
    subprocess.run([*command, "-o", str(target)], check=True)
    return True


def build(target_directory: Path, *, sanitize: bool = False) -> Path:
    """Brings the extension in target_directory up to date and returns its path."""
    work = ROOT / "build" / ("native-sanitized" if sanitize else "native")
    work.mkdir(parents=True, exist_ok=True)
    binding = work / "binding.c"
    emit_binding(binding)

    common = ["-fPIC", "-I", str(NATIVE), *(SANITIZED if sanitize else OPTIMISED)]
    strict = ["-std=gnu11", *WARNINGS]
    lenient = ["-w", "-DPy_LIMITED_API=0x030b0000", "-I", sysconfig.get_paths()["include"]]
    sources = [path for path in sorted(NATIVE.glob("*/*.c")) if not path.name.endswith("_main.c")]
    if not any(path.parent.name == "executor" for path in sources):
        # The interpreter calls back into the executor: one without the other cannot be linked.
        sources = [path for path in sources if path.parent.name != "evm"]
    jobs = [
        (path, work / path.relative_to(NATIVE).with_suffix(".o"), strict + common)
        for path in sources
    ]
    jobs.append((binding, work / "binding.o", lenient + common))

    stamp = work / "flags.txt"
    wanted = shlex.join([*compiler(), *strict, *common])
    if not stamp.exists() or stamp.read_text() != wanted:
        for _, target, _ in jobs:
            target.unlink(missing_ok=True)
        stamp.write_text(wanted)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        built = list(pool.map(lambda job: compile_object(*job), jobs))

    extension = target_directory / "_native.abi3.so"
    if any(built) or not extension.exists():
        target_directory.mkdir(parents=True, exist_ok=True)
        objects = [str(target) for _, target, _ in jobs]
        link = ["-shared", "-Wl,-Bsymbolic", "-lm"]
        if sanitize:
            link.append("-fsanitize=address,undefined")
        scratch = extension.with_suffix(".so.new")
        subprocess.run([*compiler(), *objects, *link, "-o", str(scratch)], check=True)
        scratch.replace(extension)
    return extension


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the native core.")
    parser.add_argument("--sanitize", action="store_true", help="with ASan and UBSan")
    parser.add_argument("--target", type=Path, default=ROOT / "ghostchain")
    arguments = parser.parse_args()
    try:
        extension = build(arguments.target, sanitize=arguments.sanitize)
    except subprocess.CalledProcessError as failure:
        print(f"native core: the compiler refused: {shlex.join(failure.cmd)}", file=sys.stderr)
        return 1
    print(f"native core: {extension}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
