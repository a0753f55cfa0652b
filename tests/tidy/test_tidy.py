"""The rules of the house, as tests: who may import whom, what a core may touch, how large a file
or a function grows, how a kernel's files are named, and that every path the README names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ghostchain"

# What each package may import from the others, besides the standard library and its own modules.
BASE = {"primitives", "encoding", "crypto"}
EXECUTION = BASE | {"trie", "storage", "state", "execution"}
IMPORTS = {
    "primitives": set(),
    # A batch of transactions verifies signatures. The doors to them know nothing of encoding, see
    # test_signature_doors_know_no_encoding.
    "encoding": {"primitives", "crypto"},
    "crypto": {"primitives", "encoding"},
    "trie": BASE,
    "storage": {"primitives", "encoding"},
    "state": BASE | {"trie", "storage"},
    "execution": BASE | {"trie", "storage", "state"},
    "contracts": EXECUTION,
    "chain": EXECUTION | {"contracts"},
    "consensus": BASE,
    "txpool": BASE | {"chain"},
    "p2p": BASE,
    "sync": BASE,
    "net": {"primitives"},
    "fork": EXECUTION | {"contracts", "chain"},
    "rpc": EXECUTION | {"contracts", "chain"},
    "node": EXECUTION
    | {"contracts", "chain", "consensus", "txpool", "p2p", "sync", "net", "rpc", "fork"},
}

# Modules that decide but never act: no clock, socket, file, environment, logger or chance.
PURE_MODULES = ("*/core.py", "*/effects.py", "*/messages.py", "rpc/protocol.py", "chain/fees.py")
IMPURE_NAMES = {
    "asyncio",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}

# Each kernel: its folder under native/, the stem of its files, its door, its oracle test and
# its benchmark.
KERNELS = {
    "keccak": ("keccak", "crypto/keccak.py", "test_keccak.py", "bench_keccak.py"),
    "secp256k1": ("secp256k1", "crypto/secp256k1.py", "test_secp256k1.py", "bench_secp256k1.py"),
    "ed25519": ("ed25519", "crypto/ed25519.py", "test_ed25519.py", "bench_ed25519.py"),
    "rlp": ("transaction", "encoding/transactions.py", "test_transactions.py", "bench_rlp.py"),
    "merkle": ("merkle", "trie/merkle.py", "test_merkle.py", "bench_merkle.py"),
    "precompiles": (
        "precompiles",
        "execution/precompiles.py",
        "test_precompiles.py",
        "bench_precompiles.py",
    ),
    "evm": ("evm", "execution/executor.py", "test_evm.py", "bench_evm.py"),
    "executor": ("executor", "execution/executor.py", "test_executor.py", "bench_executor.py"),
    "reads": ("reads", "execution/reads.py", "test_reads.py", "bench_rpc_reads.py"),
    "wasm": ("wasm", "execution/wasm.py", "test_wasm.py", "bench_wasm.py"),
    "contracts": ("contracts", "execution/contracts.py", "test_contracts.py", "bench_contracts.py"),
}

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
# Exceptions by name; these lists only shrink.
LARGE_FILES: set[str] = set()
LARGE_FUNCTIONS: set[str] = set()

BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
SKIPPED_FOLDERS = {".venv", ".venv-eels", "build", "dist", "node_modules", ".git", "__pycache__"}


def tree_files(*suffixes: str) -> list[Path]:
    """Every file of the checkout with one of the suffixes, generated folders left out."""
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.suffix in suffixes
        and path.is_file()
        and not SKIPPED_FOLDERS & set(path.relative_to(ROOT).parts)
    )


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_packages_are_in_the_import_table() -> None:
    """A package that is not in the table has no law yet."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(IMPORTS), packages - set(IMPORTS)


@pytest.mark.parametrize("package", sorted(IMPORTS))
def test_package_imports_only_what_the_table_allows(package: str) -> None:
    """Imports point downwards, so that a change is felt only above it."""
    wrong = []
    for path in sorted((PACKAGE / package).rglob("*.py")):
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "services":
                wrong.append(f"{name_of(path)} imports {module}")
            if parts[0] != "ghostchain" or len(parts) < 2:
                continue
            target = parts[1]
            if target in IMPORTS and target != package and target not in IMPORTS[package]:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong, "\n".join(wrong)


def module_imports() -> dict[str, set[str]]:
    """Which modules of the package each of them imports, for its types alone too; of what is taken
    from a package, the package."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        taken = {
            module if module in names else module.rpartition(".")[0]
            for module in imported_modules(path)
        }
        found[name] = taken & names.keys() - {name}
    return found


def test_modules_form_no_circle() -> None:
    """Each can be read after those that it imports, and by itself."""
    imports = module_imports()
    while leaves := {name for name, taken in imports.items() if not taken & imports.keys()}:
        imports = {name: taken for name, taken in imports.items() if name not in leaves}
    circle = {name: sorted(taken & imports.keys()) for name, taken in imports.items()}
    assert not circle, f"each of these imports a circle, or is in it: {circle}"


def test_signature_doors_know_no_encoding() -> None:
    """So that encoding may import them, and packages still form no circle of modules."""
    wrong = [
        f"{name_of(path)} imports {module}"
        for name in ("keccak", "secp256k1", "ed25519", "mldsa", "schemes")
        for path in [PACKAGE / "crypto" / f"{name}.py"]
        for module in imported_modules(path)
        if module.startswith("ghostchain.encoding")
    ]
    assert not wrong, "\n".join(wrong)


def test_services_reach_the_node_only_through_rpc() -> None:
    """services/README.md, both rules."""
    wrong = []
    for path in sorted((ROOT / "services").rglob("*.py")):
        own = path.relative_to(ROOT / "services").parts[0]
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "ghostchain" and parts[1:2] not in (["rpc"], ["primitives"]):
                wrong.append(f"{name_of(path)} imports {module}")
            if parts[0] == "services" and parts[1:2] != [own]:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_quic_has_one_door() -> None:
    """A change of aioquic is felt in one package."""
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != "net"
        for module in imported_modules(path)
        if module.split(".")[0] == "aioquic"
    ]
    assert not wrong, "\n".join(wrong)


def test_cores_touch_nothing_outside() -> None:
    """Sans-IO modules take time and input as arguments and give effects back."""
    wrong = [
        f"{name_of(path)} imports {module}"
        for pattern in PURE_MODULES
        for path in sorted(PACKAGE.glob(pattern))
        for module in imported_modules(path)
        if module.split(".")[0] in IMPURE_NAMES
    ]
    assert not wrong, "\n".join(wrong)


def test_files_stay_small() -> None:
    wrong = {
        name_of(path)
        for path in tree_files(".py", ".c", ".h", ".inc")
        if len(path.read_text().splitlines()) > FILE_LINES_MAX
    }
    assert wrong <= LARGE_FILES, sorted(wrong - LARGE_FILES)
    assert wrong >= LARGE_FILES, f"no longer large, take off the list: {LARGE_FILES - wrong}"


def test_python_functions_stay_small() -> None:
    wrong = set()
    for path in tree_files(".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    wrong.add(f"{name_of(path)}:{node.name}")
    assert wrong <= LARGE_FUNCTIONS, sorted(wrong - LARGE_FUNCTIONS)


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines) of the functions of a C file formatted with the closing brace in column 0."""
    name, start = "", 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        opening = re.match(r"^(?!typedef|enum|struct|union|static const|#)\w.*?(\w+)\(", line)
        if opening and not line.rstrip().endswith(";"):
            name, start = opening.group(1), number
        if line == "}" and start:
            yield name, number - start + 1
            start = 0


def test_c_functions_stay_small() -> None:
    wrong = {
        f"{name_of(path)}:{name}"
        for path in tree_files(".c", ".h", ".inc")
        for name, lines in c_functions(path)
        if lines > FUNCTION_LINES_MAX
    }
    assert wrong <= LARGE_FUNCTIONS, sorted(wrong - LARGE_FUNCTIONS)


def test_c_lines_fit() -> None:
    """100 columns, as ruff keeps it for Python."""
    wrong = [
        f"{name_of(path)}:{number}"
        for path in tree_files(".c", ".h", ".inc")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 100
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_kernel_has_one_stem_everywhere(kernel: str) -> None:
    """A kernel's source, door, oracle test and benchmark are found by its name."""
    stem, door, oracle, benchmark = KERNELS[kernel]
    for path in (
        ROOT / "native" / kernel / f"{stem}.h",
        ROOT / "native" / kernel / f"{stem}.c",
        PACKAGE / door,
        ROOT / "tests" / "oracle" / oracle,
        ROOT / "benchmarks" / benchmark,
    ):
        assert path.exists(), name_of(path)


def test_every_package_tells_its_story() -> None:
    for path in sorted(PACKAGE.glob("*/__init__.py")):
        story = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert len(story) >= 200, f"{name_of(path)}: the docstring tells too little"


def test_nothing_is_left_for_later() -> None:
    """No marker of unfinished work on main, but in the rule itself."""
    wrong = [
        f"{name_of(path)}:{number}"
        for path in tree_files(".py", ".c", ".h", ".inc", ".md")
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if BANNED_WORDS.search(line)
    ]
    assert not wrong, wrong


def test_readme_names_only_paths_that_exist() -> None:
    """The map in the README is worth something only while it is true."""
    text = (ROOT / "README.md").read_text()
    names = re.findall(
        r"`((?:ghostchain|native|tests|benchmarks|docs|docker|services)/[^`\s]*)`", text
    )
    assert names, "the README has no map"
    wrong = [name for name in names if not any(ROOT.glob(name.rstrip("/")))]
    assert not wrong, wrong
