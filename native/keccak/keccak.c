/* Keccak-256: the portable permutation, the choice of SIMD level, and the schedule that keeps the
 * lanes of a multi-buffer permutation full when messages differ in length. */
#include "keccak.h"

#include <stdbool.h>
#include <string.h>

#include "lanes.h"
#include "rounds.h"

/* Messages of at least this many blocks are started before all others: a long message that is
 * begun last would keep one lane busy while the rest run empty. */
enum { LONG_MESSAGE_BLOCKS = 6 };

/* ---- one message ---- */

#define WORD uint64_t
#define XOR5(a, b, c, d, e) ((a) ^ (b) ^ (c) ^ (d) ^ (e))
#define ROL(a, n) (((a) << (n)) | ((a) >> (64 - (n))))
#define MIX(a, left, right) ((a) ^ ((left) ^ (right)))
#define CHI(a, b, c) ((a) ^ (~(b) & (c)))
#define IOTA(a, round) ((a) ^ round_constants[round])
#define FROM_STATE(i) state[i]
#define TO_STATE(i, word) state[i] = (word)

static inline __attribute__((always_inline)) void permute_words(uint64_t state[25]) {
    KECCAK_LOAD(FROM_STATE);
    KECCAK_ROUNDS();
    KECCAK_STORE(TO_STATE);
}

static void permute_portable(uint64_t state[25]) {
    permute_words(state);
}

#if defined(__x86_64__)
/* andn and rorx save a sixth of the instructions; every CPU with AVX2 has them. */
__attribute__((target("bmi,bmi2"))) static void permute_bmi(uint64_t state[25]) {
    permute_words(state);
}
#endif

static int level_found;
static int level_used;
static void (*permute)(uint64_t state[25]) = permute_portable;

__attribute__((constructor)) static void find_level(void) {
#if defined(__x86_64__)
    /* The built-ins read CPUID and, for the register state, XGETBV. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2"))
        level_found = __builtin_cpu_supports("avx512f") ? 2 : 1;
#endif
    ghost_keccak_set_level(level_found);
}

int ghost_keccak_level(void) {
    return level_used;
}

int ghost_keccak_set_level(int level) {
    level_used = level < 0 ? 0 : level > level_found ? level_found : level;
#if defined(__x86_64__)
    permute = level_used > 0 ? permute_bmi : permute_portable;
#endif
    return level_used;
}

static inline uint64_t load_le64(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void store_le64(uint8_t *bytes, uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(bytes, &word, 8);
}

static inline void absorb(uint64_t state[25], const uint8_t *block) {
    for (int i = 0; i < KECCAK_RATE / 8; i++)
        state[i] ^= load_le64(block + 8 * i);
    permute(state);
}

/* The last block: the bytes that remain, then Keccak's padding (0x01, zeros, 0x80). */
static inline void pad(uint8_t block[KECCAK_RATE], const uint8_t *data, size_t length) {
    if (length > 0)
        memcpy(block, data, length);
    memset(block + length, 0, KECCAK_RATE - length);
    block[length] = 0x01;
    block[KECCAK_RATE - 1] |= 0x80;
}

/* The same a word at a time, which for short messages is faster than making the block. */
static inline void absorb_last(uint64_t state[25], const uint8_t *data, size_t length) {
    size_t words = length / 8;
    uint64_t last = 0x01;
    for (size_t i = 0; i < words; i++)
        state[i] ^= load_le64(data + 8 * i);
    for (size_t i = length; i > 8 * words; i--)
        last = (last << 8) | data[i - 1];
    state[words] ^= last;
    state[KECCAK_RATE / 8 - 1] ^= UINT64_C(1) << 63;
    permute(state);
}

/* Absorbs what is left of a message and writes the digest. */
static void finish(uint8_t digest[32], uint64_t state[25], const uint8_t *data, size_t length) {
    while (length >= KECCAK_RATE) {
        absorb(state, data);
        data += KECCAK_RATE;
        length -= KECCAK_RATE;
    }
    absorb_last(state, data, length);
    for (int i = 0; i < 4; i++)
        store_le64(digest + 8 * i, state[i]);
}

void ghost_keccak256(uint8_t digest[32], const uint8_t *data, size_t length) {
    uint64_t state[25] = {0};
    finish(digest, state, data, length);
}

/* ---- many messages ---- */

/* Messages either as views or as one run of bytes with offsets. */
typedef struct message_list {
    const ghost_view *views;
    const uint8_t *data;
    const size_t *offsets;
    size_t count;
} message_list;

static inline ghost_view message_at(const message_list *list, size_t i) {
    if (list->views != NULL)
        return list->views[i];
    return (ghost_view){list->data + list->offsets[i], list->offsets[i + 1] - list->offsets[i]};
}

/* The order in which messages enter the lanes: the long ones, then the others. */
typedef struct message_cursor {
    const message_list *list;
    size_t next;
    bool taking_long;
} message_cursor;

static inline bool is_long(ghost_view message) {
    return message.length >= (size_t)LONG_MESSAGE_BLOCKS * KECCAK_RATE;
}

static inline bool next_message(message_cursor *cursor, size_t *index) {
    for (;;) {
        while (cursor->next < cursor->list->count) {
            size_t i = cursor->next++;
            if (is_long(message_at(cursor->list, i)) == cursor->taking_long) {
                *index = i;
                return true;
            }
        }
        if (!cursor->taking_long)
            return false;
        cursor->taking_long = false;
        cursor->next = 0;
    }
}

#if defined(__x86_64__)
/* A lane's message. Between messages, the lane is idle. */
typedef struct lane_message {
    const uint8_t *data;
    size_t length;
    size_t index;
    bool busy;
    bool last;
} lane_message;

typedef struct lane_set {
    keccak_lanes state;
    uint8_t padded[KECCAK_LANES_MAX][KECCAK_RATE];
    const uint8_t *blocks[KECCAK_LANES_MAX];
    lane_message lanes[KECCAK_LANES_MAX];
    int count;
    int busy;
} lane_set;

/* Gives each lane its next block, starting new messages on idle lanes. Returns the mask of lanes
 * that start a message. */
static inline unsigned fill_lanes(lane_set *set, message_cursor *cursor) {
    unsigned fresh = 0;
    for (int l = 0; l < set->count; l++) {
        lane_message *lane = &set->lanes[l];
        size_t index;
        if (!lane->busy) {
            if (!next_message(cursor, &index)) {
                set->blocks[l] = set->padded[l];
                continue;
            }
            ghost_view message = message_at(cursor->list, index);
            lane->data = message.data;
            lane->length = message.length;
            lane->index = index;
            lane->busy = true;
            set->busy++;
            fresh |= 1u << l;
        }
        lane->last = lane->length < KECCAK_RATE;
        if (lane->last) {
            pad(set->padded[l], lane->data, lane->length);
            set->blocks[l] = set->padded[l];
        } else {
            set->blocks[l] = lane->data;
            lane->data += KECCAK_RATE;
            lane->length -= KECCAK_RATE;
        }
    }
    return fresh;
}

/* Writes the digests of the lanes that absorbed their last block and sets them idle. */
static inline void drain_lanes(lane_set *set, uint8_t *digests) {
    for (int l = 0; l < set->count; l++) {
        lane_message *lane = &set->lanes[l];
        if (!lane->busy || !lane->last)
            continue;
        for (int i = 0; i < 4; i++)
            store_le64(digests + 32 * lane->index + 8 * i, set->state.words[i * set->count + l]);
        lane->busy = false;
        set->busy--;
    }
}

/* Ends the only message that is still under way with the single permutation, which costs less
 * than a wide one with idle lanes. */
static void finish_alone(lane_set *set, uint8_t *digests) {
    for (int l = 0; l < set->count; l++) {
        if (!set->lanes[l].busy)
            continue;
        uint64_t state[25];
        for (int i = 0; i < 25; i++)
            state[i] = set->state.words[i * set->count + l];
        finish(digests + 32 * set->lanes[l].index, state, set->lanes[l].data,
               set->lanes[l].length);
    }
}

static void hash_in_lanes(uint8_t *digests, const message_list *list, int count,
                          keccak_step *step) {
    lane_set set = {.count = count};
    message_cursor cursor = {.list = list, .taking_long = true};
    for (;;) {
        if (set.busy == 1 && cursor.next == list->count && !cursor.taking_long) {
            finish_alone(&set, digests);
            return;
        }
        unsigned fresh = fill_lanes(&set, &cursor);
        if (set.busy == 0)
            return;
        step(&set.state, set.blocks, fresh);
        drain_lanes(&set, digests);
    }
}
#endif

static void hash_list(uint8_t *digests, const message_list *list) {
#if defined(__x86_64__)
    if (level_used == 2 && list->count >= 2) {
        hash_in_lanes(digests, list, 8, ghost_keccak_step_avx512);
        return;
    }
    if (level_used == 1 && list->count >= 3) {
        hash_in_lanes(digests, list, 4, ghost_keccak_step_avx2);
        return;
    }
#endif
    for (size_t i = 0; i < list->count; i++) {
        ghost_view message = message_at(list, i);
        ghost_keccak256(digests + 32 * i, message.data, message.length);
    }
}

void ghost_keccak256_batch(uint8_t *digests, const uint8_t *data, const size_t *offsets,
                           size_t count) {
    message_list list = {.data = data, .offsets = offsets, .count = count};
    hash_list(digests, &list);
}

void ghost_keccak256_views(uint8_t *digests, const ghost_view *messages, size_t count) {
    message_list list = {.views = messages, .count = count};
    hash_list(digests, &list);
}
