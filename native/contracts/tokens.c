/* The token kernel. ghostchain/contracts/tokens.py says what is right; the order of charges and
 * accesses here is the order there. */
#include "tokens.h"

#include "contracts.h"
#include "layout.h"
#include "staking.h"

enum { SLOT_BALANCES = 0, SLOT_ALLOWANCES = 1, SLOT_SUPPLY = 2 };

/* A call being answered. */
typedef struct token_call {
    ghost_frame *frame;
    ghost_call_result *result;
    bool is_native;               /* GCC */
    u256 arguments[3];
} token_call;

typedef int token_function(token_call *call);

/* ---- results ---- */

static int answer_word(token_call *call, const u256 *word) {
    uint8_t bytes[32];
    u256_to_be(bytes, word);
    return ghost_host_output(call->frame, bytes, sizeof bytes, call->result);
}

static int answer_true(token_call *call) {
    static const uint8_t word[32] = {[31] = 1};
    call->result->output = word;
    call->result->output_length = sizeof word;
    return 0;
}

/* Reverts with a custom error of ERC-6093. */
static int refuse(token_call *call, uint32_t selector, const u256 *words, unsigned count) {
    uint8_t data[4 + 3 * 32];
    for (int i = 0; i < 4; i++)
        data[i] = (uint8_t)(selector >> (24 - 8 * i));
    for (unsigned i = 0; i < count; i++)
        u256_to_be(data + 4 + 32 * i, &words[i]);
    int exit = ghost_host_output(call->frame, data, 4 + 32 * (size_t)count, call->result);
    return exit == 0 ? GHOST_EXIT_REVERT : exit;
}

enum errors {
    INSUFFICIENT_BALANCE = 0xe450d38c,     /* ERC20InsufficientBalance(address,uint256,uint256) */
    INSUFFICIENT_ALLOWANCE = 0xfb8f41b2,   /* ERC20InsufficientAllowance(address, ...) */
    INVALID_SENDER = 0x96c6fd1e,           /* ERC20InvalidSender(address) */
    INVALID_RECEIVER = 0xec442f05,         /* ERC20InvalidReceiver(address) */
    INVALID_APPROVER = 0xe602df05,         /* ERC20InvalidApprover(address) */
    INVALID_SPENDER = 0x94280d62,          /* ERC20InvalidSpender(address) */
    PANIC = 0x4e487b71                     /* Panic(uint256) */
};

static int refuse_zero(token_call *call, uint32_t selector) {
    const u256 zero = {{0}};
    return refuse(call, selector, &zero, 1);
}

/* ---- storage ---- */

static u256 balance_place(const u256 *account) {
    const u256 slot = u256_from_u64(SLOT_BALANCES);
    return layout_entry(account, &slot);
}

static u256 allowance_place(const u256 *owner, const u256 *spender) {
    const u256 slot = u256_from_u64(SLOT_ALLOWANCES);
    u256 of_owner = layout_entry(owner, &slot);
    return layout_entry(spender, &of_owner);
}

static u256 caller_of(const token_call *call) {
    return u256_from_address(&call->frame->message->sender);
}

/* Transfer or Approval: two addresses indexed, a value. */
static int log_pair(token_call *call, const u256 *topic, const u256 *first, const u256 *second,
                    const u256 *value) {
    const u256 topics[3] = {*topic, *first, *second};
    uint8_t data[32];
    u256_to_be(data, value);
    return ghost_host_log(call->frame, topics, 3, data, sizeof data);
}

/* ---- what several functions do ---- */

static int load_balance(token_call *call, const u256 *account, u256 *balance) {
    if (call->is_native) {
        ghost_address address = u256_to_address(account);
        return ghost_host_balance(call->frame, &address, balance);
    }
    u256 place = balance_place(account);
    return ghost_host_load(call->frame, &place, balance);
}

static int move_native(token_call *call, const u256 *from, const u256 *to, const u256 *value) {
    ghost_address source = u256_to_address(from), target = u256_to_address(to);
    u256 balance;
    int exit = ghost_host_balance(call->frame, &source, &balance);
    if (exit != 0)
        return exit;
    if (u256_less(&balance, value))
        return refuse(call, INSUFFICIENT_BALANCE, (u256[]){*from, balance, *value}, 3);
    return ghost_host_move_balance(call->frame, &source, &target, value);
}

static int move_words(token_call *call, const u256 *from, const u256 *to, const u256 *value) {
    u256 place = balance_place(from), balance;
    int exit = ghost_host_load(call->frame, &place, &balance);
    if (exit != 0)
        return exit;
    if (u256_less(&balance, value))
        return refuse(call, INSUFFICIENT_BALANCE, (u256[]){*from, balance, *value}, 3);
    u256_sub(&balance, &balance, value);
    exit = ghost_host_store(call->frame, &place, &balance);
    if (exit != 0)
        return exit;
    place = balance_place(to);
    exit = ghost_host_load(call->frame, &place, &balance);
    if (exit != 0)
        return exit;
    u256_add(&balance, &balance, value);      /* the supply holds it */
    return ghost_host_store(call->frame, &place, &balance);
}

static const u256 transfer_topic = {{0x28f55a4df523b3ef, 0x952ba7f163c4a116, 0x69c2b068fc378daa,
                                     0xddf252ad1be2c89b}};

static int move(token_call *call, const u256 *from, const u256 *to, const u256 *value) {
    if (u256_is_zero(from))
        return refuse_zero(call, INVALID_SENDER);
    if (u256_is_zero(to))
        return refuse_zero(call, INVALID_RECEIVER);
    int exit = call->is_native ? move_native(call, from, to, value)
                               : move_words(call, from, to, value);
    return exit != 0 ? exit : log_pair(call, &transfer_topic, from, to, value);
}

static int allow(token_call *call, const u256 *owner, const u256 *spender, const u256 *value) {
    if (u256_is_zero(owner))
        return refuse_zero(call, INVALID_APPROVER);
    if (u256_is_zero(spender))
        return refuse_zero(call, INVALID_SPENDER);
    u256 place = allowance_place(owner, spender);
    return ghost_host_store(call->frame, &place, value);
}

static int spend_allowance(token_call *call, const u256 *owner, const u256 *value) {
    const u256 infinite = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    u256 spender = caller_of(call), place = allowance_place(owner, &spender), allowance;
    int exit = ghost_host_load(call->frame, &place, &allowance);
    if (exit != 0 || u256_equal(&allowance, &infinite))
        return exit;
    if (u256_less(&allowance, value))
        return refuse(call, INSUFFICIENT_ALLOWANCE, (u256[]){spender, allowance, *value}, 3);
    u256_sub(&allowance, &allowance, value);
    return allow(call, owner, &spender, &allowance);
}

/* ---- the functions ---- */

static int transfer(token_call *call) {
    u256 caller = caller_of(call);
    int exit = move(call, &caller, &call->arguments[0], &call->arguments[1]);
    return exit != 0 ? exit : answer_true(call);
}

static int transfer_from(token_call *call) {
    const u256 *source = &call->arguments[0], *value = &call->arguments[2];
    int exit = spend_allowance(call, source, value);
    if (exit == 0)
        exit = move(call, source, &call->arguments[1], value);
    return exit != 0 ? exit : answer_true(call);
}

static int approve(token_call *call) {
    static const u256 topic = {{0x5b200ac8c7c3b925, 0xdd0314c0f7b2291e, 0xd14f71427d1e84f3,
                                0x8c5be1e5ebec7d5b}};
    u256 caller = caller_of(call);
    int exit = allow(call, &caller, &call->arguments[0], &call->arguments[1]);
    if (exit == 0)
        exit = log_pair(call, &topic, &caller, &call->arguments[0], &call->arguments[1]);
    return exit != 0 ? exit : answer_true(call);
}

static int balance_of(token_call *call) {
    u256 balance;
    int exit = load_balance(call, &call->arguments[0], &balance);
    return exit != 0 ? exit : answer_word(call, &balance);
}

static int allowance_of(token_call *call) {
    u256 place = allowance_place(&call->arguments[0], &call->arguments[1]), allowance;
    int exit = ghost_host_load(call->frame, &place, &allowance);
    return exit != 0 ? exit : answer_word(call, &allowance);
}

static int total_supply(token_call *call) {
    const u256 place = u256_from_u64(SLOT_SUPPLY);
    u256 supply;
    int exit = ghost_host_load(call->frame, &place, &supply);
    return exit != 0 ? exit : answer_word(call, &supply);
}

static int decimals(token_call *call) {
    const u256 places = u256_from_u64(18);
    return answer_word(call, &places);
}

/* ---- minting ----
 *
 * MANA at the end of a block, at Python's price: nobody else pays for it. */

static int panic_overflow(token_call *call) {
    const u256 code = u256_from_u64(0x11);
    return refuse(call, PANIC, &code, 1);
}

static int charge_entry(token_call *call) {
    return ghost_host_charge(call->frame, GHOST_CONTRACT_HASH_GAS);
}

static int raise_supply(token_call *call, const u256 *value) {
    const u256 place = u256_from_u64(SLOT_SUPPLY);
    u256 supply;
    int exit = ghost_host_load(call->frame, &place, &supply);
    if (exit != 0)
        return exit;
    return u256_add(&supply, &supply, value) ? panic_overflow(call)
                                             : ghost_host_store(call->frame, &place, &supply);
}

static int raise_balance(token_call *call, const u256 *to, const u256 *value) {
    u256 balance, place = balance_place(to);
    int exit = charge_entry(call);
    if (exit == 0)
        exit = ghost_host_load(call->frame, &place, &balance);
    if (exit == 0)
        exit = charge_entry(call);
    if (exit != 0)
        return exit;
    return u256_add(&balance, &balance, value) ? panic_overflow(call)
                                               : ghost_host_store(call->frame, &place, &balance);
}

static int mint(token_call *call) {
    const u256 *to = &call->arguments[0], *value = &call->arguments[1], nobody = {{0}};
    if (u256_is_zero(to))
        return refuse_zero(call, INVALID_RECEIVER);
    int exit = raise_supply(call, value);
    if (exit == 0)
        exit = raise_balance(call, to, value);
    if (exit == 0)
        exit = ghost_host_charge(call->frame, 4 * GHOST_CONTRACT_WORD_GAS);
    return exit == 0 ? log_pair(call, &transfer_topic, &nobody, to, value) : exit;
}

/* Of all calls of `mint`, those that are as staking makes them. */
static bool is_minting(const ghost_message *message, uint8_t id) {
    const ghost_address staking = {{[17] = 0x47, [18] = 0x43, [19] = GHOST_STAKING_ID}};
    return id == GHOST_TOKEN_MANA && message->kind == GHOST_CALL && !message->is_static &&
           u256_is_zero(&message->value) && message->input_length == 4 + 64 &&
           memcmp(&message->sender, &staking, sizeof staking) == 0;
}

/* ---- dispatch ---- */

enum {
    /* Entering, three words of call data, two arguments. */
    MINT_GAS = GHOST_CONTRACT_DISPATCH_GAS + 3 * GHOST_CONTRACT_COPY_WORD_GAS +
               2 * GHOST_CONTRACT_WORD_GAS
};

static const struct token_method {
    uint8_t selector[4];
    uint8_t argument_count;
    uint8_t addresses;            /* bit i: argument i is an address */
    bool changes;
    uint16_t gas;
    token_function *run;
} methods[] = {
    {{0xa9, 0x05, 0x9c, 0xbb}, 2, 1, true, GHOST_TOKEN_TRANSFER_GAS, transfer},
    {{0x23, 0xb8, 0x72, 0xdd}, 3, 3, true, GHOST_TOKEN_TRANSFER_FROM_GAS, transfer_from},
    {{0x70, 0xa0, 0x82, 0x31}, 1, 1, false, GHOST_TOKEN_BALANCE_OF_GAS, balance_of},
    {{0x09, 0x5e, 0xa7, 0xb3}, 2, 1, true, GHOST_TOKEN_APPROVE_GAS, approve},
    {{0xdd, 0x62, 0xed, 0x3e}, 2, 3, false, GHOST_TOKEN_ALLOWANCE_GAS, allowance_of},
    {{0x18, 0x16, 0x0d, 0xdd}, 0, 0, false, GHOST_TOKEN_CONSTANT_GAS, total_supply},
    {{0x31, 0x3c, 0xe5, 0x67}, 0, 0, false, GHOST_TOKEN_CONSTANT_GAS, decimals},
    {{0x40, 0xc1, 0x0f, 0x19}, 2, 1, true, MINT_GAS, mint},
};

static const struct token_method *method_of(const ghost_message *message) {
    if (message->input_length < 4)
        return NULL;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (memcmp(methods[i].selector, message->input, 4) == 0)
            return &methods[i];
    return NULL;
}

/* Bytes after the arguments are allowed. */
static bool decode(token_call *call, const struct token_method *method) {
    const ghost_message *message = call->frame->message;
    if (message->input_length < 4 + 32 * (size_t)method->argument_count)
        return false;
    for (unsigned i = 0; i < method->argument_count; i++) {
        u256 *argument = &call->arguments[i];
        *argument = u256_from_be(message->input + 4 + 32 * i);
        if ((method->addresses >> i & 1) &&
            (argument->limbs[3] != 0 || argument->limbs[2] >> 32 != 0))
            return false;
    }
    return true;
}

bool ghost_token_answer(ghost_frame *frame, uint8_t id, ghost_call_result *result, int *exit) {
    const ghost_message *message = frame->message;
    if (id < GHOST_TOKEN_GCC || id > GHOST_TOKEN_GHOST)
        return false;
    const struct token_method *method = method_of(message);
    if (method == NULL || (method->run == mint && !is_minting(message, id)))
        return false;
    token_call call = {.frame = frame, .result = result, .is_native = id == GHOST_TOKEN_GCC};
    *exit = ghost_host_charge(frame, method->gas);
    if (*exit != 0)
        return true;
    if (message->kind == GHOST_CALL && !u256_is_zero(&message->value))
        *exit = GHOST_EXIT_REVERT;
    else if (message->is_static && method->changes)
        *exit = GHOST_EXIT_STATIC_VIOLATION;
    else if (!decode(&call, method))
        *exit = GHOST_EXIT_REVERT;
    else
        *exit = method->run(&call);
    return true;
}
