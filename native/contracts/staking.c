/* What a block's proposer earns. ghostchain/contracts/staking/rewards.py says what is right; the
 * order of charges and accesses here is the order there. */
#include "staking.h"

#include "contracts.h"
#include "layout.h"
#include "tokens.h"

/* Declared in ghostchain/contracts/staking/storage.py. */
enum slots { SLOT_LIMITS = 0, SLOT_RECORDS = 7, SLOT_COINBASE_OPERATORS = 9, SLOT_POOLS = 10 };

/* Words of a validator's record, and of a pool. */
enum words {
    WORD_STAKE = 1,               /* tokens, 128 bits, and above them shares */
    WORD_COMMISSION = 2,          /* its low 64 bits */
    WORD_COINBASE = 3,            /* coinbase, 160 bits; created, 64; is_tombstoned, 8 */
    WORD_JAILED = 4,              /* its low 64 bits: jailed_until */
    POOL_INDEX = 0,
    POOL_COMMISSION = 1
};

enum { INDEX_SHIFT = 128 };

static const uint64_t wad = 1000000000000000000u;
static const uint64_t rewarded_tokens_min = 1000000000000000000u;

enum errors {
    UNKNOWN_VALIDATOR = 0x74f66b97,        /* UnknownValidator(address) */
    VALIDATOR_TOMBSTONED = 0x1a6c09f3,     /* ValidatorTombstoned(address) */
    STAKE_TOO_SMALL = 0xdf1d431e,          /* StakeTooSmall(address) */
    PANIC = 0x4e487b71                     /* Panic(uint256) */
};

enum { PANIC_OVERFLOW = 0x11, PANIC_DIVISION = 0x12 };

/* A call being answered. */
typedef struct block_order {
    ghost_frame *frame;
    ghost_call_result *result;
} block_order;

static int refuse(block_order *order, uint32_t selector, const u256 *word) {
    uint8_t data[4 + 32];
    for (int i = 0; i < 4; i++)
        data[i] = (uint8_t)(selector >> (24 - 8 * i));
    u256_to_be(data + 4, word);
    int exit = ghost_host_output(order->frame, data, sizeof data, order->result);
    return exit == 0 ? GHOST_EXIT_REVERT : exit;
}

static int panic(block_order *order, uint64_t code) {
    const u256 word = u256_from_u64(code);
    return refuse(order, PANIC, &word);
}

/* ---- storage ---- */

static u256 low_bits(const u256 *word, unsigned bits) {
    u256 above = u256_shift_left(word, 256 - bits);
    return u256_shift_right(&above, 256 - bits, 0);
}

static int entry(block_order *order, const u256 *key, const u256 *slot, u256 *place) {
    int exit = ghost_host_charge(order->frame, GHOST_CONTRACT_HASH_GAS);
    if (exit == 0)
        *place = layout_entry(key, slot);
    return exit;
}

static int record_of(block_order *order, const u256 *operator, u256 *record) {
    const u256 slot = u256_from_u64(SLOT_RECORDS);
    return entry(order, operator, &slot, record);
}

static int load(block_order *order, const u256 *base, enum words word, u256 *value) {
    const u256 offset = u256_from_u64((uint64_t)word);
    u256 place;
    u256_add(&place, base, &offset);
    return ghost_host_load(order->frame, &place, value);
}

/* The word becomes greater by the amount; `before` is what it holds. */
static int store_sum(block_order *order, const u256 *base, enum words word, const u256 *before,
                     const u256 *amount) {
    const u256 offset = u256_from_u64((uint64_t)word);
    u256 place, sum;
    if (u256_add(&sum, before, amount))
        return panic(order, PANIC_OVERFLOW);
    u256_add(&place, base, &offset);
    return ghost_host_store(order->frame, &place, &sum);
}

/* ---- calls ---- */

static int charge_words(block_order *order, size_t bytes) {
    return ghost_host_charge(order->frame, GHOST_CONTRACT_WORD_GAS * (uint64_t)((bytes + 31) / 32));
}

/* A token's function of an address and an amount. What it reverts with, this reverts with. */
static int call_token(block_order *order, const ghost_address *token, uint32_t selector,
                      const ghost_address *who, const u256 *amount) {
    ghost_frame *frame = order->frame;
    uint8_t input[4 + 64] = {0};
    const u256 nothing = u256_from_u64(0);
    enum ghost_exit ended = GHOST_EXIT_ABORT;
    for (int i = 0; i < 4; i++)
        input[i] = (uint8_t)(selector >> (24 - 8 * i));
    memcpy(input + 4 + 12, who->bytes, 20);
    u256_to_be(input + 4 + 32, amount);
    int exit = charge_words(order, sizeof input);
    if (exit == 0)
        exit = ghost_host_call(frame, GHOST_CALL, token, &nothing, UINT64_MAX, input, sizeof input,
                               &ended);
    if (exit == 0)
        exit = charge_words(order, frame->return_length);
    if (exit != 0 || ended == GHOST_EXIT_SUCCESS)
        return exit;
    exit = ghost_host_output(frame, frame->return_data, frame->return_length, order->result);
    return exit == 0 ? GHOST_EXIT_REVERT : exit;
}

static ghost_address contract_at(uint8_t id) {
    return (ghost_address){{[17] = 0x47, [18] = 0x43, [19] = id}};
}

static int mint_mana(block_order *order, const u256 *amount) {
    const ghost_address mana = contract_at(GHOST_TOKEN_MANA), own = contract_at(GHOST_STAKING_ID);
    ghost_view code = {NULL, 0};
    int exit = call_token(order, &mana, GHOST_TOKEN_MINT, &own, amount);
    if (exit == 0)
        exit = ghost_host_code(order->frame, &mana, &code);
    return exit == 0 && code.length == 0 ? GHOST_EXIT_REVERT : exit;
}

/* To governance, which is the treasury. */
static int give_to_treasury(block_order *order, const u256 *amount) {
    static const uint32_t transfer = 0xa9059cbb;
    const ghost_address gcc = contract_at(GHOST_TOKEN_GCC), treasury = contract_at(0x12);
    return call_token(order, &gcc, transfer, &treasury, amount);
}

/* ---- sharing out ---- */

/* The record's validator exists and may be rewarded. */
static int look_at(block_order *order, const u256 *operator, const u256 *record) {
    u256 word;
    int exit = load(order, record, WORD_COINBASE, &word);
    if (exit != 0)
        return exit;
    u256 coinbase = low_bits(&word, 160);
    if (u256_is_zero(&coinbase))
        return refuse(order, UNKNOWN_VALIDATOR, operator);
    exit = load(order, record, WORD_COINBASE, &word);
    if (exit != 0)
        return exit;
    if ((word.limbs[3] >> 32 & 0xff) != 0)
        return refuse(order, VALIDATOR_TOMBSTONED, operator);
    exit = load(order, record, WORD_STAKE, &word);
    const u256 least = u256_from_u64(rewarded_tokens_min);
    u256 tokens = low_bits(&word, 128);
    return exit == 0 && u256_less(&tokens, &least) ? refuse(order, STAKE_TOO_SMALL, operator)
                                                   : exit;
}

/* What a share of the validator earns of the amount, added to the pool's index. */
static int raise_index(block_order *order, const u256 *record, const u256 *pool,
                       const u256 *amount) {
    u256 index, stake;
    int exit = load(order, pool, POOL_INDEX, &index);
    if (exit == 0)
        exit = load(order, record, WORD_STAKE, &stake);
    if (exit != 0)
        return exit;
    u256 shares = u256_shift_right(&stake, 128, 0), raised = u256_shift_left(amount, INDEX_SHIFT);
    if (u256_is_zero(&shares))
        return panic(order, PANIC_DIVISION);
    raised = u256_div(&raised, &shares);
    return store_sum(order, pool, POOL_INDEX, &index, &raised);
}

static int log_distributed(block_order *order, const u256 *operator, const u256 *token,
                           const u256 *amount, const u256 *commission) {
    static const u256 topic = {{0xd7c54954304c20d9, 0x687f139a1944025c, 0x98b76f6f85ebcc94,
                                0xf57b0de383850a06}};
    const u256 topics[3] = {topic, *operator, *token};
    uint8_t data[64];
    u256_to_be(data, amount);
    u256_to_be(data + 32, commission);
    int exit = charge_words(order, sizeof topics + sizeof data);
    return exit == 0 ? ghost_host_log(order->frame, topics, 3, data, sizeof data) : exit;
}

/* The amount is below 2^128, and a commission at most one. */
static int share_out(block_order *order, const u256 *operator, uint8_t id, const u256 *amount) {
    const ghost_address token = contract_at(id);
    const u256 name = u256_from_address(&token), pools = u256_from_u64(SLOT_POOLS);
    const u256 one = u256_from_u64(wad);
    u256 record, pool, word;
    int exit = record_of(order, operator, &record);
    if (exit == 0)
        exit = look_at(order, operator, &record);
    if (exit == 0)
        exit = load(order, &record, WORD_COMMISSION, &word);
    if (exit != 0)
        return exit;
    u256 commission = low_bits(&word, 64), rest;
    commission = u256_mul(&commission, amount);
    commission = u256_div(&commission, &one);
    u256_sub(&rest, amount, &commission);
    exit = entry(order, operator, &pools, &pool);
    if (exit == 0)
        exit = entry(order, &name, &pool, &pool);
    if (exit == 0 && !u256_is_zero(&commission)) {
        u256 earned;
        exit = load(order, &pool, POOL_COMMISSION, &earned);
        if (exit == 0)
            exit = store_sum(order, &pool, POOL_COMMISSION, &earned, &commission);
    }
    if (exit == 0)
        exit = raise_index(order, &record, &pool, &rest);
    return exit == 0 ? log_distributed(order, operator, &name, amount, &commission) : exit;
}

/* ---- the proposer ---- */

/* The operator of the validator with that coinbase; zero when there is none. */
static int operator_of(block_order *order, const u256 *coinbase, u256 *operator) {
    const u256 operators = u256_from_u64(SLOT_COINBASE_OPERATORS);
    u256 record, word, place;
    int exit = record_of(order, coinbase, &record);
    if (exit == 0)
        exit = load(order, &record, WORD_COINBASE, &word);
    if (exit != 0)
        return exit;
    u256 own = low_bits(&word, 160);
    if (!u256_is_zero(&own)) {
        *operator = *coinbase;
        return 0;
    }
    exit = entry(order, coinbase, &operators, &place);
    return exit == 0 ? ghost_host_load(order->frame, &place, operator) : exit;
}

static int earns(block_order *order, const u256 *operator, bool *does) {
    u256 record, word = {{0}};
    *does = false;
    int exit = record_of(order, operator, &record);
    if (exit == 0)
        exit = load(order, &record, WORD_COINBASE, &word);
    if (exit != 0 || (word.limbs[3] >> 32 & 0xff) != 0)
        return exit;
    exit = load(order, &record, WORD_JAILED, &word);
    if (exit != 0 || word.limbs[0] != 0)
        return exit;
    exit = load(order, &record, WORD_STAKE, &word);
    const u256 least = u256_from_u64(rewarded_tokens_min);
    u256 tokens = low_bits(&word, 128);
    *does = exit == 0 && !u256_less(&tokens, &least);
    return exit;
}

static int reward_proposer(block_order *order, const u256 *gcc) {
    const u256 limits = u256_from_u64(SLOT_LIMITS);
    const u256 coinbase = u256_from_address(&order->frame->vm->block.coinbase);
    u256 word, operator;
    bool does_earn = false;
    int exit = ghost_host_load(order->frame, &limits, &word);
    if (exit == 0)
        exit = operator_of(order, &coinbase, &operator);
    if (exit == 0 && !u256_is_zero(&operator))
        exit = earns(order, &operator, &does_earn);
    if (exit != 0)
        return exit;
    u256 mana = u256_shift_right(&word, 128, 0);
    if (!does_earn)
        return u256_is_zero(gcc) ? 0 : give_to_treasury(order, gcc);
    if (!u256_is_zero(gcc))
        exit = share_out(order, &operator, GHOST_TOKEN_GCC, gcc);
    if (exit != 0 || u256_is_zero(&mana))
        return exit;
    exit = mint_mana(order, &mana);
    return exit == 0 ? share_out(order, &operator, GHOST_TOKEN_MANA, &mana) : exit;
}

/* ---- dispatch ---- */

/* Calls that are not as a block makes them are Python's. */
static bool is_order(const ghost_frame *frame, uint8_t id) {
    static const uint8_t on_block[4] = {0x4f, 0xca, 0x0b, 0xcd};
    const ghost_message *message = frame->message;
    ghost_address system;
    memset(system.bytes, 0xff, sizeof system.bytes);
    system.bytes[19] = 0xfe;
    return id == GHOST_STAKING_ID && message->kind == GHOST_CALL && !message->is_static &&
           u256_is_zero(&message->value) && memcmp(&message->sender, &system, sizeof system) == 0 &&
           message->input_length == 4 + 32 && memcmp(message->input, on_block, 4) == 0;
}

/* Entering, two words of call data, an argument. */
enum {
    ON_BLOCK_GAS = GHOST_CONTRACT_DISPATCH_GAS + 2 * GHOST_CONTRACT_COPY_WORD_GAS +
                   GHOST_CONTRACT_WORD_GAS
};

bool ghost_staking_answer(ghost_frame *frame, uint8_t id, ghost_call_result *result, int *exit) {
    if (!is_order(frame, id))
        return false;
    block_order order = {frame, result};
    u256 gcc = u256_from_be(frame->message->input + 4);
    if (gcc.limbs[2] != 0 || gcc.limbs[3] != 0)
        return false;
    *exit = ghost_host_charge(frame, ON_BLOCK_GAS);
    if (*exit == 0)
        *exit = reward_proposer(&order, &gcc);
    return true;
}
