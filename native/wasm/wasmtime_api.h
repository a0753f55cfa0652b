/* The part of wasmtime's C API that the runtime uses, for major version 50 only.
 *
 * The wheel ships the library without headers. The declarations here say what its Python binding
 * (wasmtime/_bindings.py of the same version) says; runtime.c refuses another major version, since
 * both these layouts and the code that wasmtime compiles belong to one.
 *
 * Ownership: a wasmtime_error or wasm_trap that a function returns is the caller's to delete. */
#ifndef GHOST_WASMTIME_API_H
#define GHOST_WASMTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WASMTIME_VERSION_MAJOR 50

typedef struct wasm_config wasm_config;
typedef struct wasm_engine wasm_engine;
typedef struct wasm_trap wasm_trap;
typedef struct wasm_functype wasm_functype;
typedef struct wasm_valtype wasm_valtype;
typedef struct wasm_memorytype wasm_memorytype;
typedef struct wasm_exporttype wasm_exporttype;
typedef struct wasmtime_error wasmtime_error;
typedef struct wasmtime_module wasmtime_module;
typedef struct wasmtime_linker wasmtime_linker;
typedef struct wasmtime_instance_pre wasmtime_instance_pre;
typedef struct wasmtime_store wasmtime_store;
typedef struct wasmtime_context wasmtime_context;
typedef struct wasmtime_caller wasmtime_caller;

typedef struct wasm_bytes {
    size_t size;
    uint8_t *data;
} wasm_bytes;

typedef struct wasm_valtypes {
    size_t size;
    wasm_valtype **data;
} wasm_valtypes;

typedef struct wasm_exporttypes {
    size_t size;
    wasm_exporttype **data;
} wasm_exporttypes;

/* A value in a call without checks. Numbers only: 16 bytes because of v128. */
typedef union wasmtime_raw {
    uint32_t i32;
    uint64_t i64;
    uint8_t v128[16];
    void *funcref;
} wasmtime_raw;

typedef struct wasmtime_func {
    uint64_t store;
    void *place;
} wasmtime_func;

typedef struct wasmtime_memory {
    struct {
        uint64_t store;
        uint32_t place;
    } head;
    uint32_t place;
} wasmtime_memory;

typedef struct wasmtime_global {
    uint64_t store;
    uint32_t place[3];
} wasmtime_global;

typedef struct wasmtime_instance {
    uint64_t store;
    size_t place;
} wasmtime_instance;

enum { WASMTIME_EXTERN_FUNC = 0, WASMTIME_EXTERN_GLOBAL = 1 };

typedef struct wasmtime_extern {
    uint8_t kind;
    union {
        wasmtime_func func;
        wasmtime_global global;
        wasmtime_memory memory;
        void *other[3];
    } of;
} wasmtime_extern;

enum { WASMTIME_I32 = 0, WASMTIME_I64 = 1 };

typedef struct wasmtime_value {
    uint8_t kind;
    union {
        int32_t i32;
        int64_t i64;
        uint8_t v128[16];
        struct {
            uint64_t store;
            uint32_t place[3];
        } reference;
    } of;
} wasmtime_value;

/* A linear memory of ours, and what makes them. A callback returns NULL, or an error. */
typedef struct wasmtime_linear_memory {
    void *env;
    uint8_t *(*get)(void *env, size_t *bytes, size_t *bytes_max);
    wasmtime_error *(*grow)(void *env, size_t bytes);
    void (*finalizer)(void *env);
} wasmtime_linear_memory;

typedef struct wasmtime_memory_creator {
    void *env;
    wasmtime_error *(*create)(void *env, const wasm_memorytype *type, size_t minimum,
                              size_t maximum, size_t reserved, size_t guard,
                              wasmtime_linear_memory *out);
    void (*finalizer)(void *env);
} wasmtime_memory_creator;

/* A host function: reads its arguments from values and leaves its result in values[0]. */
typedef wasm_trap *wasmtime_callback(void *env, wasmtime_caller *caller, wasmtime_raw *values,
                                     size_t count);

enum { WASMTIME_STRATEGY_CRANELIFT = 1, WASMTIME_TRAP_UNREACHABLE = 9 };

/* Every function used: X(returns, name, parameters). */
#define WASMTIME_FUNCTIONS(X)                                                                     \
    X(wasm_config *, wasm_config_new, (void))                                                     \
    X(void, wasm_config_delete, (wasm_config *))                                                  \
    X(void, wasmtime_config_strategy_set, (wasm_config *, uint8_t))                               \
    X(void, wasmtime_config_cranelift_opt_level_set, (wasm_config *, uint8_t))                    \
    X(void, wasmtime_config_cranelift_flag_set, (wasm_config *, const char *, const char *))      \
    X(void, wasmtime_config_cranelift_flag_enable, (wasm_config *, const char *))                 \
    X(void, wasmtime_config_parallel_compilation_set, (wasm_config *, bool))                      \
    X(void, wasmtime_config_signals_based_traps_set, (wasm_config *, bool))                       \
    X(void, wasmtime_config_native_unwind_info_set, (wasm_config *, bool))                        \
    X(void, wasmtime_config_max_wasm_stack_set, (wasm_config *, size_t))                          \
    X(void, wasmtime_config_memory_reservation_set, (wasm_config *, uint64_t))                    \
    X(void, wasmtime_config_memory_reservation_for_growth_set, (wasm_config *, uint64_t))         \
    X(void, wasmtime_config_memory_guard_size_set, (wasm_config *, uint64_t))                     \
    X(void, wasmtime_config_memory_may_move_set, (wasm_config *, bool))                           \
    X(void, wasmtime_config_memory_init_cow_set, (wasm_config *, bool))                           \
    X(void, wasmtime_config_host_memory_creator_set,                                              \
      (wasm_config *, const wasmtime_memory_creator *))                                           \
    X(void, wasmtime_config_gc_support_set, (wasm_config *, bool))                                \
    X(void, wasmtime_config_concurrency_support_set, (wasm_config *, bool))                       \
    X(void, wasmtime_config_wasm_threads_set, (wasm_config *, bool))                              \
    X(void, wasmtime_config_wasm_simd_set, (wasm_config *, bool))                                 \
    X(void, wasmtime_config_wasm_relaxed_simd_set, (wasm_config *, bool))                         \
    X(void, wasmtime_config_wasm_tail_call_set, (wasm_config *, bool))                            \
    X(void, wasmtime_config_wasm_exceptions_set, (wasm_config *, bool))                           \
    X(void, wasmtime_config_wasm_memory64_set, (wasm_config *, bool))                             \
    X(void, wasmtime_config_wasm_multi_memory_set, (wasm_config *, bool))                         \
    X(void, wasmtime_config_wasm_gc_set, (wasm_config *, bool))                                   \
    X(void, wasmtime_config_wasm_function_references_set, (wasm_config *, bool))                  \
    X(void, wasmtime_config_wasm_reference_types_set, (wasm_config *, bool))                      \
    X(void, wasmtime_config_wasm_component_model_set, (wasm_config *, bool))                      \
    X(void, wasmtime_config_wasm_bulk_memory_set, (wasm_config *, bool))                          \
    X(void, wasmtime_config_wasm_multi_value_set, (wasm_config *, bool))                          \
    X(wasm_engine *, wasm_engine_new_with_config, (wasm_config *))                                \
    X(void, wasm_engine_delete, (wasm_engine *))                                                  \
    X(wasm_valtype *, wasm_valtype_new, (uint8_t))                                                \
    X(void, wasm_valtype_vec_new, (wasm_valtypes *, size_t, wasm_valtype *const *))               \
    X(wasm_functype *, wasm_functype_new, (wasm_valtypes *, wasm_valtypes *))                     \
    X(void, wasm_functype_delete, (wasm_functype *))                                              \
    X(const wasm_bytes *, wasm_exporttype_name, (const wasm_exporttype *))                        \
    X(void, wasm_exporttype_vec_delete, (wasm_exporttypes *))                                     \
    X(void, wasm_byte_vec_delete, (wasm_bytes *))                                                 \
    X(void, wasmtime_error_message, (const wasmtime_error *, wasm_bytes *))                       \
    X(void, wasmtime_error_delete, (wasmtime_error *))                                            \
    X(wasmtime_error *, wasmtime_error_new, (const char *))                                       \
    X(wasm_trap *, wasmtime_trap_new_code, (uint8_t))                                             \
    X(bool, wasmtime_trap_code, (const wasm_trap *, uint8_t *))                                   \
    X(void, wasm_trap_delete, (wasm_trap *))                                                      \
    X(wasmtime_error *, wasmtime_module_new,                                                      \
      (wasm_engine *, const uint8_t *, size_t, wasmtime_module **))                               \
    X(void, wasmtime_module_delete, (wasmtime_module *))                                          \
    X(void, wasmtime_module_exports, (const wasmtime_module *, wasm_exporttypes *))               \
    X(void, wasmtime_module_image_range, (const wasmtime_module *, void **, void **))             \
    X(wasmtime_error *, wasmtime_module_serialize, (wasmtime_module *, wasm_bytes *))             \
    X(wasmtime_error *, wasmtime_module_deserialize,                                              \
      (wasm_engine *, const uint8_t *, size_t, wasmtime_module **))                               \
    X(wasmtime_linker *, wasmtime_linker_new, (wasm_engine *))                                    \
    X(void, wasmtime_linker_delete, (wasmtime_linker *))                                          \
    X(wasmtime_error *, wasmtime_linker_define_func_unchecked,                                    \
      (wasmtime_linker *, const char *, size_t, const char *, size_t, const wasm_functype *,      \
       wasmtime_callback *, void *, void (*)(void *)))                                            \
    X(wasmtime_error *, wasmtime_linker_instantiate_pre,                                          \
      (const wasmtime_linker *, const wasmtime_module *, wasmtime_instance_pre **))               \
    X(void, wasmtime_instance_pre_delete, (wasmtime_instance_pre *))                              \
    X(wasmtime_error *, wasmtime_instance_pre_instantiate,                                        \
      (const wasmtime_instance_pre *, wasmtime_context *, wasmtime_instance *, wasm_trap **))     \
    X(wasmtime_store *, wasmtime_store_new, (wasm_engine *, void *, void (*)(void *)))            \
    X(void, wasmtime_store_delete, (wasmtime_store *))                                            \
    X(wasmtime_context *, wasmtime_store_context, (wasmtime_store *))                             \
    X(void *, wasmtime_context_get_data, (const wasmtime_context *))                              \
    X(wasmtime_context *, wasmtime_caller_context, (wasmtime_caller *))                           \
    X(bool, wasmtime_instance_export_nth,                                                         \
      (wasmtime_context *, const wasmtime_instance *, size_t, char **, size_t *,                  \
       wasmtime_extern *))                                                                        \
    X(void, wasmtime_global_get,                                                                  \
      (wasmtime_context *, const wasmtime_global *, wasmtime_value *))                            \
    X(wasmtime_error *, wasmtime_global_set,                                                      \
      (wasmtime_context *, const wasmtime_global *, const wasmtime_value *))                      \
    X(wasmtime_error *, wasmtime_func_call_unchecked,                                             \
      (wasmtime_context *, const wasmtime_func *, wasmtime_raw *, size_t, wasm_trap **))

typedef struct wasmtime_api {
#define WASMTIME_MEMBER(returns, name, parameters) returns (*name) parameters;
    WASMTIME_FUNCTIONS(WASMTIME_MEMBER)
#undef WASMTIME_MEMBER
} wasmtime_api;

#endif
