/* The group of edwards25519, -x^2 + y^2 = 1 + d x^2 y^2, in extended coordinates
 * (Hisil, Wong, Carter, Dawson 2008), and whether 32 bytes are a point of its prime-order part. */
#ifndef GHOST_ED25519_GROUP_H
#define GHOST_ED25519_GROUP_H

#include "field.h"

/* d = -121665 / 121666 */
static const fe FE_D = {{0x34dca135978a3ULL, 0x1a8283b156ebdULL, 0x5e7a26001c029ULL,
                         0x739c663a03cbbULL, 0x52036cee2b6ffULL}};
/* 2 d */
static const fe FE_D2 = {{0x69b9426b2f159ULL, 0x35050762add7aULL, 0x3cf44c0038052ULL,
                          0x6738cc7407977ULL, 0x2406d9dc56dffULL}};
/* The base point. */
static const fe BASE_X = {{0x62d608f25d51aULL, 0x412a4b4f6592aULL, 0x75b7171a4b31dULL,
                           0x1ff60527118feULL, 0x216936d3cd6e5ULL}};
static const fe BASE_Y = {{0x6666666666658ULL, 0x4ccccccccccccULL, 0x1999999999999ULL,
                           0x3333333333333ULL, 0x6666666666666ULL}};
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

/* x = X / Z, y = Y / Z, x y = T / Z; all fresh products. */
typedef struct ge {
    fe X, Y, Z, T;
} ge;

/* A point to be added: Y + X, Y - X, 2 Z, 2 d T. */
typedef struct ge_addend {
    fe sum, difference, Z2, T2d;
} ge_addend;

/* Before the last products: x = X / Z, y = Y / T. */
typedef struct ge_completed {
    fe X, Y, Z, T;
} ge_completed;

static const ge GE_IDENTITY = {{{0}}, {{1, 0, 0, 0, 0}}, {{1, 0, 0, 0, 0}}, {{0}}};

static inline ge ge_from_affine(const fe *x, const fe *y) {
    return (ge){*x, *y, FE_ONE, fe_mul(x, y)};
}

static inline ge_addend ge_as_addend(const ge *p) {
    return (ge_addend){fe_add(&p->Y, &p->X), fe_sub(&p->Y, &p->X), fe_add(&p->Z, &p->Z),
                       fe_mul(&p->T, &FE_D2)};
}

/* Three products: enough to double again. T stays as it was. */
static inline void ge_finish_for_doubling(ge *r, const ge_completed *p) {
    r->X = fe_mul(&p->X, &p->T);
    r->Y = fe_mul(&p->Y, &p->Z);
    r->Z = fe_mul(&p->Z, &p->T);
}

static inline void ge_finish(ge *r, const ge_completed *p) {
    ge_finish_for_doubling(r, p);
    r->T = fe_mul(&p->X, &p->Y);
}

/* 2 p; T of p is not read. */
static inline ge_completed ge_double(const ge *p) {
    fe xx = fe_square(&p->X), yy = fe_square(&p->Y), zz = fe_square(&p->Z);
    fe sum = fe_add(&p->X, &p->Y);
    sum = fe_square(&sum);
    zz = fe_add(&zz, &zz);
    ge_completed r;
    r.Y = fe_add(&yy, &xx);
    r.Z = fe_sub(&yy, &xx);
    r.X = fe_sub(&sum, &r.Y);
    r.T = fe_sub_wide(&zz, &r.Z);
    return r;
}

/* p + q, or p - q when is_minus: of -q sum and difference change places and T changes its sign. */
static inline ge_completed ge_add(const ge *p, const ge_addend *q, int is_minus) {
    fe a = fe_add(&p->Y, &p->X), b = fe_sub(&p->Y, &p->X);
    a = fe_mul(&a, is_minus ? &q->difference : &q->sum);
    b = fe_mul(&b, is_minus ? &q->sum : &q->difference);
    fe c = fe_mul(&p->T, &q->T2d), d = fe_mul(&p->Z, &q->Z2);
    fe more = fe_add(&d, &c), less = fe_sub(&d, &c);
    return (ge_completed){fe_sub(&a, &b), fe_add(&a, &b), is_minus ? less : more,
                          is_minus ? more : less};
}

static inline int ge_is_identity(const ge *p) {
    fe difference = fe_sub(&p->Y, &p->Z);
    return fe_is_zero(&p->X) && fe_is_zero(&difference);
}

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

/* x and y of 32 bytes that are the canonical encoding of a point of prime order. Returns 0 for
 * all others. RFC 8032, section 5.1.3. */
static inline int ge_decode(fe *x, fe *y, const uint8_t *bytes) {
    fe given = fe_from_bytes(bytes);
    *y = fe_canonical(&given);
    if (!fe_same(y, &given) || is_small(y)) return 0;
    fe yy = fe_square(y);
    fe numerator = fe_sub(&yy, &FE_ONE);
    fe denominator = fe_mul(&yy, &FE_D);
    denominator = fe_add(&denominator, &FE_ONE);
    fe product = fe_mul(&numerator, &denominator), root;
    if (!fe_inverse_root(&root, &product)) return 0;
    *x = fe_mul(&numerator, &root);
    fe inverse_x = fe_mul(&denominator, &root);
    fe canonical = fe_canonical(x);
    if ((canonical.n[0] & 1) != bytes[31] >> 7) {
        *x = fe_sub(&FE_ZERO, &canonical);
        canonical = fe_canonical(x);
    }
    *x = canonical;
    return is_of_prime_order(y, &inverse_x);
}

#endif
