/* Frames: what happens around a message call and a creation, whichever engine runs the code. */
#include <stdlib.h>

#include "../precompiles/precompiles.h"
#include "overlay.h"

enum {
    CODE_PADDING = 33,
    GAS_CODE_DEPOSIT = 200,
    GAS_ECRECOVER = 3000
};

/* ---- engines: the first bytes of the code choose ---- */

static void abort_frame(ghost_vm *vm, ghost_call_result *result) {
    if (vm->status == GHOST_OK)
        vm->status = vm->state->status != GHOST_OK ? vm->state->status : GHOST_LOADER_FAILED;
    *result = (ghost_call_result){.exit = GHOST_EXIT_ABORT};
}

static void run_evm(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                    const ghost_code *code, ghost_call_result *result) {
    if (!ghost_code_prepare(code)) {
        vm->status = GHOST_OUT_OF_MEMORY;
        abort_frame(vm, result);
        return;
    }
    ghost_evm_execute(vm, message, self, code, result);
}

/* NULL: the EVM, which takes any code. */
static const ghost_engine *engine_of(const ghost_vm *vm, const ghost_code *code) {
    if (ghost_is_wasm(code->bytes, code->length))
        return &vm->engines[GHOST_ENGINE_WASM];
    if (ghost_is_contract(code->bytes, code->length))
        return &vm->engines[GHOST_ENGINE_CONTRACTS];
    return NULL;
}

typedef struct engine_job {
    const ghost_engine *engine;
    ghost_vm *vm;
    const ghost_message *message;
    ghost_account *self;
    const ghost_code *code;
    ghost_call_result *result;
} engine_job;

static void work_engine(void *argument) {
    engine_job *job = argument;
    job->engine->execute(job->vm, job->message, job->self, job->code, job->result);
}

static void run_engine(const ghost_engine *engine, ghost_vm *vm, const ghost_message *message,
                       ghost_account *self, const ghost_code *code, ghost_call_result *result) {
    engine_job job = {engine, vm, message, self, code, result};
    vm->gas_mattered = true;
    int status = GHOST_OK;
    if (engine->is_shallow)
        work_engine(&job);
    else
        status = executor_run_deep(executor_of(vm), work_engine, &job);
    if (status != GHOST_OK) {
        vm->status = status;
        abort_frame(vm, result);
    }
}

static void run_code(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                     const ghost_code *code, ghost_call_result *result) {
    const ghost_engine *engine = vm->hybrid ? engine_of(vm, code) : NULL;
    if (engine == NULL) {
        run_evm(vm, message, self, code, result);
    } else if (engine->execute != NULL) {
        run_engine(engine, vm, message, self, code, result);
    } else {
        vm->status = GHOST_MISSING;
        abort_frame(vm, result);
    }
}

/* ---- what both kinds of frame share ---- */

static void refuse(ghost_call_result *result, enum ghost_exit exit, uint64_t gas) {
    *result = (ghost_call_result){.exit = exit, .gas_left = gas};
}

/* The sender has enough: the caller looked. */
static void transfer(ghost_state *state, account_entry *from, account_entry *to,
                     const u256 *value) {
    u256 balance;
    u256_sub(&balance, &from->account.balance, value);
    state_set_balance(state, from, &balance);
    u256_add(&balance, &to->account.balance, value);
    state_set_balance(state, to, &balance);
}

/* Whether nobody has asked the run to stop; tells the tracer of a frame that begins. */
static bool begins(ghost_vm *vm, const ghost_message *message) {
    const ghost_tracer *tracer = vm->tracer;
    if (vm->stop != 0) {
        vm->status = GHOST_STOPPED;
        return false;
    }
    return tracer == NULL || tracer->enter == NULL ||
           tracer->enter(tracer->context, message) == 0;
}

/* Undoes a frame that did not succeed. An engine may refuse for depth before it has done anything:
 * then the gas goes back, as for any call that is too deep. */
static void settle(ghost_vm *vm, const snapshot *before, ghost_call_result *result) {
    if (result->exit == GHOST_EXIT_SUCCESS)
        return;
    state_revert(vm->state, before);
    if (result->exit != GHOST_EXIT_REVERT) {
        vm->gas_mattered = true;
        if (result->exit != GHOST_EXIT_CALL_DEPTH)
            result->gas_left = 0;
        result->output = NULL;
        result->output_length = 0;
    }
}

/* ---- calls ---- */

/* What ECRECOVER says of a signature that a development chain was told to believe: true, and the
 * answer, as ghost_precompile_run gives it; else false. */
static bool believe(const ghost_executor *executor, const uint8_t precompile[20],
                    const ghost_message *message, ghost_precompile_result *answer, int *status) {
    static const uint8_t ecrecover[20] = {[19] = 1};
    uint8_t input[128] = {0}, signature[65];
    if (memcmp(precompile, ecrecover, 20) != 0 || message->gas < GAS_ECRECOVER)
        return false;
    if (message->input_length != 0)
        memcpy(input, message->input,
               message->input_length < sizeof input ? message->input_length : sizeof input);
    memcpy(signature, input + 64, 64);
    signature[64] = input[63];
    for (size_t i = 0; i < executor->signature_count; i++) {
        const ghost_known_signature *known = &executor->signatures[i];
        if (memcmp(known->signature, signature, sizeof signature) != 0)
            continue;
        uint8_t *output = calloc(1, 32);
        *status = output == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
        if (output == NULL)
            return true;
        memcpy(output + 12, known->address, 20);
        *answer = (ghost_precompile_result){.success = 1, .gas_left = message->gas - GAS_ECRECOVER,
                                            .output = output, .output_length = 32};
        return true;
    }
    return false;
}

static void run_precompile(ghost_vm *vm, const ghost_message *message,
                           const uint8_t precompile[20], ghost_call_result *result) {
    ghost_precompile_result answer = {0};
    const ghost_executor *executor = executor_of(vm);
    int status = GHOST_OK;
    if (executor->signature_count == 0 ||
        !believe(executor, precompile, message, &answer, &status))
        status = ghost_precompile_run(&answer, vm->fork, precompile, message->input,
                                      message->input_length, message->gas);
    executor_keep_output(executor_of(vm), message->depth, answer.output, answer.output_length);
    if (status != GHOST_OK) {
        vm->status = status;
        abort_frame(vm, result);
        return;
    }
    if (answer.success)
        result->exit = GHOST_EXIT_SUCCESS;
    else
        result->exit = answer.lacks_gas ? GHOST_EXIT_OUT_OF_GAS : GHOST_EXIT_PRECOMPILE_FAILED;
    result->gas_left = answer.success ? answer.gas_left : 0;
    result->output = answer.success ? answer.output : NULL;
    result->output_length = answer.success ? answer.output_length : 0;
}

const uint8_t *executor_precompile(ghost_vm *vm, const account_entry *account) {
    const ghost_executor *executor = executor_of(vm);
    const uint8_t *address = account->account.address.bytes;
    for (size_t i = 0; i < executor->moves.count; i++) {
        const ghost_precompile_move *move = &executor->moves.items[i];
        if (memcmp(move->at, address, 20) == 0)
            return move->is_none ? NULL : move->source;
    }
    return (account->precompile_forks >> vm->fork) & 1 ? address : NULL;
}

/* Finds the code behind message->code_address, one step of delegation (EIP-7702) included, and
 * runs it. A delegation to a precompile runs no code. */
static void run_callee(ghost_vm *vm, const ghost_message *message, account_entry *recipient,
                       ghost_call_result *result) {
    ghost_state *state = vm->state;
    account_entry *callee = recipient;
    if (memcmp(&message->code_address, &message->recipient, sizeof(ghost_address)) != 0) {
        callee = state_account(state, &message->code_address);
        if (callee == NULL) {
            abort_frame(vm, result);
            return;
        }
    }
    const uint8_t *precompile = executor_precompile(vm, callee);
    if (precompile != NULL) {
        run_precompile(vm, message, precompile, result);
        return;
    }
    const code_entry *code = state_code(state, callee);
    ghost_address delegate;
    if (code != NULL && vm->fork >= GHOST_FORK_PRAGUE &&
        ghost_code_delegate(&code->code, &delegate)) {
        callee = state_account(state, &delegate);
        if (callee != NULL && executor_precompile(vm, callee) != NULL)
            return;
        code = callee == NULL ? NULL : state_code(state, callee);
    }
    if (code == NULL)
        abort_frame(vm, result);
    else if (code->code.length != 0)
        run_code(vm, message, &recipient->account, &code->code, result);
}

static void call(ghost_vm *vm, const ghost_message *message, ghost_call_result *result) {
    ghost_state *state = vm->state;
    if (message->depth > CALL_DEPTH_MAX) {
        refuse(result, GHOST_EXIT_CALL_DEPTH, message->gas);
        return;
    }
    account_entry *recipient = state_account(state, &message->recipient);
    account_entry *sender = NULL;
    bool has_value = message->kind <= GHOST_CALLCODE && !u256_is_zero(&message->value);
    if (has_value)
        sender = state_account(state, &message->sender);
    if (recipient == NULL || (has_value && sender == NULL)) {
        abort_frame(vm, result);
        return;
    }
    if (has_value && u256_less(&sender->account.balance, &message->value)) {
        refuse(result, GHOST_EXIT_INSUFFICIENT_BALANCE, message->gas);
        return;
    }
    snapshot before = state_snapshot(state);
    if (message->kind == GHOST_CALL) {
        if (has_value) {
            transfer(state, sender, recipient, &message->value);
            state_log_transfer(state, &message->sender, &message->recipient, &message->value);
        } else if (recipient->present && ghost_account_is_empty(&recipient->account)) {
            state_touch(state, recipient);
        }
    }
    *result = (ghost_call_result){.exit = GHOST_EXIT_SUCCESS, .gas_left = message->gas};
    run_callee(vm, message, recipient, result);
    settle(vm, &before, result);
}

void ghost_call(ghost_vm *vm, const ghost_message *message, ghost_call_result *result) {
    const ghost_tracer *tracer = vm->tracer;
    if (!begins(vm, message)) {
        abort_frame(vm, result);
        return;
    }
    call(vm, message, result);
    if (tracer != NULL && tracer->leave != NULL)
        tracer->leave(tracer->context, message, result);
}

/* ---- creations ---- */

/* The last 20 bytes of keccak256(RLP(creator, nonce)). */
static ghost_address address_by_nonce(const ghost_address *creator, uint64_t nonce) {
    uint8_t item[32], number[8], digest[32];
    size_t length = 22;
    store_be64(number, nonce);
    item[1] = 0x94;
    memcpy(item + 2, creator->bytes, 20);
    if (nonce != 0 && nonce < 0x80) {
        item[length++] = (uint8_t)nonce;
    } else {
        size_t bytes = nonce == 0 ? 0 : (71 - (size_t)__builtin_clzll(nonce)) / 8;
        item[length++] = (uint8_t)(0x80 + bytes);
        memcpy(item + length, number + 8 - bytes, bytes);
        length += bytes;
    }
    item[0] = (uint8_t)(0xc0 + length - 1);
    ghost_keccak256(digest, item, length);
    ghost_address address;
    memcpy(address.bytes, digest + 12, 20);
    return address;
}

/* EIP-1014. */
static ghost_address address_by_salt(const ghost_message *message) {
    uint8_t item[85], digest[32];
    item[0] = 0xff;
    memcpy(item + 1, message->sender.bytes, 20);
    u256_to_be(item + 21, &message->salt);
    ghost_keccak256(item + 53, message->input, message->input_length);
    ghost_keccak256(digest, item, sizeof item);
    ghost_address address;
    memcpy(address.bytes, digest + 12, 20);
    return address;
}

/* The init code as runnable code: a kept copy when it is the same, else a new one in the place of
 * one that no frame runs. NULL when memory is out or all copies are running. */
static init_code *take_init_code(ghost_executor *executor, const ghost_message *message) {
    init_code *place = NULL;
    for (size_t i = 0; i < INIT_CODES_KEPT; i++) {
        init_code *kept = &executor->init_codes[(executor->init_code_next + i) % INIT_CODES_KEPT];
        if (kept->code.bytes != NULL && kept->code.length == message->input_length &&
            memcmp(kept->code.bytes, message->input, message->input_length) == 0)
            return kept;
        if (kept->running == 0 && place == NULL)
            place = kept;
    }
    if (place == NULL)
        return NULL;
    executor->init_code_next++;
    size_t wanted = message->input_length + CODE_PADDING;
    uint8_t *bytes = (uint8_t *)place->code.bytes;
    if (place->code.analysis != NULL)
        ghost_evm_analysis_free(place->code.analysis);
    place->code.analysis = NULL;
    if (wanted > place->room) {
        free(bytes);
        bytes = malloc(wanted);
        place->code.bytes = bytes;
        place->code.length = 0;
        place->room = bytes == NULL ? 0 : wanted;
        if (bytes == NULL)
            return NULL;
    }
    memcpy(bytes, message->input, message->input_length);
    memset(bytes + message->input_length, 0, CODE_PADDING);
    place->code.length = message->input_length;
    return place;
}

static void run_init_code_once(ghost_vm *vm, const ghost_message *frame, ghost_account *self,
                               const ghost_message *message, ghost_call_result *result) {
    ghost_code code = {.length = message->input_length};
    uint8_t *bytes = malloc(message->input_length + CODE_PADDING);
    if (bytes == NULL) {
        vm->status = GHOST_OUT_OF_MEMORY;
        abort_frame(vm, result);
        return;
    }
    memcpy(bytes, message->input, message->input_length);
    memset(bytes + message->input_length, 0, CODE_PADDING);
    code.bytes = bytes;
    run_evm(vm, frame, self, &code, result);
    if (code.analysis != NULL)
        ghost_evm_analysis_free(code.analysis);
    free(bytes);
}

static void run_init_code(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                          ghost_call_result *result) {
    if (message->input_length == 0)
        return;
    if (vm->hybrid && ghost_is_wasm(message->input, message->input_length)) {
        result->output = message->input;      /* a module deploys itself */
        result->output_length = message->input_length;
        return;
    }
    ghost_message frame = *message;
    frame.input = NULL;
    frame.input_length = 0;
    init_code *code = take_init_code(executor_of(vm), message);
    if (code == NULL) {
        run_init_code_once(vm, &frame, self, message, result);
        return;
    }
    code->running++;
    run_evm(vm, &frame, self, &code->code, result);
    code->running--;
}

typedef struct deploy_job {
    const ghost_engine *engine;
    ghost_vm *vm;
    const uint8_t *code;
    size_t length;
    uint64_t *gas;
    int exit;
} deploy_job;

static void work_deploy(void *argument) {
    deploy_job *job = argument;
    job->exit = job->engine->deploy(job->vm, job->code, job->length, job->gas);
}

static int deploy_module(const ghost_engine *engine, ghost_vm *vm, const uint8_t *code,
                         size_t length, uint64_t *gas) {
    deploy_job job = {.engine = engine, .vm = vm, .code = code, .length = length, .gas = gas};
    int status = executor_run_deep(executor_of(vm), work_deploy, &job);
    if (status == GHOST_OK)
        return job.exit;
    vm->status = status;
    return GHOST_EXIT_ABORT;
}

/* Whether what the init code returned may become code, at what price. 0, or the exit. */
static int check_deposit(ghost_vm *vm, const uint8_t *code, size_t length, uint64_t *gas) {
    uint64_t cost = (uint64_t)length * GAS_CODE_DEPOSIT;
    bool is_wasm = vm->hybrid && ghost_is_wasm(code, length);
    if (length > 0 && code[0] == 0xef)
        return GHOST_EXIT_CODE_PREFIX;
    if (cost > *gas)
        return GHOST_EXIT_CODE_STORE_OUT_OF_GAS;
    if (length > (is_wasm ? WASM_BYTES_MAX : vm->code_bytes_max)) {
        vm->fault = (ghost_fault){.kind = GHOST_FAULT_CODE, .want = (uint32_t)length};
        return GHOST_EXIT_CODE_SIZE;
    }
    *gas -= cost;
    if (!is_wasm)
        return 0;
    const ghost_engine *engine = &vm->engines[GHOST_ENGINE_WASM];
    if (engine->deploy != NULL)
        return deploy_module(engine, vm, code, length, gas);
    vm->status = GHOST_MISSING;
    return GHOST_EXIT_ABORT;
}

/* Charges for what the init code returned and makes it the account's code. */
static void deposit(ghost_vm *vm, account_entry *created, ghost_call_result *result) {
    int exit = check_deposit(vm, result->output, result->output_length, &result->gas_left);
    if (exit == 0 && result->output_length > 0) {
        code_entry *code = state_intern_code(vm->state, result->output, result->output_length);
        if (code == NULL)
            exit = GHOST_EXIT_ABORT;
        else
            state_set_code(vm->state, created, code);
    }
    if (exit == GHOST_EXIT_ABORT)
        abort_frame(vm, result);
    result->exit = (uint8_t)exit;
    result->output = NULL;
    result->output_length = 0;
}

/* message->recipient is the new address already. */
static void create(ghost_vm *vm, const ghost_message *message, account_entry *creator,
                   ghost_call_result *result) {
    ghost_state *state = vm->state;
    account_entry *created = state_account(state, &message->recipient);
    if (created == NULL) {
        abort_frame(vm, result);
        return;
    }
    /* A transaction's own nonce was raised when it began. */
    if (message->depth > 0)
        state_set_nonce(state, creator, creator->account.nonce + 1);
    state_warm_account(state, created);
    if (state_account_collides(created)) {
        refuse(result, GHOST_EXIT_ADDRESS_COLLISION, 0);
        return;
    }
    snapshot before = state_snapshot(state);
    state_mark_created(state, created);
    state_set_nonce(state, created, 1);
    if (!u256_is_zero(&message->value)) {
        transfer(state, creator, created, &message->value);
        state_log_transfer(state, &message->sender, &message->recipient, &message->value);
    }
    *result = (ghost_call_result){.exit = GHOST_EXIT_SUCCESS, .gas_left = message->gas};
    run_init_code(vm, message, &created->account, result);
    if (result->exit == GHOST_EXIT_SUCCESS)
        deposit(vm, created, result);
    settle(vm, &before, result);
    if (result->exit == GHOST_EXIT_SUCCESS)
        result->created = message->recipient;
}

void ghost_create(ghost_vm *vm, const ghost_message *message, ghost_call_result *result) {
    account_entry *creator = state_account(vm->state, &message->sender);
    if (creator == NULL) {
        abort_frame(vm, result);
        return;
    }
    uint64_t nonce = creator->account.nonce;
    ghost_message frame = *message;
    frame.recipient = message->kind == GHOST_CREATE2
                          ? address_by_salt(message)
                          : address_by_nonce(&message->sender, nonce - (message->depth == 0));
    frame.code_address = frame.recipient;
    const ghost_tracer *tracer = vm->tracer;
    if (!begins(vm, &frame)) {
        abort_frame(vm, result);
        return;
    }
    if (message->depth > CALL_DEPTH_MAX)
        refuse(result, GHOST_EXIT_CALL_DEPTH, message->gas);
    else if (u256_less(&creator->account.balance, &message->value))
        refuse(result, GHOST_EXIT_INSUFFICIENT_BALANCE, message->gas);
    else if (message->depth > 0 && nonce == UINT64_MAX)
        refuse(result, GHOST_EXIT_NONCE_OVERFLOW, message->gas);
    else
        create(vm, &frame, creator, result);
    if (tracer != NULL && tracer->leave != NULL)
        tracer->leave(tracer->context, &frame, result);
}
