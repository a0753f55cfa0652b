/* Compiled modules: in memory by use, on disk by name.
 *
 * A module is compiled when it is deployed, and again only by a node that does not find what it
 * compiled: one that got the code with a snapshot, or whose wasmtime, settings or CPU changed. */
#include <stdio.h>
#include <stdlib.h>

#include "module.h"
#include "runtime.h"

enum {
    BUCKETS = 1 << 12,
    MODULE_BYTES_MIN = 16 << 10   /* what a compiled module takes besides its image, about */
};

static struct {
    pthread_mutex_t lock;
    bool is_open;
    compiled *buckets[BUCKETS];
    compiled *newest, *oldest;
    size_t bytes_max;
    uint32_t modules_max;
    uint64_t users;               /* frames that run a module, and those that compile one */
    ghost_wasm_stats stats;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the list and the table; under the lock ---- */

static compiled **bucket_of(const ghost_hash *hash) {
    uint32_t place;
    memcpy(&place, hash->bytes, sizeof place);
    return &cache.buckets[place % BUCKETS];
}

static compiled *find(const ghost_hash *hash) {
    compiled *module = *bucket_of(hash);
    while (module != NULL && memcmp(&module->hash, hash, sizeof *hash) != 0)
        module = module->chain;
    return module;
}

static void unlink_from_list(compiled *module) {
    *(module->newer == NULL ? &cache.newest : &module->newer->older) = module->older;
    *(module->older == NULL ? &cache.oldest : &module->older->newer) = module->newer;
}

static void put_first(compiled *module) {
    module->newer = NULL;
    module->older = cache.newest;
    *(cache.newest == NULL ? &cache.oldest : &cache.newest->newer) = module;
    cache.newest = module;
}

static void take_out(compiled *module) {
    compiled **at = bucket_of(&module->hash);
    while (*at != module)
        at = &(*at)->chain;
    *at = module->chain;
    unlink_from_list(module);
    module->is_listed = false;
    cache.stats.modules--;
    cache.stats.bytes -= module->bytes;
}

static void compiled_free(compiled *module) {
    if (module->pre != NULL)
        wasm.api.wasmtime_instance_pre_delete(module->pre);
    if (module->module != NULL)
        wasm.api.wasmtime_module_delete(module->module);
    free(module->reason);
    free(module);
}

/* Brings the cache under its bounds; modules that run stay. */
static void evict(size_t bytes_max, uint32_t modules_max) {
    compiled *module = cache.oldest;
    while (module != NULL &&
           (cache.stats.bytes > bytes_max || cache.stats.modules > modules_max)) {
        compiled *newer = module->newer;
        if (module->users == 0) {
            take_out(module);
            compiled_free(module);
            cache.stats.evicted++;
        }
        module = newer;
    }
}

static void list(compiled *module) {
    compiled **bucket = bucket_of(&module->hash);
    module->chain = *bucket;
    *bucket = module;
    put_first(module);
    module->is_listed = true;
    cache.stats.modules++;
    cache.stats.bytes += module->bytes;
}

/* ---- making one ---- */

/* Finds the exports by name, once: a frame takes them by place. */
static bool find_exports(compiled *module) {
    static const char *const names[] = {"user_entrypoint", "ghost_ink", "ghost_stack"};
    wasm_exporttypes types = {0, NULL};
    wasm.api.wasmtime_module_exports(module->module, &types);
    unsigned found = 0;
    for (size_t i = 0; i < types.size; i++) {
        const wasm_bytes *name = wasm.api.wasm_exporttype_name(types.data[i]);
        for (size_t k = 0; k < 3; k++) {
            if (name->size == strlen(names[k]) && memcmp(name->data, names[k], name->size) == 0) {
                module->exports[k] = (uint16_t)i;
                found |= 1u << k;
            }
        }
    }
    wasm.api.wasm_exporttype_vec_delete(&types);
    return found == 7;
}

/* Keeps why the bytes are no contract. */
static int fail(compiled *module, const char *reason) {
    module->reason = strdup(reason);
    return module->reason == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

/* What is common to compiled and loaded code. */
static int link_module(compiled *module) {
    char text[GHOST_WASM_MESSAGE_BYTES];
    wasmtime_error *error =
        wasm.api.wasmtime_linker_instantiate_pre(wasm.linker, module->module, &module->pre);
    if (error == NULL && find_exports(module)) {
        void *first = NULL, *end = NULL;
        wasm.api.wasmtime_module_image_range(module->module, &first, &end);
        module->bytes += (size_t)((uint8_t *)end - (uint8_t *)first);
        return GHOST_OK;
    }
    snprintf(text, sizeof text, "exports are missing");
    if (error != NULL)
        wasm_error_text(text, sizeof text, error);
    wasm.api.wasmtime_module_delete(module->module);
    module->module = NULL;
    return fail(module, text);
}

static int compile(compiled *module, const uint8_t *bytes, size_t length) {
    ghost_wasm_module prepared = {0};
    int status = ghost_wasm_prepare(&prepared, bytes, length);
    if (status == GHOST_REFUSED)
        return fail(module, prepared.message);
    if (status != GHOST_OK)
        return status;
    wasmtime_error *error = wasm.api.wasmtime_module_new(
        wasm.engine, prepared.code.data, prepared.code.length, &module->module);
    free(prepared.code.data);
    module->weight = prepared.weight;
    if (error != NULL) {
        char text[GHOST_WASM_MESSAGE_BYTES];
        wasm_error_text(text, sizeof text, error);
        return fail(module, text);
    }
    status = link_module(module);
    if (module->module != NULL)
        disk_save(module);
    return status;
}

static int make(compiled **out, const ghost_hash *hash, const uint8_t *bytes, size_t length) {
    compiled *module = calloc(1, sizeof *module);
    if (module == NULL)
        return GHOST_OUT_OF_MEMORY;
    module->hash = *hash;
    module->bytes = MODULE_BYTES_MIN;
    enum disk_answer answer = disk_load(module);
    bool is_loaded = answer == DISK_LOADED;
    int status = is_loaded ? link_module(module) : compile(module, bytes, length);
    pthread_mutex_lock(&cache.lock);
    *(is_loaded ? &cache.stats.loaded : &cache.stats.compiled) += 1;
    cache.stats.refused_files += answer == DISK_REFUSED;
    pthread_mutex_unlock(&cache.lock);
    if (status != GHOST_OK) {
        compiled_free(module);
        module = NULL;
    }
    *out = module;
    return status;
}

/* ---- taking and giving ---- */

/* GHOST_OK and the listed module, taken, or NULL; the engine then stays open until that is given
 * back. GHOST_REFUSED when none is open. */
static int take_listed(compiled **out, const ghost_hash *hash) {
    int status = GHOST_REFUSED;
    pthread_mutex_lock(&cache.lock);
    if (cache.is_open) {
        status = GHOST_OK;
        cache.users++;
        *out = find(hash);
    }
    if (status == GHOST_OK && *out != NULL) {
        (*out)->users++;
        if (cache.newest != *out) {
            unlink_from_list(*out);
            put_first(*out);
        }
        cache.stats.hits++;
    }
    pthread_mutex_unlock(&cache.lock);
    return status;
}

int cache_take(compiled **out, const ghost_hash *hash, const uint8_t *bytes, size_t length) {
    int status = take_listed(out, hash);
    if (status != GHOST_OK || *out != NULL)
        return status;
    compiled *made = NULL;
    status = make(&made, hash, bytes, length);
    pthread_mutex_lock(&cache.lock);
    if (status != GHOST_OK) {
        cache.users--;
        pthread_mutex_unlock(&cache.lock);
        return status;
    }
    compiled *other = find(hash);
    if (other == NULL) {
        list(made);
        other = made;
        made = NULL;
    }
    other->users++;
    evict(cache.bytes_max, cache.modules_max);
    pthread_mutex_unlock(&cache.lock);
    if (made != NULL)             /* another thread was faster */
        compiled_free(made);
    *out = other;
    return GHOST_OK;
}

void cache_give(compiled *module) {
    pthread_mutex_lock(&cache.lock);
    module->users--;
    cache.users--;
    pthread_mutex_unlock(&cache.lock);
}

void cache_forget(void) {
    pthread_mutex_lock(&cache.lock);
    evict(0, 0);
    pthread_mutex_unlock(&cache.lock);
}

void cache_statistics(ghost_wasm_stats *stats) {
    pthread_mutex_lock(&cache.lock);
    *stats = cache.stats;
    pthread_mutex_unlock(&cache.lock);
}

int cache_open(char *error, size_t error_room, const ghost_wasm_options *options) {
    cache.bytes_max = options->cache_bytes_max;
    cache.modules_max = options->cache_modules_max;
    cache.stats = (ghost_wasm_stats){0};
    int status = disk_open(error, error_room, options->cache_directory);
    pthread_mutex_lock(&cache.lock);
    cache.is_open = status == GHOST_OK;
    pthread_mutex_unlock(&cache.lock);
    return status;
}

bool cache_close(void) {
    pthread_mutex_lock(&cache.lock);
    bool is_idle = cache.users == 0;
    if (is_idle) {
        cache.is_open = false;
        evict(0, 0);
    }
    pthread_mutex_unlock(&cache.lock);
    if (is_idle)
        disk_close();
    return is_idle;
}
