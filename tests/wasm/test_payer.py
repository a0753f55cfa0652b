"""Contracts that call others: the payer of every language and a token, on the host in Python."""

from __future__ import annotations

import pytest

from ghostchain.primitives.types import Address
from tests.wasm import build
from tests.wasm.host import Call, Frame, Reverted, World
from tests.wasm.machines import ALICE, BOB, CONTRACT, OTHER, OnHost, Step
from tests.wasm.test_examples import LANGUAGES, encoded, module, selector, word

PAY = "pay(address,address,uint256)"
HOLDING = "holding(address,address)"


def pays(amount: int, *, token: Address = OTHER) -> Step:
    return Step(0, encoded(PAY, token, BOB, amount))


@pytest.mark.parametrize("language", LANGUAGES)
def test_payer_pays_with_a_token(language: str) -> None:
    """Two contracts, one call: both change, or neither; the token's error passes through."""
    host = OnHost({CONTRACT: module(language, "payer"), OTHER: module(language, "erc20")})
    setting = [
        encoded("initialize(address,uint256)", ALICE, 100),
        encoded("approve(address,uint256)", CONTRACT, 60),
    ]
    for data in setting:
        assert host.run(Step(0, data, to=OTHER)).success
    paid = host.run(pays(40))
    assert paid.success
    assert [log.address for log in paid.logs] == [OTHER, CONTRACT]
    assert paid.storage == {word(0): word(1)}
    assert host.run(Step(1, encoded(HOLDING, OTHER, BOB))).output == word(40)
    before = host.storage(OTHER)
    refused = host.run(pays(21))
    assert refused.output == encoded(
        "ERC20InsufficientAllowance(address,uint256,uint256)", CONTRACT, 20, 21
    )
    assert (host.storage(OTHER), refused.storage, refused.logs) == (before, paid.storage, ())
    assert host.run(Step(2, encoded("payments()"))).output == word(1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_payer_judges_what_a_token_answers(language: str) -> None:
    """Nothing from a contract is a yes; nothing from no contract, and false, are not."""
    for answer, agreed in (
        (b"", True),
        (word(1), True),
        (word(0), False),
        (word(2), False),
        (word(1) + bytes(32), False),
        (bytes(31) + b"\x01" + b"\x01", False),
        (b"\x01", False),
    ):
        world = World()
        world.deploy(CONTRACT, module(language, "payer"))
        world.deploy(OTHER, lambda _, frame, answer=answer: answer)
        outcome = world.call(Call(sender=ALICE, to=CONTRACT, data=pays(1).data))
        assert outcome.success == agreed, answer
        if not agreed:
            assert outcome.output == selector("NotPaid()"), answer
    host = OnHost({CONTRACT: module(language, "payer")})
    assert host.run(pays(1)).output == selector("NotPaid()"), "no contract there"


@pytest.mark.parametrize("language", LANGUAGES)
def test_payer_survives_a_call_back(language: str) -> None:
    """A token that pays in turn, from within the payment: both count."""
    world = World()
    depth = 0

    def token(world: World, frame: Frame) -> bytes:
        nonlocal depth
        depth += 1
        if depth < 3:
            nested = world.call(Call(sender=OTHER, to=CONTRACT, data=pays(1).data))
            if not nested.success:
                raise Reverted(nested.output)
        return word(1)

    world.deploy(CONTRACT, module(language, "payer"))
    world.deploy(OTHER, token)
    assert world.call(Call(sender=ALICE, to=CONTRACT, data=pays(1).data)).success
    assert world.account(CONTRACT).storage == {word(0): word(3)}


def test_wat_echo() -> None:
    """ghost.wat is a contract as it stands."""
    host = OnHost({CONTRACT: build.wat("ghost")})
    assert host.run(Step(0, b"what is said")).output == b"what is said"
    assert not host.run(Step(0, bytes(65_537))).success
