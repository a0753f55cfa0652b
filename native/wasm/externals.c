/* What a module takes from its surroundings and what it gives them: imports, exports, names. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

/* What an import or an export is. */
enum external {
    EXTERNAL_FUNCTION = 0,
    EXTERNAL_TABLE = 1,
    EXTERNAL_MEMORY = 2,
    EXTERNAL_GLOBAL = 3,
    EXTERNAL_TAG = 4
};

/* Whether the bytes are UTF-8: shortest forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const uint8_t *at, size_t length) {
    const uint8_t *end = at + length;
    while (at != end) {
        const uint8_t lead = *at++;
        if (lead < 0x80) {
            continue;
        }
        const size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || (size_t)(end - at) < more) {
            return false;
        }
        const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (at[0] < low || at[0] > high) {
            return false;
        }
        for (size_t i = 1; i < more; i++) {
            if ((at[i] & 0xc0) != 0x80) {
                return false;
            }
        }
        at += more;
    }
    return true;
}

bool wasm_read_name(wasm_module *module, wasm_reader *reader, const char *what, ghost_view *name) {
    const uint8_t *at = reader->at;
    const uint32_t length = wasm_u32(reader);
    name->data = wasm_bytes(reader, length);
    name->length = length;
    if (!wasm_reader_good(module, reader, what)) {
        return false;
    }
    if (length > WASM_NAME_BYTES_MAX) {
        return wasm_refuse(module, GHOST_WASM_NAME_LENGTH, at, "%s of %u bytes, at most %u", what,
                           length, (unsigned)WASM_NAME_BYTES_MAX);
    }
    if (!is_utf8(name->data, length)) {
        return wasm_refuse(module, GHOST_WASM_NAME_UTF8, at, "%s is not UTF-8", what);
    }
    return true;
}

static bool name_is(const ghost_view *name, const char *text) {
    return name->length == strlen(text) && memcmp(name->data, text, name->length) == 0;
}

static const ghost_wasm_host *find_host(const ghost_view *name, uint8_t *index) {
    size_t count;
    const ghost_wasm_host *hosts = ghost_wasm_host_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (name_is(name, hosts[i].name)) {
            *index = (uint8_t)i;
            return &hosts[i];
        }
    }
    return NULL;
}

static bool same_types(const char *letters, const uint8_t *types, uint32_t count) {
    if (strlen(letters) != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (types[i] != (letters[i] == 'i' ? WASM_TYPE_I32 : WASM_TYPE_I64)) {
            return false;
        }
    }
    return true;
}

static void write_types(char text[80], const char *letters) {
    text[0] = 0;
    for (const char *letter = letters; *letter != 0; letter++) {
        strcat(text, letter == letters ? "" : ", ");
        strcat(text, *letter == 'i' ? "i32" : "i64");
    }
}

static bool read_imported_function(wasm_module *module, wasm_reader *reader, const ghost_view *name,
                                   const uint8_t *at) {
    const uint32_t type = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, "an import")) {
        return false;
    }
    const int shown = name->length > 40 ? 40 : (int)name->length;
    const char *text = (const char *)name->data;
    if (type >= module->type_count) {
        return wasm_refuse(module, GHOST_WASM_TYPE_INDEX, at, "import %.*s has type %u of %u",
                           shown, text, type, module->type_count);
    }
    uint8_t index = 0;
    const ghost_wasm_host *host = find_host(name, &index);
    if (host == NULL) {
        return wasm_refuse(module, GHOST_WASM_IMPORT_NAME, at, "%.*s", shown, text);
    }
    const wasm_signature *signature = &module->types[type];
    if (!same_types(host->parameters, signature->parameters, signature->parameter_count) ||
        !same_types(host->results, signature->results, signature->result_count)) {
        char parameters[80];
        char results[80];
        write_types(parameters, host->parameters);
        write_types(results, host->results);
        return wasm_refuse(module, GHOST_WASM_IMPORT_TYPE, at, "%s is (%s) -> (%s)", host->name,
                           parameters, results);
    }
    module->imported_types[module->import_count] = type;
    module->out->imports[module->import_count] = index;
    module->import_count++;
    return true;
}

bool wasm_read_imports(wasm_module *module, wasm_reader *reader) {
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_IMPORTS_MAX, "imports", &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = reader->at;
        ghost_view from;
        ghost_view name;
        if (!wasm_read_name(module, reader, "an import's module name", &from) ||
            !wasm_read_name(module, reader, "an import's name", &name)) {
            return false;
        }
        const uint8_t kind = wasm_byte(reader);
        if (!wasm_reader_good(module, reader, "an import")) {
            return false;
        }
        const int shown = name.length > 30 ? 30 : (int)name.length;
        if (kind > EXTERNAL_TAG) {
            return wasm_refuse(module, GHOST_WASM_FORM, reader->at - 1, "import of kind %u", kind);
        }
        if (!name_is(&from, "vm_hooks")) {
            const int module_shown = from.length > 30 ? 30 : (int)from.length;
            return wasm_refuse(module, GHOST_WASM_IMPORT_MODULE, at, "%.*s.%.*s", module_shown,
                               (const char *)from.data, shown, (const char *)name.data);
        }
        if (kind != EXTERNAL_FUNCTION) {
            static const char *const kinds[] = {"function", "table", "memory", "global", "tag"};
            return wasm_refuse(module, GHOST_WASM_IMPORT_KIND, at, "%s %.*s", kinds[kind], shown,
                               (const char *)name.data);
        }
        if (!read_imported_function(module, reader, &name, at)) {
            return false;
        }
    }
    return true;
}

static bool check_entrypoint(wasm_module *module, uint32_t index, const uint8_t *at) {
    const wasm_signature *signature = wasm_signature_of(module, index);
    if (index < module->import_count ||
        !same_types("i", signature->parameters, signature->parameter_count) ||
        !same_types("i", signature->results, signature->result_count)) {
        return wasm_refuse(module, GHOST_WASM_ENTRYPOINT, at,
                           "function %u must be the module's own, (i32) -> (i32)", index);
    }
    module->entrypoint = index;
    return true;
}

static bool read_export(wasm_module *module, wasm_reader *reader, uint32_t number) {
    const uint8_t *at = reader->at;
    ghost_view *name = &module->exports[number];
    if (!wasm_read_name(module, reader, "an export's name", name)) {
        return false;
    }
    const uint8_t kind = wasm_byte(reader);
    const uint32_t index = wasm_u32(reader);
    if (!wasm_reader_good(module, reader, "the export section")) {
        return false;
    }
    if (kind == EXTERNAL_TAG) {
        return wasm_refuse(module, GHOST_WASM_EXCEPTIONS, at, "export %u is a tag", number);
    }
    if (kind > EXTERNAL_TAG) {
        return wasm_refuse(module, GHOST_WASM_FORM, at, "export %u is of kind %u", number, kind);
    }
    const uint32_t counts[] = {module->import_count + module->function_count, module->has_table,
                               module->has_memory, module->global_count};
    static const int reasons[] = {GHOST_WASM_FUNCTION_INDEX, GHOST_WASM_TABLE_INDEX,
                                  GHOST_WASM_MEMORY_INDEX, GHOST_WASM_GLOBAL_INDEX};
    if (index >= counts[kind]) {
        return wasm_refuse(module, reasons[kind], at, "export %u is of %u, there are %u", number,
                           index, counts[kind]);
    }
    if (name_is(name, "memory")) {
        if (kind != EXTERNAL_MEMORY) {
            return wasm_refuse(module, GHOST_WASM_MEMORY_EXPORT, at, "it is no memory");
        }
        module->has_memory_export = true;
    }
    if (name_is(name, "user_entrypoint")) {
        if (kind != EXTERNAL_FUNCTION) {
            return wasm_refuse(module, GHOST_WASM_ENTRYPOINT, at, "it is no function");
        }
        return check_entrypoint(module, index, at);
    }
    return true;
}

static int compare_names(const void *a, const void *b) {
    const ghost_view *left = a;
    const ghost_view *right = b;
    const size_t shorter = left->length < right->length ? left->length : right->length;
    const int order = shorter == 0 ? 0 : memcmp(left->data, right->data, shorter);
    return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

bool wasm_read_exports(wasm_module *module, wasm_reader *reader) {
    const uint8_t *at = reader->at;
    uint32_t count;
    if (!wasm_read_count(module, reader, WASM_EXPORTS_MAX, "exports", &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_export(module, reader, i)) {
            return false;
        }
    }
    qsort(module->exports, count, sizeof *module->exports, compare_names);
    for (uint32_t i = 1; i < count; i++) {
        const ghost_view *name = &module->exports[i];
        if (compare_names(name - 1, name) == 0) {
            return wasm_refuse(module, GHOST_WASM_EXPORT_TWICE, at, "%.*s",
                               name->length > 40 ? 40 : (int)name->length,
                               (const char *)name->data);
        }
    }
    module->export_count = count;
    return true;
}
