/* Steps of the EVM as geth's struct logger writes them (eth/tracers/logger): each an object of
 * JSON, separated by commas, without the brackets around them. */
#include <stdio.h>
#include <stdlib.h>

#include "../evm/opcodes.h"
#include "trace.h"

enum {
    WORD_JSON_BYTES = 69,         /* "0x, 64 digits, ", comma */
    SLOT_JSON_BYTES = 138,        /* two words with a colon and a comma */
    STEP_JSON_BYTES = 512,        /* all of a step but its lists */
    BUFFER_BYTES_MIN = 1 << 16,
    SLOTS_MIN = 8
};

static const char *const names[256] = {
#define NAME(code, name, gas, taken, left, fork) [code] = #name,
    GHOST_OPCODES(NAME)
#undef NAME
    /* Of other forks: geth calls them by their names where they are not defined. */
    [0x4b] = "SLOTNUM",
    [0xd0] = "DATALOAD",
    [0xd1] = "DATALOADN",
    [0xd2] = "DATASIZE",
    [0xd3] = "DATACOPY",
    [0xe0] = "RJUMP",
    [0xe1] = "RJUMPI",
    [0xe2] = "RJUMPV",
    [0xe3] = "CALLF",
    [0xe4] = "RETF",
    [0xe5] = "JUMPF",
    [0xe6] = "DUPN",
    [0xe7] = "SWAPN",
    [0xe8] = "EXCHANGE",
    [0xec] = "EOFCREATE",
    [0xee] = "RETURNCONTRACT",
    [0xf7] = "RETURNDATALOAD",
    [0xf8] = "EXTCALL",
    [0xf9] = "EXTDELEGATECALL",
    [0xfb] = "EXTSTATICCALL",
};

/* ---- words ---- */

static const char digits[] = "0123456789abcdef";

static uint8_t *put_text(uint8_t *out, const char *text) {
    size_t length = strlen(text);
    memcpy(out, text, length);
    return out + length;
}

static uint8_t *put_number(uint8_t *out, uint64_t number) {
    uint8_t reversed[20];
    size_t count = 0;
    do {
        reversed[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0)
        *out++ = reversed[--count];
    return out;
}

/* The eight digits of a number, the first in the lowest byte. */
static uint64_t eight_digits(uint32_t number) {
    uint64_t nibbles = __builtin_bswap32(number);
    nibbles = (nibbles | nibbles << 16) & 0x0000ffff0000ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff00ff00ff00ff;
    nibbles = (nibbles >> 4 & 0x000f000f000f000f) | (nibbles & 0x000f000f000f000f) << 8;
    /* 1 in each byte that is a letter, which begin 39 places after the digits' end. */
    uint64_t letters = (nibbles + 0x0606060606060606) >> 4 & 0x0101010101010101;
    return nibbles + 0x3030303030303030 + letters * 39;
}

/* Sixteen bytes. */
static void put_limb(uint8_t *out, uint64_t limb) {
    uint64_t halves[2] = {eight_digits((uint32_t)(limb >> 32)), eight_digits((uint32_t)limb)};
    memcpy(out, halves, sizeof halves);
}

static uint8_t *put_hex(uint8_t *out, const uint8_t *bytes, size_t length) {
    for (; length >= 8; length -= 8, bytes += 8, out += 16) {
        put_limb(out, load_be64(bytes));
    }
    for (size_t i = 0; i < length; i++) {
        *out++ = (uint8_t)digits[bytes[i] >> 4];
        *out++ = (uint8_t)digits[bytes[i] & 15];
    }
    return out;
}

/* "0x" and no leading zeros. */
static uint8_t *put_word(uint8_t *out, const u256 *word) {
    int high = 3;
    while (high > 0 && word->limbs[high] == 0)
        high--;
    uint64_t limb = word->limbs[high];
    unsigned count = limb == 0 ? 1 : (67 - (unsigned)__builtin_clzll(limb)) / 4;
    out = put_text(out, "\"0x");
    /* Sixteen bytes are there: WORD_JSON_BYTES has room for all four limbs. */
    put_limb(out, limb << (64 - 4 * count));
    out += count;
    for (; high-- > 0; out += 16)
        put_limb(out, word->limbs[high]);
    *out++ = '"';
    return out;
}

static uint8_t *put_whole_word(uint8_t *out, const uint8_t word[32]) {
    out = put_text(out, "\"0x");
    out = put_hex(out, word, 32);
    *out++ = '"';
    return out;
}

/* ---- the buffer ---- */

/* Where `more` bytes can be written; NULL: the run has to stop. */
static uint8_t *reserve(trace *trace, size_t more) {
    step_json *json = &trace->json;
    if (more <= json->room - json->length)
        return json->bytes + json->length;
    size_t room = json->room * 2 > BUFFER_BYTES_MIN ? json->room * 2 : BUFFER_BYTES_MIN;
    uint8_t *grown = NULL;
    if (json->length + more > room)
        room = json->length + more;
    if (room > trace->watch.json_bytes_max)
        room = trace->watch.json_bytes_max;
    if (json->length + more <= trace->watch.json_bytes_max)
        grown = realloc(json->bytes, room);
    if (grown == NULL) {
        bool is_over = json->length + more > trace->watch.json_bytes_max;
        trace->executor->vm.status = is_over ? GHOST_LIMIT : GHOST_OUT_OF_MEMORY;
        return NULL;
    }
    json->bytes = grown;
    json->room = room;
    return json->bytes + json->length;
}

/* ---- storage ---- */

/* The slots of a contract as they are shown from here on: sorted, each written already. */
static contract_slots *slots_of(trace *trace, const ghost_account *self) {
    step_json *json = &trace->json;
    uint32_t place;
    if (places_find(&json->places, self, &place))
        return &json->contracts.items[place];
    place = (uint32_t)json->contracts.count;
    if (place == json->contracts.room) {
        size_t before = json->contracts.room;
        if (!LIST_RESERVE(json->contracts, 1))
            return NULL;
        memset(json->contracts.items + before, 0,
               (json->contracts.room - before) * sizeof *json->contracts.items);
    }
    if (!places_put(&json->places, self, place))
        return NULL;
    json->contracts.items[json->contracts.count++].count = 0;
    return &json->contracts.items[place];
}

static bool set_slot(contract_slots *slots, const u256 *key, const u256 *value) {
    uint8_t word[32], item[SLOT_JSON_BYTES];
    u256_to_be(word, key);
    uint8_t *end = put_whole_word(item, word);
    const size_t key_length = (size_t)(end - item);
    *end++ = ':';
    u256_to_be(word, value);
    end = put_whole_word(end, word);
    *end = ',';
    size_t low = 0, high = slots->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(slots->items + middle * SLOT_JSON_BYTES, item, key_length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    uint8_t *place = slots->items + low * SLOT_JSON_BYTES;
    if (low < slots->count && memcmp(place, item, key_length) == 0) {
        memcpy(place, item, SLOT_JSON_BYTES);
        return true;
    }
    if (slots->count == slots->room) {
        size_t room = slots->room == 0 ? SLOTS_MIN : slots->room * 2;
        uint8_t *grown = realloc(slots->items, room * SLOT_JSON_BYTES);
        if (grown == NULL)
            return false;
        slots->items = grown;
        slots->room = room;
        place = grown + low * SLOT_JSON_BYTES;
    }
    memmove(place + SLOT_JSON_BYTES, place, (slots->count - low) * SLOT_JSON_BYTES);
    memcpy(place, item, SLOT_JSON_BYTES);
    slots->count++;
    return true;
}

/* The contract's slots when the step reads or writes one, the new value included; *slots NULL when
 * it does not. False: the run has to stop. */
static bool show_slots(trace *trace, const ghost_step *step, const contract_slots **slots) {
    ghost_vm *vm = &trace->executor->vm;
    bool is_load = step->opcode == OP_SLOAD && step->stack_size >= 1;
    bool is_store = step->opcode == OP_SSTORE && step->stack_size >= 2;
    *slots = NULL;
    if (trace->watch.json_no_storage || !(is_load || is_store))
        return true;
    ghost_slot slot;
    bool is_cold;
    if (is_load &&
        !ghost_state_peek_slot(vm->state, step->self, step->stack_top, &slot, &is_cold)) {
        vm->status = vm->state->status;
        return false;
    }
    contract_slots *shown = slots_of(trace, step->self);
    if (shown == NULL ||
        !set_slot(shown, step->stack_top, is_load ? &slot.value : step->stack_top - 1)) {
        vm->status = GHOST_OUT_OF_MEMORY;
        return false;
    }
    *slots = shown;
    return true;
}

/* ---- a step ---- */

static uint8_t *put_name(uint8_t *out, uint8_t opcode) {
    char undefined[32];
    if (opcode == OP_PREVRANDAO)
        return put_text(out, "DIFFICULTY");
    if (names[opcode] != NULL)
        return put_text(out, names[opcode]);
    snprintf(undefined, sizeof undefined, "opcode 0x%x not defined", opcode);
    return put_text(out, undefined);
}

/* In geth's words, and as Go writes JSON: the limit counts every byte. */
static uint8_t *put_error(uint8_t *out, const ghost_step *step) {
    static const char *const texts[] = {
        [GHOST_FAULT_NONE] = "out of gas",
        [GHOST_FAULT_SENTRY] = "out of gas: not enough gas for reentrancy sentry",
        [GHOST_FAULT_OVERFLOW] = "gas uint64 overflow",
        [GHOST_FAULT_MEMORY] = "out of gas: gas uint64 overflow",
        [GHOST_FAULT_STATIC] = "out of gas: write protection",
        [GHOST_FAULT_TWICE] = "out of gas: out of gas",
    };
    char text[128];
    const ghost_fault *fault = &step->fault;
    if (step->exit == GHOST_EXIT_STACK_UNDERFLOW)
        snprintf(text, sizeof text, "stack underflow (%u \\u003c=\\u003e %u)", fault->have,
                 fault->want);
    else if (step->exit == GHOST_EXIT_STACK_OVERFLOW)
        snprintf(text, sizeof text, "stack limit reached %u (%u)", fault->have, fault->want);
    else if (fault->kind == GHOST_FAULT_INIT_CODE)
        snprintf(text, sizeof text,
                 "out of gas: max initcode size exceeded: code size %u limit %u", fault->want,
                 fault->have);
    else
        return put_text(out, texts[fault->kind]);
    return put_text(out, text);
}

static uint8_t *put_head(uint8_t *out, const ghost_step *step) {
    out = put_text(out, "{\"pc\":");
    out = put_number(out, step->pc);
    out = put_text(out, ",\"op\":\"");
    out = put_name(out, step->opcode);
    out = put_text(out, "\",\"gas\":");
    out = put_number(out, step->gas);
    out = put_text(out, ",\"gasCost\":");
    out = put_number(out, step->cost);
    out = put_text(out, ",\"depth\":");
    out = put_number(out, step->message->depth + 1u);
    if (step->exit == 0)
        return out;
    out = put_text(out, ",\"error\":\"");
    out = put_error(out, step);
    *out++ = '"';
    return out;
}

/* Takes back the comma after the last item of a list that has one. */
static uint8_t *close_list(uint8_t *out, char bracket) {
    if (out[-1] == ',')
        out--;
    *out++ = (uint8_t)bracket;
    return out;
}

static uint8_t *put_stack(uint8_t *out, const ghost_step *step) {
    out = put_text(out, ",\"stack\":[");
    for (uint32_t i = step->stack_size; i-- > 0;) {
        out = put_word(out, step->stack_top - i);
        *out++ = ',';
    }
    return close_list(out, ']');
}

static uint8_t *put_memory(uint8_t *out, const ghost_step *step) {
    out = put_text(out, ",\"memory\":[");
    for (size_t at = 0; at < step->memory_size; at += 32) {
        out = put_whole_word(out, step->memory + at);
        *out++ = ',';
    }
    return close_list(out, ']');
}

static size_t step_bytes_max(const ghost_trace_watch *watch, const ghost_step *step,
                             const contract_slots *slots) {
    size_t bytes = STEP_JSON_BYTES;
    if (!watch->json_no_stack)
        bytes += (size_t)step->stack_size * WORD_JSON_BYTES;
    if (watch->step_memory)
        bytes += step->memory_size / 32 * WORD_JSON_BYTES;
    if (watch->step_return_data)
        bytes += step->return_length * 2;
    if (slots != NULL)
        bytes += slots->count * SLOT_JSON_BYTES;
    return bytes;
}

int trace_on_json_step(void *context, const ghost_step *step) {
    trace *trace = context;
    const ghost_trace_watch *watch = &trace->watch;
    const contract_slots *slots;
    step_json *json = &trace->json;
    if (trace_check_time(trace, 4) != 0)
        return GHOST_EXIT_ABORT;
    if (watch->json_limit != 0 && json->step_bytes > watch->json_limit)
        return 0;
    if (!show_slots(trace, step, &slots))
        return GHOST_EXIT_ABORT;
    uint8_t *out = reserve(trace, step_bytes_max(watch, step, slots));
    if (out == NULL)
        return GHOST_EXIT_ABORT;
    if (json->length > json->begin)
        *out++ = ',';
    const size_t begin = (size_t)(out - json->bytes);
    out = put_head(out, step);
    if (!watch->json_no_stack)
        out = put_stack(out, step);
    if (watch->step_return_data && step->return_length != 0) {
        out = put_text(out, ",\"returnData\":\"0x");
        out = put_hex(out, step->return_data, step->return_length);
        *out++ = '"';
    }
    if (watch->step_memory && step->memory_size != 0)
        out = put_memory(out, step);
    if (slots != NULL) {
        out = put_text(out, ",\"storage\":{");
        memcpy(out, slots->items, slots->count * SLOT_JSON_BYTES);
        out = close_list(out + slots->count * SLOT_JSON_BYTES, '}');
    }
    if (step->refund > 0) {
        out = put_text(out, ",\"refund\":");
        out = put_number(out, (uint64_t)step->refund);
    }
    *out++ = '}';
    json->step_bytes += (size_t)(out - json->bytes) - begin;
    json->length = (size_t)(out - json->bytes);
    return 0;
}

/* ---- life ---- */

void json_begin_transaction(trace *trace) {
    step_json *json = &trace->json;
    json->begin = json->length;
    json->step_bytes = 0;
    json->contracts.count = 0;
    places_clear(&json->places);
    if (trace->watch.steps != GHOST_TRACE_STEPS_JSON)
        return;
    if (!LIST_RESERVE(json->marks, 1)) {
        trace->is_cut = true;
        return;
    }
    json->marks.items[json->marks.count++] =
        (ghost_trace_mark){trace->transaction, json->length};
}

void json_clear(trace *trace) {
    trace->json.length = trace->json.begin = 0;
    trace->json.marks.count = 0;
}

void json_free(trace *trace) {
    step_json *json = &trace->json;
    for (size_t i = 0; i < json->contracts.room; i++)
        free(json->contracts.items[i].items);
    free(json->contracts.items);
    free(json->marks.items);
    free(json->bytes);
    free(json->head);
    places_free(&json->places);
}

/* ---- one transaction alone ---- */

/* What geth shows of a transaction besides its steps. Its first frame ran the first of the calls
 * of a GhostTx, and the last of those without a caller the last one. */
static bool put_around(trace *trace, uint64_t gas_used, ghost_struct_log *out) {
    enum { AROUND_BYTES = 128 };
    const ghost_trace_frame *last = NULL;
    bool has_failed = false;
    for (size_t i = 0; i < trace->frames.count; i++) {
        const ghost_trace_frame *frame = &trace->frames.items[i];
        if (frame->depth != 0)
            continue;
        has_failed |= frame->exit != GHOST_EXIT_SUCCESS;
        last = frame;
    }
    size_t length = 0;
    if (last != NULL && last->exit <= GHOST_EXIT_REVERT && last->output != NULL)
        length = last->output_length;
    uint8_t *end = trace->json.head = malloc(AROUND_BYTES + 2 * length);
    if (end == NULL)
        return false;
    end = put_text(end, "{\"gas\":");
    end = put_number(end, gas_used);
    end = put_text(end, ",\"failed\":");
    end = put_text(end, has_failed ? "true" : "false");
    end = put_text(end, ",\"returnValue\":\"0x");
    if (length != 0)
        end = put_hex(end, last->output, length);
    end = put_text(end, "\",\"structLogs\":[");
    *out = (ghost_struct_log){
        .head = trace->json.head,
        .head_length = (size_t)(end - trace->json.head),
        .steps = trace->json.bytes,
        .steps_length = trace->json.length,
        .byte_count = trace->byte_count,
        .is_cut = trace->is_cut,
    };
    return true;
}

int ghost_executor_struct_log(ghost_executor *executor, const ghost_block_env *env,
                              const ghost_tx *transactions, size_t count,
                              const ghost_trace_watch *watch, ghost_block_result *result,
                              ghost_struct_log *out) {
    memset(out, 0, sizeof *out);
    int status = ghost_executor_trace(executor, watch);
    if (status != GHOST_OK)
        return status;
    status = ghost_executor_run_block(executor, env, transactions, count, NULL, 0,
                                      GHOST_BLOCK_PARTIAL, result);
    trace *recorded = executor->trace;
    bool has_run = status == GHOST_OK && result->reason == GHOST_BLOCK_OK;
    if (has_run && !put_around(recorded, executor->outcomes.items[count - 1].gas_used, out))
        status = GHOST_OUT_OF_MEMORY;
    ghost_executor_discard(executor);
    executor->trace = NULL;
    executor->vm.tracer = NULL;
    if (has_run && status == GHOST_OK)
        out->recording = (ghost_recording *)recorded;
    else
        trace_free(recorded);
    return status;
}
