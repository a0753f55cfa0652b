#include "ed25519.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "decode.h"
#include "scalar.h"
#include "sha512.h"

/* Signatures that share one sum: their tables stay in the second-level cache. */
#define SHARED 128
/* A bad set as small as this is cheaper to look at one by one, however many in it are bad. */
#define SINGLES 4
/* Where more than one in so many is bad, halving finds less than it costs. */
#define MANY_BAD 16
/* Points from which on eight at a time are faster than one after the other. */
#define VECTOR_MIN 2

/* Some signatures, prepared: signature i of them holds when z (R + k A - S B) is the identity. */
typedef struct batch {
    size_t count;
    size_t bad;               /* how many are known to be bad */
    size_t items[SHARED];     /* which signature of the caller's */
    scalar base[SHARED];      /* z S */
    int8_t digits[SCALAR_DIGITS][2 * SHARED]; /* of z for R, of z k for A */
    ge_addend multiples[2 * SHARED][MULTIPLES];
    ge_addend base_multiples[MULTIPLES];
} batch;

/* k of a signature: SHA-512 of R, A and the message, modulo L. */
static scalar challenge(const uint8_t *signature, const uint8_t *key, const uint8_t *message,
                        size_t length) {
    uint8_t digest[64];
    uint64_t words[8];
    sha512 hash;
    sha512_begin(&hash);
    sha512_add(&hash, signature, 32);
    sha512_add(&hash, key, 32);
    sha512_add(&hash, message, length);
    sha512_end(digest, &hash);
    words_from_bytes(words, digest, 8);
    return scalar_reduce(words);
}

/* Takes a signature with R = (x, y) into the batch, unless its S is too large. */
static void prepare(batch *b, size_t item, const fe *x, const fe *y, const uint8_t *signature,
                    const uint8_t *key, const uint8_t *point, const uint8_t *message,
                    size_t length, const uint8_t *weight) {
    scalar s, z = {{0, 0, 0, 0}};
    if (!scalar_from_bytes(&s, signature + 32)) return;
    size_t place = b->count++;
    ge r = ge_from_affine(x, y);
    ge_odd_multiples(b->multiples[2 * place], &r);
    fe key_x = fe_from_bytes(point), key_y = fe_from_bytes(point + 32);
    ge a = ge_from_affine(&key_x, &key_y);
    ge_odd_multiples(b->multiples[2 * place + 1], &a);
    words_from_bytes(z.n, weight, 2);
    z.n[0] |= 1;
    scalar k = challenge(signature, key, message, length);
    k = scalar_mul(&k, &z);
    scalar_digits(&b->digits[0][2 * place], 2 * SHARED, &z);
    scalar_digits(&b->digits[0][2 * place + 1], 2 * SHARED, &k);
    b->base[place] = scalar_mul(&s, &z);
    b->items[place] = item;
}

/* x and y of up to eight encodings, stride bytes apart. Bit i of the answer: encoding i is a point
 * of prime order. */
static unsigned decode_some(fe x[8], fe y[8], const uint8_t *encodings, size_t stride,
                            size_t count) {
    unsigned good = 0;
    if (count >= VECTOR_MIN && ghost_ed25519_level() > 0) {
        const uint8_t *eight[8];
        for (size_t i = 0; i < 8; i++) eight[i] = encodings + stride * (i < count ? i : 0);
        return ge_decode_eight(x, y, eight);
    }
    for (size_t i = 0; i < count; i++) {
        x[i] = y[i] = FE_ZERO;
        good |= (unsigned)ge_decode(&x[i], &y[i], encodings + stride * i) << i;
    }
    return good;
}

/* Whether the sum over signatures [from, to) is the identity. */
static int holds(const batch *b, size_t from, size_t to) {
    int8_t base_digits[SCALAR_DIGITS] = {0};
    scalar base = {{0, 0, 0, 0}};
    for (size_t i = from; i < to; i++) base = scalar_add(&base, &b->base[i]);
    scalar_digits(base_digits, 1, &base);
    ge sum = GE_IDENTITY;
    for (int at = SCALAR_DIGITS - 1; at >= 0; at--) {
        ge_completed completed = ge_double(&sum);
        ge_finish(&sum, &completed);
        for (size_t i = 2 * from; i < 2 * to; i++) {
            int digit = b->digits[at][i];
            if (digit) ge_add_multiple(&sum, b->multiples[i], digit);
        }
        if (base_digits[at]) ge_add_multiple(&sum, b->base_multiples, -base_digits[at]);
    }
    return ge_is_identity(&sum);
}

/* Says of each of [from, to) whether it holds. is_bad: it is known that not all do. Returns
 * whether all do. */
static int settle(uint8_t *ok, batch *b, size_t from, size_t to, int is_bad) {
    int is_single = to - from == 1, are_many_bad = b->bad > b->count / MANY_BAD;
    if (from == to) return 1;
    if (!is_bad && (is_single || !are_many_bad) && holds(b, from, to)) {
        for (size_t i = from; i < to; i++) ok[b->items[i]] = 1;
        return 1;
    }
    if (is_single) {
        b->bad++;
        return 0;
    }
    if (are_many_bad || to - from <= SINGLES) {
        int are_good = 1;
        for (size_t i = from; i < to; i++) are_good &= settle(ok, b, i, i + 1, 0);
        return are_good;
    }
    size_t middle = from + (to - from) / 2;
    int is_good = settle(ok, b, from, middle, 0);
    settle(ok, b, middle, to, is_good);
    return 0;
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

int ghost_ed25519_level(void) {
    int highest = highest_level(), cap = atomic_load(&level_cap);
    return cap < highest ? cap : highest;
}

int ghost_ed25519_set_level(int level) {
    atomic_store(&level_cap, level < 0 ? 0 : level);
    return ghost_ed25519_level();
}

void ghost_ed25519_decode_batch(uint8_t *ok, uint8_t *points, const uint8_t *keys, size_t count) {
    fe x[8], y[8];
    for (size_t start = 0; start < count; start += 8) {
        size_t some = count - start < 8 ? count - start : 8;
        unsigned good = decode_some(x, y, keys + 32 * start, 32, some);
        for (size_t i = 0; i < some; i++) {
            ok[start + i] = good >> i & 1;
            fe_to_bytes(points + 64 * (start + i), &x[i]);
            fe_to_bytes(points + 64 * (start + i) + 32, &y[i]);
        }
    }
}

int ghost_ed25519_verify_batch(uint8_t *ok, const uint8_t *signatures, const uint8_t *keys,
                               const uint8_t *points, const uint8_t *messages,
                               const uint32_t *lengths, const uint8_t *weights, size_t count) {
    fe x[8], y[8];
    unsigned good = 0;
    batch *b = malloc(sizeof *b);
    if (!b) return GHOST_OUT_OF_MEMORY;
    ge base = ge_from_affine(&BASE_X, &BASE_Y);
    ge_odd_multiples(b->base_multiples, &base);
    for (size_t start = 0; start < count; start += SHARED) {
        size_t end = count - start < SHARED ? count : start + SHARED;
        b->count = b->bad = 0;
        memset(b->digits, 0, sizeof b->digits);
        for (size_t i = start; i < end; i++) {
            size_t in_eight = (i - start) % 8;
            if (in_eight == 0)
                good = decode_some(x, y, signatures + 64 * i, 64, end - i < 8 ? end - i : 8);
            ok[i] = 0;
            if (good >> in_eight & 1)
                prepare(b, i, &x[in_eight], &y[in_eight], signatures + 64 * i, keys + 32 * i,
                        points + 64 * i, messages, lengths[i], weights + 16 * i);
            messages += lengths[i];
        }
        settle(ok, b, 0, b->count, 0);
    }
    free(b);
    return GHOST_OK;
}
