"""Users of a run: they give transfers to machines, with gaps, twice, better paid, too dear.

A user looks at the decided chain and goes on from there, so that nothing which is lost stops it
for good. When faults stop, transfers of accounts that nobody else uses are given to one honest
machine each: these probes must be in a block before the run may end.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from ghostchain.primitives.types import Hash32
from tests.sim.ledger import decode_block
from tests.sim.transfers import PROBES, USERS, address_of, open_transfer, sign_transfer

if TYPE_CHECKING:
    from tests.sim.world import World

TIP_MAX = 8
HANDFUL_MAX = 4


class Market:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"market {world.mix.seed}")
        self._height = 0
        self.probes: dict[Hash32, str] = {}
        """Those that are in no block yet, and where they were given."""

    def open(self) -> None:
        """Trade begins, if there is any."""
        every_ns = self._world.mix.trade_every_ns
        if every_ns:
            delay_ns = int(self._random.expovariate(1 / every_ns))
            self._world.scheduler.after(delay_ns, self._trade)

    def _trade(self) -> None:
        random, world = self._random, self._world
        accounts = world.judge.chain.accounts
        raws = []
        for _ in range(random.randint(1, HANDFUL_MAX)):
            user = random.randrange(USERS)
            nonce = accounts[address_of(user)].nonce + random.choice((0, 0, 0, 1, 1, 2, 7))
            value = random.choice((1, 10, 100, 700))
            raws.append(sign_transfer(user, nonce, random.randint(1, TIP_MAX), value))
        for machine in random.sample(world.machines, random.choice((1, 1, 2))):
            machine.submit(list(dict.fromkeys(raws)))
        if world.is_stormy:
            self.open()

    def probe(self) -> None:
        """Faults have stopped: what is given to an honest machine now must find its way."""
        world = self._world
        if not world.mix.trade_every_ns:
            return
        honest = [one for one in world.machines if one.is_honest and one.number != world.mix.spoilt]
        for number in range(USERS, USERS + PROBES):
            machine = self._random.choice(honest)
            raw = sign_transfer(number, 0, TIP_MAX + 1, 1)
            transfer = open_transfer(raw)
            assert transfer is not None
            self.probes[transfer.hash] = f"a transfer given to {machine.name}"
            machine.submit([raw])

    def look(self) -> None:
        """Finds the probes in what was decided since."""
        chain = self._world.judge.chain
        while self.probes and self._height < chain.height:
            block = decode_block(chain.bodies[self._height])
            assert block is not None
            for raw in block.transfers:
                transfer = open_transfer(raw)
                assert transfer is not None
                self.probes.pop(transfer.hash, None)
            self._height += 1

    def story(self) -> str:
        """Of a probe that is missing."""
        return next(iter(self.probes.values()))
