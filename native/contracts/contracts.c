/* The engine of native contracts: who may run as one, the kernels, and the rest. */
#include "contracts.h"

#include <stdlib.h>

#include "../executor/host.h"
#include "../keccak/keccak.h"
#include "staking.h"
#include "tokens.h"

typedef struct contracts {
    ghost_contract_runner runner;
    unsigned frames;              /* that the runner is in now */
} contracts;

/* The part of a call that Python does not see. */
typedef struct call_frame {
    ghost_frame host;
    ghost_call_result *result;
} call_frame;

static const uint8_t not_delegable[4] = {0xfc, 0xf8, 0xd9, 0x29};     /* NotDelegable() */

static ghost_frame *enter(ghost_contract_call *call) {
    ghost_frame *frame = &((call_frame *)call->frame)->host;
    frame->gas = call->gas;
    return frame;
}

static int leave(ghost_contract_call *call, const ghost_frame *frame, int exit) {
    call->gas = frame->gas;
    return exit;
}

static ghost_address address_of(const uint8_t bytes[20]) {
    ghost_address address;
    memcpy(address.bytes, bytes, sizeof address.bytes);
    return address;
}

/* ---- what a contract asks of the world ---- */

int ghost_contract_load(ghost_contract_call *call, const uint8_t key[32]) {
    ghost_frame *frame = enter(call);
    u256 place = u256_from_be(key), value = {{0}};
    int exit = ghost_host_load(frame, &place, &value);
    u256_to_be(call->word, &value);
    return leave(call, frame, exit);
}

int ghost_contract_store(ghost_contract_call *call, const uint8_t key[32],
                         const uint8_t value[32]) {
    ghost_frame *frame = enter(call);
    u256 place = u256_from_be(key), word = u256_from_be(value);
    return leave(call, frame, ghost_host_store(frame, &place, &word));
}

int ghost_contract_load_transient(ghost_contract_call *call, const uint8_t key[32]) {
    ghost_frame *frame = enter(call);
    u256 place = u256_from_be(key), value = {{0}};
    int exit = ghost_host_transient_load(frame, &place, &value);
    u256_to_be(call->word, &value);
    return leave(call, frame, exit);
}

int ghost_contract_store_transient(ghost_contract_call *call, const uint8_t key[32],
                                   const uint8_t value[32]) {
    ghost_frame *frame = enter(call);
    u256 place = u256_from_be(key), word = u256_from_be(value);
    return leave(call, frame, ghost_host_transient_store(frame, &place, &word));
}

int ghost_contract_hash(ghost_contract_call *call, uint64_t gas, const uint8_t *data,
                        size_t length) {
    if (call->gas < gas)
        return GHOST_EXIT_OUT_OF_GAS;
    call->gas -= gas;
    ghost_keccak256(call->word, data, length);
    return 0;
}

int ghost_contract_log(ghost_contract_call *call, const uint8_t *topics, unsigned topic_count,
                       const uint8_t *data, size_t length) {
    ghost_frame *frame = enter(call);
    u256 words[4];
    for (unsigned i = 0; i < topic_count && i < 4; i++)
        words[i] = u256_from_be(topics + 32 * i);
    return leave(call, frame, ghost_host_log(frame, words, topic_count, data, length));
}

int ghost_contract_balance(ghost_contract_call *call, const uint8_t address[20]) {
    ghost_frame *frame = enter(call);
    ghost_address account = address_of(address);
    u256 balance = {{0}};
    int exit = ghost_host_balance(frame, &account, &balance);
    u256_to_be(call->word, &balance);
    return leave(call, frame, exit);
}

int ghost_contract_code(ghost_contract_call *call, const uint8_t address[20]) {
    ghost_frame *frame = enter(call);
    ghost_address account = address_of(address);
    ghost_view code = {NULL, 0};
    int exit = ghost_host_code(frame, &account, &code);
    call->returned = code.data;
    call->returned_length = code.length;
    return leave(call, frame, exit);
}

int ghost_contract_block_hash(ghost_contract_call *call, uint64_t number) {
    ghost_frame *frame = enter(call);
    ghost_hash hash = {{0}};
    int exit = ghost_host_block_hash(frame, number, &hash);
    memcpy(call->word, hash.bytes, sizeof call->word);
    return leave(call, frame, exit);
}

int ghost_contract_send(ghost_contract_call *call, const uint8_t address[20],
                        const uint8_t value[32], uint64_t gas, int is_static,
                        const uint8_t *input, size_t input_length, int *exit) {
    ghost_frame *frame = enter(call);
    ghost_address account = address_of(address);
    u256 amount = u256_from_be(value);
    enum ghost_exit ended = GHOST_EXIT_ABORT;
    int failed = ghost_host_call(frame, is_static ? GHOST_STATICCALL : GHOST_CALL, &account,
                                 &amount, gas, input, input_length, &ended);
    *exit = (int)ended;
    call->returned = frame->return_data;
    call->returned_length = failed == 0 ? frame->return_length : 0;
    return leave(call, frame, failed);
}

int ghost_contract_move_balance(ghost_contract_call *call, const uint8_t source[20],
                                const uint8_t target[20], const uint8_t amount[32]) {
    ghost_frame *frame = enter(call);
    ghost_address from = address_of(source), to = address_of(target);
    u256 value = u256_from_be(amount);
    if (call->id != GHOST_TOKEN_GCC)
        return GHOST_EXIT_PRECOMPILE_FAILED;
    return leave(call, frame, ghost_host_move_balance(frame, &from, &to, &value));
}

int ghost_contract_burn_balance(ghost_contract_call *call, const uint8_t source[20],
                                const uint8_t amount[32]) {
    ghost_frame *frame = enter(call);
    ghost_address from = address_of(source);
    u256 value = u256_from_be(amount);
    if (call->id != GHOST_TOKEN_GCC)
        return GHOST_EXIT_PRECOMPILE_FAILED;
    return leave(call, frame, ghost_host_burn_balance(frame, &from, &value));
}

int ghost_contract_output(ghost_contract_call *call, const uint8_t *data, size_t length) {
    call_frame *frame = call->frame;
    return ghost_host_output(&frame->host, data, length, frame->result);
}

/* ---- the engine ---- */

/* Not by DELEGATECALL or CALLCODE, and not behind an account's delegation (EIP-7702): a contract's
 * storage and rights are those of its own address. */
static bool runs_as_itself(const ghost_message *message, const ghost_account *self, uint8_t id) {
    ghost_address own = {{[17] = 0x47, [18] = 0x43, [19] = id}};
    return (message->kind == GHOST_CALL || message->kind == GHOST_STATICCALL) &&
           memcmp(&self->address, &own, sizeof own) == 0 &&
           memcmp(&message->code_address, &own, sizeof own) == 0;
}

static void describe(ghost_contract_call *call, call_frame *frame, uint8_t id) {
    const ghost_message *message = frame->host.message;
    const ghost_vm *vm = frame->host.vm;
    const ghost_block_context *block = &vm->block;
    call->frame = frame;
    call->gas = frame->host.gas;
    call->id = id;
    call->is_static = message->is_static;
    memcpy(call->address, message->recipient.bytes, 20);
    memcpy(call->sender, message->sender.bytes, 20);
    memcpy(call->origin, vm->tx.origin.bytes, 20);
    if (message->kind == GHOST_CALL)
        u256_to_be(call->value, &message->value);
    call->input = message->input;
    call->input_length = message->input_length;
    call->number = block->number;
    call->timestamp = block->timestamp;
    call->gas_limit = block->gas_limit;
    call->chain_id = block->chain_id;
    memcpy(call->coinbase, block->coinbase.bytes, 20);
    u256_to_be(call->base_fee, &block->base_fee);
    u256_to_be(call->prev_randao, &block->prev_randao);
}

typedef struct python_job {
    const ghost_contract_runner *runner;
    ghost_contract_call *call;
    int exit;
} python_job;

static void work_python(void *argument) {
    python_job *job = argument;
    job->exit = job->runner->run(job->runner->context, job->call);
}

static bool answer(ghost_frame *frame, uint8_t id, ghost_call_result *result, int *exit) {
    return ghost_token_answer(frame, id, result, exit) ||
           ghost_staking_answer(frame, id, result, exit);
}

static int run_elsewhere(contracts *engine, call_frame *frame, uint8_t id) {
    if (engine->frames == GHOST_CONTRACT_FRAMES_MAX)
        return GHOST_EXIT_CALL_DEPTH;
    ghost_contract_call call = {0};
    describe(&call, frame, id);
    python_job job = {&engine->runner, &call, GHOST_EXIT_ABORT};
    engine->frames++;
    int status = ghost_host_run_deep(&frame->host, work_python, &job);
    engine->frames--;
    frame->host.gas = call.gas;
    if (status != GHOST_OK)
        frame->host.vm->status = status;
    return job.exit;
}

static void execute(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                    const ghost_code *code, ghost_call_result *result) {
    contracts *engine = vm->engines[GHOST_ENGINE_CONTRACTS].context;
    call_frame frame = {
        .host = {.vm = vm, .message = message, .self = self, .gas = message->gas},
        .result = result,
    };
    uint8_t id = code->bytes[2];
    int exit;
    *result = (ghost_call_result){0};
    if (!runs_as_itself(message, self, id)) {
        result->output = not_delegable;
        result->output_length = sizeof not_delegable;
        exit = GHOST_EXIT_REVERT;
    } else if (!engine->runner.with_kernel ||
               !answer(&frame.host, id, result, &exit)) {
        exit = run_elsewhere(engine, &frame, id);
    }
    bool keeps_gas = exit <= GHOST_EXIT_REVERT || exit == GHOST_EXIT_CALL_DEPTH;
    if (exit == GHOST_EXIT_ABORT && vm->status == GHOST_OK)
        vm->status = GHOST_LOADER_FAILED;
    result->exit = (uint8_t)exit;
    result->gas_left = keeps_gas ? frame.host.gas : 0;
    if (exit > GHOST_EXIT_REVERT) {
        result->output = NULL;
        result->output_length = 0;
    }
}

int ghost_contracts_plug(ghost_executor *executor, const ghost_contract_runner *runner) {
    contracts *made = malloc(sizeof *made);
    if (made == NULL)
        return GHOST_OUT_OF_MEMORY;
    *made = (contracts){.runner = *runner};
    ghost_engine engine = {
        .context = made, .execute = execute, .free = free, .is_shallow = true};
    ghost_executor_plug(executor, GHOST_ENGINE_CONTRACTS, &engine);
    return GHOST_OK;
}
