/* One block: system calls, transactions, withdrawals, requests, orders. */
#include "overlay.h"

enum {
    SYSTEM_GAS = 30000000,        /* EIP-4788 and its followers */
    ACCOUNTS_AHEAD = 512,         /* transactions whose addresses are hashed together */
    WEI_PER_GWEI = 1000000000,
    SUPPLY_SLOT = 2,              /* of a token, as in fees.c */
    REQUEST_WITHDRAWAL = 1,
    REQUEST_CONSOLIDATION = 2
};

static const ghost_address system_address = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}};
/* EIP-4788 */
static const ghost_address beacon_roots_address = {
    {0x00, 0x0f, 0x3d, 0xf6, 0xd7, 0x32, 0x80, 0x7e, 0xf1, 0x31,
     0x9f, 0xb7, 0xb8, 0xbb, 0x85, 0x22, 0xd0, 0xbe, 0xac, 0x02}};
/* EIP-2935 */
static const ghost_address history_address = {
    {0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5, 0x3a, 0x10, 0xcb,
     0x7a, 0x02, 0x33, 0x5b, 0x17, 0x53, 0x20, 0x00, 0x29, 0x35}};
/* EIP-7002 */
static const ghost_address withdrawal_requests_address = {
    {0x00, 0x00, 0x09, 0x61, 0xef, 0x48, 0x0e, 0xb5, 0x5e, 0x80,
     0xd1, 0x9a, 0xd8, 0x35, 0x79, 0xa6, 0x4c, 0x00, 0x70, 0x02}};
/* EIP-7251 */
static const ghost_address consolidation_requests_address = {
    {0x00, 0x00, 0xbb, 0xdd, 0xc7, 0xce, 0x48, 0x86, 0x42, 0xfb,
     0x57, 0x9f, 0x8b, 0x00, 0xf3, 0xa5, 0x90, 0x00, 0x72, 0x51}};

/* The contracts of a hybrid chain (README, "The protocol's contracts") */
static const ghost_address coin_address = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x47, 0x43, 0x01}};
static const ghost_address staking_address = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x47, 0x43, 0x10}};
static const ghost_address slashing_address = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x47, 0x43, 0x11}};

/* ---- system calls ---- */

/* Calls a system contract outside of any transaction. Its logs belong to no receipt. */
static int system_call(ghost_executor *executor, const ghost_address *target,
                       const uint8_t *input, size_t length, ghost_call_result *result) {
    ghost_state *state = &executor->state;
    state_begin_transaction(state);
    snapshot before = state_snapshot(state);
    executor->vm.tx = (ghost_tx_context){.origin = system_address,
                                         .gas_price = executor->base_fee};
    ghost_message message = {
        .kind = GHOST_CALL,
        .gas = SYSTEM_GAS,
        .recipient = *target,
        .code_address = *target,
        .sender = system_address,
        .input = input,
        .input_length = length,
    };
    ghost_call(&executor->vm, &message, result);
    state->logs.count = before.logs;
    state_arena_cut(&state->log_data, before.log_data);
    state_end_transaction(state);
    return state->status != GHOST_OK ? state->status : executor->vm.status;
}

static int begin_calls(ghost_executor *executor, const ghost_block_env *env) {
    ghost_call_result ignored;
    int status = system_call(executor, &beacon_roots_address, env->parent_beacon_block_root, 32,
                             &ignored);
    if (status == GHOST_OK && env->fork >= GHOST_FORK_PRAGUE)
        status = system_call(executor, &history_address, env->parent_hash, 32, &ignored);
    return status;
}

/* A system contract that must be there and must succeed: what it returns is a request. */
static int request_call(ghost_executor *executor, const ghost_address *target, uint8_t type,
                        int *block_reason) {
    account_entry *account = state_account(&executor->state, target);
    const code_entry *code = account == NULL ? NULL : state_code(&executor->state, account);
    if (code == NULL)
        return executor->state.status;
    if (code->code.length == 0) {
        *block_reason = GHOST_BLOCK_SYSTEM_CONTRACT_EMPTY;
        return GHOST_OK;
    }
    ghost_call_result result;
    int status = system_call(executor, target, NULL, 0, &result);
    if (status != GHOST_OK)
        return status;
    if (result.exit != GHOST_EXIT_SUCCESS) {
        *block_reason = GHOST_BLOCK_SYSTEM_CALL_FAILED;
        return GHOST_OK;
    }
    return requests_add(executor, type, result.output, result.output_length)
               ? GHOST_OK
               : GHOST_OUT_OF_MEMORY;
}

static int collect_requests(ghost_executor *executor, const ghost_block_env *env,
                            int *block_reason) {
    int status = requests_add_deposits(executor, env->deposit_contract, block_reason);
    if (status == GHOST_OK && *block_reason == GHOST_BLOCK_OK)
        status = request_call(executor, &withdrawal_requests_address, REQUEST_WITHDRAWAL,
                              block_reason);
    if (status == GHOST_OK && *block_reason == GHOST_BLOCK_OK)
        status = request_call(executor, &consolidation_requests_address, REQUEST_CONSOLIDATION,
                              block_reason);
    return status;
}

static int pay_withdrawals(ghost_executor *executor, const ghost_withdrawal *withdrawals,
                           size_t count) {
    ghost_state *state = &executor->state;
    state_begin_transaction(state);
    for (size_t i = 0; i < count; i++) {
        ghost_address address;
        memcpy(address.bytes, withdrawals[i].address, 20);
        account_entry *account = state_account(state, &address);
        if (account == NULL)
            return state->status;
        uint64_t ignored;
        u256 gwei = u256_from_u64(withdrawals[i].amount_gwei);
        u256 balance = u256_times_u64(&gwei, WEI_PER_GWEI, &ignored);
        state_mint(state, &balance);
        u256_add(&balance, &balance, &account->account.balance);
        state_set_balance(state, account, &balance);
    }
    state_end_transaction(state);
    return state->status;
}

/* ---- orders ----
 *
 * Withdrawals of a hybrid block are what consensus tells the protocol's contracts: what is paid to
 * staking is the block's reward; nothing, paid to an operator, says that its validator missed the
 * parent's commit, or with a validator index, that it signed twice at that height. A failing call
 * undoes what it did and nothing else: a fault of one contract must not stop the chain. */

static void put_address(uint8_t word[32], const uint8_t address[20]) {
    memset(word, 0, 12);
    memcpy(word + 12, address, 20);
}

/* Whether the account has code; false too after a failure, which is in the state's status. */
static bool has_code(ghost_executor *executor, const ghost_address *address) {
    const account_entry *account = state_account(&executor->state, address);
    return account != NULL && state_account_has_code(account);
}

/* onBlock(uint256 gccReward) of staking. */
static int order_reward(ghost_executor *executor, const ghost_withdrawal *withdrawals,
                        size_t count) {
    uint8_t input[4 + 32] = {0x4f, 0xca, 0x0b, 0xcd};
    u256 reward = u256_from_u64(0);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(withdrawals[i].address, staking_address.bytes, 20) != 0)
            continue;
        uint64_t ignored;
        u256 gwei = u256_from_u64(withdrawals[i].amount_gwei);
        u256 wei = u256_times_u64(&gwei, WEI_PER_GWEI, &ignored);
        u256_add(&reward, &reward, &wei);
    }
    u256_to_be(input + 4, &reward);
    if (!has_code(executor, &staking_address))
        return executor->state.status;
    ghost_call_result ignored;
    return system_call(executor, &staking_address, input, sizeof input, &ignored);
}

/* onMissed(address[] operators) of slashing, once, when there are any. */
static int order_misses(ghost_executor *executor, const ghost_withdrawal *withdrawals,
                        size_t count) {
    static const uint8_t on_missed[4] = {0x1f, 0x55, 0xd9, 0x7b};
    uint8_t *input = calloc(count + 3, 32);
    if (input == NULL)
        return GHOST_OUT_OF_MEMORY;
    /* The selector ends where the words begin: offset of the list, its length, its members. */
    uint8_t *words = input + 32;
    memcpy(words - 4, on_missed, 4);
    size_t missing = 0;
    for (size_t i = 0; i < count; i++)
        if (withdrawals[i].amount_gwei == 0 && withdrawals[i].validator_index == 0)
            put_address(words + 32 * (2 + missing++), withdrawals[i].address);
    words[31] = 32;
    const u256 length = u256_from_u64(missing);
    u256_to_be(words + 32, &length);
    int status = GHOST_OK;
    ghost_call_result ignored;
    if (missing > 0)
        status = system_call(executor, &slashing_address, words - 4, 4 + 32 * (2 + missing),
                             &ignored);
    free(input);
    return status;
}

/* onDoubleSign(address operator, uint64 height) of slashing, for each that is told. */
static int order_double_signs(ghost_executor *executor, const ghost_withdrawal *withdrawals,
                              size_t count) {
    int status = GHOST_OK;
    for (size_t i = 0; i < count && status == GHOST_OK; i++) {
        if (withdrawals[i].amount_gwei != 0 || withdrawals[i].validator_index == 0)
            continue;
        uint8_t input[4 + 64] = {0x5a, 0x05, 0xeb, 0xe3};
        put_address(input + 4, withdrawals[i].address);
        const u256 height = u256_from_u64(withdrawals[i].validator_index);
        u256_to_be(input + 36, &height);
        ghost_call_result ignored;
        status = system_call(executor, &slashing_address, input, sizeof input, &ignored);
    }
    return status;
}

static int give_orders(ghost_executor *executor, const ghost_withdrawal *withdrawals,
                       size_t count) {
    int status = order_reward(executor, withdrawals, count);
    if (status != GHOST_OK || count == 0)
        return status;
    if (!has_code(executor, &slashing_address))
        return executor->state.status;
    status = order_misses(executor, withdrawals, count);
    if (status == GHOST_OK)
        status = order_double_signs(executor, withdrawals, count);
    return status;
}

/* Brings the coin's totalSupply up to what the block minted and burnt: its slot is written only
 * when they differ. Never below zero, whatever a genesis has put there. */
static int settle_supply(ghost_executor *executor) {
    ghost_state *state = &executor->state;
    account_entry *coin = state_account(state, &coin_address);
    if (coin == NULL)
        return state->status;
    if (!state_account_has_code(coin) || u256_equal(&state->minted, &state->burnt))
        return GHOST_OK;
    const u256 supply_key = u256_from_u64(SUPPLY_SLOT);
    state_begin_transaction(state);
    slot_entry *slot = state_slot(state, coin, &supply_key);
    if (slot == NULL)
        return state->status;
    u256 supply;
    if (u256_add(&supply, &slot->slot.value, &state->minted))
        supply = (u256){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    if (u256_sub(&supply, &supply, &state->burnt))
        supply = u256_from_u64(0);
    ghost_state_store_slot(state, &coin->account, &slot->slot, &supply);
    state_end_transaction(state);
    return state->status;
}

/* ---- transactions ---- */

static int run_transaction(ghost_executor *executor, const ghost_tx *tx,
                           ghost_tx_outcome *outcome) {
    tx_terms terms;
    outcome->log_first = executor->state.logs.count;
    state_begin_transaction(&executor->state);
    outcome->reason = transaction_validate(executor, tx, 0, &terms);
    if (outcome->reason < 0)
        return executor->state.status;
    if (outcome->reason != GHOST_TX_OK)
        return GHOST_OK;
    tx_effect effect;
    int status = transaction_run(executor, tx, &terms, 0, &effect);
    if (status != GHOST_OK)
        return status;
    state_end_transaction(&executor->state);
    executor->gas_used += effect.gas_used;
    executor->blob_gas_used += terms.blob_gas;
    outcome->included = 1;
    outcome->exit = effect.result.exit;
    outcome->success = effect.result.exit == GHOST_EXIT_SUCCESS;
    outcome->gas_used = effect.gas_used;
    outcome->cumulative_gas_used = executor->gas_used;
    outcome->blob_gas_used = terms.blob_gas;
    outcome->log_count = executor->state.logs.count - outcome->log_first;
    u256_to_be(outcome->effective_gas_price, &terms.gas_price);
    outcome->has_contract = tx->is_create && outcome->success;
    if (outcome->has_contract)
        memcpy(outcome->contract_address, effect.result.created.bytes, 20);
    return executor->state.status;
}

/* The transactions from `next` on. */
typedef struct transactions_job {
    ghost_executor *executor;
    const ghost_tx *transactions;
    size_t count, next;
    uint32_t flags;
    ghost_block_result *result;
    int status;
} transactions_job;

/* Ends early, with `next` below count, where the rest is to run on a large stack. */
static int run_rest(transactions_job *job) {
    ghost_executor *executor = job->executor;
    const ghost_tx *transactions = job->transactions;
    size_t count = job->count;
    for (; job->next < count; job->next++) {
        size_t i = job->next;
        if (executor->went_deep && !executor->is_deep)
            return GHOST_OK;
        if (i % ACCOUNTS_AHEAD == 0)
            state_expect_accounts(&executor->state, transactions + i,
                                  count - i < ACCOUNTS_AHEAD ? count - i : ACCOUNTS_AHEAD);
        ghost_tx_outcome *outcome = &executor->outcomes.items[executor->outcomes.count++];
        memset(outcome, 0, sizeof *outcome);
        trace_transaction(executor, i);
        int status = run_transaction(executor, &transactions[i], outcome);
        if (status != GHOST_OK)
            return status;
        if (!outcome->included && !(job->flags & GHOST_BLOCK_SKIP_INVALID)) {
            job->result->reason = GHOST_BLOCK_INVALID_TRANSACTION;
            job->result->failed_index = i;
            job->next = count;
            return GHOST_OK;
        }
    }
    return GHOST_OK;
}

static void work_rest(void *argument) {
    transactions_job *job = argument;
    job->status = run_rest(job);
}

static int run_transactions(ghost_executor *executor, const ghost_tx *transactions, size_t count,
                            uint32_t flags, ghost_block_result *result) {
    executor->outcomes.count = 0;
    if (!LIST_RESERVE(executor->outcomes, count))
        return GHOST_OUT_OF_MEMORY;
    transactions_job job = {
        .executor = executor,
        .transactions = transactions,
        .count = count,
        .flags = flags,
        .result = result,
    };
    work_rest(&job);
    if (job.status != GHOST_OK || job.next >= count)
        return job.status;
    int status = executor_run_deep(executor, work_rest, &job);
    return status == GHOST_OK ? job.status : status;
}

/* ---- the block ---- */

typedef struct block_job {
    ghost_executor *executor;
    const ghost_block_env *env;
    const ghost_tx *transactions;
    size_t transaction_count;
    const ghost_withdrawal *withdrawals;
    size_t withdrawal_count;
    uint32_t flags;
    ghost_block_result *result;
} block_job;

int block_begin(ghost_executor *executor, const ghost_block_env *env, uint32_t flags) {
    ghost_address coinbase;
    memcpy(coinbase.bytes, env->coinbase, 20);
    executor->coinbase = state_account(&executor->state, &coinbase);
    if (executor->coinbase == NULL)
        return executor->state.status;
    int status = amend_state(executor);
    bool has_system = !(flags & GHOST_BLOCK_NO_SYSTEM);
    return status == GHOST_OK && has_system ? begin_calls(executor, env) : status;
}

int block_end(ghost_executor *executor, const ghost_block_env *env,
              const ghost_withdrawal *withdrawals, size_t withdrawal_count, int *reason) {
    int status = pay_withdrawals(executor, withdrawals, withdrawal_count);
    if (status == GHOST_OK && env->fork >= GHOST_FORK_PRAGUE)
        status = collect_requests(executor, env, reason);
    if (status == GHOST_OK && *reason == GHOST_BLOCK_OK && env->hybrid)
        status = give_orders(executor, withdrawals, withdrawal_count);
    if (status == GHOST_OK && *reason == GHOST_BLOCK_OK && env->hybrid)
        status = settle_supply(executor);
    return status;
}

static int run_body(const block_job *job) {
    ghost_executor *executor = job->executor;
    int *reason = &job->result->reason;
    int status = block_begin(executor, job->env, job->flags);
    if (status == GHOST_OK)
        status = run_transactions(executor, job->transactions, job->transaction_count,
                                  job->flags, job->result);
    bool ends_here = job->flags & (GHOST_BLOCK_NO_SYSTEM | GHOST_BLOCK_PARTIAL);
    if (status != GHOST_OK || *reason != GHOST_BLOCK_OK || ends_here)
        return status;
    trace_transaction(executor, GHOST_TRACE_NO_TRANSACTION);
    return block_end(executor, job->env, job->withdrawals, job->withdrawal_count, reason);
}

static void publish(ghost_executor *executor, ghost_block_result *result, bool is_whole) {
    result->gas_used = executor->gas_used;
    result->blob_gas_used = executor->blob_gas_used;
    result->outcomes = executor->outcomes.items;
    result->outcome_count = executor->outcomes.count;
    result->fee_rates = executor->fee_rates.items;
    result->fee_rate_count = executor->fee_rates.count;
    result->logs = executor->state.logs.items;
    result->log_count = executor->state.logs.count;
    if (!is_whole)
        return;
    result->receipts = executor->receipts.items;
    result->receipts_length = executor->receipts.count;
    result->requests = executor->requests;
    result->request_count = executor->request_count;
    result->accounts = executor->changes.accounts.items;
    result->account_count = executor->changes.accounts.count;
    result->slots = executor->changes.slots.items;
    result->slot_count = executor->changes.slots.count;
    result->codes = executor->changes.codes.items;
    result->code_count = executor->changes.codes.count;
}

int ghost_executor_run_block(ghost_executor *executor, const ghost_block_env *env,
                             const ghost_tx *transactions, size_t transaction_count,
                             const ghost_withdrawal *withdrawals, size_t withdrawal_count,
                             uint32_t flags, ghost_block_result *result) {
    memset(result, 0, sizeof *result);
    ghost_executor_discard(executor);
    executor_set_block(executor, env, true);
    trace_begin(executor);
    requests_clear(executor);
    executor->is_pending = true;
    block_job job = {
        .executor = executor,
        .env = env,
        .transactions = transactions,
        .transaction_count = transaction_count,
        .withdrawals = withdrawals,
        .withdrawal_count = withdrawal_count,
        .flags = flags,
        .result = result,
    };
    executor->went_deep = false;
    int status = run_body(&job);
    ghost_executor_amend(executor, NULL, 0);      /* where nothing ran, too */
    bool is_whole = !(flags & GHOST_BLOCK_PARTIAL);
    if (status == GHOST_OK && result->reason == GHOST_BLOCK_OK && is_whole)
        status = changes_build(&executor->state, &executor->changes);
    if (status == GHOST_OK && result->reason == GHOST_BLOCK_OK && is_whole)
        status = receipts_build(executor, transactions, transaction_count, withdrawals,
                                withdrawal_count, result);
    if (status == GHOST_OK && result->reason == GHOST_BLOCK_OK && is_whole)
        status = requests_hash(executor, result->requests_hash);
    if (status != GHOST_OK || result->reason != GHOST_BLOCK_OK) {
        ghost_executor_discard(executor);
        result->outcomes = executor->outcomes.items;
        result->outcome_count = executor->outcomes.count;
        return status;
    }
    publish(executor, result, is_whole);
    return GHOST_OK;
}
