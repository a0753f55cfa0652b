/* 256-bit unsigned integers: four 64-bit limbs, least significant first. Inline, for kernels only
 * (never read by cffi). Arithmetic wraps modulo 2^256 as the Yellow Paper's does. */
#ifndef GHOST_U256_H
#define GHOST_U256_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct u256 {
    uint64_t limbs[4];
} u256;

typedef struct ghost_address {
    uint8_t bytes[20];
} ghost_address;

typedef struct ghost_hash {
    uint8_t bytes[32];
} ghost_hash;

static inline u256 u256_from_u64(uint64_t value) {
    return (u256){{value, 0, 0, 0}};
}

static inline bool u256_is_zero(const u256 *a) {
    return (a->limbs[0] | a->limbs[1] | a->limbs[2] | a->limbs[3]) == 0;
}

static inline bool u256_equal(const u256 *a, const u256 *b) {
    return ((a->limbs[0] ^ b->limbs[0]) | (a->limbs[1] ^ b->limbs[1]) |
            (a->limbs[2] ^ b->limbs[2]) | (a->limbs[3] ^ b->limbs[3])) == 0;
}

static inline bool u256_fits_u64(const u256 *a) {
    return (a->limbs[1] | a->limbs[2] | a->limbs[3]) == 0;
}

/* a < b, through the borrow of a - b. */
static inline bool u256_less(const u256 *a, const u256 *b) {
    unsigned long long borrow = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 difference =
            (unsigned __int128)a->limbs[i] - b->limbs[i] - borrow;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow != 0;
}

/* Sets *out = a + b and returns the carry out. out may be a or b. */
static inline bool u256_add(u256 *out, const u256 *a, const u256 *b) {
    unsigned __int128 sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (unsigned __int128)a->limbs[i] + b->limbs[i];
        out->limbs[i] = (uint64_t)sum;
        sum >>= 64;
    }
    return sum != 0;
}

/* Sets *out = a - b and returns the borrow out. out may be a or b. */
static inline bool u256_sub(u256 *out, const u256 *a, const u256 *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 difference =
            (unsigned __int128)a->limbs[i] - b->limbs[i] - borrow;
        out->limbs[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow != 0;
}

static inline uint64_t load_be64(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    return __builtin_bswap64(word);
}

static inline void store_be64(uint8_t *bytes, uint64_t word) {
    word = __builtin_bswap64(word);
    memcpy(bytes, &word, 8);
}

static inline u256 u256_from_be(const uint8_t bytes[32]) {
    return (u256){{load_be64(bytes + 24), load_be64(bytes + 16), load_be64(bytes + 8),
                   load_be64(bytes)}};
}

/* Reads a big-endian integer of length <= 32 bytes. */
static inline u256 u256_from_be_short(const uint8_t *bytes, size_t length) {
    uint8_t padded[32] = {0};
    memcpy(padded + 32 - length, bytes, length);
    return u256_from_be(padded);
}

static inline void u256_to_be(uint8_t out[32], const u256 *a) {
    store_be64(out, a->limbs[3]);
    store_be64(out + 8, a->limbs[2]);
    store_be64(out + 16, a->limbs[1]);
    store_be64(out + 24, a->limbs[0]);
}

static inline u256 u256_from_address(const ghost_address *address) {
    return u256_from_be_short(address->bytes, 20);
}

static inline ghost_address u256_to_address(const u256 *a) {
    uint8_t bytes[32];
    ghost_address address;
    u256_to_be(bytes, a);
    memcpy(address.bytes, bytes + 12, 20);
    return address;
}

#endif
