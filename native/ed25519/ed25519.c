#include "ed25519.h"

#include <stdlib.h>

#include "group.h"
#include "scalar.h"
#include "sha512.h"

/* Signatures that share one sum: their tables stay in the second-level cache. */
#define SHARED 128
#define MULTIPLES 8 /* 1, 3, .. 15 times a point */
/* A bad set as small as this is cheaper to look at one by one, however many in it are bad. */
#define SINGLES 4

/* Some signatures, prepared: signature i of them holds when z (R + k A - S B) is the identity. */
typedef struct batch {
    size_t count;
    size_t items[SHARED];     /* which signature of the caller's */
    scalar base[SHARED];      /* z S */
    int8_t digits[SCALAR_DIGITS][2 * SHARED]; /* of z for R, of z k for A */
    ge_addend multiples[2 * SHARED][MULTIPLES];
    ge_addend base_multiples[MULTIPLES];
} batch;

static void odd_multiples(ge_addend out[MULTIPLES], const ge *p) {
    ge_completed completed = ge_double(p);
    ge twice, next = *p;
    ge_finish(&twice, &completed);
    ge_addend step = ge_as_addend(&twice);
    out[0] = ge_as_addend(p);
    for (int i = 1; i < MULTIPLES; i++) {
        completed = ge_add(&next, &step, 0);
        ge_finish(&next, &completed);
        out[i] = ge_as_addend(&next);
    }
}

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

/* Takes a signature into the batch. Returns 0 when it can hold for no message. */
static int prepare(batch *b, size_t item, const uint8_t *signature, const uint8_t *key,
                   const uint8_t *point, const uint8_t *message, size_t length,
                   const uint8_t *weight) {
    fe x, y;
    scalar s, z = {{0, 0, 0, 0}};
    if (!scalar_from_bytes(&s, signature + 32) || !ge_decode(&x, &y, signature)) return 0;
    size_t place = b->count++;
    ge r = ge_from_affine(&x, &y);
    odd_multiples(b->multiples[2 * place], &r);
    x = fe_from_bytes(point);
    y = fe_from_bytes(point + 32);
    ge a = ge_from_affine(&x, &y);
    odd_multiples(b->multiples[2 * place + 1], &a);
    words_from_bytes(z.n, weight, 2);
    z.n[0] |= 1;
    scalar k = challenge(signature, key, message, length);
    k = scalar_mul(&k, &z);
    scalar_digits(&b->digits[0][2 * place], 2 * SHARED, &z);
    scalar_digits(&b->digits[0][2 * place + 1], 2 * SHARED, &k);
    b->base[place] = scalar_mul(&s, &z);
    b->items[place] = item;
    return 1;
}

static void add_multiple(ge *sum, const ge_addend multiples[MULTIPLES], int digit) {
    int is_minus = digit < 0;
    ge_completed completed = ge_add(sum, &multiples[(is_minus ? -digit : digit) / 2], is_minus);
    ge_finish(sum, &completed);
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
            if (digit) add_multiple(&sum, b->multiples[i], digit);
        }
        if (base_digits[at]) add_multiple(&sum, b->base_multiples, -base_digits[at]);
    }
    return ge_is_identity(&sum);
}

/* Says of each of [from, to) whether it holds. is_bad: it is known that not all do. Returns
 * whether all do. */
static int settle(uint8_t *ok, const batch *b, size_t from, size_t to, int is_bad) {
    if (from == to) return 1;
    if (!is_bad && holds(b, from, to)) {
        for (size_t i = from; i < to; i++) ok[b->items[i]] = 1;
        return 1;
    }
    if (to - from == 1) return 0;
    if (to - from <= SINGLES) {
        for (size_t i = from; i < to; i++) settle(ok, b, i, i + 1, 0);
        return 0;
    }
    size_t middle = from + (to - from) / 2;
    int is_good = settle(ok, b, from, middle, 0);
    settle(ok, b, middle, to, is_good);
    return 0;
}

int ghost_ed25519_decode(uint8_t *point, const uint8_t *key) {
    fe x, y;
    if (!ge_decode(&x, &y, key)) return GHOST_REFUSED;
    fe_to_bytes(point, &x);
    fe_to_bytes(point + 32, &y);
    return GHOST_OK;
}

int ghost_ed25519_verify_batch(uint8_t *ok, const uint8_t *signatures, const uint8_t *keys,
                               const uint8_t *points, const uint8_t *messages,
                               const uint32_t *lengths, const uint8_t *weights, size_t count) {
    batch *b = malloc(sizeof *b);
    if (!b) return GHOST_OUT_OF_MEMORY;
    ge base = ge_from_affine(&BASE_X, &BASE_Y);
    odd_multiples(b->base_multiples, &base);
    for (size_t start = 0; start < count; start += SHARED) {
        size_t end = count - start < SHARED ? count : start + SHARED;
        b->count = 0;
        memset(b->digits, 0, sizeof b->digits);
        for (size_t i = start; i < end; i++) {
            ok[i] = 0;
            prepare(b, i, signatures + 64 * i, keys + 32 * i, points + 64 * i, messages,
                    lengths[i], weights + 16 * i);
            messages += lengths[i];
        }
        settle(ok, b, 0, b->count, 0);
    }
    free(b);
    return GHOST_OK;
}
