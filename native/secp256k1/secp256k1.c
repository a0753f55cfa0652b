/* The batch: range checks, scalars, threads, and the hash that makes an address of a key. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../keccak/keccak.h"
#include "group.h"

/* More threads than this never pay: a chunk takes tens of microseconds. */
#define THREADS_MAX 64

/* Threads beyond the caller's own are started only for this many items each. */
#define ITEMS_PER_THREAD_MIN 16

/* Below this many the vector code's shared work costs more than it saves. */
#define VECTOR_TASKS_MIN 2

typedef struct batch {
    ghost_recovery *items;
    size_t count, chunk_size;
    atomic_size_t next;
} batch;

static void make_tasks(recovery_task *tasks, size_t count, const ghost_recovery *items,
                       const u256 *values, const u256 *inverses) {
    for (size_t i = 0; i < count; i++) {
        recovery_task *task = &tasks[i];
        const ghost_recovery *item = &items[task->index];
        u256 digest = u256_from_be(item->digest), reduced;
        u256 s = u256_from_be(item->s);
        if (!u256_sub(&reduced, &digest, &GROUP_ORDER)) digest = reduced;
        task->x = values[i];
        task->u1 = scalar_montgomery(&inverses[i], &digest);
        task->u1 = scalar_negate(&task->u1);
        task->u2 = scalar_montgomery(&inverses[i], &s);
    }
}

/* r and s in [1, n). r is a field element then, for n < p. */
static bool in_range(const u256 *r, const u256 *s) {
    return !u256_is_zero(r) && u256_less(r, &GROUP_ORDER) && !u256_is_zero(s) &&
           u256_less(s, &GROUP_ORDER);
}

static void recover_chunk(ghost_recovery *items, size_t count) {
    recovery_task tasks[RECOVERY_CHUNK_MAX];
    u256 values[RECOVERY_CHUNK_MAX], inverses[RECOVERY_CHUNK_MAX];
    size_t live = 0;
    for (size_t i = 0; i < count; i++) {
        ghost_recovery *item = &items[i];
        u256 r = u256_from_be(item->r), s = u256_from_be(item->s);
        item->ok = 0;
        if (item->y_parity > 1 || !in_range(&r, &s)) continue;
        values[live] = r;
        tasks[live].odd = item->y_parity == 1;
        tasks[live].index = i;
        live++;
    }
    if (live == 0) return;
    scalar_inverses(inverses, values, live);
    make_tasks(tasks, live, items, values, inverses);
    if (ghost_secp256k1_level() == 0 || live < VECTOR_TASKS_MIN ||
        !recover_chunk_ifma(items, tasks, live))
        recover_chunk_portable(items, tasks, live);

    ghost_view keys[RECOVERY_CHUNK_MAX];
    uint8_t digests[RECOVERY_CHUNK_MAX][32];
    size_t recovered = 0;
    for (size_t i = 0; i < count; i++)
        if (items[i].ok) keys[recovered++] = (ghost_view){items[i].public_key, 64};
    ghost_keccak256_views(&digests[0][0], keys, recovered);
    recovered = 0;
    for (size_t i = 0; i < count; i++)
        if (items[i].ok) memcpy(items[i].address, digests[recovered++] + 12, 20);
}

static void *work(void *argument) {
    batch *shared = argument;
    for (;;) {
        size_t start = atomic_fetch_add(&shared->next, shared->chunk_size);
        if (start >= shared->count) return NULL;
        size_t rest = shared->count - start;
        recover_chunk(shared->items + start, rest < shared->chunk_size ? rest : shared->chunk_size);
    }
}

/* How many threads to use, the caller's own included. */
static unsigned threads_for(size_t count, unsigned threads) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads == 0) threads = cores > 0 ? (unsigned)cores : 1;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    size_t useful = (count + ITEMS_PER_THREAD_MIN - 1) / ITEMS_PER_THREAD_MIN;
    return useful < threads ? (unsigned)useful : threads;
}

/* Whole vectors, small enough that every thread gets an even share. */
static size_t chunk_size_for(size_t count, unsigned threads) {
    size_t largest = (size_t)RECOVERY_CHUNK_MAX * threads;
    size_t rounds = (count + largest - 1) / largest;
    size_t size = (count + rounds * threads - 1) / (rounds * threads);
    return (size + LANES - 1) / LANES * LANES;
}

void ghost_secp256k1_recover_batch(ghost_recovery *items, size_t count, unsigned threads) {
    if (count == 0) return;
    threads = threads_for(count, threads);
    batch shared = {.items = items, .count = count, .chunk_size = chunk_size_for(count, threads)};
    atomic_init(&shared.next, 0);
    pthread_t helpers[THREADS_MAX];
    unsigned started = 0;
    /* A thread that cannot be started is no failure: the others take its chunks. */
    while (started + 1 < threads && pthread_create(&helpers[started], NULL, work, &shared) == 0)
        started++;
    work(&shared);
    for (unsigned i = 0; i < started; i++) pthread_join(helpers[i], NULL);
}

/* What the CPU and the system below it can run. */
static int highest_level(void) {
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma") &&
           __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

static atomic_int level_cap = 1;

int ghost_secp256k1_level(void) {
    int highest = highest_level(), cap = atomic_load(&level_cap);
    return cap < highest ? cap : highest;
}

int ghost_secp256k1_set_level(int level) {
    atomic_store(&level_cap, level < 0 ? 0 : level);
    return ghost_secp256k1_level();
}
