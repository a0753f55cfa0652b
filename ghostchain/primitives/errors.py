"""Everything that can be refused, and why.

    GhostError
    ├── InvalidEncoding          bytes or text that break their format; .reason: EncodingReason
    ├── InvalidTransaction       .reason: TransactionReason
    ├── InvalidBlock             .reason: BlockReason
    ├── InvalidModule            a WebAssembly module that cannot be a contract: ModuleReason
    ├── InvalidGenesis           a genesis file that cannot start a chain here
    ├── StateUnavailable         the state asked for was pruned or never was
    ├── RemoteError              a chain that was forked elsewhere could not be read there
    │   ├── RemoteFailed         no usable answer in time
    │   └── RemoteRefused        the answer is an error: .code, .data
    ├── RemoteNeeded             the event loop may not wait for a remote node: .answer
    └── StorageError             the data directory cannot serve
        ├── StorageCorrupt       what is on disk contradicts itself
        ├── StorageFailed        the system refused a read or a write
        │   └── StorageFull      … because no space is left
        ├── DirectoryLocked      another process holds the directory
        ├── ForeignDirectory     the directory holds something else
        └── WrongGenesis         the directory belongs to another chain

An invalid value carries its reason and the offending values; an impossible state inside our own
code is an `assert` and is not listed here.
"""

from __future__ import annotations

from concurrent.futures import Future
from enum import Enum, IntEnum
from typing import Any


class GhostError(Exception):
    """The root of all errors that the project raises on purpose."""


class EncodingReason(Enum):
    """Why bytes or text are not the encoding of anything."""

    NOT_TEXT = "not a string"
    EMPTY_TEXT = "empty hex string"
    NO_PREFIX = "hex string without 0x prefix"
    ODD_LENGTH = "hex string of odd length"
    NOT_HEX = "invalid hex string"
    EMPTY_NUMBER = 'hex string "0x"'
    LEADING_ZERO_DIGIT = "hex number with leading zero digits"
    NUMBER_TOO_LARGE = "hex number too large"
    WRONG_LENGTH = "wrong length"
    TOO_LONG = "longer than the limit"
    TRUNCATED = "ends inside an item"
    NOT_CANONICAL = "an item is not in its shortest form"
    TRAILING_BYTES = "bytes after the item"
    TOO_DEEP = "lists nested too deeply"
    NOT_A_LIST = "bytes where a list belongs"
    NOT_BYTES = "a list where bytes belong"
    FIELD_COUNT = "wrong number of fields"
    LEADING_ZERO = "an integer with a leading zero byte"
    FIELD_WIDTH = "a field too short or too long"
    TYPE_UNKNOWN = "unknown type byte"


class InvalidEncoding(GhostError):
    """Bytes or text that break their format. Carries the reason."""

    def __init__(self, reason: EncodingReason, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason


class TransactionReason(IntEnum):
    """Why a transaction is refused, number by number as `enum ghost_tx_reason` of the native
    core. Below 16: found while decoding. From 16 on: against the fork, the block and the state."""

    OK = 0
    RLP_MALFORMED = 1
    TYPE_UNKNOWN = 2
    TRAILING_BYTES = 3
    FIELD_COUNT = 4
    FIELD_WIDTH = 5
    LEADING_ZERO = 6
    SIGNATURE_RANGE = 7
    HIGH_S = 8
    Y_PARITY = 9
    SIGNATURE_INVALID = 10
    SIZE = 11
    TYPE_NOT_YET = 16
    CHAIN_ID = 17
    NONCE_TOO_LOW = 18
    NONCE_TOO_HIGH = 19
    NONCE_IS_MAX = 20
    SENDER_NOT_EOA = 21
    INTRINSIC_GAS_TOO_LOW = 22
    INTRINSIC_GAS_BELOW_FLOOR = 23
    GAS_LIMIT_ABOVE_CAP = 24
    GAS_ALLOWANCE_EXCEEDED = 25
    INSUFFICIENT_ACCOUNT_FUNDS = 26
    GASLIMIT_PRICE_PRODUCT_OVERFLOW = 27
    INSUFFICIENT_MAX_FEE_PER_GAS = 28
    PRIORITY_GREATER_THAN_MAX_FEE = 29
    INITCODE_SIZE_EXCEEDED = 30
    BLOB_CREATE = 31
    BLOB_ZERO = 32
    BLOB_COUNT_EXCEEDED = 33
    BLOB_ALLOWANCE_EXCEEDED = 34
    BLOB_VERSIONED_HASH = 35
    INSUFFICIENT_MAX_FEE_PER_BLOB_GAS = 36
    SET_CODE_CREATE = 37
    SET_CODE_EMPTY = 38
    CALL_COUNT = 48
    CALL_CREATES = 49
    SIGNATURE_SCHEME = 50
    SIGNATURE_LENGTH = 51
    PAYER_FORM = 52
    PAYER_SIGNATURE = 53
    FEE_TOKEN_UNKNOWN = 54
    FEE_TOKEN_CLOSED = 55
    INSUFFICIENT_FEE_TOKEN = 56
    PAYER_FUNDS = 57

    @property
    def can_become_valid(self) -> bool:
        """Whether the same bytes may be valid in a later block."""
        return self in _PASSING_REASONS

    @property
    def test_suite_names(self) -> tuple[str, ...]:
        """The names under which the official test suites expect this reason."""
        names = _TEST_SUITE_NAMES.get(self, ())
        return tuple(f"TransactionException.{name}" for name in names)


_PASSING_REASONS = frozenset(
    {
        TransactionReason.TYPE_NOT_YET,
        TransactionReason.NONCE_TOO_HIGH,
        TransactionReason.GAS_ALLOWANCE_EXCEEDED,
        TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
        TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS,
        TransactionReason.BLOB_ALLOWANCE_EXCEEDED,
        TransactionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS,
        TransactionReason.FEE_TOKEN_CLOSED,
        TransactionReason.INSUFFICIENT_FEE_TOKEN,
        TransactionReason.PAYER_FUNDS,
    }
)

# The suites split some reasons by the field in which they were found, and older vectors use names
# that newer ones no longer do; both are listed.
_TEST_SUITE_NAMES: dict[TransactionReason, tuple[str, ...]] = {
    TransactionReason.OK: (),
    TransactionReason.RLP_MALFORMED: (
        "RLP_ERROR_EOF",
        "RLP_ERROR_SIZE",
        "RLP_ERROR_SIZE_LEADING_ZEROS",
        "RLP_INVALID_DATA",
        "RLP_INVALID_GASLIMIT",
        "RLP_INVALID_HEADER",
        "RLP_INVALID_NONCE",
        "RLP_INVALID_SIGNATURE_R",
        "RLP_INVALID_SIGNATURE_S",
        "RLP_INVALID_TO",
        "RLP_LEADING_ZEROS_DATA_SIZE",
        "RLP_LEADING_ZEROS_NONCE_SIZE",
        "TYPE_4_INVALID_AUTHORIZATION_FORMAT",
        "TYPE_NOT_SUPPORTED",
    ),
    TransactionReason.TYPE_UNKNOWN: ("TYPE_NOT_SUPPORTED",),
    TransactionReason.TRAILING_BYTES: ("RLP_ERROR_SIZE",),
    TransactionReason.FIELD_COUNT: (
        "RLP_TOO_FEW_ELEMENTS",
        "RLP_TOO_MANY_ELEMENTS",
        "TYPE_4_INVALID_AUTHORIZATION_FORMAT",
    ),
    TransactionReason.FIELD_WIDTH: (
        "ADDRESS_TOO_LONG",
        "ADDRESS_TOO_SHORT",
        "GASLIMIT_OVERFLOW",
        "GASPRICE_OVERFLOW",
        "INVALID_CHAINID",
        "INVALID_SIGNATURE_VRS",
        "NONCE_OVERFLOW",
        "NONCE_TOO_BIG",
        "PRIORITY_OVERFLOW",
        "RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_LONG",
        "RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_SHORT",
        "RLP_INVALID_ACCESS_LIST_STORAGE_TOO_LONG",
        "RLP_INVALID_ACCESS_LIST_STORAGE_TOO_SHORT",
        "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH",
        "TYPE_4_INVALID_AUTHORIZATION_FORMAT",
        "VALUE_OVERFLOW",
    ),
    TransactionReason.LEADING_ZERO: (
        "RLP_LEADING_ZEROS_BASEFEE",
        "RLP_LEADING_ZEROS_GASLIMIT",
        "RLP_LEADING_ZEROS_GASPRICE",
        "RLP_LEADING_ZEROS_NONCE",
        "RLP_LEADING_ZEROS_PRIORITY_FEE",
        "RLP_LEADING_ZEROS_R",
        "RLP_LEADING_ZEROS_S",
        "RLP_LEADING_ZEROS_V",
        "RLP_LEADING_ZEROS_VALUE",
        "TYPE_4_INVALID_AUTHORIZATION_FORMAT",
    ),
    TransactionReason.SIGNATURE_RANGE: ("INVALID_SIGNATURE_VRS", "EC_RECOVERY_FAIL"),
    TransactionReason.HIGH_S: ("INVALID_SIGNATURE_VRS",),
    TransactionReason.Y_PARITY: ("INVALID_SIGNATURE_VRS", "INVALID_CHAINID"),
    TransactionReason.SIGNATURE_INVALID: ("EC_RECOVERY_FAIL", "INVALID_SIGNATURE_VRS"),
    TransactionReason.SIZE: (),
    TransactionReason.TYPE_NOT_YET: (
        "TYPE_1_TX_PRE_FORK",
        "TYPE_2_TX_PRE_FORK",
        "TYPE_3_TX_PRE_FORK",
        "TYPE_3_TX_ZERO_BLOBS_PRE_FORK",
        "TYPE_4_TX_PRE_FORK",
        "TYPE_NOT_SUPPORTED",
    ),
    TransactionReason.CHAIN_ID: ("INVALID_CHAINID",),
    TransactionReason.NONCE_TOO_LOW: ("NONCE_MISMATCH_TOO_LOW",),
    TransactionReason.NONCE_TOO_HIGH: ("NONCE_MISMATCH_TOO_HIGH",),
    TransactionReason.NONCE_IS_MAX: ("NONCE_IS_MAX", "NONCE_TOO_BIG"),
    TransactionReason.SENDER_NOT_EOA: ("SENDER_NOT_EOA",),
    TransactionReason.INTRINSIC_GAS_TOO_LOW: ("INTRINSIC_GAS_TOO_LOW",),
    TransactionReason.INTRINSIC_GAS_BELOW_FLOOR: (
        "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST",
        "INTRINSIC_GAS_TOO_LOW",
    ),
    TransactionReason.GAS_LIMIT_ABOVE_CAP: ("GAS_LIMIT_EXCEEDS_MAXIMUM",),
    TransactionReason.GAS_ALLOWANCE_EXCEEDED: ("GAS_ALLOWANCE_EXCEEDED",),
    TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS: ("INSUFFICIENT_ACCOUNT_FUNDS",),
    TransactionReason.GASLIMIT_PRICE_PRODUCT_OVERFLOW: ("GASLIMIT_PRICE_PRODUCT_OVERFLOW",),
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS: ("INSUFFICIENT_MAX_FEE_PER_GAS",),
    TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE: (
        "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
        "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2",
    ),
    TransactionReason.INITCODE_SIZE_EXCEEDED: ("INITCODE_SIZE_EXCEEDED",),
    TransactionReason.BLOB_CREATE: ("TYPE_3_TX_CONTRACT_CREATION",),
    TransactionReason.BLOB_ZERO: ("TYPE_3_TX_ZERO_BLOBS",),
    TransactionReason.BLOB_COUNT_EXCEEDED: ("TYPE_3_TX_BLOB_COUNT_EXCEEDED",),
    TransactionReason.BLOB_ALLOWANCE_EXCEEDED: ("TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED",),
    TransactionReason.BLOB_VERSIONED_HASH: ("TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH",),
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS: ("INSUFFICIENT_MAX_FEE_PER_BLOB_GAS",),
    TransactionReason.SET_CODE_CREATE: ("TYPE_4_TX_CONTRACT_CREATION",),
    TransactionReason.SET_CODE_EMPTY: ("TYPE_4_EMPTY_AUTHORIZATION_LIST",),
}


class InvalidTransaction(GhostError):
    """A transaction that is refused. values hold what was wrong, by name (wei, gas, counts)."""

    def __init__(
        self, reason: TransactionReason, message: str = "", **values: int | bytes | None
    ) -> None:
        super().__init__(message or reason.name)
        self.reason = reason
        self.values = values


class ModuleReason(IntEnum):
    """Why a WebAssembly module cannot be a contract, number by number as `enum ghost_wasm_reason`
    of the native core. Up to 19: not the binary format. Up to 49: against WebAssembly's rules of
    validation. From 50 on: WebAssembly that contracts may not use."""

    OK = 0
    MAGIC = 1
    TRUNCATED = 2
    LEB = 3
    SECTION_UNKNOWN = 4
    SECTION_ORDER = 5
    SECTION_SIZE = 6
    NAME_UTF8 = 7
    FORM = 8
    FUNCTION_COUNT = 9
    BODY_SIZE = 10
    OPCODE = 11
    BLOCKS = 12
    DATA_COUNT = 13
    TYPE_INDEX = 20
    FUNCTION_INDEX = 21
    TABLE_INDEX = 22
    MEMORY_INDEX = 23
    GLOBAL_INDEX = 24
    LOCAL_INDEX = 25
    LABEL_INDEX = 26
    DATA_INDEX = 27
    TYPE_MISMATCH = 28
    STACK_UNDERFLOW = 29
    STACK_LEFTOVER = 30
    ALIGNMENT = 31
    GLOBAL_IMMUTABLE = 32
    LIMITS = 33
    EXPORT_TWICE = 34
    CONSTANT = 35
    TOO_LARGE = 50
    TOO_MANY = 51
    BODY_TOO_LARGE = 52
    TOO_DEEP = 53
    OPERANDS = 54
    NAME_LENGTH = 55
    FLOAT = 56
    SIMD = 57
    THREADS = 58
    EXCEPTIONS = 59
    TAIL_CALL = 60
    REFERENCES = 61
    GC = 62
    MEMORY64 = 63
    MULTI_MEMORY = 64
    MULTI_TABLE = 65
    EXTENDED_CONSTANT = 66
    PAGE_SIZE = 67
    WIDE_ARITHMETIC = 68
    COMPONENT = 69
    START = 70
    IMPORT_MODULE = 71
    IMPORT_NAME = 72
    IMPORT_TYPE = 73
    IMPORT_KIND = 74
    MEMORY_MISSING = 75
    MEMORY_PAGES = 76
    TABLE_SIZE = 77
    ELEMENT_BOUNDS = 78
    DATA_BOUNDS = 79
    ENTRYPOINT = 80
    MEMORY_EXPORT = 81
    TOO_COMPLEX = 82


class InvalidModule(GhostError):
    """A module that cannot be a contract. Carries the reason and where in the module it is."""

    def __init__(self, reason: ModuleReason, message: str, offset: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.offset = offset


class BlockReason(Enum):
    """Why a block is refused. Names are those of the official test suite's BlockException, but for
    NOT_THE_NEXT_HEIGHT and what follows it, which only a chain with consensus knows."""

    RLP_STRUCTURES_ENCODING = "the block's bytes are not a block"
    RLP_BLOCK_LIMIT_EXCEEDED = "the block is longer than the protocol allows"
    UNKNOWN_PARENT = "the parent is not known"
    INVALID_BLOCK_NUMBER = "the number is not the parent's plus one"
    INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT = "the timestamp is not after the parent's"
    INVALID_GASLIMIT = "the gas limit moved too far or is too low"
    GAS_USED_OVERFLOW = "the gas used is above the gas limit"
    INVALID_GAS_USED = "the gas used differs from what execution used"
    INVALID_BASEFEE_PER_GAS = "the base fee is not what the parent demands"
    EXTRA_DATA_TOO_BIG = "the extra data is longer than 32 bytes"
    IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS = "the difficulty is not zero"
    IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS = "there are ommers"
    INCORRECT_BLOCK_FORMAT = "a field is present or absent against the fork"
    INCORRECT_BLOB_GAS_USED = "the blob gas used differs from the transactions'"
    INCORRECT_EXCESS_BLOB_GAS = "the excess blob gas is not what the parent demands"
    BLOB_GAS_USED_ABOVE_LIMIT = "the blob gas used is above the limit"
    INVALID_WITHDRAWALS_ROOT = "the withdrawals root differs"
    INVALID_TRANSACTIONS_ROOT = "the transactions root differs"
    INVALID_RECEIPTS_ROOT = "the receipts root differs"
    INVALID_STATE_ROOT = "the state root differs"
    INVALID_LOG_BLOOM = "the bloom differs"
    INVALID_BLOCK_HASH = "the hash differs"
    INVALID_REQUESTS = "the requests hash differs"
    INVALID_DEPOSIT_EVENT_LAYOUT = "a deposit log is malformed"
    SYSTEM_CONTRACT_EMPTY = "a system contract has no code"
    SYSTEM_CONTRACT_CALL_FAILED = "a system contract failed"
    INVALID_TRANSACTION = "a transaction is invalid"
    NOT_THE_NEXT_HEIGHT = "the height is already decided"
    INVALID_SEAL = "the block does not commit to its parent's certificate and the next validators"
    INVALID_CERTIFICATE = "the parent's certificate does not hold"
    INVALID_RANDOMNESS = "the randomness is not what the proposer's key gives"
    INVALID_PROPOSER = "the coinbase is not the proposer's"
    INVALID_ROUND = "the extra data does not name the round of the proposal"
    INVALID_ORDERS = "the withdrawals are not the protocol's orders"
    INVALID_PROPOSAL_TIME = "proposed too early or too late for its timestamp"

    @property
    def test_suite_names(self) -> tuple[str, ...]:
        """The names under which the official test suites expect this reason."""
        names = (self.name, *_BLOCK_ALIASES.get(self, ()))
        return tuple(f"BlockException.{name}" for name in names)


# The suites tell some faults more finely than a block's reason does, and some by other names.
_BLOCK_ALIASES: dict[BlockReason, tuple[str, ...]] = {
    BlockReason.RLP_STRUCTURES_ENCODING: (
        "INCORRECT_BLOCK_FORMAT",
        "RLP_INVALID_ADDRESS",
        "RLP_INVALID_FIELD_OVERFLOW_64",
        "RLP_WITHDRAWALS_NOT_READ",
    ),
    BlockReason.UNKNOWN_PARENT: ("UNKNOWN_PARENT_ZERO",),
    BlockReason.INVALID_GASLIMIT: ("GASLIMIT_TOO_BIG",),
    BlockReason.GAS_USED_OVERFLOW: ("INVALID_GAS_USED", "INVALID_GAS_USED_ABOVE_LIMIT"),
    BlockReason.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS: ("INVALID_DIFFICULTY",),
    BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS: ("INVALID_UNCLES_HASH", "TOO_MANY_UNCLES"),
}


class InvalidBlock(GhostError):
    """A block that is refused.

    transaction and transaction_index say which transaction was invalid and why, where the reason
    is INVALID_TRANSACTION.
    """

    def __init__(
        self,
        reason: BlockReason,
        message: str = "",
        *,
        transaction: InvalidTransaction | None = None,
        transaction_index: int | None = None,
    ) -> None:
        super().__init__(message or reason.value)
        self.reason = reason
        self.transaction = transaction
        self.transaction_index = transaction_index


class InvalidGenesis(GhostError):
    """A genesis file that is malformed or asks for rules that are not supported."""


class StateUnavailable(GhostError):
    """The state of that block is not kept (pruned), or there is no such block."""


class RemoteError(GhostError):
    """The node that a fork reads from did not give what was needed. The message names its host,
    never its whole URL, since that may hold a key."""


class RemoteFailed(RemoteError):
    """No usable answer came in time, whatever was tried."""


class UnknownCode(RemoteFailed):
    """No account that was read has code with that hash, so nobody can be asked for it."""


class RemoteRefused(RemoteError):
    """The remote node answered with a JSON-RPC error. reason: its message, as it came."""

    def __init__(self, message: str, code: int, reason: str, data: object = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.data = data


class RemoteNeeded(GhostError):
    """What a thread that must not wait asked for is not here, and has been asked of the remote
    node. answer: done when it is here, or has failed; then ask again."""

    def __init__(self, answer: Future[Any]) -> None:
        super().__init__("to be asked of the remote node")
        self.answer = answer


class StorageError(GhostError):
    """The data directory cannot serve; the message says what to do about it."""


class StorageCorrupt(StorageError):
    """What is on disk contradicts itself or fails its checksum."""


class StorageFailed(StorageError):
    """The operating system refused a read or a write. Fatal: nothing is written afterwards."""


class StorageFull(StorageFailed):
    """No space is left on the device."""


class DirectoryLocked(StorageError):
    """Another process works on this data directory."""


class ForeignDirectory(StorageError):
    """The directory holds something that is not ours, or of a layout that is not known."""


class WrongGenesis(StorageError):
    """The directory holds a chain with another genesis."""
