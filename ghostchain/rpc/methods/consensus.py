"""Who decides, how far the deciding is, and who else is there: ghost_status and its sisters."""

from __future__ import annotations

from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.method import Cost
from ghostchain.rpc.openrpc import Argument, row
from ghostchain.rpc.parameters import Parameter, block_id, quantity
from ghostchain.rpc.services import Services
from ghostchain.rpc.standing import (
    ConsensusStanding,
    FailedRound,
    PeerStanding,
    ValidatorStanding,
    Voter,
)
from ghostchain.rpc.views import ADDRESS, BOOLEAN, DATA, HASH, QUANTITY, TEXT, object_schema
from ghostchain.rpc.workers import Deadline

SECONDS = {"type": "number", "minimum": 0}
COUNT = {"type": "integer", "minimum": 0}
NULL = {"type": "null"}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, NULL]}


def list_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


# ---- handlers ----


def status(services: Services) -> Any:
    backend = services.backend
    head, standing, progress = backend.head(), backend.standing(), backend.syncing()
    head_hash = backend.hash_of(head.number)
    consensus_standing = backend.consensus()
    return {
        "version": backend.client_version,
        "chainId": hex(backend.chain_id),
        "head": {
            "number": hex(head.number),
            "hash": format_data(head_hash or bytes(32)),
            "timestamp": hex(head.timestamp),
        },
        "seals": standing.seals,
        "syncing": None
        if progress is None
        else {
            "startingBlock": hex(progress.starting_block),
            "currentBlock": hex(progress.current_block),
            "highestBlock": hex(progress.highest_block),
        },
        "nodeKey": format_data(standing.node_key),
        "p2p": standing.p2p,
        "peers": {"inbound": standing.peers_in, "outbound": standing.peers_out},
        "validator": _validator_json(standing.validator),
        "consensus": None
        if consensus_standing is None
        else {
            "height": hex(consensus_standing.height),
            "round": consensus_standing.round,
            "step": consensus_standing.step,
        },
        "waiting": standing.waits,
        "started": hex(standing.started),
    }


def _validator_json(standing: ValidatorStanding | None) -> Any:
    if standing is None:
        return None
    return {
        "key": format_data(standing.key),
        "operator": None if standing.operator is None else format_data(standing.operator),
        "index": standing.index,
        "silent": standing.silent,
    }


def voters(services: Services, deadline: Deadline, height: int | None) -> Any:
    found = services.backend.voters(height)
    if found is None:
        return None
    return {
        "height": hex(found.height),
        "total": hex(found.total),
        "quorum": hex(found.quorum),
        "proposer": found.proposer,
        "validators": [_voter_json(voter) for voter in found.voters],
    }


def _voter_json(voter: Voter) -> dict[str, Any]:
    return {
        "index": voter.index,
        "operator": format_data(voter.operator),
        "key": format_data(voter.key),
        "power": hex(voter.power),
    }


def peers(services: Services) -> Any:
    return [_peer_json(peer) for peer in services.backend.peers()]


def _peer_json(peer: PeerStanding) -> dict[str, Any]:
    return {
        "key": format_data(peer.key),
        "address": peer.address,
        "inbound": peer.is_inbound,
        "version": peer.version,
        "head": hex(peer.head),
        "score": peer.score,
        "validator": None if peer.validator is None else format_data(peer.validator),
        "connectedSeconds": round(peer.connected_s, 3),
        "bytesIn": peer.bytes_in,
        "bytesOut": peer.bytes_out,
    }


def consensus(services: Services) -> Any:
    standing = services.backend.consensus()
    return None if standing is None else _consensus_json(standing)


def _consensus_json(standing: ConsensusStanding) -> dict[str, Any]:
    return {
        "height": hex(standing.height),
        "round": standing.round,
        "step": standing.step,
        "sinceSeconds": round(standing.since_s, 3),
        "proposer": standing.proposer,
        "proposal": _hash_or_none(standing.proposal),
        "total": hex(standing.total),
        "quorum": hex(standing.quorum),
        "validators": [
            {
                **_voter_json(voter),
                "prevote": _hash_or_none(voter.prevote),
                "precommit": _hash_or_none(voter.precommit),
            }
            for voter in standing.voters
        ],
        "failed": [_failed_json(failed) for failed in standing.failed],
    }


def _failed_json(failed: FailedRound) -> dict[str, Any]:
    return {
        "height": hex(failed.height),
        "round": failed.round,
        "reason": failed.reason,
        "proposer": failed.proposer,
        "missing": list(failed.missing),
    }


def _hash_or_none(value: Hash32 | None) -> str | None:
    return None if value is None else format_data(value)


def certificate(services: Services, deadline: Deadline, block: Any) -> Any:
    number = services.number_of(block)
    found = None if number is None else services.backend.certificate(number)
    if found is None:
        return None
    return {
        "height": hex(found.height),
        "round": found.round,
        "blockHash": format_data(found.block_hash),
        "size": found.size,
        "signers": list(found.signers),
        "signatures": [format_data(signature) for signature in found.signatures],
        "raw": format_data(found.raw),
    }


# ---- rows ----

STATUS_SCHEMA = object_schema(
    {
        "version": TEXT,
        "chainId": QUANTITY,
        "head": object_schema({"number": QUANTITY, "hash": HASH, "timestamp": QUANTITY}),
        "seals": {"enum": ["consensus", "solo"]},
        "syncing": or_null(
            object_schema(
                dict.fromkeys(("startingBlock", "currentBlock", "highestBlock"), QUANTITY)
            )
        ),
        "nodeKey": DATA,
        "p2p": TEXT,
        "peers": object_schema({"inbound": COUNT, "outbound": COUNT}),
        "validator": or_null(
            object_schema(
                {
                    "key": HASH,
                    "operator": or_null(ADDRESS),
                    "index": or_null(COUNT),
                    "silent": TEXT,
                }
            )
        ),
        "consensus": or_null(object_schema({"height": QUANTITY, "round": COUNT, "step": TEXT})),
        "waiting": COUNT,
        "started": QUANTITY,
    }
)
VOTER = {"index": COUNT, "operator": ADDRESS, "key": HASH, "power": QUANTITY}
VOTERS_SCHEMA = or_null(
    object_schema(
        {
            "height": QUANTITY,
            "total": QUANTITY,
            "quorum": QUANTITY,
            "proposer": COUNT,
            "validators": list_of(object_schema(VOTER)),
        }
    )
)
PEER_SCHEMA = object_schema(
    {
        "key": HASH,
        "address": TEXT,
        "inbound": BOOLEAN,
        "version": TEXT,
        "head": QUANTITY,
        "score": {"type": "integer"},
        "validator": or_null(ADDRESS),
        "connectedSeconds": SECONDS,
        "bytesIn": COUNT,
        "bytesOut": COUNT,
    }
)
CONSENSUS_SCHEMA = or_null(
    object_schema(
        {
            "height": QUANTITY,
            "round": COUNT,
            "step": TEXT,
            "sinceSeconds": SECONDS,
            "proposer": COUNT,
            "proposal": or_null(HASH),
            "total": QUANTITY,
            "quorum": QUANTITY,
            "validators": list_of(
                object_schema({**VOTER, "prevote": or_null(HASH), "precommit": or_null(HASH)})
            ),
            "failed": list_of(
                object_schema(
                    {
                        "height": QUANTITY,
                        "round": COUNT,
                        "reason": TEXT,
                        "proposer": COUNT,
                        "missing": list_of(COUNT),
                    }
                )
            ),
        }
    )
)
CERTIFICATE_SCHEMA = or_null(
    object_schema(
        {
            "height": QUANTITY,
            "round": COUNT,
            "blockHash": HASH,
            "size": COUNT,
            "signers": list_of(COUNT),
            "signatures": list_of(DATA),
            "raw": DATA,
        }
    )
)
HEIGHT: Argument = (Parameter("height", quantity, required=False), QUANTITY)
BLOCK: Argument = (
    Parameter("block", block_id, required=False, default="latest"),
    {
        "description": "a number, a tag, a hash, or an object of EIP-1898; latest when left out",
        "anyOf": [{"type": "string"}, {"type": "object"}],
    },
)

ROWS = (
    row(
        "ghost_status",
        status,
        "This node: its head, its keys, its peers, how far it is in deciding or in catching up. "
        "`silent` says why a validator does not sign.",
        (),
        "status",
        STATUS_SCHEMA,
        Cost.CHEAP,
    ),
    row(
        "ghost_consensus",
        consensus,
        "The height being decided: round, step, who has said what in this round (all zero: nil), "
        "and the latest rounds that failed, with the reason. null where one node seals alone.",
        (),
        "consensus",
        CONSENSUS_SCHEMA,
        Cost.CHEAP,
    ),
    row(
        "ghost_peers",
        peers,
        "The peers this node is connected to.",
        (),
        "peers",
        list_of(PEER_SCHEMA),
        Cost.CHEAP,
    ),
    row(
        "ghost_voters",
        voters,
        "Who votes at a height (the one being decided when left out), in the order of certificates,"
        " and whose turn it is in round 0. null where that is not known.",
        (HEIGHT,),
        "voters",
        VOTERS_SCHEMA,
    ),
    row(
        "ghost_certificate",
        certificate,
        "The precommits that made a block final: indices in `ghost_voters` of its height, and as "
        "the bytes that validators exchange. null where there is none.",
        (BLOCK,),
        "certificate",
        CERTIFICATE_SCHEMA,
    ),
)
