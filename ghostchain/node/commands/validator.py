"""`ghostd validator`: a validator's keys, and what its operator does on the chain."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ghostchain.node.commands.options import FILE, Command

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
RPC = click.option(
    "--rpc",
    "url",
    default="http://127.0.0.1:8545",
    show_default=True,
    metavar="URL",
    help="JSON-RPC of a node of the chain.",
)


def operator_options(command: Command) -> Command:
    """Who signs the transaction, and where it is sent."""
    options = (
        click.option(
            "--operator",
            "operator_file",
            required=True,
            type=FILE,
            help="The operator's account, an Ethereum keystore file (of this command, geth, cast "
            "or a wallet).",
        ),
        click.option(
            "--operator-password-file",
            type=FILE,
            metavar="FILE",
            help="Where its password stands.  [default: asked for]",
        ),
        RPC,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def validator() -> None:
    """Become a validator, and stay one.

    \b
    1. ghostd validator keys                      make a consensus key and an operator account
    2. send the operator SPIRIT to bond, and a little GCC for fees
    3. ghostd run --validator-key validator.json  run a node with the key, and let it catch up
    4. ghostd validator register --bond 10000     bond; it votes from the next epoch on
    5. ghostd validator status                    is it in the set? in jail?

    The consensus key signs votes and lives with the node (or with `ghostd signer`). The operator's
    account owns the stake, pays fees, and need not be on the node's machine. Keys and passwords
    come from files or from the keyboard, never from the command line, which others can see.
    """


@validator.command()
@click.option(
    "--key",
    "key_file",
    type=NEW_FILE,
    default=Path("validator.json"),
    show_default=True,
    help="Where the consensus key goes.",
)
@click.option(
    "--operator",
    "operator_file",
    type=NEW_FILE,
    help="Where a new operator account goes; left out, none is made.",
)
@click.option(
    "--password-file",
    type=FILE,
    metavar="FILE",
    help="Where the password of both stands.  [default: asked for]",
)
def keys(key_file: Path, operator_file: Path | None, password_file: Path | None) -> None:
    """Make a consensus key, and with --operator an account.

    Both are encrypted, with mode 0600; nothing is ever overwritten. Make a copy of the files, and
    never let two nodes run with the same consensus key: whoever signs twice loses stake and is
    removed for good.
    """
    from eth_utils.address import to_checksum_address

    from ghostchain.crypto.signing import Secp256k1Signer
    from ghostchain.node.keystore import write_operator_key
    from ghostchain.node.signing.keyfiles import create_key_file

    password = password_of(password_file, "Password for the new keys", is_new=True)
    key = create_key_file(key_file, password)
    click.echo(f"consensus key  0x{key.hex()}  in {key_file}")
    if operator_file is not None:
        signer = Secp256k1Signer.generate()
        write_operator_key(operator_file, signer.reveal_seed(), password)
        click.echo(f"operator       {to_checksum_address(signer.address)}  in {operator_file}")


@validator.command()
@click.option(
    "--key",
    "key_file",
    type=FILE,
    default=Path("validator.json"),
    show_default=True,
    help="The consensus key, made by `ghostd validator keys`.",
)
@click.option(
    "--password-file",
    type=FILE,
    metavar="FILE",
    help="Where the password of the consensus key stands.  [default: asked for]",
)
@operator_options
@click.option("--bond", required=True, metavar="SPIRIT", help="The operator's stake.")
@click.option(
    "--commission",
    default="5%",
    show_default=True,
    metavar="FRACTION",
    help="Of what delegators earn, as 5% or 0.05.",
)
@click.option(
    "--max-commission",
    default="20%",
    show_default=True,
    metavar="FRACTION",
    help="The most that it may ever be.",
)
@click.option(
    "--max-daily-change",
    default="1%",
    show_default=True,
    metavar="FRACTION",
    help="The most that it may change in a day.",
)
def register(
    key_file: Path,
    password_file: Path | None,
    operator_file: Path,
    operator_password_file: Path | None,
    url: str,
    bond: str,
    **fractions: str,
) -> None:
    """Put a validator on the chain and bond its stake.

    One transaction: staking may take the SPIRIT, and the validator exists, or neither. The node
    should run with the key before: a validator that does not sign is jailed.
    """
    from ghostchain.crypto import ed25519
    from ghostchain.encoding.votes import key_claim_bytes
    from ghostchain.node import operator as operators
    from ghostchain.node.signing.keyfiles import load_key_file

    parts = {name: parsed(operators.fraction, value, name) for name, value in fractions.items()}
    self_bond = parsed(operators.amount, bond, "bond")
    seed = load_key_file(key_file, password_of(password_file, f"Password of {key_file}"))
    operator = operator_of(operator_file, operator_password_file, url)
    claim = key_claim_bytes(operators.chain_id_of(url), operator.address)
    registration = operators.Registration(
        key=ed25519.public_key_of(seed),
        proof=ed25519.sign(seed, claim),
        self_bond=self_bond,
        **parts,
    )
    show_receipt(operator.register(registration))
    click.echo("it votes from the next epoch on: ghostd validator status")


@validator.command()
@click.argument("operator", required=False, metavar="[ADDRESS]")
@click.option(
    "--operator",
    "operator_file",
    type=FILE,
    help="The operator's keystore file, instead of its address. No password is needed.",
)
@RPC
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
def status(operator: str | None, operator_file: Path | None, url: str, as_json: bool) -> None:
    """Show a validator: in the set or not, in jail or not, its stake.

    ADDRESS is the operator's. The exit code is 1 when it does not vote.
    """
    import json

    from ghostchain.node import operator as operators

    standing = operators.standing_of(url, address_named(operator, operator_file))
    if as_json:
        click.echo(json.dumps(standing, indent=2))
    else:
        click.echo("\n".join(operators.validator_lines(standing)))
    sys.exit(0 if standing["voter"] is not None else 1)


@validator.command()
@operator_options
def unjail(operator_file: Path, operator_password_file: Path | None, url: str) -> None:
    """Leave jail after its time is over.

    The validator counts again from the next epoch on, if its stake suffices. First see that its
    node runs and has caught up, or it goes back to jail.
    """
    show_receipt(operator_of(operator_file, operator_password_file, url).unjail())


@validator.command()
@operator_options
@click.option("--commission", metavar="FRACTION", help="As 5% or 0.05; once a day.")
@click.option("--coinbase", metavar="ADDRESS", help="Who gets the tips of its blocks.")
@click.option("--bond", metavar="SPIRIT", help="Stake beside what is bonded.")
def edit(
    operator_file: Path,
    operator_password_file: Path | None,
    url: str,
    commission: str | None,
    coinbase: str | None,
    bond: str | None,
) -> None:
    """Change a validator's commission or coinbase, or bond more.

    What is not given stays as it is.
    """
    from ghostchain.node import operator as operators

    if commission is None and coinbase is None and bond is None:
        raise click.UsageError("nothing to change: give --commission, --coinbase or --bond")
    fraction = None if commission is None else parsed(operators.fraction, commission, "commission")
    address = None if coinbase is None else address_named(coinbase, None)
    added = None if bond is None else parsed(operators.amount, bond, "bond")
    operator = operator_of(operator_file, operator_password_file, url)
    if fraction is not None or address is not None:
        show_receipt(operator.edit(fraction, address))
    if added is not None:
        show_receipt(operator.bond(added))


# ---- what the commands share ----


def password_of(path: Path | None, prompt: str, *, is_new: bool = False) -> str:
    """The first line of the file, or what is typed without being shown."""
    if path is None:
        typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=is_new, err=True)
        return typed
    from ghostchain.node.signing.keyfiles import read_password

    return read_password(path)


def operator_of(path: Path, password_file: Path | None, url: str) -> Any:
    from ghostchain.node.keystore import read_operator_key
    from ghostchain.node.operator import Operator

    return Operator(url, read_operator_key(path, password_of(password_file, f"Password of {path}")))


def address_named(text: str | None, keystore: Path | None) -> Any:
    """An address as typed, or as a keystore file says it. Raises: click.UsageError."""
    from ghostchain.node.keystore import address_in
    from ghostchain.primitives.types import Address

    if keystore is not None:
        return address_in(keystore)
    try:
        address = bytes.fromhex((text or "").removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise click.UsageError(f"{text or 'nothing'}: expected an address, 40 hexadecimal digits")
    return Address(address)


def parsed(parse: Any, text: str, name: str) -> int:
    """Raises: click.UsageError for what the parser refuses."""
    try:
        value: int = parse(text)
    except ValueError as failure:
        raise click.UsageError(f"--{name.replace('_', '-')}: {failure}") from failure
    return value


def show_receipt(receipt: dict[str, Any]) -> None:
    number, gas = int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16)
    click.echo(f"included in block {number:,}, {gas:,} gas: {receipt['transactionHash']}")
