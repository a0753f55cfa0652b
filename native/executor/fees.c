/* Fees in tokens, and fees that somebody else pays.
 *
 * A token's rate is token wei for a GCC wei, scaled by 10^18, and stands in the fee market's
 * storage. The base fee in the token is the block's base fee at that rate, rounded up; nothing else
 * is rounded. What is paid moves between storage slots as a transfer would move it, without a log
 * and without warming anything: the payer's balance, the proposer's balance, and the total supply,
 * which the burnt base fee lowers. */
#include "overlay.h"

enum {
    RATE_SLOT = 0,                /* of the fee market: mapping(token => rate) */
    BALANCES_SLOT = 0,            /* of a token: mapping(address => balance) */
    SUPPLY_SLOT = 2,
    TOKEN_GCC = 1,
    PRODUCT_LIMBS = 8
};

static const uint64_t rate_unit = UINT64_C(1000000000000000000);

static const ghost_address fee_market_address = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x47, 0x43, 0x13}};

/* ---- arithmetic ---- */

/* The product of two words, least significant limb first. */
static void multiply(uint64_t product[PRODUCT_LIMBS], const u256 *a, const u256 *b) {
    memset(product, 0, PRODUCT_LIMBS * sizeof *product);
    for (int i = 0; i < 4; i++) {
        unsigned __int128 sum = 0;
        for (int k = 0; k < 4; k++) {
            sum += (unsigned __int128)a->limbs[i] * b->limbs[k] + product[i + k];
            product[i + k] = (uint64_t)sum;
            sum >>= 64;
        }
        product[i + 4] = (uint64_t)sum;
    }
}

static const u256 largest = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

/* amount * rate / 10^18, rounded up; the largest word when it has more than 256 bits. */
static u256 at_rate(const u256 *amount, const u256 *rate) {
    uint64_t limbs[PRODUCT_LIMBS];
    multiply(limbs, amount, rate);
    unsigned __int128 rest = 0;
    for (int i = PRODUCT_LIMBS - 1; i >= 0; i--) {
        rest = (rest << 64) | limbs[i];
        limbs[i] = (uint64_t)(rest / rate_unit);
        rest %= rate_unit;
    }
    u256 quotient = {{limbs[0], limbs[1], limbs[2], limbs[3]}};
    u256 up = u256_from_u64(rest != 0);
    bool carried = u256_add(&quotient, &quotient, &up);
    return carried || (limbs[4] | limbs[5] | limbs[6] | limbs[7]) != 0 ? largest : quotient;
}

/* price * 10^18 / rate, rounded down; the largest word when it has more than 256 bits. */
static u256 from_rate(const u256 *price, const u256 *rate) {
    uint64_t high;
    u256 low = u256_times_u64(price, rate_unit, &high), rest = u256_from_u64(0), quotient = rest;
    if (high == 0)
        return u256_div(&low, rate);
    for (int bit = 319; bit >= 0; bit--) {
        uint64_t limb = bit >= 256 ? high : low.limbs[bit / 64];
        bool overflows = rest.limbs[3] >> 63, lost = quotient.limbs[3] >> 63;
        u256_add(&rest, &rest, &rest);
        rest.limbs[0] |= (limb >> (bit % 64)) & 1;
        u256_add(&quotient, &quotient, &quotient);
        if (lost)
            return largest;
        if (overflows || !u256_less(&rest, rate)) {
            u256_sub(&rest, &rest, rate);
            quotient.limbs[0] |= 1;
        }
    }
    return quotient;
}

/* ---- tokens ---- */

/* Where Solidity puts the entry of an address in the mapping at a slot. */
static u256 mapping_key(const ghost_address *address, uint8_t slot) {
    uint8_t words[64] = {0}, digest[32];
    memcpy(words + 12, address->bytes, 20);
    words[63] = slot;
    ghost_keccak256(digest, words, sizeof words);
    return u256_from_be(digest);
}

static slot_entry *balance_slot(ghost_executor *executor, const fee_token *token,
                                const ghost_address *holder) {
    u256 key = mapping_key(holder, BALANCES_SLOT);
    return state_slot(&executor->state, token->account, &key);
}

/* Finds the token's account and slots, once in a block. False when the loader failed. */
static bool load_token(ghost_executor *executor, fee_token *token, const ghost_address *address) {
    ghost_state *state = &executor->state;
    if (token->block == state->block)
        return true;
    account_entry *market = state_account(state, &fee_market_address);
    token->account = state_account(state, address);
    if (market == NULL || token->account == NULL)
        return false;
    token->is_known = state_account_has_code(market) && state_account_has_code(token->account);
    if (u256_is_zero(&token->rate_key))
        token->rate_key = mapping_key(address, RATE_SLOT);
    u256 supply_key = u256_from_u64(SUPPLY_SLOT);
    token->rate_slot = state_slot(state, market, &token->rate_key);
    token->supply = state_slot(state, token->account, &supply_key);
    token->proposer = NULL;
    if (token->rate_slot == NULL || token->supply == NULL)
        return false;
    token->block = state->block;
    return true;
}

int fees_choose_token(ghost_executor *executor, const ghost_tx *tx, tx_terms *terms) {
    ghost_address address;
    memcpy(address.bytes, tx->fee_token, 20);
    uint8_t id = address.bytes[19];
    if (memcmp(address.bytes, fee_market_address.bytes, 19) != 0 || id < TOKEN_GCC ||
        id >= TOKEN_GCC + FEE_TOKENS)
        return GHOST_TX_FEE_TOKEN_UNKNOWN;
    if (id == TOKEN_GCC)
        return GHOST_TX_OK;
    fee_token *token = &executor->fee_tokens[id - TOKEN_GCC];
    if (!load_token(executor, token, &address))
        return -1;
    if (!token->is_known)
        return GHOST_TX_FEE_TOKEN_UNKNOWN;
    token->rate = token->rate_slot->slot.value;
    if (u256_is_zero(&token->rate))
        return GHOST_TX_FEE_TOKEN_CLOSED;
    token->base_fee = at_rate(&executor->base_fee, &token->rate);
    terms->token = token;
    terms->base_fee = &token->base_fee;
    return GHOST_TX_OK;
}

u256 fees_price_shown(const tx_terms *terms) {
    return from_rate(&terms->gas_price, &terms->token->rate);
}

/* ---- who pays ---- */

int fees_check_payer(ghost_executor *executor, const ghost_tx *tx, const u256 *fee_most,
                     const tx_terms *terms) {
    bool is_other = terms->payer != terms->sender;
    u256 value = u256_from_be(tx->value);
    if (u256_less(&terms->sender->account.balance, &value))
        return GHOST_TX_INSUFFICIENT_ACCOUNT_FUNDS;
    if (terms->token == NULL)
        return u256_less(&terms->payer->account.balance, fee_most) ? GHOST_TX_PAYER_FUNDS
                                                                   : GHOST_TX_OK;
    slot_entry *purse =
        balance_slot(executor, terms->token, &terms->payer->account.address);
    terms->token->purse = purse;
    if (purse == NULL)
        return -1;
    if (!u256_less(&purse->slot.value, fee_most))
        return GHOST_TX_OK;
    return is_other ? GHOST_TX_PAYER_FUNDS : GHOST_TX_INSUFFICIENT_FEE_TOKEN;
}

/* ---- what is paid ---- */

/* The sums of balances stay below the supply, so nothing here overflows. */
static void add_to_slot(ghost_executor *executor, slot_entry *slot, const u256 *amount) {
    u256 value;
    trace_fee_slot(executor, slot);
    u256_add(&value, &slot->slot.value, amount);
    ghost_state_store_slot(&executor->state, &slot->account->account, &slot->slot, &value);
}

/* Never below zero, whatever a genesis has put there. */
static void take_from_slot(ghost_executor *executor, slot_entry *slot, const u256 *amount) {
    u256 value;
    trace_fee_slot(executor, slot);
    if (u256_sub(&value, &slot->slot.value, amount))
        value = u256_from_u64(0);
    ghost_state_store_slot(&executor->state, &slot->account->account, &slot->slot, &value);
}

void fees_take_token(ghost_executor *executor, const tx_terms *terms) {
    take_from_slot(executor, terms->token->purse, &terms->upfront);
}

static bool note_rate(ghost_executor *executor, const u256 *rate) {
    if (!LIST_RESERVE(executor->fee_rates, 1)) {
        executor->state.status = GHOST_OUT_OF_MEMORY;
        return false;
    }
    ghost_fee_rate *noted = &executor->fee_rates.items[executor->fee_rates.count++];
    noted->index = executor->outcomes.count - 1;
    u256_to_be(noted->rate, rate);
    return true;
}

static bool pay_tip(ghost_executor *executor, fee_token *token, const u256 *amount) {
    if (token->proposer != executor->coinbase) {
        token->tips = balance_slot(executor, token, &executor->coinbase->account.address);
        token->proposer = token->tips == NULL ? NULL : executor->coinbase;
    }
    if (token->tips != NULL)
        add_to_slot(executor, token->tips, amount);
    return token->tips != NULL;
}

bool fees_settle_token(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                       uint64_t gas_used) {
    fee_token *token = terms->token;
    uint64_t ignored;
    u256 amount = u256_times_u64(&terms->gas_price, tx->gas_limit - gas_used, &ignored);
    add_to_slot(executor, token->purse, &amount);
    u256 tip;
    if (!u256_sub(&tip, &terms->gas_price, &token->base_fee)) {   /* else a call free of charge */
        amount = u256_times_u64(&token->base_fee, gas_used, &ignored);
        take_from_slot(executor, token->supply, &amount);
        amount = u256_times_u64(&tip, gas_used, &ignored);
        if (!u256_is_zero(&amount) && !pay_tip(executor, token, &amount))
            return false;
    }
    return note_rate(executor, &token->rate);
}
