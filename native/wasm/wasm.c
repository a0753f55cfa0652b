/* Opening wasmtime: its library, its settings, the host functions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "../keccak/keccak.h"
#include "module.h"
#include "runtime.h"

enum {
    /* What native stack the code of one activation may take: twice what its slots are worth, so
     * that the injected count ends it first on every machine. */
    WASM_STACK_BYTES = 2 * GHOST_WASM_STACK_SLOTS * GHOST_WASM_SLOT_BYTES,
    LINEAR_BYTES_MAX = GHOST_WASM_PAGES_MAX * WASM_PAGE_BYTES,
    FLAG_BYTES_MAX = 64,
    VERSION_WITHIN_BYTES = 256    /* where a serialised module says which version made it */
};

wasm_runtime wasm;

void wasm_error_text(char *text, size_t room, wasmtime_error *error) {
    wasm_bytes message = {0, NULL};
    wasm.api.wasmtime_error_message(error, &message);
    if (room > 0)
        snprintf(text, room, "%.*s", (int)message.size, (const char *)message.data);
    wasm.api.wasm_byte_vec_delete(&message);
    wasm.api.wasmtime_error_delete(error);
}

static int refuse(char *error, size_t room, const char *why, const char *what) {
    if (room > 0)
        snprintf(error, room, "%s%s", why, what == NULL ? "" : what);
    return GHOST_REFUSED;
}

/* Fills the table of functions. */
static int load_library(char *error, size_t room, const char *path) {
    wasm.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (wasm.library == NULL)
        return refuse(error, room, "wasmtime cannot be loaded: ", dlerror());
#define WASMTIME_LOAD(returns, name, parameters)                                      \
    *(void **)&wasm.api.name = dlsym(wasm.library, #name);                            \
    if (wasm.api.name == NULL)                                                        \
        return refuse(error, room, "this library is not wasmtime 50: it lacks ", #name);
    WASMTIME_FUNCTIONS(WASMTIME_LOAD)
#undef WASMTIME_LOAD
    return GHOST_OK;
}

/* "name=value,name=value"; a name alone is switched on. */
static int set_flags(char *error, size_t room, wasm_config *config, const char *flags) {
    while (flags != NULL && *flags != 0) {
        size_t length = strcspn(flags, ",");
        char flag[FLAG_BYTES_MAX];
        if (length >= sizeof flag)
            return refuse(error, room, "compiler flag too long: ", flags);
        memcpy(flag, flags, length);
        flag[length] = 0;
        char *value = strchr(flag, '=');
        if (value != NULL) {
            *value = 0;
            wasm.api.wasmtime_config_cranelift_flag_set(config, flag, value + 1);
        } else {
            wasm.api.wasmtime_config_cranelift_flag_enable(config, flag);
        }
        flags += length + (flags[length] == ',');
    }
    return GHOST_OK;
}

/* Signals: with signals_based_traps the engine would take over SIGSEGV, SIGFPE and SIGILL of the
 * whole process, and Python's faulthandler (or a sanitizer), if enabled later, would take them
 * back and turn a contract's trap into the end of the node. So bounds, divisors and stack are
 * checked by compiled code, which costs the keccak loop of benchmarks/bench_wasm.py 4% of its
 * time; and linear memories need no guard pages (linear.c has none, and depends on this). */
static void configure(wasm_config *config, const ghost_wasm_options *options) {
    const wasmtime_api *api = &wasm.api;
    api->wasmtime_config_strategy_set(config, WASMTIME_STRATEGY_CRANELIFT);
    api->wasmtime_config_cranelift_opt_level_set(config, (uint8_t)options->optimisation);
    api->wasmtime_config_parallel_compilation_set(config, false);
    api->wasmtime_config_signals_based_traps_set(config, false);
    api->wasmtime_config_native_unwind_info_set(config, false);
    api->wasmtime_config_max_wasm_stack_set(config, WASM_STACK_BYTES);
    api->wasmtime_config_memory_reservation_set(config, LINEAR_BYTES_MAX);
    api->wasmtime_config_memory_reservation_for_growth_set(config, 0);
    api->wasmtime_config_memory_guard_size_set(config, 0);
    api->wasmtime_config_memory_may_move_set(config, false);
    api->wasmtime_config_memory_init_cow_set(config, false);
    api->wasmtime_config_host_memory_creator_set(config, &linear_creator);
    api->wasmtime_config_concurrency_support_set(config, false);
    api->wasmtime_config_gc_support_set(config, false);
    api->wasmtime_config_wasm_relaxed_simd_set(config, false);
    api->wasmtime_config_wasm_simd_set(config, false);
    api->wasmtime_config_wasm_threads_set(config, false);
    api->wasmtime_config_wasm_tail_call_set(config, false);
    api->wasmtime_config_wasm_exceptions_set(config, false);
    api->wasmtime_config_wasm_memory64_set(config, false);
    api->wasmtime_config_wasm_multi_memory_set(config, false);
    api->wasmtime_config_wasm_gc_set(config, false);
    api->wasmtime_config_wasm_function_references_set(config, false);
    api->wasmtime_config_wasm_reference_types_set(config, true);   /* for call_indirect's index */
    api->wasmtime_config_wasm_component_model_set(config, false);
    api->wasmtime_config_wasm_bulk_memory_set(config, true);
    api->wasmtime_config_wasm_multi_value_set(config, true);
}

/* Serialises the empty module: it carries the engine's version, settings and CPU features. */
static int take_fingerprint(char *error, size_t room) {
    static const uint8_t empty[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    static const char version[] = {0, 2, '0' + WASMTIME_VERSION_MAJOR / 10,
                                   '0' + WASMTIME_VERSION_MAJOR % 10};
    wasmtime_module *module = NULL;
    wasm_bytes bytes = {0, NULL};
    wasmtime_error *failure =
        wasm.api.wasmtime_module_new(wasm.engine, empty, sizeof empty, &module);
    if (failure == NULL) {
        failure = wasm.api.wasmtime_module_serialize(module, &bytes);
        wasm.api.wasmtime_module_delete(module);
    }
    if (failure != NULL) {
        wasm_error_text(error, room, failure);
        return GHOST_REFUSED;
    }
    size_t head = bytes.size < VERSION_WITHIN_BYTES ? bytes.size : VERSION_WITHIN_BYTES;
    bool is_known = memmem(bytes.data, head, version, sizeof version) != NULL;
    ghost_keccak256(wasm.fingerprint, bytes.data, bytes.size);
    wasm.api.wasm_byte_vec_delete(&bytes);
    ghost_bytes rules;
    if (ghost_wasm_rules(&rules) != GHOST_OK)
        return refuse(error, room, "out of memory", NULL);
    uint8_t both[64];
    memcpy(both, wasm.fingerprint, 32);
    ghost_keccak256(both + 32, rules.data, rules.length);
    ghost_keccak256(wasm.fingerprint, both, sizeof both);
    free(rules.data);
    return is_known ? GHOST_OK
                    : refuse(error, room, "this library is not wasmtime 50", NULL);
}

static int start(char *error, size_t room, const ghost_wasm_options *options) {
    int status = load_library(error, room, options->library);
    if (status != GHOST_OK)
        return status;
    wasm_config *config = wasm.api.wasm_config_new();
    configure(config, options);
    status = set_flags(error, room, config, options->flags);
    if (status != GHOST_OK) {
        wasm.api.wasm_config_delete(config);
        return status;
    }
    wasm.engine = wasm.api.wasm_engine_new_with_config(config);
    if (wasm.engine == NULL)
        return refuse(error, room, "wasmtime does not take these settings", NULL);
    status = take_fingerprint(error, room);
    if (status != GHOST_OK)
        return status;
    wasm.linker = wasm.api.wasmtime_linker_new(wasm.engine);
    wasmtime_error *failure = hosts_link(wasm.linker);
    if (failure != NULL) {
        wasm_error_text(error, room, failure);
        return GHOST_REFUSED;
    }
    return cache_open(error, room, options);
}

/* The library stays loaded: what it started in the process cannot be taken back. */
static void stop(wasm_runtime *runtime) {
    if (runtime->linker != NULL)
        runtime->api.wasmtime_linker_delete(runtime->linker);
    if (runtime->engine != NULL)
        runtime->api.wasm_engine_delete(runtime->engine);
    *runtime = (wasm_runtime){0};
}

int ghost_wasm_open(char *error, size_t error_room, const ghost_wasm_options *options) {
    if (options->optimisation > 2)
        return refuse(error, error_room, "there is no such level of optimisation", NULL);
    int status = ghost_wasm_close();
    if (status != GHOST_OK) {
        refuse(error, error_room, "a contract is running", NULL);
        return status;
    }
    status = start(error, error_room, options);
    if (status != GHOST_OK)
        stop(&wasm);
    return status;
}

int ghost_wasm_close(void) {
    if (wasm.library == NULL)
        return GHOST_OK;
    if (!cache_close())
        return GHOST_LIMIT;
    stop(&wasm);
    linear_free_all();
    return GHOST_OK;
}

int ghost_wasm_is_open(void) {
    return wasm.library != NULL;
}

void ghost_wasm_fingerprint(uint8_t fingerprint[32]) {
    memcpy(fingerprint, wasm.fingerprint, 32);
}

void ghost_wasm_forget(void) {
    cache_forget();
    linear_free_all();
}

void ghost_wasm_statistics(ghost_wasm_stats *stats) {
    *stats = (ghost_wasm_stats){0};
    if (wasm.library != NULL)
        cache_statistics(stats);
    stats->memory_bytes = linear_kept_bytes();
}
