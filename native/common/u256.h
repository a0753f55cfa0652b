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

/* GCC does not find the carry chain in portable C, and these three are in every hot loop. */
#if defined(__x86_64__)

/* a < b, through the borrow of a - b. */
static inline bool u256_less(const u256 *a, const u256 *b) {
    uint64_t scratch;
    bool borrow;
    __asm__("cmpq %6, %2\n\t"
            "movq %3, %0\n\t"
            "sbbq %7, %0\n\t"
            "movq %4, %0\n\t"
            "sbbq %8, %0\n\t"
            "movq %5, %0\n\t"
            "sbbq %9, %0"
            : "=&r"(scratch), "=@ccc"(borrow)
            : "r"(a->limbs[0]), "rme"(a->limbs[1]), "rme"(a->limbs[2]), "rme"(a->limbs[3]),
              "rme"(b->limbs[0]), "rme"(b->limbs[1]), "rme"(b->limbs[2]), "rme"(b->limbs[3]));
    return borrow;
}

/* Sets *out = a + b and returns the carry out. out may be a or b. */
static inline bool u256_add(u256 *out, const u256 *a, const u256 *b) {
    uint64_t word0 = a->limbs[0], word1 = a->limbs[1], word2 = a->limbs[2], word3 = a->limbs[3];
    bool carry;
    __asm__("addq %5, %0\n\t"
            "adcq %6, %1\n\t"
            "adcq %7, %2\n\t"
            "adcq %8, %3"
            : "+&r"(word0), "+&r"(word1), "+&r"(word2), "+&r"(word3), "=@ccc"(carry)
            : "rme"(b->limbs[0]), "rme"(b->limbs[1]), "rme"(b->limbs[2]), "rme"(b->limbs[3]));
    *out = (u256){{word0, word1, word2, word3}};
    return carry;
}

/* Sets *out = a - b and returns the borrow out. out may be a or b. */
static inline bool u256_sub(u256 *out, const u256 *a, const u256 *b) {
    uint64_t word0 = a->limbs[0], word1 = a->limbs[1], word2 = a->limbs[2], word3 = a->limbs[3];
    bool borrow;
    __asm__("subq %5, %0\n\t"
            "sbbq %6, %1\n\t"
            "sbbq %7, %2\n\t"
            "sbbq %8, %3"
            : "+&r"(word0), "+&r"(word1), "+&r"(word2), "+&r"(word3), "=@ccc"(borrow)
            : "rme"(b->limbs[0]), "rme"(b->limbs[1]), "rme"(b->limbs[2]), "rme"(b->limbs[3]));
    *out = (u256){{word0, word1, word2, word3}};
    return borrow;
}

#else

/* a < b, through the borrow of a - b. */
static inline bool u256_less(const u256 *a, const u256 *b) {
    uint64_t borrow = 0;
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

#endif

/* a < b in two's complement. */
static inline bool u256_less_signed(const u256 *a, const u256 *b) {
    u256 left = *a, right = *b;
    left.limbs[3] ^= UINT64_C(1) << 63;
    right.limbs[3] ^= UINT64_C(1) << 63;
    return u256_less(&left, &right);
}

static inline u256 u256_and(const u256 *a, const u256 *b) {
    return (u256){{a->limbs[0] & b->limbs[0], a->limbs[1] & b->limbs[1],
                   a->limbs[2] & b->limbs[2], a->limbs[3] & b->limbs[3]}};
}

static inline u256 u256_or(const u256 *a, const u256 *b) {
    return (u256){{a->limbs[0] | b->limbs[0], a->limbs[1] | b->limbs[1],
                   a->limbs[2] | b->limbs[2], a->limbs[3] | b->limbs[3]}};
}

static inline u256 u256_xor(const u256 *a, const u256 *b) {
    return (u256){{a->limbs[0] ^ b->limbs[0], a->limbs[1] ^ b->limbs[1],
                   a->limbs[2] ^ b->limbs[2], a->limbs[3] ^ b->limbs[3]}};
}

static inline u256 u256_not(const u256 *a) {
    return (u256){{~a->limbs[0], ~a->limbs[1], ~a->limbs[2], ~a->limbs[3]}};
}

/* a * b + c, which two words always hold: returns the lower, sets *high. */
static inline uint64_t multiply_add(uint64_t *high, uint64_t a, uint64_t b, uint64_t c) {
#if defined(__x86_64__)
    uint64_t low;
    __asm__("mulq %3\n\t"
            "addq %4, %0\n\t"
            "adcq $0, %1"
            : "=&a"(low), "=&d"(*high)
            : "0"(a), "rm"(b), "rme"(c)
            : "cc");
    return low;
#else
    unsigned __int128 sum = (unsigned __int128)a * b + c;
    *high = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
#endif
}

/* a * b modulo 2^256, a row for each word of b: few values are alive at a time. */
static inline u256 u256_mul(const u256 *a, const u256 *b) {
    const uint64_t a0 = a->limbs[0], a1 = a->limbs[1], a2 = a->limbs[2];
    const uint64_t b0 = b->limbs[0], b1 = b->limbs[1], b2 = b->limbs[2];
    uint64_t carry, word3 = a->limbs[3] * b0 + a0 * b->limbs[3];
    const unsigned __int128 first = (unsigned __int128)a0 * b0;
    const uint64_t word0 = (uint64_t)first;
    uint64_t word1 = multiply_add(&carry, a1, b0, (uint64_t)(first >> 64));
    uint64_t word2 = multiply_add(&carry, a2, b0, carry);
    word3 += carry + a2 * b1 + a1 * b2;
    word1 = multiply_add(&carry, a0, b1, word1);
    word3 += __builtin_add_overflow(word2, carry, &word2);
    word2 = multiply_add(&carry, a1, b1, word2);
    word3 += carry;
    word2 = multiply_add(&carry, a0, b2, word2);
    return (u256){{word0, word1, word2, word3 + carry}};
}

/* The shifts read words from a window over the number and what comes in beside it: whole words
 * move by where the window begins, without a branch. << 1 << (63 - n) is << (64 - n), also for
 * n = 0. The window is the caller's, for one with many shifts to have a single one. */

static inline u256 u256_shift_left_through(uint64_t window[8], const u256 *a, unsigned bits) {
    const unsigned rest = bits % 64, back = 63 - rest;
    for (int i = 0; i < 4; i++)
        window[i] = 0;
    for (int i = 0; i < 4; i++)
        window[4 + i] = a->limbs[i];
    const uint64_t *from = &window[4 - bits / 64];
    return (u256){{(from[0] << rest) | (from[-1] >> 1 >> back),
                   (from[1] << rest) | (from[0] >> 1 >> back),
                   (from[2] << rest) | (from[1] >> 1 >> back),
                   (from[3] << rest) | (from[2] >> 1 >> back)}};
}

static inline u256 u256_shift_right_through(uint64_t window[8], const u256 *a, unsigned bits,
                                            uint64_t fill) {
    const unsigned rest = bits % 64, back = 63 - rest;
    for (int i = 0; i < 4; i++)
        window[i] = a->limbs[i];
    for (int i = 0; i < 4; i++)
        window[4 + i] = fill;
    const uint64_t *from = &window[bits / 64];
    return (u256){{(from[0] >> rest) | (from[1] << 1 << back),
                   (from[1] >> rest) | (from[2] << 1 << back),
                   (from[2] >> rest) | (from[3] << 1 << back),
                   (from[3] >> rest) | (from[4] << 1 << back)}};
}

/* a shifted left by 0-255 bits. */
static inline u256 u256_shift_left(const u256 *a, unsigned bits) {
    uint64_t window[8];
    return u256_shift_left_through(window, a, bits);
}

/* a shifted right by 0-255 bits, fill (0 or all ones) coming in from above. */
static inline u256 u256_shift_right(const u256 *a, unsigned bits, uint64_t fill) {
    uint64_t window[8];
    return u256_shift_right_through(window, a, bits, fill);
}

/* Leading zero bits, 256 of zero. */
static inline unsigned u256_leading_zeros(const u256 *a) {
    for (int i = 3; i >= 0; i--)
        if (a->limbs[i] != 0)
            return (unsigned)((3 - i) * 64 + __builtin_clzll(a->limbs[i]));
    return 256;
}

/* Byte index of a, counted from the most significant; 0 past the end. */
static inline uint64_t u256_byte(const u256 *a, const u256 *index) {
    if (!u256_fits_u64(index) || index->limbs[0] > 31)
        return 0;
    unsigned place = 31 - (unsigned)index->limbs[0];
    return (a->limbs[place / 8] >> (place % 8 * 8)) & 0xff;
}

/* a as a two's complement number of index + 1 bytes, widened. */
static inline u256 u256_sign_extend(const u256 *index, const u256 *a) {
    if (!u256_fits_u64(index) || index->limbs[0] > 30)
        return *a;
    const unsigned word = (unsigned)index->limbs[0] / 8;
    const unsigned bits = 56 - (unsigned)index->limbs[0] % 8 * 8;
    const int64_t top = (int64_t)(a->limbs[word] << bits) >> bits;
    const uint64_t sign = (uint64_t)(top >> 63);
    u256 wide;
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t below = i < word ? a->limbs[i] : sign;
        wide.limbs[i] = i == word ? (uint64_t)top : below;
    }
    return wide;
}

/* ---- u256.c: as the opcodes have it, so that what a zero divisor gives is 0 ---- */

u256 u256_div(const u256 *a, const u256 *b);
u256 u256_mod(const u256 *a, const u256 *b);
u256 u256_div_signed(const u256 *a, const u256 *b);
u256 u256_mod_signed(const u256 *a, const u256 *b);
u256 u256_add_mod(const u256 *a, const u256 *b, const u256 *modulus);
u256 u256_mul_mod(const u256 *a, const u256 *b, const u256 *modulus);
u256 u256_exp(const u256 *base, const u256 *exponent);

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
    uint32_t high;
    memcpy(&high, address->bytes, 4);
    return (u256){{load_be64(address->bytes + 12), load_be64(address->bytes + 4),
                   __builtin_bswap32(high), 0}};
}

static inline ghost_address u256_to_address(const u256 *a) {
    uint8_t bytes[32];
    ghost_address address;
    u256_to_be(bytes, a);
    memcpy(address.bytes, bytes + 12, 20);
    return address;
}

#endif
