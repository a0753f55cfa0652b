/* Whether 32 bytes are a point of edwards25519 of prime order, and which. */
#ifndef GHOST_ED25519_DECODE_H
#define GHOST_ED25519_DECODE_H

#include "group.h"

/* The y of two points of order 8; the other two have -y. */
static const fe FE_Y8 = {{0x7b2c28f95e826ULL, 0x6513e9868b604ULL, 0x6b37f57c263bfULL,
                          0x4589c99e36982ULL, 0x5fc536d88023ULL}};
/* The same curve in Montgomery's form, v^2 = u^3 + A u^2 + u: u = (1 + y) / (1 - y), x = c u / v,
 * c a root of -(A + 2). RFC 7748, section 4.1. */
static const fe MONTGOMERY_A = {{486662, 0, 0, 0, 0}};
static const fe MONTGOMERY_C = {{0x604aaff457e06ULL, 0x2296fa350598dULL, 0x7f13dfb16874fULL,
                                 0x35de93d846e01ULL, 0xf26edf460a00ULL}};
/* Roots of (A^2 - 4) / i and of (A^2 - 4) / -i. */
static const fe ROOT_OVER_I = {{0x71277b3ba5222ULL, 0x2970a394eb516ULL, 0xb29a3e775c7bULL,
                                0xf75f12ecb490ULL, 0x219fc5bc27acfULL}};
static const fe ROOT_OVER_MINUS_I = {{0x374105eb49c67ULL, 0x4274b2f267fe8ULL, 0x3f166de60e579ULL,
                                      0x2078c19f0b198ULL, 0x680fe74c4f11ULL}};

/* Whether canonical y is that of one of the eight points whose order divides 8. */
static inline int is_small(const fe *y) {
    fe minus = fe_sub(&FE_ZERO, y);
    minus = fe_canonical(&minus);
    return fe_same(y, &FE_ZERO) || fe_same(y, &FE_ONE) || fe_same(y, &FE_MINUS_ONE) ||
           fe_same(y, &FE_Y8) || fe_same(&minus, &FE_Y8);
}

/* Whether a point whose order does not divide 8 has prime order; inverse_x is 1 / x, up to sign.
 *
 * The group is cyclic of order 8 L, so the points of order L are those that can be halved three
 * times (Pornin, ePrint 2022/1164). In Montgomery's form a point can be halved just when its u is
 * a square: u of a double is ((u^2 - 1) / 2 v)^2; and u modulo squares is a homomorphism, whose
 * kernel is the image of the 2-isogenous curve, v^2 = u (u - A - 2) (u - A + 2), which has as many
 * points, four of them of order 1 or 2, so that the image is the one subgroup of index 2.
 *
 * Half of (u, v), with w a root of u, is (h, .) where h + 1 / h = s, s = 2 u + 2 e or 2 u - 2 e,
 * e = v / w a root of u^2 + A u + 1. Of the two s + A, whose product A^2 - 4 is no square, just
 * one is a square, r^2; and h = s / 2 + w r. The other root 1 / h, the other sign of e and of w
 * belong to halves that differ by the point of order 2 or lie on the other side of the identity:
 * both can be halved again just when this one can.
 *
 * Nothing here is zero, for no point on the way has an order that divides 8. */
static inline int is_of_prime_order(const fe *y, const fe *inverse_x) {
    fe plus = fe_add(&FE_ONE, y), minus = fe_sub(&FE_ONE, y), t, root;
    fe product = fe_mul(&plus, &minus);
    if (!fe_inverse_root(&root, &product)) return 0;
    fe w = fe_mul(&plus, &root), inverse_w = fe_mul(&minus, &root);
    fe u = fe_square(&w);
    fe e = fe_mul(&MONTGOMERY_C, &w);
    e = fe_mul(&e, inverse_x);
    for (int turn = 0; turn < 2; turn++) {
        /* u, w and e of a point give h, u of its half. */
        fe half_s = fe_add(&u, &e), s = fe_add(&half_s, &half_s), r;
        fe m = fe_add(&s, &MONTGOMERY_A);
        switch (fe_classify(&t, &m)) {
        case FE_IS_ONE:
            r = fe_mul(&m, &t);
            break;
        case FE_IS_MINUS_ONE:
            r = fe_mul(&m, &t);
            r = fe_mul(&r, &FE_I);
            break;
        case FE_IS_I: /* m t^2 = i: the other, (A^2 - 4) / m, is t^2 (A^2 - 4) / i */
            half_s = fe_sub(&u, &e);
            r = fe_mul(&t, &ROOT_OVER_I);
            break;
        default:
            half_s = fe_sub(&u, &e);
            r = fe_mul(&t, &ROOT_OVER_MINUS_I);
        }
        fe h = fe_mul(&w, &r);
        h = fe_add(&half_s, &h);
        h = fe_mul(&h, &FE_ONE);
        fe inverse_root;
        if (!fe_inverse_root(&inverse_root, &h)) return 0;
        if (turn == 1) return 1;
        /* e of the half: v / w there is (h^2 - 1) / (2 w) over its own root. */
        fe square = fe_square(&h);
        square = fe_sub(&square, &FE_ONE);
        e = fe_mul(&square, &inverse_w);
        e = fe_mul(&e, &inverse_root);
        e = fe_mul(&e, &FE_HALF);
        u = h;
        w = fe_mul(&h, &inverse_root);
        inverse_w = inverse_root;
    }
    return 0;
}

/* Canonical y of 32 bytes, whatever the sign of x. Returns 0 when the bytes have it unreduced, or
 * when the order of its points divides 8. */
static inline int ge_decode_y(fe *y, const uint8_t *bytes) {
    fe given = fe_from_bytes(bytes);
    *y = fe_canonical(&given);
    return fe_same(y, &given) && !is_small(y);
}

/* Canonical x, of the two with one y that which the bytes ask for. */
static inline void ge_set_sign(fe *x, const uint8_t *bytes) {
    *x = fe_canonical(x);
    if ((x->n[0] & 1) != bytes[31] >> 7) {
        *x = fe_sub(&FE_ZERO, x);
        *x = fe_canonical(x);
    }
}

/* x and y of 32 bytes that are the canonical encoding of a point of prime order. Returns 0 for
 * all others. RFC 8032, section 5.1.3. */
static inline int ge_decode(fe *x, fe *y, const uint8_t *bytes) {
    if (!ge_decode_y(y, bytes)) return 0;
    fe yy = fe_square(y);
    fe numerator = fe_sub(&yy, &FE_ONE);
    fe denominator = fe_mul(&yy, &FE_D);
    denominator = fe_add(&denominator, &FE_ONE);
    fe product = fe_mul(&numerator, &denominator), root;
    if (!fe_inverse_root(&root, &product)) return 0;
    *x = fe_mul(&numerator, &root);
    fe inverse_x = fe_mul(&denominator, &root);
    ge_set_sign(x, bytes);
    return is_of_prime_order(y, &inverse_x);
}

/* The same of eight encodings: bit i of the answer for encoding i. For CPUs with AVX-512 IFMA. */
unsigned ge_decode_eight(fe x[8], fe y[8], const uint8_t *const encodings[8]);

#endif
