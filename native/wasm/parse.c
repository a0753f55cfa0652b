/* The sections of a module, in the order of the format (WebAssembly core specification, 5.5), with
 * all of validation (chapter 3.4) but the instructions of bodies. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

enum section {
    SECTION_CUSTOM = 0,
    SECTION_TYPE = 1,
    SECTION_IMPORT = 2,
    SECTION_FUNCTION = 3,
    SECTION_TABLE = 4,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_EXPORT = 7,
    SECTION_START = 8,
    SECTION_ELEMENT = 9,
    SECTION_CODE = 10,
    SECTION_DATA = 11,
    SECTION_DATA_COUNT = 12,
    SECTION_TAG = 13,
    SECTION_COUNT = 14
};

enum {
    TYPE_FUNCTION_FORM = 0x60,
    TYPE_FUNCTION_REFERENCE = 0x70,
    ADDRESSABLE_PAGES = 65536,
    PAGE_BYTES = 65536
};

const wasm_signature *wasm_signature_of(const wasm_module *module, uint32_t index) {
    const uint32_t type = index < module->import_count
                              ? module->imported_types[index]
                              : module->functions[index - module->import_count].type;
    return &module->types[type];
}

/* ---- parts that several sections have ---- */

bool wasm_read_count(wasm_module *module, wasm_reader *reader, uint32_t max, const char *what,
                     uint32_t *count) {
    const uint8_t *at = reader->at;
    *count = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, what)) {
        return false;
    }
    if (*count > max) {
        return wasm_refuse(module, GHOST_WASM_TOO_MANY, at, "%u %s, at most %u are allowed", *count,
                           what, max);
    }
    return true;
}

bool wasm_check_type(wasm_module *module, uint8_t type, const uint8_t *at, const char *where) {
    switch (type) {
    case WASM_TYPE_I32:
    case WASM_TYPE_I64:
        return true;
    case 0x7d:
    case 0x7c:
        return wasm_refuse(module, GHOST_WASM_FLOAT, at, "%s has type %s", where,
                           type == 0x7d ? "f32" : "f64");
    case 0x7b:
        return wasm_refuse(module, GHOST_WASM_SIMD, at, "%s has type v128", where);
    case 0x70:
    case 0x6f:
        return wasm_refuse(module, GHOST_WASM_REFERENCES, at, "%s has type %s", where,
                           type == 0x70 ? "funcref" : "externref");
    default:
        if (type >= 0x63 && type <= 0x74) {
            return wasm_refuse(module, GHOST_WASM_GC, at, "%s has type 0x%02x", where, type);
        }
        return wasm_refuse(module, GHOST_WASM_FORM, at, "%s has unknown type 0x%02x", where, type);
    }
}

typedef struct limits {
    uint32_t minimum;
    uint32_t maximum;
    bool has_maximum;
} limits;

static bool read_limits(wasm_module *module, wasm_reader *reader, const char *what, uint32_t max,
                        limits *out) {
    const uint8_t *at = reader->at;
    const uint8_t flags = wasm_byte(reader);
    if (!wasm_reader_good(module, reader, what)) {
        return false;
    }
    if (flags > 0x0f) {
        return wasm_refuse(module, GHOST_WASM_FORM, at, "limits of the %s: 0x%02x", what, flags);
    }
    if ((flags & 8) != 0) {
        return wasm_refuse(module, GHOST_WASM_PAGE_SIZE, at, "%s", what);
    }
    if ((flags & 4) != 0) {
        return wasm_refuse(module, GHOST_WASM_MEMORY64, at, "%s", what);
    }
    if ((flags & 2) != 0) {
        return wasm_refuse(module, GHOST_WASM_THREADS, at, "shared %s", what);
    }
    out->has_maximum = flags == 1;
    out->minimum = wasm_u32(reader);
    out->maximum = out->has_maximum ? wasm_u32(reader) : max;
    if (!wasm_reader_good(module, reader, what)) {
        return false;
    }
    if (out->minimum > out->maximum || out->minimum > max || out->maximum > max) {
        return wasm_refuse(module, GHOST_WASM_LIMITS, at, "%s from %u to %u", what, out->minimum,
                           out->maximum);
    }
    return true;
}

/* A constant expression: one constant of the wanted type and an end. */
static bool read_constant(wasm_module *module, wasm_reader *reader, uint8_t type, const char *what,
                          int64_t *value) {
    const uint8_t *at = reader->at;
    const uint8_t opcode = wasm_byte(reader);
    switch (opcode) {
    case OP_I32_CONST:
        *value = (int64_t)wasm_leb(reader, 32, true);
        break;
    case OP_I64_CONST:
        *value = (int64_t)wasm_leb(reader, 64, true);
        break;
    case OP_GLOBAL_GET:
        return wasm_reader_good(module, reader, what) &&
               wasm_refuse(module, GHOST_WASM_EXTENDED_CONSTANT, at, "%s uses global.get", what);
    default:
        if (!wasm_reader_good(module, reader, what)) {
            return false;
        }
        if (opcode == 0x43 || opcode == 0x44) {
            return wasm_refuse(module, GHOST_WASM_FLOAT, at, "%s", what);
        }
        return wasm_refuse(module, GHOST_WASM_CONSTANT, at, "%s starts with opcode 0x%02x", what,
                           opcode);
    }
    const uint8_t *end_at = reader->at;
    const uint8_t end = wasm_byte(reader);
    if (!wasm_reader_good(module, reader, what)) {
        return false;
    }
    if (type != (opcode == OP_I32_CONST ? WASM_TYPE_I32 : WASM_TYPE_I64)) {
        return wasm_refuse(module, GHOST_WASM_TYPE_MISMATCH, at, "%s is an %s", what,
                           opcode == OP_I32_CONST ? "i32" : "i64");
    }
    if (end == OP_I32_CONST || end == OP_I64_CONST || end == OP_GLOBAL_GET ||
        (end >= OP_I32_ADD && end <= OP_I32_ADD + 2) ||
        (end >= OP_I64_SUB - 1 && end <= OP_I64_MUL)) {
        return wasm_refuse(module, GHOST_WASM_EXTENDED_CONSTANT, end_at, "%s is computed", what);
    }
    return end == OP_END || wasm_refuse(module, GHOST_WASM_CONSTANT, end_at,
                                        "%s does not end after its constant", what);
}

/* ---- sections ---- */

static bool read_value_types(wasm_module *module, wasm_reader *reader, uint32_t max,
                             const char *what, const uint8_t **types, uint8_t *count) {
    uint32_t number;
    if (!wasm_read_count(module, reader, max, what, &number)) {
        return false;
    }
    *types = wasm_bytes(reader, number);
    *count = (uint8_t)number;
    if (!wasm_reader_good(module, reader, what)) {
        return false;
    }
    for (uint32_t i = 0; i < number; i++) {
        if (!wasm_check_type(module, (*types)[i], *types + i, "a function type")) {
            return false;
        }
    }
    return true;
}

static bool read_types(wasm_module *module, wasm_reader *reader) {
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_TYPES_MAX, "types", &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = reader->at;
        const uint8_t form = wasm_byte(reader);
        if (!wasm_reader_good(module, reader, "a type")) {
            return false;
        }
        if (form >= 0x4d && form <= 0x5f) {
            return wasm_refuse(module, GHOST_WASM_GC, at, "type %u has form 0x%02x", i, form);
        }
        if (form != TYPE_FUNCTION_FORM) {
            return wasm_refuse(module, GHOST_WASM_FORM, at, "type %u has form 0x%02x", i, form);
        }
        wasm_signature *type = &module->types[i];
        if (!read_value_types(module, reader, WASM_PARAMETERS_MAX, "parameters", &type->parameters,
                              &type->parameter_count) ||
            !read_value_types(module, reader, WASM_RESULTS_MAX, "results", &type->results,
                              &type->result_count)) {
            return false;
        }
        module->type_count = i + 1;
    }
    return true;
}

static bool read_functions(wasm_module *module, wasm_reader *reader) {
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_FUNCTIONS_MAX, "functions", &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = reader->at;
        const uint32_t type = wasm_u32(reader);
        if (!wasm_reader_good(module, reader, "the function section")) {
            return false;
        }
        if (type >= module->type_count) {
            return wasm_refuse(module, GHOST_WASM_TYPE_INDEX, at, "function %u has type %u of %u",
                               module->import_count + i, type, module->type_count);
        }
        module->functions[i] = (wasm_function){.type = type};
    }
    module->function_count = count;
    return true;
}

static bool read_tables(wasm_module *module, wasm_reader *reader) {
    const uint8_t *at = reader->at;
    uint32_t count = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, "the table section")) {
        return false;
    }
    if (count > 1) {
        return wasm_refuse(module, GHOST_WASM_MULTI_TABLE, at, "%u", count);
    }
    if (count == 0) {
        return true;
    }
    at = reader->at;
    const uint8_t type = wasm_byte(reader);
    if (!wasm_reader_good(module, reader, "the table section")) {
        return false;
    }
    if (type != TYPE_FUNCTION_REFERENCE) {
        const bool exists = type == 0x40 || (type >= 0x63 && type <= 0x74);
        return wasm_refuse(module, exists ? GHOST_WASM_REFERENCES : GHOST_WASM_FORM, at,
                           "the table has element type 0x%02x", type);
    }
    limits size;
    if (!read_limits(module, reader, "table", UINT32_MAX, &size)) {
        return false;
    }
    if (size.minimum > WASM_TABLE_ELEMENTS_MAX) {
        return wasm_refuse(module, GHOST_WASM_TABLE_SIZE, at, "%u elements, at most %u",
                           size.minimum, (unsigned)WASM_TABLE_ELEMENTS_MAX);
    }
    module->has_table = true;
    module->table_minimum = size.minimum;
    module->table_maximum = size.maximum;
    module->has_table_maximum = size.has_maximum;
    return true;
}

static bool read_memories(wasm_module *module, wasm_reader *reader) {
    const uint8_t *at = reader->at;
    const uint32_t count = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, "the memory section")) {
        return false;
    }
    if (count > 1) {
        return wasm_refuse(module, GHOST_WASM_MULTI_MEMORY, at, "%u memories", count);
    }
    if (count == 0) {
        return true;
    }
    limits size;
    if (!read_limits(module, reader, "memory", ADDRESSABLE_PAGES, &size)) {
        return false;
    }
    if (size.minimum > GHOST_WASM_PAGES_MAX) {
        return wasm_refuse(module, GHOST_WASM_MEMORY_PAGES, at, "%u pages, at most %u",
                           size.minimum, (unsigned)GHOST_WASM_PAGES_MAX);
    }
    module->has_memory = true;
    module->out->memory_initial = size.minimum;
    module->out->memory_maximum =
        size.maximum < GHOST_WASM_PAGES_MAX ? size.maximum : GHOST_WASM_PAGES_MAX;
    return true;
}

static bool read_globals(wasm_module *module, wasm_reader *reader) {
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_GLOBALS_MAX, "globals", &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = reader->at;
        wasm_global *global = &module->globals[i];
        global->type = wasm_byte(reader);
        const uint8_t flags = wasm_byte(reader);
        if (!wasm_reader_good(module, reader, "the global section") ||
            !wasm_check_type(module, global->type, at, "a global")) {
            return false;
        }
        if (flags > 1) {
            const bool is_shared = flags < 4;
            return wasm_refuse(module, is_shared ? GHOST_WASM_THREADS : GHOST_WASM_FORM, at,
                               "global %u has flags 0x%02x", i, flags);
        }
        global->is_mutable = flags == 1;
        if (!read_constant(module, reader, global->type, "a global's initial value",
                           &global->value)) {
            return false;
        }
        module->global_count = i + 1;
    }
    return true;
}

static bool read_start(wasm_module *module, wasm_reader *reader) {
    const uint8_t *at = reader->at;
    const uint32_t index = wasm_u32(reader);
    return wasm_reader_good(module, reader, "the start section") &&
           wasm_refuse(module, GHOST_WASM_START, at, "function %u", index);
}

static bool read_element_functions(wasm_module *module, wasm_reader *reader, uint32_t number,
                                   wasm_elements *elements) {
    elements->count = wasm_u32(reader);
    elements->functions.data = reader->at;
    if (!wasm_reader_good(module, reader, "an element segment")) {
        return false;
    }
    const uint64_t end = (uint64_t)elements->offset + elements->count;
    if (end > module->table_minimum) {
        return wasm_refuse(module, GHOST_WASM_ELEMENT_BOUNDS, reader->at,
                           "segment %u ends at %llu, the table at %u", number,
                           (unsigned long long)end, module->table_minimum);
    }
    for (uint32_t i = 0; i < elements->count; i++) {
        const uint8_t *at = reader->at;
        const uint32_t index = wasm_u32(reader);
        if (!wasm_reader_good(module, reader, "an element segment")) {
            return false;
        }
        if (index >= module->import_count + module->function_count) {
            return wasm_refuse(module, GHOST_WASM_FUNCTION_INDEX, at,
                               "element segment %u names function %u of %u", number, index,
                               module->import_count + module->function_count);
        }
    }
    elements->functions.length = (size_t)(reader->at - elements->functions.data);
    return true;
}

static bool read_elements(wasm_module *module, wasm_reader *reader) {
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_ELEMENT_SEGMENTS_MAX, "element segments", &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = reader->at;
        wasm_elements *elements = &module->elements[i];
        const uint32_t flags = wasm_u32(reader);
        if (wasm_reader_good(module, reader, "an element segment") && flags > 7) {
            return wasm_refuse(module, GHOST_WASM_FORM, at, "element segment %u has flags %u", i,
                               flags);
        }
        if (flags != 0 && flags != 2) {
            return wasm_refuse(module, GHOST_WASM_REFERENCES, at,
                               "element segment %u is passive, or holds expressions", i);
        }
        const uint32_t table = flags == 2 ? wasm_u32(reader) : 0;
        if (!wasm_reader_good(module, reader, "an element segment")) {
            return false;
        }
        if (table != 0 || !module->has_table) {
            return wasm_refuse(module, GHOST_WASM_TABLE_INDEX, at, "element segment %u, table %u",
                               i, table);
        }
        int64_t offset;
        if (!read_constant(module, reader, WASM_TYPE_I32, "an element segment's offset", &offset)) {
            return false;
        }
        elements->offset = (uint32_t)offset;
        const uint8_t *kind_at = reader->at;
        const uint8_t kind = flags == 2 ? wasm_byte(reader) : 0;
        if (wasm_reader_good(module, reader, "an element segment") && kind != 0) {
            return wasm_refuse(module, GHOST_WASM_FORM, kind_at, "element segment %u of kind %u", i,
                               kind);
        }
        if (!read_element_functions(module, reader, i, elements)) {
            return false;
        }
        module->elements_count = i + 1;
    }
    return true;
}

static bool read_data_count(wasm_module *module, wasm_reader *reader) {
    module->has_data_count = true;
    return wasm_read_count(module, reader, WASM_DATA_SEGMENTS_MAX, "data segments",
                           &module->data_count);
}

static bool read_code(wasm_module *module, wasm_reader *reader) {
    const uint8_t *at = reader->at;
    const uint32_t count = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, "the code section")) {
        return false;
    }
    if (count != module->function_count) {
        return wasm_refuse(module, GHOST_WASM_FUNCTION_COUNT, at, "%u declared, %u bodies",
                           module->function_count, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        at = reader->at;
        wasm_function *function = &module->functions[i];
        function->length = wasm_u32(reader);
        function->body = wasm_bytes(reader, function->length);
        module->function_now = module->import_count + i;
        if (!wasm_reader_good(module, reader, "its body")) {
            return false;
        }
        if (function->length > WASM_BODY_BYTES_MAX) {
            return wasm_refuse(module, GHOST_WASM_BODY_TOO_LARGE, at, "%u bytes, at most %u",
                               function->length, (unsigned)WASM_BODY_BYTES_MAX);
        }
        if (!wasm_check_body(module, i)) {
            return false;
        }
        module->out->body_bytes += function->length;
    }
    module->function_now = -1;
    module->body_count = count;
    return true;
}

static bool read_data_segment(wasm_module *module, wasm_reader *reader, uint32_t number) {
    const uint8_t *at = reader->at;
    const uint32_t flags = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, "a data segment")) {
        return false;
    }
    if (flags > 2) {
        return wasm_refuse(module, GHOST_WASM_FORM, at, "data segment %u has flags %u", number,
                           flags);
    }
    const uint32_t memory = flags == 2 ? wasm_u32(reader) : 0;
    if (!wasm_reader_good(module, reader, "a data segment")) {
        return false;
    }
    int64_t offset = 0;
    if (flags != 1) {
        if (memory != 0 || !module->has_memory) {
            return wasm_refuse(module, GHOST_WASM_MEMORY_INDEX, at, "data segment %u, memory %u",
                               number, memory);
        }
        if (!read_constant(module, reader, WASM_TYPE_I32, "a data segment's offset", &offset)) {
            return false;
        }
    }
    const uint32_t length = wasm_u32(reader);
    wasm_bytes(reader, length);
    if (!wasm_reader_good(module, reader, "a data segment")) {
        return false;
    }
    const uint64_t end = (uint64_t)(uint32_t)offset + length;
    const uint64_t limit = (uint64_t)module->out->memory_initial * PAGE_BYTES;
    if (flags != 1 && end > limit) {
        return wasm_refuse(module, GHOST_WASM_DATA_BOUNDS, at,
                           "segment %u ends at byte %llu, the memory at %llu", number,
                           (unsigned long long)end, (unsigned long long)limit);
    }
    module->out->data_bytes += length;
    return true;
}

static bool read_data(wasm_module *module, wasm_reader *reader) {
    const uint8_t *at = reader->at;
    module->data = (ghost_view){reader->at, wasm_left(reader)};
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_DATA_SEGMENTS_MAX, "data segments", &count)) {
        return false;
    }
    if (module->has_data_count && count != module->data_count) {
        return wasm_refuse(module, GHOST_WASM_DATA_COUNT, at, "%u announced, %u segments",
                           module->data_count, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_data_segment(module, reader, i)) {
            return false;
        }
    }
    return true;
}

/* ---- the whole ---- */

/* The place of each section in the only order they may have. */
static const struct {
    const char *name;
    uint8_t rank;
    bool (*read)(wasm_module *module, wasm_reader *reader);
} sections[SECTION_COUNT] = {
    [SECTION_TYPE] = {"the type section", 1, read_types},
    [SECTION_IMPORT] = {"the import section", 2, wasm_read_imports},
    [SECTION_FUNCTION] = {"the function section", 3, read_functions},
    [SECTION_TABLE] = {"the table section", 4, read_tables},
    [SECTION_MEMORY] = {"the memory section", 5, read_memories},
    [SECTION_TAG] = {"the tag section", 6, NULL},
    [SECTION_GLOBAL] = {"the global section", 7, read_globals},
    [SECTION_EXPORT] = {"the export section", 8, wasm_read_exports},
    [SECTION_START] = {"the start section", 9, read_start},
    [SECTION_ELEMENT] = {"the element section", 10, read_elements},
    [SECTION_DATA_COUNT] = {"the data count section", 11, read_data_count},
    [SECTION_CODE] = {"the code section", 12, read_code},
    [SECTION_DATA] = {"the data section", 13, read_data},
};

static bool read_section(wasm_module *module, wasm_reader *whole, uint8_t *rank) {
    const uint8_t *at = whole->at;
    const uint8_t id = wasm_byte(whole);
    const uint32_t length = wasm_u32(whole);
    wasm_reader inside = wasm_reader_of(wasm_bytes(whole, length), 0);
    if (!wasm_reader_good(module, whole, "a section")) {
        return false;
    }
    inside.end = whole->at;
    if (id == SECTION_CUSTOM) {
        ghost_view name;
        return wasm_read_name(module, &inside, "a custom section's name", &name);
    }
    if (id >= SECTION_COUNT) {
        return wasm_refuse(module, GHOST_WASM_SECTION_UNKNOWN, at, "section %u", id);
    }
    if (sections[id].read == NULL) {
        return wasm_refuse(module, GHOST_WASM_EXCEPTIONS, at, "it has a tag section");
    }
    if (sections[id].rank <= *rank) {
        return wasm_refuse(module, GHOST_WASM_SECTION_ORDER, at, "%s", sections[id].name);
    }
    *rank = sections[id].rank;
    if (!sections[id].read(module, &inside)) {
        return false;
    }
    if (inside.at != inside.end) {
        return wasm_refuse(module, GHOST_WASM_SECTION_SIZE, inside.at, "%u bytes left in %s",
                           (unsigned)wasm_left(&inside), sections[id].name);
    }
    return true;
}

static bool check_whole(wasm_module *module, const uint8_t *end) {
    if (module->body_count != module->function_count) {
        return wasm_refuse(module, GHOST_WASM_FUNCTION_COUNT, end, "%u declared, no bodies",
                           module->function_count);
    }
    if (module->has_data_count && module->data_count != 0 && module->data.data == NULL) {
        return wasm_refuse(module, GHOST_WASM_DATA_COUNT, end, "%u announced, no segments",
                           module->data_count);
    }
    if (!module->has_memory) {
        return wasm_refuse(module, GHOST_WASM_MEMORY_MISSING, end, "the module has none");
    }
    if (!module->has_memory_export) {
        return wasm_refuse(module, GHOST_WASM_MEMORY_EXPORT, end, "it is not exported");
    }
    if (module->entrypoint == UINT32_MAX) {
        return wasm_refuse(module, GHOST_WASM_ENTRYPOINT, end, "it is not exported");
    }
    return true;
}

bool wasm_parse(wasm_module *module, const uint8_t *wasm, size_t length) {
    static const uint8_t magic[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    module->base = wasm;
    module->function_now = -1;
    module->entrypoint = UINT32_MAX;
    if (length >= 8 && memcmp(wasm, magic, 4) == 0 && wasm[6] == 1) {
        return wasm_refuse(module, GHOST_WASM_COMPONENT, wasm + 4, "layer 1");
    }
    if (length < sizeof magic || memcmp(wasm, magic, sizeof magic) != 0) {
        return wasm_refuse(module, GHOST_WASM_MAGIC, wasm, "%zu bytes", length);
    }
    if (length > GHOST_WASM_BYTES_MAX) {
        return wasm_refuse(module, GHOST_WASM_TOO_LARGE, wasm, "%zu bytes, at most %u", length,
                           (unsigned)GHOST_WASM_BYTES_MAX);
    }
    wasm_reader whole = wasm_reader_of(wasm + sizeof magic, length - sizeof magic);
    uint8_t rank = 0;
    while (whole.at != whole.end) {
        if (!read_section(module, &whole, &rank)) {
            return false;
        }
    }
    return check_whole(module, whole.end);
}
