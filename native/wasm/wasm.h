/* The engine of WASM contracts, as Python opens it: one for the process, shared by all executors.
 *
 * The engine is wasmtime's shared library, loaded at run time. What a module may contain, where it
 * is metered and how deep its stack gets is decided before, by code of ours (module.h), so that
 * the engine only has to be correct, not deterministic in its limits. */
#ifndef GHOST_WASM_H
#define GHOST_WASM_H

#include "../common/common.h"
#include "../executor/executor.h"

typedef struct ghost_wasm_options {
    const char *library;            /* path of wasmtime's shared library */
    const char *cache_directory;    /* of compiled modules; NULL: memory only */
    const char *flags;              /* for tests: cranelift settings "name=value,name=value" */
    uint32_t optimisation;          /* cranelift's: 0 none, 1 speed, 2 speed and size */
    size_t cache_bytes_max;         /* of compiled modules in memory */
    uint32_t cache_modules_max;
} ghost_wasm_options;

typedef struct ghost_wasm_stats {
    uint64_t modules;               /* in memory now */
    uint64_t bytes;                 /* that they take */
    uint64_t hits, loaded, compiled, evicted;     /* since the engine was opened */
    uint64_t refused_files;         /* on disk, but damaged, foreign or of another engine */
    uint64_t memory_bytes;          /* of linear memories kept for reuse */
} ghost_wasm_stats;

/* Opens the engine, in place of the one that was open. GHOST_OK; GHOST_REFUSED when the library
 * is not there, is of another major version, or does not take the options; GHOST_LIMIT while a
 * contract is running. Otherwise error (error_room bytes) says why; none is open then. */
int ghost_wasm_open(char *error, size_t error_room, const ghost_wasm_options *options);
/* GHOST_OK, GHOST_LIMIT while a contract is running. */
int ghost_wasm_close(void);
int ghost_wasm_is_open(void);
/* What names compiled code: engine version, settings, CPU features, and how modules are metered.
 * Zero when no engine is open. */
void ghost_wasm_fingerprint(uint8_t fingerprint[32]);
void ghost_wasm_statistics(ghost_wasm_stats *stats);
/* Forgets the modules in memory that do not run: the next call loads from disk, or compiles. */
void ghost_wasm_forget(void);

/* Lets an executor run and deploy WASM contracts. GHOST_OK or GHOST_OUT_OF_MEMORY. Without an open
 * engine a block that calls one stops with GHOST_REFUSED. */
int ghost_wasm_plug(ghost_executor *executor);

#endif
