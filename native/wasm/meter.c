/* Rewriting: a module that has been checked is written anew so that it pays ink for what it does,
 * and ends in time when calls nest too deeply.
 *
 * Each function keeps the ink in a local of its own, where it costs a subtraction and a branch, and
 * writes it to the global only around calls and at its end:
 *
 *     block                                    ;; the way out when ink runs out
 *       block (result ...)                     ;; stands for the function's own label
 *         if ghost_stack < slots: ghost_stack = -1, unreachable
 *         ghost_stack -= slots                 ;; when it calls other functions
 *         ink = ghost_ink
 *         ... the body; `return` has become a branch ...
 *       end
 *       ghost_stack += slots
 *       ghost_ink = ink
 *       return
 *     end
 *     ghost_ink = ink                          ;; negative
 *     unreachable
 *
 * Ink is taken in stretches: `ink -= cost; if ink < 0 leave`. A stretch is all instructions that
 * are certain to run once its first one does, those after an inner block included when nothing in
 * the block branches beyond it. So what a call pays when it returns is exactly the sum of the
 * prices of the instructions that it ran; what traps has paid for a little more.
 *
 * Instructions that can never be reached (those between a branch and the end of its block) are left
 * out. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

enum {
    COST_BYTES = 5, /* a cost is written as a signed LEB128 of this length, whatever its value */
    SIZE_BYTES = 5,
    NO_STRETCH = UINT32_MAX
};

/* The largest cost of one stretch has to fit COST_BYTES: 34 bits. */
_Static_assert((int64_t)WASM_BODY_BYTES_MAX *WASM_INK_MEMORY_GROW / 2 < INT64_C(1) << 34,
               "a body's cost fits");

/* ---- output ---- */

typedef struct output {
    uint8_t *data;
    size_t length;
    size_t capacity;
    bool failed;
} output;

static bool reserve(output *out, size_t more) {
    if (out->failed || out->capacity - out->length >= more) {
        return !out->failed;
    }
    const size_t capacity = 2 * out->capacity + more;
    uint8_t *data = realloc(out->data, capacity);
    if (data == NULL) {
        out->failed = true;
        return false;
    }
    out->data = data;
    out->capacity = capacity;
    return true;
}

static void put(output *out, uint8_t byte) {
    if (reserve(out, 1)) {
        out->data[out->length++] = byte;
    }
}

static void put_bytes(output *out, const uint8_t *bytes, size_t length) {
    if (length != 0 && reserve(out, length)) {
        memcpy(out->data + out->length, bytes, length);
        out->length += length;
    }
}

static void put_u32(output *out, uint32_t value) {
    for (; value >= 0x80; value >>= 7) {
        put(out, (uint8_t)(value | 0x80));
    }
    put(out, (uint8_t)value);
}

static void put_i64(output *out, int64_t value) {
    while (value < -64 || value > 63) {
        put(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    put(out, (uint8_t)(value & 0x7f));
}

static void put_text(output *out, const char *text) {
    put_u32(out, (uint32_t)strlen(text));
    put_bytes(out, (const uint8_t *)text, strlen(text));
}

/* Writes a value below 2^34 at `at`, in five bytes. */
static void put_at(output *out, size_t at, uint64_t value) {
    if (out->failed) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        out->data[at + i] = (uint8_t)(value >> 7 * i | 0x80);
    }
    out->data[at + 4] = (uint8_t)(value >> 28 & 0x7f);
}

/* Leaves room for a size, to be filled in by close_size. Returns its place. */
static size_t open_size(output *out) {
    static const uint8_t room[SIZE_BYTES] = {0};
    put_bytes(out, room, sizeof room);
    return out->length;
}

static void close_size(output *out, size_t start) {
    put_at(out, start - SIZE_BYTES, out->length - start);
}

/* ---- state of one function ---- */

typedef struct stretch {
    size_t place; /* of its cost in the output */
    uint64_t cost;
} stretch;

/* An open block. */
typedef struct frame {
    uint32_t stretch; /* that its instructions are paid with; NO_STRETCH: the next begins one */
    uint32_t lowest;  /* the outermost frame that a branch inside it has gone to */
    uint8_t opcode;
    bool targeted; /* a branch inside it has gone to its own label */
} frame;

typedef struct rewriter {
    const wasm_module *module;
    output out;
    stretch *stretches; /* of the function */
    uint32_t stretch_count;
    uint32_t stretch_capacity;
    frame frames[WASM_NESTING_MAX];
    uint32_t depth;   /* frames open */
    uint32_t dead;    /* blocks opened since code became unreachable, and one; else 0 */
    uint32_t ink;     /* index of the local */
    uint32_t scratch; /* index of the local */
    uint32_t ink_global;
    uint32_t stack_global;
    uint32_t pay;   /* index of pay_for_memory_grow */
    uint32_t shift; /* added to the indexes of the module's own functions */
} rewriter;

static void put_op(rewriter *to, uint8_t opcode, uint32_t index) {
    put(&to->out, opcode);
    put_u32(&to->out, index);
}

static void put_constant(rewriter *to, uint8_t opcode, int64_t value) {
    put(&to->out, opcode);
    put_i64(&to->out, value);
}

/* ink = what is on the stack; leaves the function when it is negative. */
static void put_check(rewriter *to) {
    put_op(to, OP_LOCAL_TEE, to->ink);
    put_constant(to, OP_I64_CONST, 0);
    put(&to->out, OP_I64_LT_S);
    put_op(to, OP_BR_IF, to->depth);
}

static void store_ink(rewriter *to) {
    put_op(to, OP_LOCAL_GET, to->ink);
    put_op(to, OP_GLOBAL_SET, to->ink_global);
}

static void load_ink(rewriter *to) {
    put_op(to, OP_GLOBAL_GET, to->ink_global);
    put_op(to, OP_LOCAL_SET, to->ink);
}

static uint32_t begin_stretch(rewriter *to) {
    if (to->stretch_count == to->stretch_capacity) {
        const uint32_t capacity = 2 * to->stretch_capacity + 64;
        stretch *stretches = realloc(to->stretches, capacity * sizeof *stretches);
        if (stretches == NULL) {
            to->out.failed = true;
            return 0;
        }
        to->stretches = stretches;
        to->stretch_capacity = capacity;
    }
    put_op(to, OP_LOCAL_GET, to->ink);
    put(&to->out, OP_I64_CONST);
    to->stretches[to->stretch_count] = (stretch){.place = open_size(&to->out) - COST_BYTES};
    put(&to->out, OP_I64_SUB);
    put_check(to);
    return to->stretch_count++;
}

/* Takes ink for what is about to run. */
static void charge(rewriter *to, uint64_t ink) {
    frame *now = &to->frames[to->depth - 1];
    if (ink == 0) {
        return;
    }
    if (now->stretch == NO_STRETCH) {
        now->stretch = begin_stretch(to);
        /* What follows the blocks around it runs if this does, and only then as long as nothing
         * has gone to their ends before: one stretch may pay for both. */
        for (frame *inner = now; inner != to->frames; inner--) {
            if (inner->opcode != OP_BLOCK || inner->targeted || inner[-1].stretch != NO_STRETCH) {
                break;
            }
            inner[-1].stretch = now->stretch;
        }
    }
    if (!to->out.failed) {
        to->stretches[now->stretch].cost += ink;
    }
}

/* ---- instructions ---- */

static void open_frame(rewriter *to, uint8_t opcode) {
    const uint32_t outer = to->depth == 0 ? NO_STRETCH : to->frames[to->depth - 1].stretch;
    to->frames[to->depth] = (frame){
        .stretch = opcode == OP_BLOCK ? outer : NO_STRETCH, .lowest = to->depth, .opcode = opcode};
    to->depth++;
}

static void close_frame(rewriter *to) {
    to->depth--;
    if (to->depth == 0) {
        return;
    }
    const frame *closed = &to->frames[to->depth];
    frame *outer = &to->frames[to->depth - 1];
    if (closed->lowest < to->depth) {
        outer->stretch = NO_STRETCH;
        outer->lowest = closed->lowest < outer->lowest ? closed->lowest : outer->lowest;
    }
}

/* A branch may leave: what follows it here, and after the blocks that it leaves, is not certain. */
static void note_branch(rewriter *to, uint32_t label) {
    frame *now = &to->frames[to->depth - 1];
    const uint32_t target = to->depth - 1 - label;
    now->lowest = target < now->lowest ? target : now->lowest;
    now->stretch = NO_STRETCH;
    to->frames[target].targeted = true;
}

static void note_branch_table(rewriter *to, const wasm_instruction *now) {
    wasm_reader targets = wasm_reader_of(now->targets.data, now->targets.length);
    for (uint32_t i = 0; i <= now->other; i++) {
        note_branch(to, wasm_u32(&targets));
    }
}

static uint32_t moved(const rewriter *to, uint32_t function) {
    return function < to->module->import_count ? function : function + to->shift;
}

static void write_call(rewriter *to, const wasm_instruction *now) {
    store_ink(to);
    if (now->opcode == OP_CALL) {
        put_op(to, OP_CALL, moved(to, now->index));
    } else {
        put_op(to, OP_CALL_INDIRECT, now->index);
        put(&to->out, 0);
    }
    load_ink(to);
}

/* The host takes the price of the pages; it sees their number before memory.grow does. */
static void write_grow(rewriter *to) {
    put_op(to, OP_LOCAL_TEE, to->scratch);
    store_ink(to);
    put_op(to, OP_CALL, to->pay);
    load_ink(to);
    put_op(to, OP_LOCAL_GET, to->scratch);
    put_op(to, OP_MEMORY_GROW, 0);
}

/* ink -= length * price of a byte, the length being on the stack and staying there. */
static void charge_bytes(rewriter *to) {
    put_op(to, OP_LOCAL_SET, to->scratch);
    put_op(to, OP_LOCAL_GET, to->ink);
    put_op(to, OP_LOCAL_GET, to->scratch);
    put(&to->out, OP_I64_EXTEND_I32_U);
    put_constant(to, OP_I64_CONST, GHOST_WASM_INK_BULK_BYTE);
    put(&to->out, OP_I64_MUL);
    put(&to->out, OP_I64_SUB);
    put_check(to);
    put_op(to, OP_LOCAL_GET, to->scratch);
}

static uint64_t call_price(const rewriter *to, const wasm_instruction *now) {
    const wasm_signature *signature = now->opcode == OP_CALL
                                          ? wasm_signature_of(to->module, now->index)
                                          : &to->module->types[now->index];
    return now->op->ink + (uint64_t)GHOST_WASM_INK_ARGUMENT *
                              (signature->parameter_count + signature->result_count);
}

static void copy_instruction(rewriter *to, const wasm_instruction *now, const uint8_t *end) {
    put_bytes(&to->out, now->start, (size_t)(end - now->start));
}

/* Writes an instruction that is not only copied. Returns whether it was one. */
static bool write_special(rewriter *to, const wasm_instruction *now) {
    switch (now->opcode) {
    case OP_RETURN:
        put_op(to, OP_BR, to->depth - 1);
        note_branch(to, to->depth - 1);
        to->dead = 1;
        return true;
    case OP_CALL:
    case OP_CALL_INDIRECT:
        write_call(to, now);
        return true;
    case OP_SELECT_TYPED:
        put(&to->out, OP_SELECT);
        return true;
    case OP_MEMORY_GROW:
        write_grow(to);
        return true;
    case OP_MEMORY_COPY:
    case OP_MEMORY_FILL:
    case OP_MEMORY_INIT:
        charge_bytes(to);
        return false;
    default:
        return false;
    }
}

/* What an instruction does to the frames, once it is written. */
static void follow(rewriter *to, const wasm_instruction *now) {
    switch (now->opcode) {
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
        open_frame(to, (uint8_t)now->opcode);
        break;
    case OP_BR:
    case OP_BR_IF:
        note_branch(to, now->index);
        to->dead = now->opcode == OP_BR;
        break;
    case OP_BR_TABLE:
        note_branch_table(to, now);
        to->dead = 1;
        break;
    case OP_UNREACHABLE:
        to->dead = 1;
        break;
    default:
        break;
    }
}

/* The end of a block, or the else of an if: from there on code may be reached again. */
static void write_end(rewriter *to, uint8_t opcode) {
    to->dead = 0;
    if (opcode == OP_ELSE) {
        frame *now = &to->frames[to->depth - 1];
        now->stretch = NO_STRETCH;
        now->opcode = OP_ELSE;
        put(&to->out, OP_ELSE);
        return;
    }
    close_frame(to);
    put(&to->out, OP_END);
}

/* Passes over an instruction that nothing reaches. Returns whether it is one. */
static bool skip_dead(rewriter *to, const wasm_instruction *now) {
    if (to->dead == 0) {
        return false;
    }
    if (now->opcode == OP_BLOCK || now->opcode == OP_LOOP || now->opcode == OP_IF) {
        to->dead++;
        return true;
    }
    if (now->opcode == OP_END && to->dead > 1) {
        to->dead--;
        return true;
    }
    return now->opcode != OP_END && !(now->opcode == OP_ELSE && to->dead == 1);
}

static void write_instruction(rewriter *to, const wasm_instruction *now, const uint8_t *end) {
    if (skip_dead(to, now)) {
        return;
    }
    if (now->opcode == OP_END || now->opcode == OP_ELSE) {
        write_end(to, (uint8_t)now->opcode);
        return;
    }
    if (now->opcode == OP_LOOP) {
        /* Its price is taken each time round, by the stretch inside. */
        copy_instruction(to, now, end);
        open_frame(to, OP_LOOP);
        charge(to, now->op->ink);
        return;
    }
    const bool is_call = now->opcode == OP_CALL || now->opcode == OP_CALL_INDIRECT;
    charge(to, is_call ? call_price(to, now) : now->op->ink);
    if (!write_special(to, now)) {
        copy_instruction(to, now, end);
    }
    if (now->opcode != OP_RETURN) {
        follow(to, now);
    }
}

/* ---- functions ---- */

/* Local declarations, with those that rewriting needs after them. Returns how many zeroes entering
 * the function writes. */
static uint32_t write_locals(rewriter *to, const wasm_function *function, wasm_reader *body) {
    const bool has_scratch = function->bulk || function->grows;
    const uint32_t groups = wasm_u32(body);
    put_u32(&to->out, groups + 1 + has_scratch);
    const uint8_t *start = body->at;
    for (uint32_t i = 0; i < groups; i++) {
        wasm_u32(body);
        wasm_byte(body);
    }
    put_bytes(&to->out, start, (size_t)(body->at - start));
    put_u32(&to->out, 1);
    put(&to->out, WASM_TYPE_I64);
    to->ink = function->locals;
    if (has_scratch) {
        put_u32(&to->out, 1);
        put(&to->out, WASM_TYPE_I32);
        to->scratch = function->locals + 1;
    }
    return function->locals - to->module->types[function->type].parameter_count;
}

static void write_block_type(rewriter *to, uint32_t results_type, const wasm_signature *signature) {
    if (signature->result_count > 1) {
        put_i64(&to->out, results_type);
    } else {
        put(&to->out, signature->result_count == 0 ? 0x40 : signature->results[0]);
    }
}

static void write_entry(rewriter *to, const wasm_function *function, uint32_t slots) {
    put_op(to, OP_GLOBAL_GET, to->stack_global);
    put_constant(to, OP_I32_CONST, slots);
    put(&to->out, OP_I32_LT_S);
    put(&to->out, OP_IF);
    put(&to->out, 0x40);
    put_constant(to, OP_I32_CONST, -1);
    put_op(to, OP_GLOBAL_SET, to->stack_global);
    put(&to->out, OP_UNREACHABLE);
    put(&to->out, OP_END);
    if (function->calls) {
        put_op(to, OP_GLOBAL_GET, to->stack_global);
        put_constant(to, OP_I32_CONST, slots);
        put(&to->out, OP_I32_SUB);
        put_op(to, OP_GLOBAL_SET, to->stack_global);
    }
    load_ink(to);
}

static void write_exit(rewriter *to, const wasm_function *function, uint32_t slots) {
    if (function->calls) {
        put_op(to, OP_GLOBAL_GET, to->stack_global);
        put_constant(to, OP_I32_CONST, slots);
        put(&to->out, OP_I32_ADD);
        put_op(to, OP_GLOBAL_SET, to->stack_global);
    }
    store_ink(to);
    put(&to->out, OP_RETURN);
    put(&to->out, OP_END);
    store_ink(to);
    put(&to->out, OP_UNREACHABLE);
    put(&to->out, OP_END);
}

static void write_function(rewriter *to, const wasm_function *function, uint32_t results_type) {
    const size_t start = open_size(&to->out);
    wasm_reader body = wasm_reader_of(function->body, function->length);
    const uint32_t zeroed = write_locals(to, function, &body);
    const uint32_t slots = wasm_frame_slots(function);
    put(&to->out, OP_BLOCK);
    put(&to->out, 0x40);
    put(&to->out, OP_BLOCK);
    write_block_type(to, results_type, &to->module->types[function->type]);
    to->depth = 0;
    to->dead = 0;
    to->stretch_count = 0;
    open_frame(to, OP_BLOCK);
    write_entry(to, function, slots);
    charge(to, GHOST_WASM_INK_ENTRY + (uint64_t)GHOST_WASM_INK_DECLARED * zeroed);
    while (to->depth != 0) {
        wasm_instruction now = {0};
        wasm_next(&body, &now);
        write_instruction(to, &now, body.at);
    }
    write_exit(to, function, slots);
    for (uint32_t i = 0; i < to->stretch_count; i++) {
        put_at(&to->out, to->stretches[i].place, to->stretches[i].cost);
    }
    close_size(&to->out, start);
}

/* ---- sections ---- */

static size_t open_section(output *out, uint8_t id) {
    put(out, id);
    return open_size(out);
}

/* Types as they were, then () -> results for each type with several, so that type i has its
 * results alone at results_types[i], then the type of pay_for_memory_grow. */
static void write_types(rewriter *to, uint32_t *results_types, bool adds_pay) {
    const wasm_module *module = to->module;
    output *out = &to->out;
    uint32_t count = module->type_count;
    for (uint32_t i = 0; i < module->type_count; i++) {
        results_types[i] = module->types[i].result_count > 1 ? count++ : 0;
    }
    const size_t start = open_section(out, 1);
    put_u32(out, count + adds_pay);
    for (uint32_t i = 0; i < module->type_count; i++) {
        const wasm_signature *type = &module->types[i];
        put(out, 0x60);
        put_u32(out, type->parameter_count);
        put_bytes(out, type->parameters, type->parameter_count);
        put_u32(out, type->result_count);
        put_bytes(out, type->results, type->result_count);
    }
    for (uint32_t i = 0; i < module->type_count; i++) {
        const wasm_signature *type = &module->types[i];
        if (type->result_count > 1) {
            put(out, 0x60);
            put_u32(out, 0);
            put_u32(out, type->result_count);
            put_bytes(out, type->results, type->result_count);
        }
    }
    if (adds_pay) {
        static const uint8_t type[4] = {0x60, 1, WASM_TYPE_I32, 0};
        put_bytes(out, type, sizeof type);
    }
    close_size(out, start);
    to->pay = count;
}

/* Imports by their names in the host table, and pay_for_memory_grow (of type pay_type) last when
 * it is to be added. Leaves the index of that function in to->pay. */
static void write_imports(rewriter *to, bool adds_pay, uint32_t pay_type) {
    const wasm_module *module = to->module;
    output *out = &to->out;
    size_t host_count;
    const ghost_wasm_host *hosts = ghost_wasm_host_table(&host_count);
    const size_t start = open_section(out, 2);
    const uint32_t count = module->import_count + adds_pay;
    put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t host = module->out->imports[i];
        put_text(out, "vm_hooks");
        put_text(out, hosts[host].name);
        put(out, 0);
        put_u32(out, i < module->import_count ? module->imported_types[i] : pay_type);
        to->pay = host == WASM_HOST_pay_for_memory_grow ? i : to->pay;
    }
    close_size(out, start);
}

static void write_declarations(rewriter *to) {
    const wasm_module *module = to->module;
    output *out = &to->out;
    size_t start = open_section(out, 3);
    put_u32(out, module->function_count);
    for (uint32_t i = 0; i < module->function_count; i++) {
        put_u32(out, module->functions[i].type);
    }
    close_size(out, start);
    if (module->has_table) {
        start = open_section(out, 4);
        put(out, 1);
        put(out, 0x70);
        put(out, module->has_table_maximum);
        put_u32(out, module->table_minimum);
        if (module->has_table_maximum) {
            put_u32(out, module->table_maximum);
        }
        close_size(out, start);
    }
    start = open_section(out, 5);
    put(out, 1);
    put(out, 1);
    put_u32(out, module->out->memory_initial);
    put_u32(out, module->out->memory_maximum);
    close_size(out, start);
}

static void write_globals(rewriter *to) {
    const wasm_module *module = to->module;
    output *out = &to->out;
    const size_t start = open_section(out, 6);
    put_u32(out, module->global_count + 2);
    for (uint32_t i = 0; i < module->global_count; i++) {
        const wasm_global *global = &module->globals[i];
        put(out, global->type);
        put(out, global->is_mutable);
        put_constant(to, global->type == WASM_TYPE_I32 ? OP_I32_CONST : OP_I64_CONST,
                     global->value);
        put(out, OP_END);
    }
    static const uint8_t own[10] = {WASM_TYPE_I64, 1, OP_I64_CONST, 0, OP_END,
                                    WASM_TYPE_I32, 1, OP_I32_CONST, 0, OP_END};
    put_bytes(out, own, sizeof own);
    close_size(out, start);
    to->ink_global = module->global_count;
    to->stack_global = module->global_count + 1;
}

static void write_export(output *out, const char *name, uint8_t kind, uint32_t index) {
    put_text(out, name);
    put(out, kind);
    put_u32(out, index);
}

static void write_exports(rewriter *to) {
    output *out = &to->out;
    const size_t start = open_section(out, 7);
    put_u32(out, 4);
    write_export(out, "user_entrypoint", 0, moved(to, to->module->entrypoint));
    write_export(out, "memory", 2, 0);
    write_export(out, "ghost_ink", 3, to->ink_global);
    write_export(out, "ghost_stack", 3, to->stack_global);
    close_size(out, start);
}

static void write_elements(rewriter *to) {
    const wasm_module *module = to->module;
    output *out = &to->out;
    if (module->elements_count == 0) {
        return;
    }
    const size_t start = open_section(out, 9);
    put_u32(out, module->elements_count);
    for (uint32_t i = 0; i < module->elements_count; i++) {
        const wasm_elements *elements = &module->elements[i];
        wasm_reader functions =
            wasm_reader_of(elements->functions.data, elements->functions.length);
        put(out, 0);
        put_constant(to, OP_I32_CONST, (int32_t)elements->offset);
        put(out, OP_END);
        put_u32(out, elements->count);
        for (uint32_t k = 0; k < elements->count; k++) {
            put_u32(out, moved(to, wasm_u32(&functions)));
        }
    }
    close_size(out, start);
}

static void write_code(rewriter *to, const uint32_t *results_types) {
    const wasm_module *module = to->module;
    output *out = &to->out;
    if (module->has_data_count) {
        const size_t start = open_section(out, 12);
        put_u32(out, module->data_count);
        close_size(out, start);
    }
    const size_t start = open_section(out, 10);
    put_u32(out, module->function_count);
    for (uint32_t i = 0; i < module->function_count && !out->failed; i++) {
        const wasm_function *function = &module->functions[i];
        write_function(to, function, results_types[function->type]);
    }
    close_size(out, start);
}

static bool imports_pay(const wasm_module *module) {
    for (uint32_t i = 0; i < module->import_count; i++) {
        if (module->out->imports[i] == WASM_HOST_pay_for_memory_grow) {
            return true;
        }
    }
    return false;
}

static void write_module(rewriter *to, uint32_t *results_types) {
    static const uint8_t magic[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    const wasm_module *module = to->module;
    const bool adds_pay = module->grows && !imports_pay(module);
    if (adds_pay) {
        module->out->imports[module->import_count] = WASM_HOST_pay_for_memory_grow;
        module->out->import_count = module->import_count + 1;
    }
    to->shift = adds_pay;
    put_bytes(&to->out, magic, sizeof magic);
    write_types(to, results_types, adds_pay);
    write_imports(to, adds_pay, to->pay);
    write_declarations(to);
    write_globals(to);
    write_exports(to);
    write_elements(to);
    write_code(to, results_types);
    if (module->data.data != NULL) {
        const size_t start = open_section(&to->out, 11);
        put_bytes(&to->out, module->data.data, module->data.length);
        close_size(&to->out, start);
    }
}

bool wasm_rewrite(wasm_module *module) {
    rewriter *to = calloc(1, sizeof *to);
    uint32_t *results_types = malloc(WASM_TYPES_MAX * sizeof *results_types);
    bool written = false;
    if (to != NULL && results_types != NULL) {
        to->module = module;
        write_module(to, results_types);
        written = !to->out.failed;
        free(to->stretches);
        if (written) {
            module->out->code = (ghost_bytes){to->out.data, to->out.length};
        } else {
            free(to->out.data);
        }
    }
    free(results_types);
    free(to);
    return written;
}
