/* Linear memories: reservations of one size, zeroed and kept for the next contract, since mapping
 * and unmapping one costs several times what an ordinary call does. */
#include <stdlib.h>
#include <sys/mman.h>

#include "runtime.h"
#include "module.h"

enum {
    LINEAR_BYTES_MAX = GHOST_WASM_PAGES_MAX * WASM_PAGE_BYTES,
    KEPT_MAX = 256,
    RESIDENT_BYTES = 128 << 10    /* zeroed by hand; more goes back to the system */
};

static struct {
    pthread_mutex_t lock;
    linear *kept;
    size_t kept_count;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local linear *last;

linear *linear_last(void) {
    return last;
}

static uint8_t *linear_get(void *env, size_t *bytes, size_t *bytes_max) {
    linear *memory = env;
    *bytes = memory->bytes;
    *bytes_max = memory->bytes_max;
    return memory->base;
}

/* The bytes between are zero: nobody could write to them. */
static wasmtime_error *linear_grow(void *env, size_t bytes) {
    linear *memory = env;
    if (bytes > memory->bytes_max)
        return wasm.api.wasmtime_error_new("linear memory beyond its bound");
    memory->bytes = bytes;
    return NULL;
}

static void linear_unmap(linear *memory) {
    munmap(memory->base, LINEAR_BYTES_MAX);
    free(memory);
}

static void linear_release(void *env) {
    linear *memory = env;
    size_t resident = memory->bytes < RESIDENT_BYTES ? memory->bytes : RESIDENT_BYTES;
    memset(memory->base, 0, resident);
    bool is_clean = memory->bytes == resident ||
                    madvise(memory->base + resident, memory->bytes - resident,
                            MADV_DONTNEED) == 0;
    pthread_mutex_lock(&pool.lock);
    bool is_kept = is_clean && pool.kept_count < KEPT_MAX;
    if (is_kept) {
        memory->next = pool.kept;
        pool.kept = memory;
        pool.kept_count++;
    }
    pthread_mutex_unlock(&pool.lock);
    if (!is_kept)
        linear_unmap(memory);
}

static linear *linear_map(void) {
    linear *memory = malloc(sizeof *memory);
    if (memory == NULL)
        return NULL;
    memory->base = mmap(NULL, LINEAR_BYTES_MAX, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory->base == MAP_FAILED) {
        free(memory);
        return NULL;
    }
    return memory;
}

static wasmtime_error *linear_create(void *env, const wasm_memorytype *type, size_t minimum,
                                     size_t maximum, size_t reserved, size_t guard,
                                     wasmtime_linear_memory *out) {
    (void)env, (void)type, (void)guard;
    if (minimum > LINEAR_BYTES_MAX || reserved > LINEAR_BYTES_MAX)
        return wasm.api.wasmtime_error_new("linear memory beyond its bound");
    pthread_mutex_lock(&pool.lock);
    linear *memory = pool.kept;
    if (memory != NULL) {
        pool.kept = memory->next;
        pool.kept_count--;
    }
    pthread_mutex_unlock(&pool.lock);
    if (memory == NULL)
        memory = linear_map();
    if (memory == NULL)
        return wasm.api.wasmtime_error_new("no address space for a linear memory");
    memory->bytes = minimum;
    memory->bytes_max = maximum < LINEAR_BYTES_MAX ? maximum : LINEAR_BYTES_MAX;
    last = memory;
    *out = (wasmtime_linear_memory){memory, linear_get, linear_grow, linear_release};
    return NULL;
}

const wasmtime_memory_creator linear_creator = {NULL, linear_create, NULL};

size_t linear_kept_bytes(void) {
    pthread_mutex_lock(&pool.lock);
    size_t bytes = pool.kept_count * (size_t)RESIDENT_BYTES;
    pthread_mutex_unlock(&pool.lock);
    return bytes;
}

void linear_free_all(void) {
    pthread_mutex_lock(&pool.lock);
    linear *memory = pool.kept;
    pool.kept = NULL;
    pool.kept_count = 0;
    pthread_mutex_unlock(&pool.lock);
    while (memory != NULL) {
        linear *next = memory->next;
        linear_unmap(memory);
        memory = next;
    }
}
