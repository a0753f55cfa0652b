/* Integers modulo L = 2^252 + c, the order of the group, as four words, least significant first,
 * always below L; and their digits. */
#ifndef GHOST_ED25519_SCALAR_H
#define GHOST_ED25519_SCALAR_H

#include <stdint.h>
#include <string.h>

#include "field.h"

#define SCALAR_DIGITS 256

typedef struct scalar {
    uint64_t n[4];
} scalar;

static const uint64_t ORDER[4] = {0x5812631a5cf5d3edULL, 0x14def9dea2f79cd6ULL, 0,
                                  0x1000000000000000ULL};

/* a - b, and L more when that is negative. */
static inline scalar scalar_sub(const scalar *a, const scalar *b) {
    scalar r;
    uint64_t borrow = 0, carry = 0;
    for (int i = 0; i < 4; i++) {
        u128 t = (u128)a->n[i] - b->n[i] - borrow;
        r.n[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    for (int i = 0; borrow && i < 4; i++) {
        u128 t = (u128)r.n[i] + ORDER[i] + carry;
        r.n[i] = (uint64_t)t;
        carry = (uint64_t)(t >> 64);
    }
    return r;
}

static inline scalar scalar_add(const scalar *a, const scalar *b) {
    static const scalar zero = {{0, 0, 0, 0}};
    scalar minus_b = scalar_sub(&zero, b);
    return scalar_sub(a, &minus_b);
}

/* x modulo L, x of eight words. 2^252 is -c, so low + 2^252 high is low - c high; c high is
 * shorter than x by 127 bits, and three turns leave less than 2^252. */
static inline scalar scalar_reduce(const uint64_t x[8]) {
    uint64_t rest[8];
    scalar low[4];
    memcpy(rest, x, sizeof rest);
    for (int turn = 0; turn < 4; turn++) {
        uint64_t high[5], product[8] = {0};
        memcpy(low[turn].n, rest, sizeof low[turn].n);
        low[turn].n[3] &= 0xfffffffffffffffULL;
        for (int i = 0; i < 5; i++) {
            high[i] = rest[3 + i] >> 60 | (i < 4 ? rest[4 + i] << 4 : 0);
        }
        for (int i = 0; i < 2; i++) {
            uint64_t carry = 0;
            for (int j = 0; j < 5; j++) {
                u128 t = (u128)ORDER[i] * high[j] + product[i + j] + carry;
                product[i + j] = (uint64_t)t;
                carry = (uint64_t)(t >> 64);
            }
            product[i + 5] = carry;
        }
        memcpy(rest, product, sizeof rest);
    }
    scalar r = scalar_sub(&low[2], &low[3]);
    r = scalar_sub(&low[1], &r);
    return scalar_sub(&low[0], &r);
}

static inline scalar scalar_mul(const scalar *a, const scalar *b) {
    uint64_t product[8] = {0};
    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; j++) {
            u128 t = (u128)a->n[i] * b->n[j] + product[i + j] + carry;
            product[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        product[i + 4] = carry;
    }
    return scalar_reduce(product);
}

/* count words of 8 bytes each, little-endian. */
static inline void words_from_bytes(uint64_t *words, const uint8_t *bytes, int count) {
    for (int i = 0; i < count; i++) {
        words[i] = 0;
        for (int j = 7; j >= 0; j--) words[i] = words[i] << 8 | bytes[8 * i + j];
    }
}

/* 32 bytes, little-endian. Returns 0 when they are not below L. */
static inline int scalar_from_bytes(scalar *r, const uint8_t *bytes) {
    words_from_bytes(r->n, bytes, 4);
    for (int i = 3; i >= 0; i--) {
        if (r->n[i] != ORDER[i]) return r->n[i] < ORDER[i];
    }
    return 0;
}

/* Digits d with the scalar the sum of d[i] 2^i: odd and from -15 to 15, or zero, and of five in a
 * row one at most is not zero. stride: from one to the next. They are zero before. */
static inline void scalar_digits(int8_t *digits, size_t stride, const scalar *a) {
    uint64_t words[5] = {a->n[0], a->n[1], a->n[2], a->n[3], 0};
    uint64_t carry = 0;
    for (int at = 0; at < SCALAR_DIGITS;) {
        int word = at / 64, bit = at % 64;
        uint64_t bits = words[word] >> bit;
        if (bit > 59) bits |= words[word + 1] << (64 - bit);
        uint64_t window = (bits & 31) + carry;
        if (!(window & 1)) {
            at++;
            continue;
        }
        carry = window > 16;
        digits[stride * (size_t)at] = (int8_t)((int)window - (carry ? 32 : 0));
        at += 5;
    }
}

#endif
