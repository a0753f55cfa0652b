/* Montgomery arithmetic modulo the group order, and the endomorphism's lattice. */
#include "inverse.h"
#include "scalar.h"

typedef unsigned __int128 u128;

/* -1 / n mod 2^64, and 2^512 mod n. */
static const uint64_t NEGATED_INVERSE = 0x4b0dff665588b13fULL;
static const u256 MONTGOMERY_SQUARE = {
    {0x896cf21467d7d140ULL, 0x741496c20e7cf878ULL, 0xe697f5e45bcd07c6ULL, 0x9d671cd581c69bc5ULL}};

static const modulus SCALAR_MODULUS = {
    {{0xbfd25e8cd0364141ULL, 0xbaaedce6af48a03bULL, 0xfffffffffffffffeULL, 0xffffffffffffffffULL}},
    0x34f20099aa774ec1ULL};

/* The short vectors (a1, b1), (a2, b2) with a + b * lambda = 0 mod n: b2 = a1, and MINUS_B1 is
 * -b1. G1 and G2 are 2^384 * b2 / n and 2^384 * -b1 / n, rounded. */
static const uint64_t A1[3] = {0xe86c90e49284eb15ULL, 0x3086d221a7d46bcdULL, 0};
static const uint64_t A2[3] = {0x57c1108d9d44cfd8ULL, 0x14ca50f7a8e2f3f6ULL, 1};
static const uint64_t MINUS_B1[3] = {0x6f547fa90abfe4c3ULL, 0xe4437ed6010e8828ULL, 0};
static const u256 G1 = {
    {0xe893209a45dbb031ULL, 0x3daa8a1471e8ca7fULL, 0xe86c90e49284eb15ULL, 0x3086d221a7d46bcdULL}};
static const u256 G2 = {
    {0x1571b4ae8ac47f71ULL, 0x221208ac9df506c6ULL, 0x6f547fa90abfe4c4ULL, 0xe4437ed6010e8828ULL}};

u256 scalar_montgomery(const u256 *a, const u256 *b) {
    uint64_t t[6] = {0};
    for (int i = 0; i < 4; i++) {
        u128 carry = 0;
        for (int j = 0; j < 4; j++) {
            carry += (u128)a->limbs[i] * b->limbs[j] + t[j];
            t[j] = (uint64_t)carry;
            carry >>= 64;
        }
        carry += t[4];
        t[4] = (uint64_t)carry;
        t[5] = (uint64_t)(carry >> 64);

        uint64_t factor = t[0] * NEGATED_INVERSE;
        carry = ((u128)factor * GROUP_ORDER.limbs[0] + t[0]) >> 64;
        for (int j = 1; j < 4; j++) {
            carry += (u128)factor * GROUP_ORDER.limbs[j] + t[j];
            t[j - 1] = (uint64_t)carry;
            carry >>= 64;
        }
        carry += t[4];
        t[3] = (uint64_t)carry;
        t[4] = t[5] + (uint64_t)(carry >> 64);
    }
    u256 r = {{t[0], t[1], t[2], t[3]}}, reduced;
    bool borrow = u256_sub(&reduced, &r, &GROUP_ORDER);
    return t[4] || !borrow ? reduced : r;
}

void scalar_inverses(u256 *inverses, const u256 *values, size_t count) {
    if (count == 0) return;
    /* Each value v is read as the Montgomery form of v / 2^256; inverses[i] first holds the
     * product of the values before i. */
    u256 product = values[0];
    for (size_t i = 1; i < count; i++) {
        inverses[i] = product;
        product = scalar_montgomery(&product, &values[i]);
    }
    /* So product is to v as before is to one, and 2^256 / product begins the way back. */
    u256 rest = modular_inverse(&product, &SCALAR_MODULUS);
    rest = scalar_montgomery(&rest, &MONTGOMERY_SQUARE);
    for (size_t i = count - 1; i > 0; i--) {
        inverses[i] = scalar_montgomery(&rest, &inverses[i]);
        rest = scalar_montgomery(&rest, &values[i]);
    }
    inverses[0] = rest;
}

u256 scalar_negate(const u256 *a) {
    u256 r = *a;
    if (!u256_is_zero(a)) u256_sub(&r, &GROUP_ORDER, a);
    return r;
}

/* (a * b + 2^383) >> 384: at most 128 bits. */
static void rounded_high(uint64_t out[2], const u256 *a, const u256 *b) {
    uint64_t t[8] = {0};
    for (int i = 0; i < 4; i++) {
        u128 carry = 0;
        for (int j = 0; j < 4; j++) {
            carry += (u128)a->limbs[i] * b->limbs[j] + t[i + j];
            t[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        t[i + 4] = (uint64_t)carry;
    }
    u128 high = ((u128)t[7] << 64 | t[6]) + (t[5] >> 63);
    out[0] = (uint64_t)high;
    out[1] = (uint64_t)(high >> 64);
}

/* accumulator -= a * b modulo 2^192. */
static void subtract_product(uint64_t accumulator[3], const uint64_t a[2], const uint64_t b[3]) {
    uint64_t t[3] = {0};
    for (int i = 0; i < 2; i++) {
        u128 carry = 0;
        for (int j = 0; i + j < 3; j++) {
            carry += (u128)a[i] * b[j] + t[i + j];
            t[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    uint64_t borrow = 0;
    for (int i = 0; i < 3; i++) {
        u128 difference = (u128)accumulator[i] - t[i] - borrow;
        accumulator[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
}

static void negate_words(uint64_t words[3]) {
    u128 carry = 1;
    for (int i = 0; i < 3; i++) {
        carry += (uint64_t)~words[i];
        words[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void add_words(uint64_t words[3], const uint64_t other[3]) {
    u128 carry = 0;
    for (int i = 0; i < 3; i++) {
        carry += (u128)words[i] + other[i];
        words[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* Size and sign of a number in two's complement. */
static split_half split_half_from(const uint64_t words[3]) {
    split_half half = {{words[0], words[1], words[2]}, words[2] >> 63 != 0};
    if (half.negative) negate_words(half.limbs);
    return half;
}

/* k1 and k2 in two's complement of 192 bits. */
static void split_words(uint64_t k1[3], uint64_t k2[3], const u256 *k) {
    uint64_t c1[2], c2[2];
    rounded_high(c1, k, &G1);
    rounded_high(c2, k, &G2);
    for (int i = 0; i < 3; i++) {
        k1[i] = k->limbs[i];
        k2[i] = 0;
    }
    subtract_product(k1, c1, A1);
    subtract_product(k1, c2, A2);
    /* k2 = -c1 b1 - c2 b2, where -b1 is positive: minus (c1 * -(-b1)). */
    subtract_product(k2, c1, MINUS_B1);
    negate_words(k2);
    subtract_product(k2, c2, A1);
}

void scalar_split(split_half *k1, split_half *k2, const u256 *k) {
    uint64_t words1[3], words2[3];
    split_words(words1, words2, k);
    *k1 = split_half_from(words1);
    *k2 = split_half_from(words2);
}

/* For odd k = 2 m + 1 in two's complement, the 130 bits are m + 2^129. */
static sign_bits signs_from(const uint64_t k[3]) {
    return (sign_bits){{k[0] >> 1 | k[1] << 63, k[1] >> 1 | k[2] << 63, ((k[2] >> 1) + 2) & 3}};
}

void scalar_split_signs(sign_bits *k1, sign_bits *k2, const u256 *k) {
    uint64_t words1[3], words2[3];
    split_words(words1, words2, k);
    /* (a1, b1) is odd in both coordinates and (a2, b2) in the second only: adding the first
     * where k1 is even, then the second where k2 is, reaches every parity. Below 2^130 still. */
    if ((words1[0] & 1) == 0) {
        uint64_t b1[3] = {MINUS_B1[0], MINUS_B1[1], MINUS_B1[2]};
        negate_words(b1);
        add_words(words1, A1);
        add_words(words2, b1);
    }
    if ((words2[0] & 1) == 0) {
        add_words(words1, A2);
        add_words(words2, A1);
    }
    *k1 = signs_from(words1);
    *k2 = signs_from(words2);
}

void scalar_generator_signs(sign_bits *low, sign_bits *high, const u256 *k) {
    /* k or k - n is odd, 2 m + 1; the 260 bits are m + 2^259, where m = -1 - (n - k) / 2 for the
     * latter, which is the complement of (n - k) / 2 in 259 bits. */
    bool even = (k->limbs[0] & 1) == 0;
    u256 size = *k;
    if (even) u256_sub(&size, &GROUP_ORDER, k);
    uint64_t flip = even ? ~0ULL : 0;
    uint64_t m[5];
    for (int i = 0; i < 4; i++)
        m[i] = (size.limbs[i] >> 1 | (i < 3 ? size.limbs[i + 1] << 63 : 0)) ^ flip;
    m[4] = even ? 7 : 8;
    *low = (sign_bits){{m[0], m[1], m[2] & 3}};
    *high = (sign_bits){{m[2] >> 2 | m[3] << 62, m[3] >> 2 | m[4] << 62, m[4] >> 2}};
}
