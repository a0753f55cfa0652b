/* The executor's life, the two ends of a block, and calls outside of any block. */
#include <stdlib.h>

#include "overlay.h"

enum {
    TRIM_PARTS = 8,               /* of the cache's bound: what one list may keep */
    TRIM_BYTES_MIN = 1 << 20,
    OUTPUT_BYTES_KEPT = 1 << 20,  /* of outputs from one run to the next */
    TRANSACTION_GAS_CAP = 1 << 24 /* EIP-7825 */
};

ghost_executor *ghost_executor_new(const ghost_state_loader *loader, size_t cache_bytes_max) {
    ghost_executor *executor = calloc(1, sizeof *executor);
    if (executor == NULL)
        return NULL;
    executor->loader = *loader;
    bool ready = state_init(&executor->state, &executor->loader, cache_bytes_max);
    executor->vm.state = &executor->state;
    executor->vm.memory = ghost_evm_memory_new();
    if (ready && executor->vm.memory != NULL)
        return executor;
    ghost_executor_free(executor);
    return NULL;
}

static void free_outputs(ghost_executor *executor) {
    for (size_t i = 0; i < CALL_DEPTH_MAX + 2; i++) {
        free(executor->outputs[i]);
        executor->outputs[i] = NULL;
    }
    executor->output_bytes = 0;
}

void ghost_executor_free(ghost_executor *executor) {
    if (executor == NULL)
        return;
    trace_free(executor->trace);
    for (size_t i = 0; i < GHOST_ENGINE_COUNT; i++)
        if (executor->vm.engines[i].free != NULL)
            executor->vm.engines[i].free(executor->vm.engines[i].context);
    state_free(&executor->state);
    if (executor->vm.memory != NULL)
        ghost_evm_memory_free(executor->vm.memory);
    changes_free(&executor->changes);
    requests_clear(executor);
    free_outputs(executor);
    for (size_t i = 0; i < INIT_CODES_KEPT; i++) {
        if (executor->init_codes[i].code.analysis != NULL)
            ghost_evm_analysis_free(executor->init_codes[i].code.analysis);
        free((void *)executor->init_codes[i].code.bytes);
    }
    free(executor->outcomes.items);
    free(executor->fee_rates.items);
    free(executor->moves.items);
    free(executor->views.items);
    free(executor->receipts.items);
    free(executor->scratch.items);
    free(executor->digests.items);
    free(executor->bloom_places.items);
    free(executor->deposits.items);
    free(executor);
}

void ghost_executor_plug(ghost_executor *executor, enum ghost_engine_kind kind,
                         const ghost_engine *engine) {
    ghost_engine *place = &executor->vm.engines[kind];
    if (place->free != NULL)
        place->free(place->context);
    *place = *engine;
}

size_t ghost_executor_memory(const ghost_executor *executor) {
    const change_set *changes = &executor->changes;
    return sizeof *executor + state_memory(&executor->state) +
           executor->outcomes.room * sizeof(ghost_tx_outcome) + executor->receipts.room +
           executor->fee_rates.room * sizeof(ghost_fee_rate) +
           executor->views.room * sizeof(ghost_view) + executor->scratch.room +
           executor->digests.room * sizeof(ghost_hash) + executor->deposits.room +
           executor->bloom_places.room * sizeof(uint32_t) + executor->output_bytes +
           changes->accounts.room * sizeof(ghost_account_change) +
           changes->slots.room * sizeof(ghost_slot_change) +
           (changes->account_keys.room + changes->slot_keys.room + changes->sorted.room) *
               sizeof(sort_key);
}

/* Calls outside of blocks come one after the other with the same head: the fee stays known. */
static u256 blob_fee_of(ghost_executor *executor, const ghost_block_env *env) {
    uint64_t excess = env->excess_blob_gas, fraction = env->blob_base_fee_update_fraction;
    if (!executor->knows_blob_fee || executor->blob_excess != excess ||
        executor->blob_fraction != fraction) {
        executor->blob_fee = blob_base_fee(excess, fraction);
        executor->blob_excess = excess;
        executor->blob_fraction = fraction;
        executor->knows_blob_fee = true;
    }
    return executor->blob_fee;
}

void executor_set_block(ghost_executor *executor, const ghost_block_env *env, bool is_new) {
    ghost_state *state = &executor->state;
    state->fork = env->fork < GHOST_FORK_COUNT ? env->fork : GHOST_FORK_COUNT - 1;
    state->number = env->number;
    state->status = GHOST_OK;
    memcpy(state->parent_hash.bytes, env->parent_hash, 32);
    if (is_new)
        state_begin_block(state);
    state->counts_supply = env->hybrid != 0;
    executor->vm.block_serial = state->block;
    executor->vm.exit_reason[0] = 0;
    if (executor->output_bytes > OUTPUT_BYTES_KEPT)
        free_outputs(executor);
    executor->blobs_max = env->blobs_per_block_max;
    executor->gas_limit = env->gas_limit;
    executor->transaction_gas_max = env->transaction_gas_max;
    if (executor->transaction_gas_max == 0)
        executor->transaction_gas_max =
            state->fork >= GHOST_FORK_OSAKA ? TRANSACTION_GAS_CAP : UINT64_MAX;
    executor->chain_id = env->chain_id;
    executor->gas_used = 0;
    executor->blob_gas_used = 0;
    executor->fee_rates.count = 0;
    executor->base_fee = u256_from_be(env->base_fee);
    executor->vm.fork = state->fork;
    executor->vm.hybrid = env->hybrid != 0;
    executor->vm.code_bytes_max = env->code_bytes_max != 0 ? env->code_bytes_max : CODE_BYTES_MAX;
    executor->signature_count = env->signature_count < GHOST_KNOWN_SIGNATURES_MAX
                                    ? env->signature_count
                                    : GHOST_KNOWN_SIGNATURES_MAX;
    if (executor->signature_count != 0)
        memcpy(executor->signatures, env->signatures,
               executor->signature_count * sizeof *executor->signatures);
    executor->vm.status = GHOST_OK;
    ghost_block_context *block = &executor->vm.block;
    block->number = env->number;
    block->timestamp = env->timestamp;
    block->gas_limit = env->gas_limit;
    block->chain_id = env->chain_id;
    memcpy(block->coinbase.bytes, env->coinbase, 20);
    block->base_fee = executor->base_fee;
    block->prev_randao = u256_from_be(env->prev_randao);
    block->blob_base_fee = env->has_blob_base_fee ? u256_from_be(env->blob_base_fee)
                                                  : blob_fee_of(executor, env);
}

/* What a block of ordinary size needs stays for the next; an extraordinary one pays for itself. */
static void trim(ghost_executor *executor) {
    ghost_state *state = &executor->state;
    change_set *changes = &executor->changes;
    size_t bytes_max = state->cache_bytes_max / TRIM_PARTS;
    if (bytes_max < TRIM_BYTES_MIN)
        bytes_max = TRIM_BYTES_MIN;
    LIST_TRIM(state->journal, bytes_max);
    LIST_TRIM(state->dirty_accounts, bytes_max);
    LIST_TRIM(state->dirty_slots, bytes_max);
    LIST_TRIM(state->logs, bytes_max);
    if (state->log_data.bytes > bytes_max)
        state_arena_free(&state->log_data);
    LIST_TRIM(changes->accounts, bytes_max);
    LIST_TRIM(changes->entries, bytes_max);
    LIST_TRIM(changes->slots, bytes_max);
    LIST_TRIM(changes->account_keys, bytes_max);
    LIST_TRIM(changes->slot_keys, bytes_max);
    LIST_TRIM(changes->sorted, bytes_max);
    LIST_TRIM(executor->outcomes, bytes_max);
    LIST_TRIM(executor->fee_rates, bytes_max);
    LIST_TRIM(executor->receipts, bytes_max);
    LIST_TRIM(executor->views, bytes_max);
    LIST_TRIM(executor->deposits, bytes_max);
}

void ghost_executor_commit(ghost_executor *executor) {
    if (!executor->is_pending)
        return;
    changes_commit(&executor->state, &executor->changes);
    known_clear(&executor->state.known);
    executor->is_pending = false;
    state_evict(&executor->state);
    trim(executor);
}

void ghost_executor_discard(ghost_executor *executor) {
    if (!executor->is_pending && !executor->keeps_calls)
        return;
    changes_discard(&executor->state);
    executor->is_pending = false;
    executor->keeps_calls = executor->is_stepping = false;
    state_evict(&executor->state);
}

void ghost_executor_reset(ghost_executor *executor) {
    executor->is_pending = false;
    executor->keeps_calls = executor->is_stepping = false;
    state_forget_values(&executor->state);
    known_clear(&executor->state.known);
}

int ghost_executor_know(ghost_executor *executor, const uint8_t *record, size_t length) {
    return known_set(&executor->state.known, record, length);
}

void ghost_executor_evict(ghost_executor *executor) {
    if (!executor->is_pending && !executor->keeps_calls)
        state_evict(&executor->state);
}

/* ---- calls ---- */

/* What a creation gives is the code it placed: a copy, for the code itself may be evicted. */
static int show_created(ghost_executor *executor, const ghost_address *created,
                        ghost_call_outcome *outcome) {
    memcpy(outcome->contract_address, created->bytes, 20);
    account_entry *account = state_account(&executor->state, created);
    const code_entry *code = account == NULL ? NULL : state_code(&executor->state, account);
    if (code == NULL)
        return executor->state.status;
    if (code->code.length == 0)
        return GHOST_OK;
    uint8_t *copy = malloc(code->code.length);
    if (copy == NULL)
        return GHOST_OUT_OF_MEMORY;
    memcpy(copy, code->code.bytes, code->code.length);
    executor_keep_output(executor, CALL_DEPTH_MAX + 1, copy, code->code.length);
    outcome->output = copy;
    outcome->output_length = code->code.length;
    return GHOST_OK;
}

static int run_call(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                    ghost_call_outcome *outcome) {
    ghost_state *state = &executor->state;
    size_t first_log = state->logs.count;
    executor->vm.gas_mattered = false;
    tx_terms terms;
    outcome->reason = transaction_validate(executor, tx, flags, &terms);
    if (outcome->reason < 0)
        return state->status;
    outcome->gas_intrinsic = terms.intrinsic_gas > terms.floor_gas ? terms.intrinsic_gas
                                                                   : terms.floor_gas;
    if (outcome->reason != GHOST_TX_OK)
        return GHOST_OK;
    if ((flags & (GHOST_CALL_NO_BASE_FEE | GHOST_CALL_SHOW_BASE_FEE)) == GHOST_CALL_NO_BASE_FEE) {
        const u256 blob_fee_max = u256_from_be(tx->max_fee_per_blob_gas);
        if (u256_is_zero(&terms.gas_price))
            executor->vm.block.base_fee = u256_from_u64(0);
        if (terms.blob_gas != 0 && u256_is_zero(&blob_fee_max))
            executor->vm.block.blob_base_fee = u256_from_u64(0);
    }
    tx_effect effect;
    int status = transaction_run(executor, tx, &terms, flags, &effect);
    if (status != GHOST_OK)
        return status;
    outcome->exit = effect.result.exit;
    outcome->success = effect.result.exit == GHOST_EXIT_SUCCESS;
    outcome->gas_mattered = executor->vm.gas_mattered;
    outcome->gas_used = effect.gas_used;
    outcome->gas_refunded = effect.gas_refunded;
    outcome->gas_peak = effect.gas_peak;
    outcome->exit_reason =
        effect.result.exit == GHOST_EXIT_WASM_INVALID ? executor->vm.exit_reason : NULL;
    outcome->output = effect.result.output;
    outcome->output_length = effect.result.output_length;
    outcome->has_contract = tx->is_create && outcome->success;
    if (outcome->has_contract)
        status = show_created(executor, &effect.result.created, outcome);
    outcome->logs = state->logs.items + first_log;
    outcome->log_count = state->logs.count - first_log;
    outcome->accessed_accounts = (const uint8_t *)state->recorded_accounts.items;
    outcome->accessed_account_count = state->recorded_accounts.count;
    outcome->accessed_slots = state->recorded_slots.items;
    outcome->accessed_slot_count = state->recorded_slots.count;
    return status;
}

int ghost_executor_call(ghost_executor *executor, const ghost_block_env *env, const ghost_tx *tx,
                        uint32_t flags, ghost_call_outcome *outcome) {
    memset(outcome, 0, sizeof *outcome);
    if (executor->is_pending)
        return GHOST_REFUSED;
    ghost_state *state = &executor->state;
    executor_set_block(executor, env, !executor->keeps_calls);
    trace_begin(executor);
    trace_transaction(executor, 0);
    if (!executor->is_stepping) {
        state->logs.count = 0;
        state->log_ordinal = 0;
        state_arena_cut(&state->log_data, (arena_mark){0, 0});
    }
    state->logs_transfers = (flags & GHOST_CALL_LOG_TRANSFERS) != 0;
    state->recording = (flags & GHOST_CALL_RECORD_ACCESS) != 0;
    state->recorded_accounts.count = state->recorded_slots.count = 0;
    state_begin_transaction(state);
    snapshot before = state_snapshot(state);
    ghost_address coinbase;
    memcpy(coinbase.bytes, env->coinbase, 20);
    executor->coinbase = state_account(state, &coinbase);
    int status =
        executor->coinbase == NULL ? state->status : run_call(executor, tx, flags, outcome);
    state->recording = state->logs_transfers = false;
    if (status == GHOST_OK && (flags & GHOST_CALL_KEEP)) {
        state_end_transaction(state);
        executor->keeps_calls = true;
        return state->status;
    }
    state_revert(state, &before);
    if (state->lost)
        ghost_executor_reset(executor);
    else if (!executor->keeps_calls)
        state_evict(state);
    return status;
}
