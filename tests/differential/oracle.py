"""Runs inside the executable specification's own environment: cases in, its answers out.

One JSON object a line on standard input (`fork`, and `alloc`, `env`, `txs` as the
specification's `t8n` takes them), one on standard output. It imports nothing of GhostChain.
"""

import io
import json
import logging
import sys

from ethereum_spec_tools.evm_tools import main
from ethereum_spec_tools.evm_tools.t8n import ForkCache

ARGUMENTS = [
    "t8n",
    "--input.env=stdin",
    "--input.alloc=stdin",
    "--input.txs=stdin",
    "--output.result=stdout",
    "--output.alloc=stdout",
]


def answer(case: dict, cache: ForkCache) -> dict:
    """The specification's result and post-state for one case."""
    arguments = [*ARGUMENTS, f"--state.fork={case['fork']}", "--state.chainid=1"]
    arguments.append(f"--output.basedir={sys.argv[1]}")
    given = {name: case[name] for name in ("alloc", "env", "txs")}
    output = io.StringIO()
    code = main(arguments, output, io.StringIO(json.dumps(given)), cache)
    if code != 0:
        return {"error": f"exit code {code}"}
    return json.loads(output.getvalue())


def serve() -> None:
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(20_000)
    with ForkCache() as cache:
        for line in sys.stdin:
            reply = answer(json.loads(line), cache)
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    serve()
