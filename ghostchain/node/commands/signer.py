"""`ghostd signer`: the consensus key in a process of its own."""

from __future__ import annotations

from pathlib import Path

import click

from ghostchain.node.commands.options import FILE, log_options


@click.command()
@click.option(
    "--key", "key_file", required=True, type=FILE, help="The consensus key, an encrypted file."
)
@click.option(
    "--password-file",
    type=FILE,
    metavar="FILE",
    help="Where its password stands.  [default: asked for]",
)
@click.option(
    "--listen", required=True, metavar="unix:PATH", help="The socket the node connects to."
)
@click.option(
    "--chain-id",
    required=True,
    type=click.IntRange(min=1),
    metavar="ID",
    help="The one chain it signs for.",
)
@click.option(
    "--state-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it remembers what it signed. Never delete it, never copy it back from a backup.",
)
@log_options
def signer(
    key_file: Path,
    password_file: Path | None,
    listen: str,
    chain_id: int,
    state_dir: Path,
    log_json: bool,
    log_level: str,
) -> None:
    """Hold a validator's key for a node on the same machine.

    \b
    ghostd signer --key validator.json --chain-id 446781 \\
        --listen unix:/run/ghost/signer.sock --state-dir ./signer
    ghostd run --signer unix:/run/ghost/signer.sock

    The node never has the key; whoever breaks into it can ask for votes, but never for two that
    contradict each other. The socket answers only the user that runs this command.
    """
    from ghostchain.node import logs
    from ghostchain.node.commands.validator import password_of
    from ghostchain.node.signing.keyfiles import load_key_file
    from ghostchain.node.signing.process import run_signer

    logs.configure(json=log_json, level=log_level)
    seed = load_key_file(key_file, password_of(password_file, f"Password of {key_file}"))
    run_signer(seed, chain_id=chain_id, listen=listen, directory=state_dir)
