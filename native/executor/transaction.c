/* One transaction: whether it may run, what it pays, what it does. Follows the order of the
 * executable specification (check_transaction, process_transaction). */
#include "overlay.h"

enum {
    GAS_TRANSACTION = 21000,
    GAS_ZERO_BYTE = 4,
    GAS_NONZERO_BYTE = 16,                /* EIP-2028 */
    GAS_ACCESS_ADDRESS = 2400,            /* EIP-2930 */
    GAS_ACCESS_KEY = 1900,
    GAS_NEW_AUTHORITY = 25000,            /* EIP-7702 */
    GAS_AUTHORITY_REFUND = 25000 - 12500,
    GAS_FLOOR_TOKEN = 10,                 /* EIP-7623 */
    GAS_FURTHER_CALL = 2600,              /* of a GhostTx: a cold account */
    GAS_FEE_TOKEN = 15000,                /* the slots its fee touches */
    GAS_PAYER_SECP256K1 = 3000,           /* as ECRECOVER */
    GAS_ED25519 = 4000,
    GAS_ML_DSA_65 = 90000,                /* 5.3 kB that every node keeps, and verification */
    CALLS_MAX = 256,
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

static size_t count_zeros(const uint8_t *data, size_t length) {
    size_t zeros = 0;
    for (size_t i = 0; i < length; i++)
        zeros += data[i] == 0;
    return zeros;
}

static uint64_t signature_gas(uint8_t scheme, uint64_t secp256k1_gas) {
    switch (scheme) {
    case GHOST_SCHEME_ED25519:
        return GAS_ED25519;
    case GHOST_SCHEME_ML_DSA_65:
        return GAS_ML_DSA_65;
    default:
        return secp256k1_gas;
    }
}

/* What a GhostTx costs beyond its first call. Adds the other calls' bytes to those of the first. */
static uint64_t price_ghost(const ghost_tx *tx, size_t *zeros, uint64_t *others) {
    for (size_t i = 1; i < tx->call_count; i++) {
        const ghost_tx_call *call = &tx->calls[i];
        size_t call_zeros = count_zeros(call->data, call->data_length);
        *zeros += call_zeros;
        *others += call->data_length - call_zeros;
    }
    uint64_t gas = (tx->call_count - 1) * GAS_FURTHER_CALL;
    gas += signature_gas(tx->signature.scheme, 0);
    if (tx->has_fee_payer)
        gas += signature_gas(tx->payer_signature.scheme, GAS_PAYER_SECP256K1);
    return gas;
}

static void price_data(const ghost_tx *tx, uint32_t fork, tx_terms *terms) {
    size_t zeros = count_zeros(tx->data, tx->data_length);
    uint64_t others = tx->data_length - zeros;
    uint64_t gas = GAS_TRANSACTION;
    if (tx->type == GHOST_TX_TYPE_GHOST)
        gas += price_ghost(tx, &zeros, &others);
    if (terms->token != NULL)
        gas += GAS_FEE_TOKEN;
    gas += zeros * GAS_ZERO_BYTE + others * GAS_NONZERO_BYTE;
    if (tx->is_create)
        gas += GAS_CREATE + (tx->data_length + 31) / 32 * GAS_INIT_CODE_WORD;
    for (size_t i = 0; i < tx->access_count; i++)
        gas += GAS_ACCESS_ADDRESS + tx->access_list[i].key_count * GAS_ACCESS_KEY;
    gas += tx->authorization_count * (uint64_t)GAS_NEW_AUTHORITY;
    terms->intrinsic_gas = gas;
    terms->floor_gas =
        fork >= GHOST_FORK_PRAGUE ? GAS_TRANSACTION + (zeros + others * 4) * GAS_FLOOR_TOKEN : 0;
}

/* The form of a GhostTx, which decoding has seen already, but not for messages built by hand. */
static int check_calls(const ghost_tx *tx) {
    if (tx->calls == NULL || tx->call_count == 0 || tx->call_count > CALLS_MAX)
        return GHOST_TX_CALL_COUNT;
    for (size_t i = 0; i < tx->call_count; i++)
        if (tx->calls[i].is_create && tx->call_count > 1)
            return GHOST_TX_CALL_CREATES;
    bool is_known = tx->signature.scheme <= GHOST_SCHEME_ML_DSA_65 &&
                    (!tx->has_fee_payer || tx->payer_signature.scheme <= GHOST_SCHEME_ML_DSA_65);
    return is_known ? GHOST_TX_OK : GHOST_TX_SIGNATURE_SCHEME;
}

/* What only a hybrid chain has: calls, and the token in which fees are paid. */
static int check_hybrid(ghost_executor *executor, const ghost_tx *tx, tx_terms *terms) {
    bool is_known = tx->type == GHOST_TX_TYPE_GHOST || tx->type == GHOST_TX_TYPE_FEE_CURRENCY;
    if (!executor->vm.hybrid || !is_known)
        return GHOST_TX_TYPE_NOT_YET;
    int reason = tx->type == GHOST_TX_TYPE_GHOST ? check_calls(tx) : GHOST_TX_OK;
    if (reason == GHOST_TX_OK && tx->has_fee_token)
        reason = fees_choose_token(executor, tx, terms);
    return reason;
}

static int check_form(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                      tx_terms *terms) {
    uint32_t fork = executor->state.fork;
    if (tx->reason != GHOST_TX_OK)
        return tx->reason;
    if (tx->type == TYPE_SET_CODE && fork < GHOST_FORK_PRAGUE)
        return GHOST_TX_TYPE_NOT_YET;
    if (tx->has_chain_id && tx->chain_id != executor->chain_id)
        return GHOST_TX_CHAIN_ID;
    terms->base_fee = &executor->base_fee;
    int reason = tx->type > TYPE_SET_CODE ? check_hybrid(executor, tx, terms) : GHOST_TX_OK;
    if (reason != GHOST_TX_OK)
        return reason;
    price_data(tx, fork, terms);
    if (tx->gas_limit < terms->intrinsic_gas)
        return GHOST_TX_INTRINSIC_GAS_TOO_LOW;
    if (tx->gas_limit < terms->floor_gas)
        return GHOST_TX_INTRINSIC_GAS_BELOW_FLOOR;
    if (tx->nonce == UINT64_MAX && !(flags & GHOST_CALL_NO_NONCE_CHECK))
        return GHOST_TX_NONCE_IS_MAX;
    if (tx->is_create &&
        tx->data_length > ghost_init_code_max(executor->vm.hybrid, executor->vm.code_bytes_max,
                                              tx->data, tx->data_length))
        return GHOST_TX_INITCODE_SIZE_EXCEEDED;
    if (flags & GHOST_CALL_NO_GAS_CAP)
        return GHOST_TX_OK;
    /* Honest prices of making a large module ready are beyond the cap. */
    bool is_module = executor->vm.hybrid && tx->is_create &&
                     ghost_is_wasm(tx->data, tx->data_length);
    if (tx->gas_limit > executor->transaction_gas_max && !is_module)
        return GHOST_TX_GAS_LIMIT_ABOVE_CAP;
    if (tx->gas_limit > executor->gas_limit - executor->gas_used)
        return GHOST_TX_GAS_ALLOWANCE_EXCEEDED;
    return GHOST_TX_OK;
}

static bool all_zero(const uint8_t bytes[32]) {
    static const uint8_t zeros[32];
    return memcmp(bytes, zeros, sizeof zeros) == 0;
}

static int check_fees(const ghost_tx *tx, uint32_t flags, tx_terms *terms) {
    u256 fee_max = u256_from_be(tx->max_fee_per_gas);
    u256 priority_max = u256_from_be(tx->max_priority_fee_per_gas);
    if (tx->type >= 2 && u256_less(&fee_max, &priority_max))
        return GHOST_TX_PRIORITY_GREATER_THAN_MAX_FEE;
    if ((flags & GHOST_CALL_NO_BASE_FEE) && u256_is_zero(&fee_max)) {
        terms->gas_price = fee_max;
        return GHOST_TX_OK;
    }
    if (u256_less(&fee_max, terms->base_fee))
        return GHOST_TX_INSUFFICIENT_MAX_FEE_PER_GAS;
    u256 room;
    u256_sub(&room, &fee_max, terms->base_fee);
    const u256 *priority = u256_less(&priority_max, &room) ? &priority_max : &room;
    u256_add(&terms->gas_price, terms->base_fee, priority);
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
static int check_funds(ghost_executor *executor, const ghost_tx *tx, tx_terms *terms) {
    uint64_t overflow, blob_overflow, ignored;
    u256 fee_max = u256_from_be(tx->max_fee_per_gas);
    u256 blob_fee_max = u256_from_be(tx->max_fee_per_blob_gas);
    u256 value = u256_from_be(tx->value);
    u256 cost = u256_times_u64(&fee_max, tx->gas_limit, &overflow);
    if (overflow != 0)
        return GHOST_TX_GASLIMIT_PRICE_PRODUCT_OVERFLOW;
    if (terms->token != NULL || terms->payer != terms->sender) {
        terms->upfront = u256_times_u64(&terms->gas_price, tx->gas_limit, &ignored);
        return fees_check_payer(executor, tx, &cost, terms);
    }
    u256 blob_cost = u256_times_u64(&blob_fee_max, terms->blob_gas, &blob_overflow);
    bool carried = u256_add(&cost, &cost, &value);
    carried |= u256_add(&cost, &cost, &blob_cost);
    if (carried || blob_overflow != 0 || u256_less(&terms->sender->account.balance, &cost))
        return GHOST_TX_INSUFFICIENT_ACCOUNT_FUNDS;
    terms->upfront = u256_times_u64(&terms->gas_price, tx->gas_limit, &ignored);
    /* What is less than the block asks is a call's that pays nothing for blobs. */
    const u256 *blob_fee = &executor->vm.block.blob_base_fee;
    if (u256_less(&blob_fee_max, blob_fee))
        blob_fee = &blob_fee_max;
    blob_cost = u256_times_u64(blob_fee, terms->blob_gas, &ignored);
    u256_add(&terms->upfront, &terms->upfront, &blob_cost);
    return GHOST_TX_OK;
}

/* EIP-3607: no code, or but a delegation's. */
static int check_signer(ghost_executor *executor, account_entry *signer) {
    if (!state_account_has_code(signer))
        return GHOST_TX_OK;
    ghost_address delegate;
    const code_entry *code = state_code(&executor->state, signer);
    if (code == NULL)
        return -1;
    bool is_delegated = executor->state.fork >= GHOST_FORK_PRAGUE &&
                        ghost_code_delegate(&code->code, &delegate);
    return is_delegated ? GHOST_TX_OK : GHOST_TX_SENDER_NOT_EOA;
}

static int check_sender(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                        tx_terms *terms) {
    ghost_address address;
    memcpy(address.bytes, tx->sender, 20);
    terms->sender = terms->payer = state_account(&executor->state, &address);
    if (terms->sender != NULL && tx->type == GHOST_TX_TYPE_GHOST && tx->has_fee_payer) {
        memcpy(address.bytes, tx->fee_payer, 20);
        terms->payer = state_account(&executor->state, &address);
    }
    if (terms->sender == NULL || terms->payer == NULL)
        return -1;
    uint64_t nonce = terms->sender->account.nonce;
    if (!(flags & GHOST_CALL_NO_NONCE_CHECK) && nonce != tx->nonce)
        return tx->nonce < nonce ? GHOST_TX_NONCE_TOO_LOW : GHOST_TX_NONCE_TOO_HIGH;
    if (!(flags & GHOST_CALL_NO_BALANCE_CHECK)) {
        int reason = check_funds(executor, tx, terms);
        if (reason != GHOST_TX_OK)
            return reason;
    }
    /* EIP-3607 is about keys: nobody has signed for whom a development chain sends. */
    if ((flags & GHOST_CALL_NO_EOA_CHECK) || tx->is_unsigned)
        return GHOST_TX_OK;
    int reason = check_signer(executor, terms->sender);
    return reason == GHOST_TX_OK ? check_signer(executor, terms->payer) : reason;
}

int transaction_validate(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                         tx_terms *terms) {
    memset(terms, 0, sizeof *terms);
    int reason = check_form(executor, tx, flags, terms);
    if (reason == GHOST_TX_OK)
        reason = check_fees(tx, flags, terms);
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

/* The recipient of a call, and what it delegates to. False when the loader failed. */
static bool warm_recipient(ghost_state *state, const uint8_t bytes[20]) {
    ghost_address to, delegate;
    memcpy(to.bytes, bytes, 20);
    account_entry *recipient = state_account(state, &to);
    if (recipient == NULL)
        return false;
    state_warm_account(state, recipient);
    if (!state_account_has_code(recipient) || state->fork < GHOST_FORK_PRAGUE)
        return true;
    const code_entry *code = state_code(state, recipient);
    if (code == NULL || !ghost_code_delegate(&code->code, &delegate))
        return code != NULL;
    account_entry *target = state_account(state, &delegate);
    if (target != NULL)
        state_warm_account(state, target);
    return target != NULL;
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
    for (size_t i = 1; i < tx->call_count; i++)
        if (!warm_recipient(state, tx->calls[i].to))
            return false;
    return warm_recipient(state, tx->to);
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

/* The calls of a GhostTx, each with the gas that those before it left: all happen, or none does.
 * *result is that of the last, or of the one that failed. */
static void run_calls(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                      ghost_call_result *result) {
    ghost_state *state = &executor->state;
    snapshot before = state_snapshot(state);
    result->gas_left = tx->gas_limit - terms->intrinsic_gas;
    for (size_t i = 0; i < tx->call_count; i++) {
        const ghost_tx_call *call = &tx->calls[i];
        ghost_message message = {
            .kind = GHOST_CALL,
            .gas = result->gas_left,
            .value = u256_from_be(call->value),
            .input = call->data,
            .input_length = call->data_length,
        };
        memcpy(message.sender.bytes, tx->sender, 20);
        memcpy(message.recipient.bytes, call->to, 20);
        message.code_address = message.recipient;
        ghost_call(&executor->vm, &message, result);
        if (result->exit == GHOST_EXIT_SUCCESS)
            continue;
        if (result->exit != GHOST_EXIT_ABORT)
            state_revert(state, &before);
        return;
    }
}

static void take_fees(ghost_executor *executor, const tx_terms *terms) {
    if (terms->token != NULL) {
        fees_take_token(executor, terms);
        return;
    }
    u256 balance;
    u256_sub(&balance, &terms->payer->account.balance, &terms->upfront);
    state_set_balance(&executor->state, terms->payer, &balance);
}

/* The base fee of gas and of blobs, which nobody gets. */
static void burn_fees(ghost_executor *executor, const tx_terms *terms, uint64_t gas_used) {
    uint64_t ignored;
    if (!executor->state.counts_supply)
        return;
    u256 amount = u256_times_u64(terms->base_fee, gas_used, &ignored);
    state_burn(&executor->state, &amount);
    amount = u256_times_u64(&executor->vm.block.blob_base_fee, terms->blob_gas, &ignored);
    state_burn(&executor->state, &amount);
}

/* Gives back what was not used and pays the coinbase. */
static void settle_fees(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                        uint64_t gas_used) {
    ghost_state *state = &executor->state;
    uint64_t ignored;
    u256 amount = u256_times_u64(&terms->gas_price, tx->gas_limit - gas_used, &ignored);
    if (!u256_is_zero(&amount)) {
        u256_add(&amount, &amount, &terms->payer->account.balance);
        state_set_balance(state, terms->payer, &amount);
    }
    account_entry *coinbase = executor->coinbase;
    u256 tip;
    if (u256_sub(&tip, &terms->gas_price, terms->base_fee))
        return;
    burn_fees(executor, terms, gas_used);
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
    context->gas_price = terms->token == NULL ? terms->gas_price : fees_price_shown(terms);
    context->blob_hashes = tx->blob_hashes;
    context->blob_count = tx->type == TYPE_BLOB ? tx->blob_count : 0;

    bool is_free = (flags & GHOST_CALL_NO_BALANCE_CHECK) != 0;
    trace_start(executor, tx, terms);
    /* Beyond the largest there is nothing, but for calls whose nonce nobody looks at: zero. */
    state_set_nonce(state, sender, sender->account.nonce + 1);
    if (!is_free)
        take_fees(executor, terms);
    if (!prepare(executor, tx, terms))
        return state->status;
    if (tx->call_count > 1)
        run_calls(executor, tx, terms, &effect->result);
    else
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
    effect->gas_peak = used + refund > terms->floor_gas ? used + refund : terms->floor_gas;
    effect->gas_used = used > terms->floor_gas ? used : terms->floor_gas;
    if (is_free) {
        trace_settle(executor);
        return stopped(executor);
    }
    if (terms->token == NULL)
        settle_fees(executor, tx, terms, effect->gas_used);
    else if (!fees_settle_token(executor, tx, terms, effect->gas_used))
        return state->status;
    trace_settle(executor);
    return stopped(executor);
}
