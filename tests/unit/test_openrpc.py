"""docs/openrpc.json is what the methods are."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ghostchain.rpc.methods import METHODS, ghost

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openrpc.json"


def test_file_is_what_discover_gives() -> None:
    assert json.loads(DOCUMENT.read_text()) == json.loads(json.dumps(ghost.openrpc()))


def test_every_ghost_method_is_documented() -> None:
    documented = {entry["name"] for entry in ghost.openrpc()["methods"]}
    assert documented == {name for name in METHODS if name.startswith("ghost_")}


@pytest.mark.parametrize("entry", ghost.openrpc()["methods"], ids=lambda entry: entry["name"])
def test_entry_matches_the_method(entry: dict) -> None:
    method = METHODS[entry["name"]]
    said = [(parameter["name"], parameter["required"]) for parameter in entry["params"]]
    assert said == [(parameter.name, parameter.required) for parameter in method.parameters]
    assert entry["summary"].endswith(".")
    for schema in (entry["result"]["schema"], *(item["schema"] for item in entry["params"])):
        jsonschema.Draft202012Validator.check_schema(schema)
