"""The rules of one chain: its id, when forks begin, how many blobs a block carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ghostchain.execution.forks import BLOB_SCHEDULES, BlobSchedule, Fork, ForkStep
from ghostchain.primitives.errors import InvalidGenesis
from ghostchain.primitives.leniency import STRICT, Leniency
from ghostchain.primitives.types import Address

# EIP-6110 on Ethereum's main network; a genesis may name another.
DEPOSIT_CONTRACT = Address(bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa"))

BLOBS_PER_TRANSACTION_MAX = 6
# As much as a transaction can say: where it is a chain's bound, only the block's limit binds.
TRANSACTION_GAS_MAX = (1 << 64) - 1

FORK_TIMES = {"cancunTime": Fork.CANCUN, "pragueTime": Fork.PRAGUE, "osakaTime": Fork.OSAKA}
BLOB_FORKS = {"cancun": "cancunTime", "prague": "pragueTime", "osaka": "osakaTime"} | {
    f"bpo{number}": f"bpo{number}Time" for number in range(1, 6)
}
DEFAULT_SCHEDULES = {name.lower(): BLOB_SCHEDULES[name] for name in ("Cancun", "Prague", "Osaka")}
# Forks before Cancun, all of which must hold at genesis.
EARLIER_BLOCKS = (
    "homesteadBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
    "arrowGlacierBlock",
    "grayGlacierBlock",
    "mergeNetsplitBlock",
)
KNOWN_TIMES = frozenset({"shanghaiTime"} | FORK_TIMES.keys() | set(BLOB_FORKS.values()))


@dataclass(frozen=True, slots=True)
class ConsensusParameters:
    """The waiting times of a chain that many validators decide about, `config.ghost.consensus`.
    Units: milliseconds. heartbeat: an idle chain makes a block after so long."""

    heartbeat_ms: int = 6_000
    block_interval_min_ms: int = 50
    timeout_propose_ms: int = 1_000
    timeout_vote_ms: int = 500
    timeout_step_ms: int = 250
    timeout_propose_max_ms: int = 10_000
    timeout_vote_max_ms: int = 5_000
    rebroadcast_ms: int = 1_000


CONSENSUS_NAMES = {
    "heartbeatMs": "heartbeat_ms",
    "blockIntervalMinMs": "block_interval_min_ms",
    "timeoutProposeMs": "timeout_propose_ms",
    "timeoutVoteMs": "timeout_vote_ms",
    "timeoutStepMs": "timeout_step_ms",
    "timeoutProposeMaxMs": "timeout_propose_max_ms",
    "timeoutVoteMaxMs": "timeout_vote_max_ms",
    "rebroadcastMs": "rebroadcast_ms",
}
CONSENSUS_MS_MAX = 600_000


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """What holds when. Times are block timestamps in seconds; both tables ascend and start at or
    before genesis."""

    chain_id: int
    forks: tuple[tuple[int, Fork], ...]
    blobs: tuple[tuple[int, BlobSchedule], ...]
    deposit_contract: Address = DEPOSIT_CONTRACT
    # Seconds between a block and its child, at least. Ethereum's is 1. A chain that makes several
    # blocks a second lets them share one (0), or its clock would run ahead of everybody's.
    timestamp_step_min: int = 1
    # From this time on GhostChain's own rules hold besides Ethereum's; None: never.
    hybrid_time: int | None = None
    # Gas of one transaction at most, whatever the fork; 0: what the fork says (EIP-7825).
    transaction_gas_max: int = 0
    # None: one node alone seals the chain.
    consensus: ConsensusParameters | None = None
    # Of a development chain: (block, chain id from there on), ascending.
    chain_ids: tuple[tuple[int, int], ...] = ()
    leniency: Leniency = STRICT

    @classmethod
    def from_steps(cls, chain_id: int, steps: Sequence[ForkStep]) -> ChainConfig:
        """The rules of a chain of the test suites. steps: ascending, the first at genesis."""
        return cls(
            chain_id,
            tuple((step.time, step.fork) for step in steps),
            tuple((step.time, step.blobs) for step in steps),
        )

    def chain_id_at(self, number: int) -> int:
        """The chain id of a block."""
        for first, chain_id in reversed(self.chain_ids):
            if first <= number:
                return chain_id
        return self.chain_id

    def with_chain_id(self, first: int, chain_id: int) -> ChainConfig:
        """With this one from a block on, whatever was said of later ones. Raises: ValueError."""
        if not 0 < chain_id < 1 << 64:
            raise ValueError("a chain id is between 1 and 2^64 - 1")
        before = (one for one in self.chain_ids if one[0] < first)
        return replace(self, chain_ids=(*before, (first, chain_id)))

    def blobs_per_transaction_max(self, timestamp: int) -> int:
        """Six from Osaka on (EIP-7594), before that as many as the block holds."""
        if self.fork_at(timestamp) >= Fork.OSAKA:
            return BLOBS_PER_TRANSACTION_MAX
        return self.blob_schedule_at(timestamp).max

    def hybrid_at(self, timestamp: int) -> bool:
        return self.hybrid_time is not None and self.hybrid_time <= timestamp

    def fork_at(self, timestamp: int) -> Fork:
        return [fork for time, fork in self.forks if time <= timestamp][-1]

    def blob_schedule_at(self, timestamp: int) -> BlobSchedule:
        return [schedule for time, schedule in self.blobs if time <= timestamp][-1]


def parse_config(fields: Mapping[str, object], genesis_time: int) -> ChainConfig:
    """The `config` object of a geth genesis.

    Raises: InvalidGenesis for a chain that starts before Cancun, forks that do not ascend, and
        forks that are not known here.
    """
    _refuse_early_and_unknown_forks(fields, genesis_time)
    forks = [
        (_time(fields, name), fork)
        for name, fork in FORK_TIMES.items()
        if fields.get(name) is not None
    ]
    if [fork for _, fork in forks] != list(Fork)[: len(forks)]:
        raise InvalidGenesis("config: a fork time is given while that of an earlier fork is not")
    times = [time for time, _ in forks]
    if times != sorted(times):
        raise InvalidGenesis("config: cancunTime, pragueTime and osakaTime must ascend")
    deposit = fields.get("depositContractAddress")
    return ChainConfig(
        chain_id=integer(fields.get("chainId"), "config.chainId"),
        forks=tuple(forks),
        blobs=_blob_schedules(fields),
        deposit_contract=DEPOSIT_CONTRACT if deposit is None else _address(deposit),
        timestamp_step_min=_timestamp_step(_ghost(fields)),
        hybrid_time=_hybrid_time(_ghost(fields)),
        transaction_gas_max=_transaction_gas(_ghost(fields)),
        consensus=_consensus(_ghost(fields), genesis_time),
    )


def _ghost(fields: Mapping[str, object]) -> Mapping[str, object]:
    """`config.ghost`, GhostChain's own addition to the format."""
    ghost = fields.get("ghost")
    if ghost is None:
        return {}
    if not isinstance(ghost, Mapping):
        raise InvalidGenesis("config.ghost must be an object")
    return ghost


def _timestamp_step(ghost: Mapping[str, object]) -> int:
    step = integer(ghost.get("timestampStepMin", 1), "config.ghost.timestampStepMin")
    if step not in (0, 1):
        raise InvalidGenesis(f"config.ghost.timestampStepMin must be 0 or 1, not {step}")
    return step


def _transaction_gas(ghost: Mapping[str, object]) -> int:
    gas = integer(ghost.get("transactionGasMax", 0), "config.ghost.transactionGasMax")
    if gas > TRANSACTION_GAS_MAX:
        raise InvalidGenesis(f"config.ghost.transactionGasMax is {gas}, above 2^64 - 1")
    return gas


def _hybrid_time(ghost: Mapping[str, object]) -> int | None:
    if ghost.get("hybridTime") is None:
        return None
    return integer(ghost["hybridTime"], "config.ghost.hybridTime")


def _consensus(ghost: Mapping[str, object], genesis_time: int) -> ConsensusParameters | None:
    given = ghost.get("consensus")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidGenesis("config.ghost.consensus must be an object")
    hybrid_time = _hybrid_time(ghost)
    if hybrid_time is None or hybrid_time > genesis_time or _timestamp_step(ghost) != 0:
        raise InvalidGenesis(
            "config.ghost.consensus needs hybridTime at genesis (its validators are the staking "
            "contract's) and timestampStepMin 0 (several blocks a second)"
        )
    values = {}
    for name, value in given.items():
        if name not in CONSENSUS_NAMES:
            raise InvalidGenesis(f"config.ghost.consensus.{name} is not known")
        where = f"config.ghost.consensus.{name}"
        values[CONSENSUS_NAMES[name]] = milliseconds = integer(value, where)
        if not 1 <= milliseconds <= CONSENSUS_MS_MAX:
            raise InvalidGenesis(f"{where} is {milliseconds}, not 1 to {CONSENSUS_MS_MAX}")
    return ConsensusParameters(**values)


def _refuse_early_and_unknown_forks(fields: Mapping[str, object], genesis_time: int) -> None:
    late = [
        name
        for name in EARLIER_BLOCKS
        if fields.get(name) is not None and integer(fields[name], f"config.{name}") > 0
    ]
    if late:
        raise InvalidGenesis(
            f"config: {late[0]} is after genesis; only chains that are at Cancun or later from "
            "their first block are supported"
        )
    if fields.get("cancunTime") is None or _time(fields, "cancunTime") > genesis_time:
        raise InvalidGenesis(
            "config: the chain starts before Cancun (cancunTime is absent or after genesis); "
            "only Cancun, Prague and Osaka are supported"
        )
    difficulty = fields.get("terminalTotalDifficulty")
    if difficulty is not None and integer(difficulty, "config.terminalTotalDifficulty") != 0:
        raise InvalidGenesis("config: terminalTotalDifficulty must be 0 (proof of stake)")
    for name, value in fields.items():
        if name.endswith("Time") and name not in KNOWN_TIMES and value is not None:
            raise InvalidGenesis(f"config: {name} names a fork that is not supported")


def _blob_schedules(fields: Mapping[str, object]) -> tuple[tuple[int, BlobSchedule], ...]:
    given = fields.get("blobSchedule") or {}
    if not isinstance(given, Mapping):
        raise InvalidGenesis("config.blobSchedule must be an object")
    schedules = []
    for name, time_name in BLOB_FORKS.items():
        if fields.get(time_name) is None:
            continue
        schedule = DEFAULT_SCHEDULES.get(name)
        if name in given:
            schedule = _schedule(given[name], name)
        if schedule is None:
            raise InvalidGenesis(f"config: {time_name} is given, but no blobSchedule.{name}")
        schedules.append((_time(fields, time_name), schedule))
    # A stable sort: of forks at the same time the later one in the table holds.
    return tuple(sorted(schedules, key=lambda entry: entry[0]))


def _schedule(fields: object, name: str) -> BlobSchedule:
    if not isinstance(fields, Mapping):
        raise InvalidGenesis(f"config.blobSchedule.{name} must be an object")
    where = f"config.blobSchedule.{name}"
    schedule = BlobSchedule(
        integer(fields.get("target"), f"{where}.target"),
        integer(fields.get("max"), f"{where}.max"),
        integer(fields.get("baseFeeUpdateFraction"), f"{where}.baseFeeUpdateFraction"),
    )
    if schedule.base_fee_update_fraction == 0 or schedule.max < schedule.target:
        raise InvalidGenesis(f"{where} cannot hold: {schedule}")
    return schedule


def _time(fields: Mapping[str, object], name: str) -> int:
    return integer(fields.get(name), f"config.{name}")


def _address(value: object) -> Address:
    data = data_bytes(value, "config.depositContractAddress")
    if len(data) != 20:
        raise InvalidGenesis("config.depositContractAddress is not 20 bytes")
    return Address(data)


def integer(value: object, name: str) -> int:
    """A non-negative integer given as a number, a decimal or a 0x string.

    Raises: InvalidGenesis naming the field.
    """
    result: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        result = value
    elif isinstance(value, str):
        try:
            result = int(value, 16) if value[:2] in ("0x", "0X") else int(value)
        except ValueError:
            result = None
    if result is None or result < 0:
        raise InvalidGenesis(f"{name} is not a number: {value!r}")
    return result


def data_bytes(value: object, name: str) -> bytes:
    """Bytes given as a hex string with or without 0x.

    Raises: InvalidGenesis naming the field.
    """
    if isinstance(value, str):
        try:
            return bytes.fromhex(value[2:] if value[:2] in ("0x", "0X") else value)
        except ValueError:
            pass
    raise InvalidGenesis(f"{name} is not hex data: {value!r}")
