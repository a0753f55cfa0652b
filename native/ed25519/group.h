/* The group of edwards25519, -x^2 + y^2 = 1 + d x^2 y^2, in extended coordinates
 * (Hisil, Wong, Carter, Dawson 2008). */
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

#define MULTIPLES 8 /* 1, 3, .. 15 times a point */

static inline void ge_odd_multiples(ge_addend out[MULTIPLES], const ge *p) {
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

/* Adds digit p, digit odd and from -15 to 15, of the odd multiples of p. */
static inline void ge_add_multiple(ge *sum, const ge_addend multiples[MULTIPLES], int digit) {
    int is_minus = digit < 0;
    ge_completed completed = ge_add(sum, &multiples[(is_minus ? -digit : digit) / 2], is_minus);
    ge_finish(sum, &completed);
}

#endif
