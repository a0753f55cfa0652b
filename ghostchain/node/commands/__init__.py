"""The groups of `ghostd`'s commands, one module each; `cli.py` joins them.

Each module reads options and calls one function elsewhere, and imports heavy modules only inside
its commands, so that `--help` answers at once. `options.py` has what several share.
"""
