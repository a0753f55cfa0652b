/* One transaction: whether it may run, what it pays, what it does. Follows the order of the
 * executable specification (check_transaction, process_transaction). */
#include "overlay.h"

enum {
    GAS_TRANSACTION = 21000,
    GAS_CREATE = 32000,
    GAS_INIT_CODE_WORD = 2,               /* EIP-3860 */
    GAS_ZERO_BYTE = 4,
    GAS_NONZERO_BYTE = 16,                /* EIP-2028 */
    GAS_ACCESS_ADDRESS = 2400,            /* EIP-2930 */
    GAS_ACCESS_KEY = 1900,
    GAS_NEW_AUTHORITY = 25000,            /* EIP-7702 */
    GAS_AUTHORITY_REFUND = 25000 - 12500,
    GAS_FLOOR_TOKEN = 10,                 /* EIP-7623 */
    GAS_LIMIT_MAX = 1 << 24,              /* EIP-7825 */
    REFUND_QUOTIENT = 5,                  /* EIP-3529 */
    BLOBS_PER_TRANSACTION_MAX = 6,        /* EIP-7594 */
    BLOB_HASH_VERSION = 1,
    TYPE_BLOB = 3,
    TYPE_SET_CODE = 4,
    WIDE_LIMBS = 7
};

u256 u256_times_u64(const u256 *a, uint64_t b, uint64_t *carry) {
    u256 product;
    unsigned __int128 sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (unsigned __int128)a->limbs[i] * b;
        product.limbs[i] = (uint64_t)sum;
        sum >>= 64;
    }
    *carry = (uint64_t)sum;
    return product;
}

/* ---- the blob base fee (EIP-4844, fake_exponential) ---- */

typedef struct wide {
    uint64_t limbs[WIDE_LIMBS];
} wide;

static uint64_t wide_multiply(wide *a, uint64_t factor) {
    unsigned __int128 sum = 0;
    for (int i = 0; i < WIDE_LIMBS; i++) {
        sum += (unsigned __int128)a->limbs[i] * factor;
        a->limbs[i] = (uint64_t)sum;
        sum >>= 64;
    }
    return (uint64_t)sum;
}

static void wide_divide(wide *a, uint64_t divisor) {
    unsigned __int128 rest = 0;
    for (int i = WIDE_LIMBS - 1; i >= 0; i--) {
        rest = (rest << 64) | a->limbs[i];
        a->limbs[i] = (uint64_t)(rest / divisor);
        rest %= divisor;
    }
}

static bool wide_add(wide *a, const wide *b) {
    unsigned __int128 sum = 0;
    for (int i = 0; i < WIDE_LIMBS; i++) {
        sum += (unsigned __int128)a->limbs[i] + b->limbs[i];
        a->limbs[i] = (uint64_t)sum;
        sum >>= 64;
    }
    return sum != 0;
}

static bool wide_is_zero(const wide *a) {
    uint64_t bits = 0;
    for (int i = 0; i < WIDE_LIMBS; i++)
        bits |= a->limbs[i];
    return bits == 0;
}

/* A fee beyond 256 bits is the largest there is: nobody can pay either. */
u256 blob_base_fee(uint64_t excess_blob_gas, uint64_t update_fraction) {
    const u256 unpayable = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    if (update_fraction == 0)
        return u256_from_u64(1);
    wide sum = {{0}}, term = {{update_fraction}};
    for (uint64_t i = 1; !wide_is_zero(&term); i++) {
        if (wide_add(&sum, &term) || wide_multiply(&term, excess_blob_gas) != 0)
            return unpayable;
        wide_divide(&term, update_fraction);
        wide_divide(&term, i);
    }
    wide_divide(&sum, update_fraction);
    for (int i = 4; i < WIDE_LIMBS; i++)
        if (sum.limbs[i] != 0)
            return unpayable;
    return (u256){{sum.limbs[0], sum.limbs[1], sum.limbs[2], sum.limbs[3]}};
}

/* ---- validation ---- */

static void price_data(const ghost_tx *tx, uint32_t fork, tx_terms *terms) {
    size_t zeros = 0;
    for (size_t i = 0; i < tx->data_length; i++)
        zeros += tx->data[i] == 0;
    uint64_t others = tx->data_length - zeros;
    uint64_t gas = GAS_TRANSACTION + zeros * GAS_ZERO_BYTE + others * GAS_NONZERO_BYTE;
    if (tx->is_create)
        gas += GAS_CREATE + (tx->data_length + 31) / 32 * GAS_INIT_CODE_WORD;
    for (size_t i = 0; i < tx->access_count; i++)
        gas += GAS_ACCESS_ADDRESS + tx->access_list[i].key_count * GAS_ACCESS_KEY;
    gas += tx->authorization_count * (uint64_t)GAS_NEW_AUTHORITY;
    terms->intrinsic_gas = gas;
    terms->floor_gas =
        fork >= GHOST_FORK_PRAGUE ? GAS_TRANSACTION + (zeros + others * 4) * GAS_FLOOR_TOKEN : 0;
}

static int check_form(const ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                      tx_terms *terms) {
    uint32_t fork = executor->state.fork;
    if (tx->reason != GHOST_TX_OK)
        return tx->reason;
    if (tx->type > TYPE_SET_CODE || (tx->type == TYPE_SET_CODE && fork < GHOST_FORK_PRAGUE))
        return GHOST_TX_TYPE_NOT_YET;
    if (tx->has_chain_id && tx->chain_id != executor->chain_id)
        return GHOST_TX_CHAIN_ID;
    price_data(tx, fork, terms);
    if (tx->gas_limit < terms->intrinsic_gas)
        return GHOST_TX_INTRINSIC_GAS_TOO_LOW;
    if (tx->gas_limit < terms->floor_gas)
        return GHOST_TX_INTRINSIC_GAS_BELOW_FLOOR;
    if (tx->nonce == UINT64_MAX && !(flags & GHOST_CALL_NO_NONCE_CHECK))
        return GHOST_TX_NONCE_IS_MAX;
    if (tx->is_create && tx->data_length > INIT_CODE_BYTES_MAX)
        return GHOST_TX_INITCODE_SIZE_EXCEEDED;
    if (flags & GHOST_CALL_NO_GAS_CAP)
        return GHOST_TX_OK;
    if (fork >= GHOST_FORK_OSAKA && tx->gas_limit > GAS_LIMIT_MAX)
        return GHOST_TX_GAS_LIMIT_ABOVE_CAP;
    if (tx->gas_limit > executor->gas_limit - executor->gas_used)
        return GHOST_TX_GAS_ALLOWANCE_EXCEEDED;
    return GHOST_TX_OK;
}

static bool all_zero(const uint8_t bytes[32]) {
    static const uint8_t zeros[32];
    return memcmp(bytes, zeros, sizeof zeros) == 0;
}

static int check_fees(const ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                      tx_terms *terms) {
    u256 fee_max = u256_from_be(tx->max_fee_per_gas);
    u256 priority_max = u256_from_be(tx->max_priority_fee_per_gas);
    if (tx->type >= 2 && u256_less(&fee_max, &priority_max))
        return GHOST_TX_PRIORITY_GREATER_THAN_MAX_FEE;
    if ((flags & GHOST_CALL_NO_BASE_FEE) && u256_is_zero(&fee_max)) {
        terms->gas_price = fee_max;
        return GHOST_TX_OK;
    }
    if (u256_less(&fee_max, &executor->base_fee))
        return GHOST_TX_INSUFFICIENT_MAX_FEE_PER_GAS;
    u256 room;
    u256_sub(&room, &fee_max, &executor->base_fee);
    const u256 *priority = u256_less(&priority_max, &room) ? &priority_max : &room;
    u256_add(&terms->gas_price, &executor->base_fee, priority);
    return GHOST_TX_OK;
}

static int check_blobs(const ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                       tx_terms *terms) {
    if (tx->is_create)
        return GHOST_TX_BLOB_CREATE;
    if (tx->blob_count == 0)
        return GHOST_TX_BLOB_ZERO;
    uint64_t blob_gas_max = executor->blobs_max * GAS_PER_BLOB;
    terms->blob_gas = (uint64_t)tx->blob_count * GAS_PER_BLOB;
    if (terms->blob_gas > blob_gas_max - executor->blob_gas_used)
        return GHOST_TX_BLOB_ALLOWANCE_EXCEEDED;
    if (executor->state.fork >= GHOST_FORK_OSAKA && tx->blob_count > BLOBS_PER_TRANSACTION_MAX)
        return GHOST_TX_BLOB_COUNT_EXCEEDED;
    for (size_t i = 0; i < tx->blob_count; i++)
        if (tx->blob_hashes[32 * i] != BLOB_HASH_VERSION)
            return GHOST_TX_BLOB_VERSIONED_HASH;
    if ((flags & GHOST_CALL_NO_BASE_FEE) && all_zero(tx->max_fee_per_blob_gas))
        return GHOST_TX_OK;
    u256 fee_max = u256_from_be(tx->max_fee_per_blob_gas);
    if (u256_less(&fee_max, &executor->vm.block.blob_base_fee))
        return GHOST_TX_INSUFFICIENT_MAX_FEE_PER_BLOB_GAS;
    return GHOST_TX_OK;
}

/* The most the transaction can cost must be there; what it does cost goes into terms->upfront. */
static int check_funds(const ghost_executor *executor, const ghost_tx *tx, tx_terms *terms) {
    uint64_t overflow, blob_overflow, ignored;
    u256 fee_max = u256_from_be(tx->max_fee_per_gas);
    u256 blob_fee_max = u256_from_be(tx->max_fee_per_blob_gas);
    u256 value = u256_from_be(tx->value);
    u256 cost = u256_times_u64(&fee_max, tx->gas_limit, &overflow);
    if (overflow != 0)
        return GHOST_TX_GASLIMIT_PRICE_PRODUCT_OVERFLOW;
    u256 blob_cost = u256_times_u64(&blob_fee_max, terms->blob_gas, &blob_overflow);
    bool carried = u256_add(&cost, &cost, &value);
    carried |= u256_add(&cost, &cost, &blob_cost);
    if (carried || blob_overflow != 0 || u256_less(&terms->sender->account.balance, &cost))
        return GHOST_TX_INSUFFICIENT_ACCOUNT_FUNDS;
    terms->upfront = u256_times_u64(&terms->gas_price, tx->gas_limit, &ignored);
    blob_cost =
        u256_times_u64(&executor->vm.block.blob_base_fee, terms->blob_gas, &ignored);
    u256_add(&terms->upfront, &terms->upfront, &blob_cost);
    return GHOST_TX_OK;
}

static bool has_code(const account_entry *account) {
    return memcmp(account->account.code_hash.bytes, ghost_empty_code_hash.bytes, 32) != 0;
}

static int check_sender(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                        tx_terms *terms) {
    ghost_address address, delegate;
    memcpy(address.bytes, tx->sender, 20);
    terms->sender = state_account(&executor->state, &address);
    if (terms->sender == NULL)
        return -1;
    uint64_t nonce = terms->sender->account.nonce;
    if (!(flags & GHOST_CALL_NO_NONCE_CHECK) && nonce != tx->nonce)
        return tx->nonce < nonce ? GHOST_TX_NONCE_TOO_LOW : GHOST_TX_NONCE_TOO_HIGH;
    if (!(flags & GHOST_CALL_NO_BALANCE_CHECK)) {
        int reason = check_funds(executor, tx, terms);
        if (reason != GHOST_TX_OK)
            return reason;
    }
    if ((flags & GHOST_CALL_NO_EOA_CHECK) || !has_code(terms->sender))
        return GHOST_TX_OK;
    const code_entry *code = state_code(&executor->state, terms->sender);
    if (code == NULL)
        return -1;
    bool is_delegated = executor->state.fork >= GHOST_FORK_PRAGUE &&
                        ghost_code_delegate(&code->code, &delegate);
    return is_delegated ? GHOST_TX_OK : GHOST_TX_SENDER_NOT_EOA;
}

int transaction_validate(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                         tx_terms *terms) {
    memset(terms, 0, sizeof *terms);
    int reason = check_form(executor, tx, flags, terms);
    if (reason == GHOST_TX_OK)
        reason = check_fees(executor, tx, flags, terms);
    if (reason == GHOST_TX_OK && tx->type == TYPE_BLOB)
        reason = check_blobs(executor, tx, flags, terms);
    if (reason == GHOST_TX_OK && tx->type == TYPE_SET_CODE) {
        if (tx->is_create)
            reason = GHOST_TX_SET_CODE_CREATE;
        else if (tx->authorization_count == 0)
            reason = GHOST_TX_SET_CODE_EMPTY;
    }
    return reason == GHOST_TX_OK ? check_sender(executor, tx, flags, terms) : reason;
}

/* ---- execution ---- */

static bool warm_access_list(ghost_state *state, const ghost_tx *tx) {
    for (size_t i = 0; i < tx->access_count; i++) {
        const ghost_access_entry *entry = &tx->access_list[i];
        ghost_address address;
        memcpy(address.bytes, entry->address, 20);
        account_entry *account = state_account(state, &address);
        if (account == NULL)
            return false;
        state_warm_account(state, account);
        for (size_t k = 0; k < entry->key_count; k++) {
            u256 key = u256_from_be(entry->keys + 32 * k);
            slot_entry *slot = state_slot(state, account, &key);
            if (slot == NULL)
                return false;
            state_warm_slot(state, slot);
        }
    }
    return true;
}

/* EIP-7702: one tuple; one that does not hold is passed over. False when the loader failed. */
static bool authorize(ghost_executor *executor, const ghost_authorization *authorization) {
    ghost_state *state = &executor->state;
    u256 chain_id = u256_from_be(authorization->chain_id);
    bool is_here = u256_fits_u64(&chain_id) &&
                   (chain_id.limbs[0] == 0 || chain_id.limbs[0] == executor->chain_id);
    if (!is_here || authorization->nonce == UINT64_MAX || !authorization->authority_ok)
        return true;
    ghost_address address, delegate;
    memcpy(address.bytes, authorization->authority, 20);
    account_entry *authority = state_account(state, &address);
    if (authority == NULL)
        return false;
    state_warm_account(state, authority);
    const code_entry *code = state_code(state, authority);
    if (code == NULL)
        return false;
    if (code->code.length != 0 && !ghost_code_delegate(&code->code, &delegate))
        return true;
    if (authority->account.nonce != authorization->nonce)
        return true;
    if (state_account_exists(authority))
        ghost_state_refund(state, GAS_AUTHORITY_REFUND);
    static const uint8_t nobody[20];
    uint8_t designator[23] = {0xef, 0x01, 0x00};
    memcpy(designator + 3, authorization->address, 20);
    bool clears = memcmp(authorization->address, nobody, sizeof nobody) == 0;
    code_entry *designation = state_intern_code(state, designator, clears ? 0 : 23);
    if (designation == NULL)
        return false;
    state_set_code(state, authority, designation);
    state_set_nonce(state, authority, authority->account.nonce + 1);
    return true;
}

/* Warms what a transaction touches by being there, and applies its authorizations. */
static bool prepare(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms) {
    ghost_state *state = &executor->state;
    state_warm_account(state, terms->sender);
    state_warm_account(state, executor->coinbase);        /* EIP-3651 */
    if (!warm_access_list(state, tx))
        return false;
    for (size_t i = 0; i < tx->authorization_count; i++)
        if (!authorize(executor, &tx->authorizations[i]))
            return false;
    if (tx->is_create)
        return true;
    ghost_address to, delegate;
    memcpy(to.bytes, tx->to, 20);
    account_entry *recipient = state_account(state, &to);
    if (recipient == NULL)
        return false;
    state_warm_account(state, recipient);
    if (!has_code(recipient) || state->fork < GHOST_FORK_PRAGUE)
        return true;
    const code_entry *code = state_code(state, recipient);
    if (code == NULL || !ghost_code_delegate(&code->code, &delegate))
        return code != NULL;
    account_entry *target = state_account(state, &delegate);
    if (target != NULL)
        state_warm_account(state, target);
    return target != NULL;
}

static void run_message(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                        ghost_call_result *result) {
    ghost_message message = {
        .kind = tx->is_create ? GHOST_CREATE : GHOST_CALL,
        .gas = tx->gas_limit - terms->intrinsic_gas,
        .value = u256_from_be(tx->value),
        .input = tx->data,
        .input_length = tx->data_length,
    };
    memcpy(message.sender.bytes, tx->sender, 20);
    if (tx->is_create) {
        ghost_create(&executor->vm, &message, result);
    } else {
        memcpy(message.recipient.bytes, tx->to, 20);
        message.code_address = message.recipient;
        ghost_call(&executor->vm, &message, result);
    }
}

/* Gives back what was not used and pays the coinbase. */
static void settle_fees(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                        uint64_t gas_used) {
    ghost_state *state = &executor->state;
    uint64_t ignored;
    u256 amount = u256_times_u64(&terms->gas_price, tx->gas_limit - gas_used, &ignored);
    if (!u256_is_zero(&amount)) {
        u256_add(&amount, &amount, &terms->sender->account.balance);
        state_set_balance(state, terms->sender, &amount);
    }
    account_entry *coinbase = executor->coinbase;
    u256 tip;
    if (u256_sub(&tip, &terms->gas_price, &executor->base_fee))
        return;
    amount = u256_times_u64(&tip, gas_used, &ignored);
    if (!u256_is_zero(&amount)) {
        u256_add(&amount, &amount, &coinbase->account.balance);
        state_set_balance(state, coinbase, &amount);
    } else if (coinbase->present && ghost_account_is_empty(&coinbase->account)) {
        state_touch(state, coinbase);
    }
}

static int stopped(const ghost_executor *executor) {
    if (executor->state.status != GHOST_OK)
        return executor->state.status;
    return executor->vm.status;
}

int transaction_run(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                    uint32_t flags, tx_effect *effect) {
    ghost_state *state = &executor->state;
    account_entry *sender = terms->sender;
    ghost_tx_context *context = &executor->vm.tx;
    memcpy(context->origin.bytes, tx->sender, 20);
    context->gas_price = terms->gas_price;
    context->blob_hashes = tx->blob_hashes;
    context->blob_count = tx->type == TYPE_BLOB ? tx->blob_count : 0;

    bool is_free = (flags & GHOST_CALL_NO_BALANCE_CHECK) != 0;
    if (sender->account.nonce != UINT64_MAX)
        state_set_nonce(state, sender, sender->account.nonce + 1);
    if (!is_free) {
        u256 balance;
        u256_sub(&balance, &sender->account.balance, &terms->upfront);
        state_set_balance(state, sender, &balance);
    }
    if (!prepare(executor, tx, terms))
        return state->status;
    run_message(executor, tx, terms, &effect->result);
    int status = stopped(executor);
    if (status != GHOST_OK)
        return status;

    uint64_t used = tx->gas_limit - effect->result.gas_left;
    uint64_t refund = state->refund > 0 ? (uint64_t)state->refund : 0;
    if (refund > used / REFUND_QUOTIENT)
        refund = used / REFUND_QUOTIENT;
    used -= refund;
    effect->gas_refunded = refund;
    effect->gas_used = used > terms->floor_gas ? used : terms->floor_gas;
    if (!is_free)
        settle_fees(executor, tx, terms, effect->gas_used);
    return stopped(executor);
}
