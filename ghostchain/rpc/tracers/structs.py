"""geth's struct logger (eth/tracers/logger), which is the tracer when none is named. Its steps are
written natively; here is what stands around them."""

from __future__ import annotations

import orjson

from ghostchain.execution.executor import Exit
from ghostchain.execution.traces import StructLogWatch
from ghostchain.rpc.tracers.runs import Run


def struct_trace(run: Run, settings: StructLogWatch) -> orjson.Fragment:
    """`gas`, `failed`, `returnValue` (empty for a halt) and `structLogs`."""
    roots = run.roots
    last = roots[-1] if roots else None
    output = b""
    if last is not None and last.exit in (Exit.SUCCESS, Exit.REVERT):
        output = last.output or b""
    head = (
        f'{{"gas":{run.around.gas_used},"failed":{"true" if run.has_failed else "false"},'
        f'"returnValue":"0x{output.hex()}","structLogs":['
    )
    return orjson.Fragment(b"".join((head.encode(), run.struct_logs, b"]}")))
