/* Types of function bodies: the algorithm of the WebAssembly core specification's appendix, over
 * the instructions that contracts may use. */
#include "parse.h"

enum { ANY = WASM_TYPE_UNKNOWN, I32 = WASM_TYPE_I32, I64 = WASM_TYPE_I64 };

static const uint8_t TYPES_I32[3] = {I32, I32, I32};
static const uint8_t TYPES_I64[1] = {I64};

static const char *type_name(uint8_t type) {
    return type == I32 ? "i32" : type == I64 ? "i64" : "any";
}

/* ---- operands ---- */

static wasm_control *innermost(wasm_module *module) {
    return &module->controls[module->control_count - 1];
}

static bool push(wasm_module *module, const wasm_instruction *now, uint8_t type) {
    if (module->operand_count == WASM_OPERANDS_MAX) {
        return wasm_refuse(module, GHOST_WASM_OPERANDS, now->start, "more than %u",
                           (unsigned)WASM_OPERANDS_MAX);
    }
    module->operands[module->operand_count++] = type;
    return true;
}

static bool push_all(wasm_module *module, const wasm_instruction *now, const uint8_t *types,
                     uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!push(module, now, types[i])) {
            return false;
        }
    }
    return true;
}

/* Takes the topmost operand, which has to be of the type (ANY: of whichever). */
static bool pop(wasm_module *module, const wasm_instruction *now, uint8_t wanted, uint8_t *type) {
    const wasm_control *control = innermost(module);
    if (module->operand_count == control->height) {
        if (control->unreachable) {
            *type = wanted;
            return true;
        }
        return wasm_refuse(module, GHOST_WASM_STACK_UNDERFLOW, now->start, "%s lacks an operand",
                           now->op->name);
    }
    const uint8_t found = module->operands[--module->operand_count];
    if (found != wanted && found != ANY && wanted != ANY) {
        return wasm_refuse(module, GHOST_WASM_TYPE_MISMATCH, now->start,
                           "%s takes an %s, there is an %s", now->op->name, type_name(wanted),
                           type_name(found));
    }
    *type = found == ANY ? wanted : found;
    return true;
}

static inline bool take(wasm_module *module, const wasm_instruction *now, uint8_t wanted) {
    const wasm_control *control = innermost(module);
    if (module->operand_count > control->height &&
        module->operands[module->operand_count - 1] == wanted) {
        module->operand_count--;
        return true;
    }
    uint8_t type;
    return pop(module, now, wanted, &type);
}

static bool take_all(wasm_module *module, const wasm_instruction *now, const uint8_t *types,
                     uint32_t count) {
    for (uint32_t i = count; i > 0; i--) {
        if (!take(module, now, types[i - 1])) {
            return false;
        }
    }
    return true;
}

/* ---- blocks ---- */

static bool open_block(wasm_module *module, const wasm_instruction *now,
                       const wasm_signature *signature, uint8_t opcode) {
    if (module->control_count == WASM_NESTING_MAX) {
        return wasm_refuse(module, GHOST_WASM_TOO_DEEP, now->start, "more than %u blocks",
                           (unsigned)WASM_NESTING_MAX);
    }
    module->blocks++;
    module->block_values += signature->parameter_count + signature->result_count;
    module->controls[module->control_count++] = (wasm_control){.signature = *signature,
                                                               .height = module->operand_count,
                                                               .sets = module->sets,
                                                               .opcode = opcode};
    return push_all(module, now, signature->parameters, signature->parameter_count);
}

static bool close_block(wasm_module *module, const wasm_instruction *now, wasm_control *closed) {
    *closed = *innermost(module);
    if (!take_all(module, now, closed->signature.results, closed->signature.result_count)) {
        return false;
    }
    if (module->operand_count != closed->height) {
        return wasm_refuse(module, GHOST_WASM_STACK_LEFTOVER, now->start, "%u of them",
                           module->operand_count - closed->height);
    }
    module->control_count--;
    return true;
}

/* What a block adds to the weight: branches that meet at its label bring each local that was set
 * meanwhile, and a compiler's work grows with their square. */
static void weigh_block(wasm_module *module, const wasm_control *closed, uint32_t locals) {
    const uint64_t meeting = (uint64_t)closed->branches + 1;
    const uint32_t sets = module->sets - closed->sets;
    const wasm_signature *signature = &closed->signature;
    const uint64_t values = (sets < locals ? sets : locals) + (uint64_t)signature->result_count +
                            signature->parameter_count + 1;
    module->weight += meeting * meeting * values / WASM_WEIGHT_SQUARES;
}

/* What a body adds to the weight besides its blocks. Each block and branch ends a piece of code, at
 * each of which the compiler looks at all locals, and at most of which ink may run out. */
static bool weigh_body(wasm_module *module, const wasm_function *function) {
    const uint64_t ends = module->branches + module->blocks + 1;
    const uint64_t checks = module->trap_checks, passed = module->passed_values;
    module->weight += ends * function->locals / WASM_WEIGHT_LOCALS +
                      ends * ends / WASM_WEIGHT_SQUARES +
                      ends * module->block_values / WASM_WEIGHT_VALUES +
                      (uint64_t)WASM_WEIGHT_INDIRECT * module->indirect_calls +
                      WASM_WEIGHT_CHECK * checks + checks * checks / WASM_WEIGHT_CHECK_SQUARES +
                      passed / WASM_WEIGHT_PASSED + passed * passed / WASM_WEIGHT_PASSED_SQUARES +
                      WASM_WEIGHT_FUNCTION;
    return module->weight <= WASM_WEIGHT_MAX ||
           wasm_refuse(module, GHOST_WASM_TOO_COMPLEX, function->body, "weight %llu of at most %u",
                       (unsigned long long)module->weight, (unsigned)WASM_WEIGHT_MAX);
}

static void never_reached(wasm_module *module) {
    wasm_control *control = innermost(module);
    module->operand_count = control->height;
    control->unreachable = true;
}

static bool block_signature(wasm_module *module, const wasm_instruction *now,
                            wasm_signature *signature) {
    const wasm_block_type *type = &now->block;
    if (type->result == WASM_TYPE_UNKNOWN) {
        if (type->index >= module->type_count) {
            return wasm_refuse(module, GHOST_WASM_TYPE_INDEX, now->start, "%s of type %u of %u",
                               now->op->name, type->index, module->type_count);
        }
        *signature = module->types[type->index];
        return true;
    }
    *signature = (wasm_signature){0};
    if (type->result == WASM_TYPE_NONE) {
        return true;
    }
    signature->results = type->result == I32 ? TYPES_I32 : TYPES_I64;
    signature->result_count = 1;
    return wasm_check_type(module, type->result, now->start, "a block");
}

/* What a branch to a block has to bring: results, for a loop parameters. */
static const uint8_t *label_types(const wasm_control *control, uint32_t *count) {
    const wasm_signature *signature = &control->signature;
    const bool is_loop = control->opcode == OP_LOOP;
    *count = is_loop ? signature->parameter_count : signature->result_count;
    return is_loop ? signature->parameters : signature->results;
}

/* The block that a branch goes to, where it is counted; NULL when there is none. */
static const wasm_control *find_label(wasm_module *module, const wasm_instruction *now,
                                      uint32_t label) {
    if (label >= module->control_count) {
        wasm_refuse(module, GHOST_WASM_LABEL_INDEX, now->start, "%s to label %u of %u",
                    now->op->name, label, module->control_count);
        return NULL;
    }
    wasm_control *target = &module->controls[module->control_count - 1 - label];
    target->branches++;
    module->branches++;
    return target;
}

static bool check_branch(wasm_module *module, const wasm_instruction *now) {
    const wasm_control *target = find_label(module, now, now->index);
    if (target == NULL || (now->opcode == OP_BR_IF && !take(module, now, I32))) {
        return false;
    }
    uint32_t count;
    const uint8_t *types = label_types(target, &count);
    if (!take_all(module, now, types, count)) {
        return false;
    }
    if (now->opcode == OP_BR_IF) {
        return push_all(module, now, types, count);
    }
    never_reached(module);
    return true;
}

/* Takes what one target of a br_table wants and puts back what was there. */
static bool check_target(wasm_module *module, const wasm_instruction *now, const uint8_t *types,
                         uint32_t count) {
    uint8_t found[WASM_PARAMETERS_MAX];
    for (uint32_t i = count; i > 0; i--) {
        if (!pop(module, now, types[i - 1], &found[i - 1])) {
            return false;
        }
    }
    return push_all(module, now, found, count);
}

static bool check_branch_table(wasm_module *module, const wasm_instruction *now) {
    wasm_reader targets = wasm_reader_of(now->targets.data, now->targets.length);
    uint32_t arity = 0;
    const uint8_t *checked = NULL;
    if (!take(module, now, I32)) {
        return false;
    }
    for (uint32_t i = 0; i <= now->other; i++) {
        const wasm_control *target = find_label(module, now, wasm_u32(&targets));
        if (target == NULL) {
            return false;
        }
        uint32_t count;
        const uint8_t *types = label_types(target, &count);
        if (i != 0 && count != arity) {
            return wasm_refuse(module, GHOST_WASM_TYPE_MISMATCH, now->start,
                               "targets of a br_table take %u and %u operands", arity, count);
        }
        arity = count;
        if (types != checked && !check_target(module, now, types, count)) {
            return false;
        }
        checked = types;
    }
    never_reached(module);
    return true;
}

static bool check_else(wasm_module *module, const wasm_instruction *now) {
    wasm_control closed;
    if (innermost(module)->opcode != OP_IF) {
        return wasm_refuse(module, GHOST_WASM_BLOCKS, now->start, "else without if");
    }
    if (!close_block(module, now, &closed) ||
        !open_block(module, now, &closed.signature, OP_ELSE)) {
        return false;
    }
    innermost(module)->branches = closed.branches;
    innermost(module)->sets = closed.sets;
    return true;
}

static bool check_end(wasm_module *module, const wasm_function *function,
                      const wasm_instruction *now) {
    wasm_control closed;
    if (!close_block(module, now, &closed)) {
        return false;
    }
    /* No local lives on behind the function's own label. */
    weigh_block(module, &closed, module->control_count == 0 ? 0 : function->locals);
    const wasm_signature *signature = &closed.signature;
    if (closed.opcode == OP_IF) {
        bool same = signature->parameter_count == signature->result_count;
        for (uint32_t i = 0; same && i < signature->result_count; i++) {
            same = signature->parameters[i] == signature->results[i];
        }
        if (!same) {
            return wasm_refuse(module, GHOST_WASM_TYPE_MISMATCH, now->start,
                               "an if with results has no else");
        }
    }
    if (module->control_count == 0) {
        return true;
    }
    return push_all(module, now, signature->results, signature->result_count);
}

/* ---- other instructions ---- */

static bool check_call(wasm_module *module, wasm_function *function, const wasm_instruction *now) {
    const wasm_signature *signature;
    if (now->opcode == OP_CALL) {
        const uint32_t count = module->import_count + module->function_count;
        if (now->index >= count) {
            return wasm_refuse(module, GHOST_WASM_FUNCTION_INDEX, now->start,
                               "call of function %u of %u", now->index, count);
        }
        signature = wasm_signature_of(module, now->index);
        function->calls |= now->index >= module->import_count;
    } else {
        if (now->other != 0 || !module->has_table) {
            return wasm_refuse(module, GHOST_WASM_TABLE_INDEX, now->start,
                               "call_indirect through table %u of %u", now->other,
                               module->has_table);
        }
        if (now->index >= module->type_count) {
            return wasm_refuse(module, GHOST_WASM_TYPE_INDEX, now->start,
                               "call_indirect of type %u of %u", now->index, module->type_count);
        }
        signature = &module->types[now->index];
        function->calls = true;
        module->indirect_calls++;
        if (!take(module, now, I32)) {
            return false;
        }
    }
    module->passed_values += signature->parameter_count + signature->result_count;
    return take_all(module, now, signature->parameters, signature->parameter_count) &&
           push_all(module, now, signature->results, signature->result_count);
}

static bool check_select(wasm_module *module, const wasm_instruction *now) {
    if (now->opcode == OP_SELECT_TYPED) {
        if (now->index != 1) {
            return wasm_refuse(module, GHOST_WASM_FORM, now->start, "select of %u types",
                               now->index);
        }
        const uint8_t type = (uint8_t)now->other;
        return wasm_check_type(module, type, now->start, "a select") && take(module, now, I32) &&
               take(module, now, type) && take(module, now, type) && push(module, now, type);
    }
    uint8_t first;
    uint8_t second;
    return take(module, now, I32) && pop(module, now, ANY, &first) &&
           pop(module, now, first, &second) && push(module, now, second);
}

static bool check_local(wasm_module *module, const wasm_function *function,
                        const wasm_instruction *now) {
    if (now->index >= function->locals) {
        return wasm_refuse(module, GHOST_WASM_LOCAL_INDEX, now->start, "%s %u of %u", now->op->name,
                           now->index, function->locals);
    }
    const uint8_t type = module->locals[now->index];
    module->sets += now->opcode != OP_LOCAL_GET;
    return (now->opcode == OP_LOCAL_GET || take(module, now, type)) &&
           (now->opcode == OP_LOCAL_SET || push(module, now, type));
}

static bool check_global(wasm_module *module, const wasm_instruction *now) {
    if (now->index >= module->global_count) {
        return wasm_refuse(module, GHOST_WASM_GLOBAL_INDEX, now->start, "%s %u of %u",
                           now->op->name, now->index, module->global_count);
    }
    const wasm_global *global = &module->globals[now->index];
    if (now->opcode == OP_GLOBAL_GET) {
        return push(module, now, global->type);
    }
    if (!global->is_mutable) {
        return wasm_refuse(module, GHOST_WASM_GLOBAL_IMMUTABLE, now->start, "global %u",
                           now->index);
    }
    return take(module, now, global->type);
}

static bool check_memory_access(wasm_module *module, const wasm_instruction *now) {
    if (!module->has_memory) {
        return wasm_refuse(module, GHOST_WASM_MEMORY_INDEX, now->start, "%s without a memory",
                           now->op->name);
    }
    if (now->index >= 64) {
        return wasm_refuse(module, GHOST_WASM_MULTI_MEMORY, now->start, "%s names a memory",
                           now->op->name);
    }
    if (now->index > now->op->alignment) {
        return wasm_refuse(module, GHOST_WASM_ALIGNMENT, now->start, "%s at 2 to the %u",
                           now->op->name, now->index);
    }
    if (now->op->kind == WASM_KIND_STORE) {
        return take(module, now, now->op->operand) && take(module, now, I32);
    }
    return take(module, now, I32) && push(module, now, now->op->result);
}

static bool check_bulk(wasm_module *module, wasm_function *function, const wasm_instruction *now) {
    const bool names_data = now->opcode == OP_MEMORY_INIT || now->opcode == OP_DATA_DROP;
    if (names_data && !module->has_data_count) {
        return wasm_refuse(module, GHOST_WASM_DATA_COUNT, now->start, "%s needs the section",
                           now->op->name);
    }
    if (names_data && now->index >= module->data_count) {
        return wasm_refuse(module, GHOST_WASM_DATA_INDEX, now->start, "%s %u of %u", now->op->name,
                           now->index, module->data_count);
    }
    if (now->opcode == OP_DATA_DROP) {
        return true;
    }
    if (!module->has_memory || now->other != 0) {
        return wasm_refuse(module,
                           module->has_memory ? GHOST_WASM_MULTI_MEMORY : GHOST_WASM_MEMORY_INDEX,
                           now->start, "%s of memory %u", now->op->name, now->other);
    }
    if (now->opcode == OP_MEMORY_GROW || now->opcode == OP_MEMORY_SIZE) {
        const bool grows = now->opcode == OP_MEMORY_GROW;
        function->grows |= grows;
        module->grows |= grows;
        return (!grows || take(module, now, I32)) && push(module, now, I32);
    }
    function->bulk = true;
    return take_all(module, now, TYPES_I32, 3);
}

/* A refusal of what contracts may not use, or nobody knows. */
static bool refuse_instruction(wasm_module *module, const wasm_instruction *now) {
    static const int reasons[] = {[WASM_KIND_UNKNOWN] = GHOST_WASM_OPCODE,
                                  [WASM_KIND_FLOAT] = GHOST_WASM_FLOAT,
                                  [WASM_KIND_SIMD] = GHOST_WASM_SIMD,
                                  [WASM_KIND_ATOMIC] = GHOST_WASM_THREADS,
                                  [WASM_KIND_EXCEPTION] = GHOST_WASM_EXCEPTIONS,
                                  [WASM_KIND_TAIL_CALL] = GHOST_WASM_TAIL_CALL,
                                  [WASM_KIND_REFERENCE] = GHOST_WASM_REFERENCES,
                                  [WASM_KIND_GC] = GHOST_WASM_GC,
                                  [WASM_KIND_WIDE] = GHOST_WASM_WIDE_ARITHMETIC};
    if (now->op->kind == WASM_KIND_UNKNOWN) {
        return wasm_refuse(module, GHOST_WASM_OPCODE, now->start, "0x%02x", now->start[0]);
    }
    return wasm_refuse(module, reasons[now->op->kind], now->start, "%s", now->op->name);
}

static bool check_control(wasm_module *module, wasm_function *function,
                          const wasm_instruction *now) {
    wasm_signature signature;
    switch (now->opcode) {
    case OP_UNREACHABLE:
        never_reached(module);
        return true;
    case OP_NOP:
        return true;
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
        return (now->opcode != OP_IF || take(module, now, I32)) &&
               block_signature(module, now, &signature) &&
               take_all(module, now, signature.parameters, signature.parameter_count) &&
               open_block(module, now, &signature, (uint8_t)now->opcode);
    case OP_ELSE:
        return check_else(module, now);
    case OP_END:
        return check_end(module, function, now);
    case OP_BR:
    case OP_BR_IF:
        return check_branch(module, now);
    case OP_BR_TABLE:
        return check_branch_table(module, now);
    case OP_RETURN:
        signature = module->controls[0].signature;
        module->controls[0].branches++;
        module->branches++;
        if (!take_all(module, now, signature.results, signature.result_count)) {
            return false;
        }
        never_reached(module);
        return true;
    case OP_CALL:
    case OP_CALL_INDIRECT:
        return check_call(module, function, now);
    case OP_DROP:
        return take(module, now, ANY);
    case OP_SELECT:
    case OP_SELECT_TYPED:
        return check_select(module, now);
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
        return check_local(module, function, now);
    case OP_GLOBAL_GET:
    case OP_GLOBAL_SET:
        return check_global(module, now);
    case OP_I32_CONST:
    case OP_I64_CONST:
        return push(module, now, now->op->result);
    default:
        return check_bulk(module, function, now);
    }
}

static bool is_division(uint32_t opcode) {
    return (opcode >= OP_I32_DIV_S && opcode <= OP_I32_REM_U) ||
           (opcode >= OP_I64_DIV_S && opcode <= OP_I64_REM_U);
}

static bool check_instruction(wasm_module *module, wasm_function *function,
                              const wasm_instruction *now) {
    const wasm_op *op = now->op;
    switch (op->kind) {
    case WASM_KIND_UNARY:
        return take(module, now, op->operand) && push(module, now, op->result);
    case WASM_KIND_BINARY:
        module->trap_checks += is_division(now->opcode);
        return take(module, now, op->operand) && take(module, now, op->operand) &&
               push(module, now, op->result);
    case WASM_KIND_LOAD:
    case WASM_KIND_STORE:
        module->trap_checks++;
        return check_memory_access(module, now);
    case WASM_KIND_CONTROL:
        return check_control(module, function, now);
    default:
        return refuse_instruction(module, now);
    }
}

/* ---- a body ---- */

static bool read_locals(wasm_module *module, wasm_function *function, wasm_reader *reader) {
    const wasm_signature *signature = &module->types[function->type];
    uint32_t count = signature->parameter_count;
    for (uint32_t i = 0; i < count; i++) {
        module->locals[i] = signature->parameters[i];
    }
    const uint32_t groups = wasm_u32(reader);
    for (uint32_t i = 0; i < groups; i++) {
        const uint8_t *at = reader->at;
        const uint32_t more = wasm_u32(reader);
        const uint8_t type = wasm_byte(reader);
        if (!wasm_reader_good(module, reader, "its locals") ||
            !wasm_check_type(module, type, reader->at - 1, "a local")) {
            return false;
        }
        if (more > WASM_LOCALS_MAX - count) {
            return wasm_refuse(module, GHOST_WASM_TOO_MANY, at, "%llu locals, at most %u",
                               (unsigned long long)count + more, (unsigned)WASM_LOCALS_MAX);
        }
        for (uint32_t k = 0; k < more; k++) {
            module->locals[count++] = type;
        }
    }
    function->locals = (uint16_t)count;
    return wasm_reader_good(module, reader, "its locals");
}

bool wasm_check_body(wasm_module *module, uint32_t index) {
    wasm_function *function = &module->functions[index];
    wasm_reader reader = wasm_reader_of(function->body, function->length);
    wasm_instruction now = {.start = reader.at, .op = &wasm_ops[OP_BLOCK], .opcode = OP_BLOCK};
    module->control_count = 0;
    module->operand_count = 0;
    module->branches = 0;
    module->blocks = 0;
    module->block_values = 0;
    module->indirect_calls = 0;
    module->trap_checks = 0;
    module->passed_values = 0;
    module->sets = 0;
    if (!read_locals(module, function, &reader)) {
        return false;
    }
    wasm_signature signature = module->types[function->type];
    signature.parameter_count = 0;
    if (!open_block(module, &now, &signature, OP_BLOCK)) {
        return false;
    }
    uint32_t operands = signature.result_count;
    do {
        wasm_next(&reader, &now);
        if (reader.fault != GHOST_WASM_OK) {
            return wasm_reader_good(module, &reader, "its instructions");
        }
        if (!check_instruction(module, function, &now)) {
            return false;
        }
        operands = module->operand_count > operands ? module->operand_count : operands;
    } while (module->control_count != 0);
    function->operands = (uint16_t)operands;
    if (!weigh_body(module, function)) {
        return false;
    }
    const uint32_t slots = wasm_frame_slots(function);
    module->out->slots_max = slots > module->out->slots_max ? slots : module->out->slots_max;
    if (reader.at != reader.end) {
        return wasm_refuse(module, GHOST_WASM_BODY_SIZE, reader.at,
                           "%u bytes left after its last end", (unsigned)wasm_left(&reader));
    }
    return true;
}
