"""What the pages in docs/ list is what the code has: methods, errors, limits, flags, exit codes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest

from ghostchain.contracts.feemarket import FeeMarket
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.governed import Governed
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.node.cli import cli
from ghostchain.rpc import errors
from ghostchain.rpc.method import Door
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import Limits

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def rows_of(page: str, section: str, first: str) -> list[list[str]]:
    """The cells of the rows of all tables in a `## section` whose first cell matches."""
    text = (DOCS / page).read_text()
    _, _, rest = text.partition(f"\n## {section}\n")
    assert rest, f"{page} has no section {section}"
    lines = rest.partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in rows if re.fullmatch(first, row[0])]


def test_json_rpc_lists_every_method_with_its_parameters() -> None:
    listed = rows_of("json-rpc.md", "Methods", r"`[\w.]+`")
    names = [row[0].strip("`") for row in listed]
    wrong = sorted(set(names) ^ set(METHODS))
    assert not wrong, f"listed or implemented, but not both: {wrong}"
    assert len(names) == len(set(names)), "a method is listed twice"
    for name, row in zip(names, listed, strict=True):
        wanted = ", ".join(
            parameter.name if parameter.required else f"[{parameter.name}]"
            for parameter in METHODS[name].parameters
        )
        assert row[1] == wanted, name
        assert row[2], f"{name}: nothing is said of it"


def test_methods_stand_beside_those_of_others() -> None:
    """docs/methods.md says of each method through which door it is answered."""
    doors = {Door.PUBLIC: "yes", Door.DEVELOPMENT: "`--dev`", Door.ADMIN: "operator"}
    rows = rows_of("methods.md", "Methods", r"`[\w.]+`")
    listed = {row[0].strip("`"): row[1] for row in rows if row[1]}
    wanted = {name: doors[method.door] for name, method in METHODS.items()}
    assert listed == wanted, sorted(listed.items() ^ wanted.items())


def test_what_others_have_and_we_have_not_has_a_reason() -> None:
    before, _, _ = (DOCS / "methods.md").read_text().partition("\n## Methods\n")
    patterns = re.findall(r"`(\w+_[\w*]+)`", before)
    rows = rows_of("methods.md", "Methods", r"`[\w.]+`")
    missing = [row[0].strip("`") for row in rows if not row[1]]
    wrong = [name for name in missing if not any(fnmatch(name, one) for one in patterns)]
    assert missing
    assert not wrong, wrong


def test_json_rpc_lists_every_error_code() -> None:
    codes = {
        (str(value), name)
        for name, value in vars(errors).items()
        if name.isupper() and isinstance(value, int) and not name.endswith("_MAX")
    }
    listed = {(row[0], row[1]) for row in rows_of("json-rpc.md", "Errors", r"-?\d+")}
    assert listed == codes


def test_json_rpc_lists_every_limit() -> None:
    """Each number that an operator may set, with its value."""
    settings = {
        field.name: getattr(owner, field.name)
        for owner in (Limits(), RpcOptions())
        for field in dataclasses.fields(owner)
        if field.name != "port" and type(getattr(owner, field.name)) in (int, float)
    }
    listed = {
        row[0].strip("`"): float(row[1].replace(",", ""))
        for row in rows_of("json-rpc.md", "Limits", r"`\w+`")
    }
    assert listed == settings


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_operating_lists_every_command_and_flag() -> None:
    flags = {
        flag
        for _, command in commands(cli)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for flag in parameter.opts
    }
    rows = rows_of("operating.md", "Flags", r"`--.*")
    assert {flag for row in rows for flag in re.findall(r"--[a-z0-9-]+", row[0])} == flags
    shown = [row[0].strip("`") for row in rows_of("operating.md", "Commands", "`ghostd .*`")]
    for name, _ in commands(cli):
        assert any(line.startswith(f"ghostd {name}") for line in shown), name


def test_staking_lists_every_parameter_with_its_bounds() -> None:
    listed = [
        (row[0], row[1].strip("`"), *(int(cell.replace(",", "")) for cell in row[2:]))
        for row in rows_of("staking.md", "Parameters", "[a-z ]+")
        if row[1].startswith("`")
    ]
    contracts: dict[str, type[Governed]] = {
        "staking": Staking,
        "slashing": Slashing,
        "governance": Governance,
        "fee market": FeeMarket,
    }
    assert listed == [
        (where, name, entry.default, entry.low, entry.high)
        for where, contract in contracts.items()
        for name, entry in contract.PARAMETERS.items()
    ]


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_pages_name_only_paths_that_exist(page: str) -> None:
    """As the README's map."""
    names = re.findall(
        r"`((?:ghostchain|native|tests|benchmarks|docs|docker|services)/[\w./-]*)`",
        (DOCS / page).read_text(),
    )
    wrong = [name for name in names if not (ROOT / name).exists()]
    assert not wrong, wrong
