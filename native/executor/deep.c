/* Threads with a large stack, on which frames of WASM and of contracts in Python run: these take
 * native stack, and 1,024 of them nest. A run borrows one and gives it back, so there are as many
 * as there have been runs at the same time.
 *
 * Caller and thread hand work over by one word. Nobody else looks at the executor meanwhile, so
 * to all other code the work is done by the caller; callbacks into Python happen on this thread,
 * with the interpreter lock that its caller has given up. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "overlay.h"

enum {
    /* For each of 1,024 nested frames: a WASM activation has at most 512 KiB by the count of its
     * slots, and the engine stops it at 1 MiB by itself; then what C, Python and libffi put in
     * between. Address space only: a page becomes memory when a frame writes there. */
    STACK_KIB = CALL_DEPTH_MAX * (1024 + 256),
    STACK_KIB_KEPT = 1024,        /* deeper pages are given back after each run */
    GUARD_KIB = 1024,
    IDLE_MAX = 16,                /* threads that wait for the next run; more of them end */
    SPINS = 50                    /* about 2 microseconds */
};

static const size_t stack_bytes = (size_t)STACK_KIB * 1024;
static const size_t guard_bytes = (size_t)GUARD_KIB * 1024;
static const size_t kept_bytes = (size_t)STACK_KIB_KEPT * 1024;

enum turn {
    TURN_CALLER = 0,              /* the thread waits */
    TURN_THREAD = 1,              /* the caller waits */
    TURN_LEAVE = 2
};

typedef struct deep_thread {
    pthread_t thread;
    uint8_t *stack;               /* with its guard */
    _Atomic uint32_t turn;
    deep_work *work;
    void *argument;
    struct deep_thread *next;     /* while it is idle */
} deep_thread;

static struct {
    pthread_mutex_t lock;
    deep_thread *idle;            /* the one that ran last comes first */
    unsigned idle_count;
    bool is_ready;                /* for forks */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the word ---- */

static void give_turn(deep_thread *deep, uint32_t turn) {
    atomic_store_explicit(&deep->turn, turn, memory_order_release);
    syscall(SYS_futex, &deep->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Returns when it is no longer that one's turn. Spins for a moment, since a core that has gone to
 * sleep takes long to wake; not for longer, since on a busy machine whoever spins holds the core
 * that the other needs. (Measured: 10 us for a call that takes 0.6 us, idle or busy; without
 * spinning 45 us idle and 8 us busy; with ten times as much 2 us idle and 20 us or more busy.) */
static void wait_while(deep_thread *deep, uint32_t turn) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&deep->turn, memory_order_acquire) != turn)
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    while (atomic_load_explicit(&deep->turn, memory_order_acquire) == turn)
        syscall(SYS_futex, &deep->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
}

/* ---- the thread ---- */

static void *serve(void *argument) {
    deep_thread *deep = argument;
    for (;;) {
        wait_while(deep, TURN_CALLER);
        if (atomic_load_explicit(&deep->turn, memory_order_relaxed) == TURN_LEAVE)
            return NULL;
        deep->work(deep->argument);
        madvise(deep->stack + guard_bytes, stack_bytes - guard_bytes - kept_bytes,
                MADV_DONTNEED);
        give_turn(deep, TURN_CALLER);
    }
}

static bool map_stack(deep_thread *deep) {
    void *stack = mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return false;
    /* A page at a time: a large one would make memory of stack that nobody uses. */
    madvise(stack, stack_bytes, MADV_NOHUGEPAGE);
    if (mprotect(stack, guard_bytes, PROT_NONE) != 0) {
        munmap(stack, stack_bytes);
        return false;
    }
    deep->stack = stack;
    return true;
}

/* Signals are for the threads that expect them, but for those by which code itself has failed. */
static void block_signals(sigset_t *before) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, before);
}

static deep_thread *start(void) {
    pthread_attr_t attributes;
    sigset_t before;
    deep_thread *deep = calloc(1, sizeof *deep);
    if (deep == NULL)
        return NULL;
    bool started = map_stack(deep) && pthread_attr_init(&attributes) == 0;
    if (started) {
        started = pthread_attr_setstack(&attributes, deep->stack + guard_bytes,
                                        stack_bytes - guard_bytes) == 0;
        block_signals(&before);
        started = started && pthread_create(&deep->thread, &attributes, serve, deep) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (started)
        return deep;
    if (deep->stack != NULL)
        munmap(deep->stack, stack_bytes);
    free(deep);
    return NULL;
}

static void stop(deep_thread *deep) {
    give_turn(deep, TURN_LEAVE);
    pthread_join(deep->thread, NULL);
    munmap(deep->stack, stack_bytes);
    free(deep);
}

/* ---- the pool ---- */

static void before_fork(void) {
    pthread_mutex_lock(&pool.lock);
}

static void after_fork_here(void) {
    pthread_mutex_unlock(&pool.lock);
}

/* A child has none of the threads, only their stacks. */
static void after_fork_there(void) {
    for (deep_thread *deep = pool.idle; deep != NULL; deep = deep->next)
        munmap(deep->stack, stack_bytes);
    pool.idle = NULL;
    pool.idle_count = 0;
    pthread_mutex_unlock(&pool.lock);
}

static deep_thread *borrow(void) {
    pthread_mutex_lock(&pool.lock);
    if (!pool.is_ready)
        pool.is_ready = pthread_atfork(before_fork, after_fork_here, after_fork_there) == 0;
    deep_thread *deep = pool.idle;
    if (deep != NULL) {
        pool.idle = deep->next;
        pool.idle_count--;
    }
    pthread_mutex_unlock(&pool.lock);
    return deep != NULL ? deep : start();
}

static void give_back(deep_thread *deep) {
    pthread_mutex_lock(&pool.lock);
    bool is_kept = pool.idle_count < IDLE_MAX;
    if (is_kept) {
        deep->next = pool.idle;
        pool.idle = deep;
        pool.idle_count++;
    }
    pthread_mutex_unlock(&pool.lock);
    if (!is_kept)
        stop(deep);
}

int deep_run(deep_work *work, void *argument) {
    deep_thread *deep = borrow();
    if (deep == NULL)
        return GHOST_OUT_OF_MEMORY;
    deep->work = work;
    deep->argument = argument;
    give_turn(deep, TURN_THREAD);
    wait_while(deep, TURN_THREAD);
    give_back(deep);
    return GHOST_OK;
}

int executor_run_deep(ghost_executor *executor, deep_work *work, void *argument) {
    if (executor->is_deep) {
        work(argument);
        return GHOST_OK;
    }
    executor->is_deep = executor->went_deep = true;
    int status = deep_run(work, argument);
    executor->is_deep = false;
    return status;
}
