/* Blocks step by step: what is simulated on top of a state, and the middle of a block that is run
 * once more. All steps are changes of one overlay, until discard. */
#include "overlay.h"

typedef struct step_job {
    ghost_executor *executor;
    const ghost_block_env *env;
    const ghost_withdrawal *withdrawals;
    size_t withdrawal_count;
    uint32_t flags;
    bool is_end;
    int reason;
    int status;
} step_job;

static void work_step(void *argument) {
    step_job *job = argument;
    if (job->is_end) {
        job->status = block_end(job->executor, job->env, job->withdrawals, job->withdrawal_count,
                                &job->reason);
    } else {
        job->status = block_begin(job->executor, job->env, job->flags);
    }
}

static int run_step(step_job *job) {
    if (!job->executor->vm.hybrid) {
        work_step(job);
        return job->status;
    }
    int status = executor_run_deep(job->executor, work_step, job);
    return status == GHOST_OK ? job->status : status;
}

int ghost_executor_begin_block(ghost_executor *executor, const ghost_block_env *env,
                               uint32_t flags) {
    ghost_state *state = &executor->state;
    if (!(flags & GHOST_BLOCK_CONTINUE)) {
        ghost_executor_discard(executor);
    }
    if (executor->is_pending) {
        return GHOST_REFUSED;
    }
    executor_set_block(executor, env, !executor->keeps_calls);
    state->logs.count = 0;
    state->log_ordinal = 0;
    state_arena_cut(&state->log_data, (arena_mark){0, 0});
    state->minted = state->burnt = u256_from_u64(0);
    trace_begin(executor);
    requests_clear(executor);
    executor->keeps_calls = executor->is_stepping = true;
    step_job job = {.executor = executor, .env = env, .flags = flags};
    int status = run_step(&job);
    if (status != GHOST_OK) {
        ghost_executor_discard(executor);
    }
    return status;
}

int ghost_executor_end_block(ghost_executor *executor, const ghost_block_env *env,
                             const ghost_withdrawal *withdrawals, size_t withdrawal_count,
                             ghost_block_result *result) {
    memset(result, 0, sizeof *result);
    if (!executor->is_stepping) {
        return GHOST_REFUSED;
    }
    executor_set_block(executor, env, false);
    trace_transaction(executor, GHOST_TRACE_NO_TRANSACTION);
    step_job job = {
        .executor = executor,
        .env = env,
        .withdrawals = withdrawals,
        .withdrawal_count = withdrawal_count,
        .is_end = true,
    };
    int status = run_step(&job);
    result->reason = job.reason;
    if (status == GHOST_OK && job.reason == GHOST_BLOCK_OK) {
        status = requests_hash(executor, result->requests_hash);
    }
    result->requests = executor->requests;
    result->request_count = executor->request_count;
    return status;
}

int ghost_executor_changes(ghost_executor *executor, ghost_block_result *result) {
    memset(result, 0, sizeof *result);
    int status = changes_build(&executor->state, &executor->changes);
    result->accounts = executor->changes.accounts.items;
    result->account_count = executor->changes.accounts.count;
    result->slots = executor->changes.slots.items;
    result->slot_count = executor->changes.slots.count;
    return status;
}

int ghost_executor_account(ghost_executor *executor, const uint8_t address[20],
                           ghost_account_record *out) {
    ghost_address wanted;
    memcpy(wanted.bytes, address, 20);
    const account_entry *entry = state_account(&executor->state, &wanted);
    if (entry == NULL) {
        return -executor->state.status;
    }
    out->nonce = entry->account.nonce;
    u256_to_be(out->balance, &entry->account.balance);
    memcpy(out->storage_root, entry->storage_root.bytes, 32);
    memcpy(out->code_hash, entry->account.code_hash.bytes, 32);
    return entry->present;
}

int ghost_executor_load_accounts(ghost_executor *executor, const uint8_t *addresses, size_t count) {
    return state_load_accounts(&executor->state, addresses, count) ? GHOST_OK
                                                                   : executor->state.status;
}

int ghost_executor_move_precompiles(ghost_executor *executor, const ghost_precompile_move *moves,
                                    size_t count) {
    executor->moves.count = 0;
    if (!LIST_RESERVE(executor->moves, count)) {
        return GHOST_OUT_OF_MEMORY;
    }
    if (count != 0) {
        memcpy(executor->moves.items, moves, count * sizeof *moves);
    }
    executor->moves.count = count;
    return GHOST_OK;
}
