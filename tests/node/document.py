"""The document of execution-apis as a judge of answers and of parameters.

`Document.judge` says what is wrong with an answer of a method that the document has. With
GHOSTCHAIN_VALIDATE=1 in the environment every answer that tests get through `Ghostd` is judged so.
"""

from __future__ import annotations

import copy
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema

from tests.conftest import fixtures_folder

IS_ASKED_FOR = os.environ.get("GHOSTCHAIN_VALIDATE", "") not in ("", "0")


class Document:
    """openrpc.json, with the types of transactions that are GhostChain's own."""

    def __init__(self, path: Path) -> None:
        self.found = with_own_types(json.loads(path.read_text()))
        self.methods = {item["name"]: item for item in self.found["methods"]}
        amend(self.found)
        self.results = {
            name: self.validator(item["result"]["schema"]) for name, item in self.methods.items()
        }
        self.parameters = {
            name: [self.validator(listed["schema"]) for listed in item["params"]]
            for name, item in self.methods.items()
        }

    def validator(self, schema: dict[str, Any]) -> Any:
        whole = {"components": self.found["components"], **schema}
        return jsonschema.Draft202012Validator(whole)

    @cached_property
    def required(self) -> dict[str, int]:
        """How many parameters a method needs."""
        return {
            name: sum(bool(listed.get("required")) for listed in item["params"])
            for name, item in self.methods.items()
        }

    def judge(self, method: str, answer: dict[str, Any]) -> str:
        """What is wrong with an answer, or nothing. Of errors only their own shape is demanded."""
        if "error" in answer:
            error = answer["error"]
            if not isinstance(error.get("code"), int) or not isinstance(error.get("message"), str):
                return f"{method}: no JSON-RPC error: {error}"
            return "" if set(error) <= {"code", "message", "data"} else f"{method}: {error}"
        if method not in self.results:
            return ""
        failure = jsonschema.exceptions.best_match(
            self.results[method].iter_errors(answer.get("result"))
        )
        if failure is None:
            return ""
        return f"{method}: {failure.message[:500]} at {list(failure.absolute_path)}"

    def takes(self, method: str, params: list[Any]) -> bool:
        """Whether the document has such a request."""
        schemas = self.parameters[method]
        if not self.required[method] <= len(params) <= len(schemas):
            return False
        pairs = zip(schemas, params, strict=False)
        return all(schema.is_valid(value) for schema, value in pairs)


def amend(document: dict[str, Any]) -> None:
    """Where the document cannot be met as it stands:

    - an empty list is as much one of logs as one of hashes, so `oneOf` refuses it;
    - a transaction of a block that its trace's time or size ended has an error in place of a
      result, of which the document says nothing;
    - a waiting transaction has no block, which the same document says of txpool_content; clients
      tell it by that.
    """
    schemas = document["components"]["schemas"]
    schemas["FilterResults"]["anyOf"] = schemas["FilterResults"].pop("oneOf")
    for item in document["methods"]:
        if item["name"].startswith("debug_traceBlock"):
            ended = {"type": "object", "required": ["txHash", "error"]}
            item["result"]["schema"]["items"]["anyOf"].append(ended)
        if item["name"] == "eth_getTransactionByHash":
            waiting = {"$ref": "#/components/schemas/PendingTransactionInfo"}
            item["result"]["schema"]["oneOf"].append(waiting)


def with_own_types(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the two types of this chain beside Ethereum's: an EIP-1559 transaction with
    these members more, and theirs in receipts, which the document closes."""
    schemas = document["components"]["schemas"]
    text = {"type": "string", "pattern": "^0x[0-9a-f]*$"}
    token = {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/address"}]}
    own = {
        "0x7b": {"feeCurrency": token},
        "0x47": {
            "feeToken": token,
            "feePayer": token,
            "senderSignature": {"type": ["object", "null"]},
            "calls": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["to", "value", "input"],
                    "properties": {"to": token, "value": text, "input": text},
                },
            },
        },
    }
    plain = schemas["Transaction1559Unsigned"]
    for kind, members in own.items():
        unsigned = copy.deepcopy(plain)
        unsigned["required"] = [*plain["required"], *members]
        unsigned["properties"] |= members | {"type": {"const": kind}}
        signed = {"required": ["yParity", "r", "s"]}
        schemas["TransactionSigned"]["oneOf"].append({"allOf": [unsigned, signed]})
        free = {key: value for key, value in unsigned.items() if key != "additionalProperties"}
        # viem's serializer of Celo's type refuses a price beside fees.
        absent = ("senderSignature", "gasPrice")
        wanted = [name for name in unsigned["required"] if name not in absent]
        schemas["FilledTransaction"]["oneOf"].append(free | {"required": wanted})
    members = {"feeCurrency": token, "feeToken": token, "feePayer": token, "baseFee": text}
    schemas["ReceiptInfo"]["properties"] |= members
    return document


class Judge:
    """Judges what a node answers, where the document is here."""

    def __init__(self) -> None:
        path = fixtures_folder() / "openrpc.json"
        self.document = Document(path) if path.exists() else None
        self.judged = 0

    def check(self, request: Any, answer: Any) -> None:
        """Raises: AssertionError. request, answer: as sent and received, batches too."""
        if self.document is None:
            return
        asked = request if isinstance(request, list) else [request]
        answers = answer if isinstance(answer, list) else [answer]
        methods = {
            item["id"]: item.get("method")
            for item in asked
            if isinstance(item, dict) and isinstance(item.get("id"), int | str)
        }
        for item in answers:
            method = methods.get(item.get("id"))
            if isinstance(method, str):
                fault = self.document.judge(method, item)
                assert not fault, f"{fault}\nrequest: {json.dumps(request)[:1000]}"
                self.judged += 1
