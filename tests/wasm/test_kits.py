"""The kits of docs/examples/wasm say what native/wasm/hosts.h says, and their numbers are the
hashes that stand beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ghostchain.crypto.keccak import keccak256
from tests.wasm import host
from tests.wasm.build import EXAMPLES, ROOT

SOURCES = sorted(
    path
    for suffix in ("c", "h", "ts", "wat", "rs", "sol")
    for path in EXAMPLES.rglob(f"*.{suffix}")
    if "target" not in path.parts
)
HOSTS = {
    name: (parameters, results)
    for name, parameters, results in re.findall(
        r'HOST\((\w+), "(\w*)", "(\w*)"\)', (ROOT / "native/wasm/hosts.h").read_text()
    )
}
WIDE = {"uint64_t", "u64", "i64"}


def letters(types: list[str]) -> str:
    return "".join("l" if kind in WIDE else "i" for kind in types)


def imports_of_c() -> dict[str, tuple[str, str]]:
    text = (EXAMPLES / "wasm/c/ghost.h").read_text()
    found = {}
    for name, returns, parameters in re.findall(
        r"VM_HOOK\((\w+)\)\s+(?:_Noreturn )?(\w+) \w+\(([^)]*)\);", text
    ):
        types = [] if parameters == "void" else [part.split()[0] for part in parameters.split(",")]
        found[name] = (letters(types), "" if returns == "void" else letters([returns]))
    return found


def imports_of_assemblyscript() -> dict[str, tuple[str, str]]:
    text = (EXAMPLES / "wasm/assemblyscript/ghost.ts").read_text()
    found = {}
    for name, same, parameters, returns in re.findall(
        r'@external\("vm_hooks", "(\w+)"\)\s+export declare function (\w+)\(([^)]*)\): (\w+);', text
    ):
        assert name == same
        types = re.findall(r": (\w+)", parameters)
        found[name] = (letters(types), "" if returns == "void" else letters([returns]))
    return found


def imports_of_wat() -> dict[str, tuple[str, str]]:
    text = (EXAMPLES / "wasm/wat/ghost.wat").read_text()
    found = {}
    for name, same, parameters, returns in re.findall(
        r'"vm_hooks" "(\w+)"\s+\(func \$(\w+)(?: \(param ([^)]*)\))?(?: \(result (\w+)\))?\)', text
    ):
        assert name == same
        found[name] = (letters(parameters.split()), letters([returns] if returns else []))
    return found


def imports_of_rust() -> dict[str, tuple[str, str]]:
    text = (EXAMPLES / "wasm/rust/ghost.rs").read_text()
    block = text.partition('#[link(wasm_import_module = "vm_hooks")]')[2].partition("\n}")[0]
    found = {}
    for name, parameters, returns in re.findall(
        r"pub fn (\w+)\(([^)]*)\)(?: -> ([\w!]+))?;", block
    ):
        types = [part.split(":")[1].strip() for part in parameters.split(",") if ":" in part]
        found[name] = (letters(types), letters([returns] if returns not in ("", "!") else []))
    return found


@pytest.mark.parametrize(
    "imports", [imports_of_c, imports_of_assemblyscript, imports_of_wat, imports_of_rust]
)
def test_kit_imports_what_the_host_offers(imports) -> None:
    """Every function of the host, with its types, in every language."""
    assert imports() == HOSTS


def test_python_host_has_every_function() -> None:
    assert set(host.HOOKS) == set(HOSTS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_selectors_are_hashes(path: Path) -> None:
    """A number of 32 bits beside a signature, in a comment or after it."""
    for number, signature in re.findall(
        r"0x([0-9a-f]{8})\b[^\n]*?[/;*]+ ?(\w+\([\w,\[\]]*\))", path.read_text()
    ):
        assert keccak256(signature.encode())[:4].hex() == number, signature


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_events_are_hashes(path: Path) -> None:
    """The four parts of a topic below the comment with its event."""
    text = path.read_text()
    for signature, name in re.findall(
        r"(?://|/\*|;;) ((\w+)\((?:[\w]+ (?:indexed )?\w+(?:, )?)+\))", text
    ):
        words = re.findall(r"([\w\[\]]+) (?:indexed )?\w+(?:,|\))", signature.partition("(")[2])
        plain = f"{name}({','.join(words)})"
        digest = keccak256(plain.encode())
        after = text[text.index(signature) :][:600].lower().replace("\\", "").replace("_", "")
        for part in range(0, 32, 8):
            assert digest[part : part + 8].hex() in after.replace("0x", ""), plain
