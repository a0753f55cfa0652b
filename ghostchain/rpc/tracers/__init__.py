"""Tracers of transactions, blocks and calls, with geth's names, options and answers.

A request names a tracer (`table.py`) and its settings (`options.py`). The tracer says what must be
recorded (`execution/traces.py`); the node runs the transaction, call or block once more and gives
one `Run` for each transaction (`runs.py`); the tracer shows it. Everything that is shown is made of
what was recorded, so a tracer runs no code of its own while the EVM does.

Spec: go-ethereum eth/tracers, as of 2026. Oracle: its test cases, in
tests/conformance/test_tracers.py.
"""
