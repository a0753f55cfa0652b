/* The runtime's own shapes: the open engine, compiled modules, linear memories, activations. */
#ifndef GHOST_WASM_RUNTIME_H
#define GHOST_WASM_RUNTIME_H

#include <pthread.h>

#include "../executor/host.h"
#include "wasm.h"
#include "wasmtime_api.h"

enum { WASM_PAGE_BYTES = 1 << 16 };

/* ---- wasm.c: the open engine ---- */

typedef struct wasm_runtime {
    void *library;                /* NULL: no engine is open */
    wasmtime_api api;
    wasm_engine *engine;
    wasmtime_linker *linker;
    uint8_t fingerprint[32];
} wasm_runtime;

extern wasm_runtime wasm;         /* changes only while no contract runs */

/* ---- linear.c: linear memories, kept for reuse ---- */

/* A reservation of LINEAR_BYTES_MAX bytes, of which the first `bytes` are the contract's. */
typedef struct linear {
    uint8_t *base;
    size_t bytes, bytes_max;
    struct linear *next;
} linear;

extern const wasmtime_memory_creator linear_creator;
/* The memory made last on this thread. */
linear *linear_last(void);
size_t linear_kept_bytes(void);
void linear_free_all(void);

/* ---- cache.c: compiled modules ---- */

typedef struct compiled {
    ghost_hash hash;              /* of the code as deployed */
    wasmtime_module *module;      /* NULL: the bytes are no contract, and reason says why */
    char *reason;
    wasmtime_instance_pre *pre;
    size_t bytes;                 /* what it takes in memory, about */
    uint64_t weight;              /* what compiling took (ghost_wasm_module) */
    uint16_t exports[3];          /* places of the exports, by enum compiled_export */
    uint16_t users;               /* frames that run it, under the cache's lock */
    bool is_listed;
    struct compiled *newer, *older, *chain;
} compiled;

enum compiled_export { EXPORT_ENTRY, EXPORT_INK, EXPORT_STACK };

int cache_open(char *error, size_t error_room, const ghost_wasm_options *options);
/* False while a module is in use. */
bool cache_close(void);
/* GHOST_OK and the compiled module, found, loaded or compiled; given back with cache_give. A
 * module that is none has module NULL. GHOST_OUT_OF_MEMORY, GHOST_REFUSED (no engine is open). */
int cache_take(compiled **out, const ghost_hash *hash, const uint8_t *bytes, size_t length);
void cache_give(compiled *module);
void cache_forget(void);
void cache_statistics(ghost_wasm_stats *stats);
/* What the engine says of an error, which is deleted. */
void wasm_error_text(char *text, size_t room, wasmtime_error *error);

/* ---- disk.c: compiled modules on disk ---- */

enum disk_answer { DISK_ABSENT, DISK_LOADED, DISK_REFUSED };

int disk_open(char *error, size_t error_room, const char *directory);
void disk_close(void);
/* module->hash says which; fills module and weight. */
enum disk_answer disk_load(compiled *module);
void disk_save(const compiled *module);

/* ---- execute.c: one running frame ---- */

/* A storage slot as the contract sees it between load and flush. */
typedef struct cached_slot {
    u256 key, value, stored;
    bool is_loaded;               /* stored is what the state has */
    bool is_written;              /* value was cached by the contract */
} cached_slot;

typedef struct slot_cache {
    cached_slot *slots;           /* in the order of first use */
    uint32_t count, room;
    uint32_t *places;             /* 1 + index in slots, by hash; NULL while there are few */
    uint32_t mask;
} slot_cache;

typedef struct wasm_context wasm_context;

typedef struct activation {
    ghost_frame frame;            /* gas: whole gas of ink, only while a host function needs it */
    struct activation *outer;     /* the WASM frame around it, of whatever depth */
    wasm_context *context;
    wasmtime_context *store;
    linear *memory;
    wasmtime_global ink_global;
    uint64_t ink;                 /* left; the global holds it while the contract runs */
    uint64_t gas_beside;          /* gas that is too much for ink */
    slot_cache slots;
    const uint8_t *output;
    size_t output_length;
    uint32_t pages;               /* of linear memory that it pays for */
    int8_t reentrant;             /* msg_reentrant's answer; 0 not yet asked, 1 no, 2 yes */
    bool has_ended;               /* a host function ended it: exit, not the trap, counts */
    uint8_t exit;
} activation;

/* What one executor keeps for its WASM frames. */
struct wasm_context {
    activation *innermost;
    uint64_t open_pages;          /* of all activations */
    uint64_t block_serial;        /* of the block that `used` is about */
    ghost_hash *used;             /* open addressing by the first bytes; zero: free */
    uint32_t used_count, used_room;
};

/* ---- hosts.c: what contracts import ---- */

/* Adds every host function to the linker. NULL, or the error. */
wasmtime_error *hosts_link(wasmtime_linker *linker);

#endif
