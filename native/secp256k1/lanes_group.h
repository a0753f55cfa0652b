/* Points of secp256k1 eight at a time. The formulas here are not complete: where two points meet,
 * the lane comes out marked (a zero z, or its bit in a mask of zero divisors) and the caller
 * recovers that signature with the portable code. A marked lane never touches another. */
#ifndef GHOST_SECP256K1_LANES_GROUP_H
#define GHOST_SECP256K1_LANES_GROUP_H

#include "lanes.h"

typedef struct lanes_affine {
    lanes x, y;
} lanes_affine;

/* (x / z^2, y / z^3), all tight. Infinity and every failed addition have z = 0, and stay there. */
typedef struct lanes_jacobian {
    lanes x, y, z;
} lanes_jacobian;

/* a becomes -2 a. With B = y^2, W = x B, E = 3 x^2: x' = E^2 - 8 W, -y' = E (x' - 4 W) + 8 B^2,
 * z' = 2 y z. Leaving y's sign as it falls saves a negation and a reduction. */
INLINE void lanes_double_negate(lanes_jacobian *a) {
    lanes e = lanes_sqr_loose(&a->x);
    lanes twice = lanes_add(&e, &e);
    e = lanes_add(&e, &twice);
    e = lanes_tighten(e);
    lanes b = lanes_sqr(&a->y);
    lanes w = lanes_mul_loose(&a->x, &b);
    lanes z = lanes_mul_loose(&a->y, &a->z);
    z = lanes_add(&z, &z);
    a->z = lanes_tighten(z);
    lanes w4 = lanes_shift(&w, 2);
    lanes w8 = lanes_add(&w4, &w4);
    lanes x = lanes_sqr_loose(&e);
    x = lanes_sub(&x, &w8, 256);
    a->x = lanes_tighten(x);
    lanes u = lanes_sub(&a->x, &w4, 128);
    u = lanes_tighten(u);
    columns y = columns_square(&b);
#pragma GCC unroll 10
    for (int i = 0; i < 10; i++) y.c[i] = _mm512_slli_epi64(y.c[i], 3);
    columns_add_product(&y, &e, &u);
    lanes folded = columns_fold(&y);
    a->y = lanes_carry(folded);
}

/* a becomes -(a + b). With H = x_b z^2 - x, R = y_b z^3 - y, V = x H^2: x' = R^2 - H^3 - 2 V,
 * -y' = R (x' - V) + y H^3, z' = z H: zero when x_b equals a's x. */
INLINE void lanes_add_negate(lanes_jacobian *a, const lanes_affine *b) {
    lanes z2 = lanes_sqr(&a->z);
    lanes h = lanes_mul_loose(&b->x, &z2);
    h = lanes_sub(&h, &a->x, 2);
    h = lanes_tighten(h);
    lanes r = lanes_mul(&b->y, &z2);
    r = lanes_mul_loose(&r, &a->z);
    r = lanes_sub(&r, &a->y, 2);
    r = lanes_tighten(r);
    a->z = lanes_mul(&a->z, &h);
    lanes h2 = lanes_sqr(&h);
    lanes h3 = lanes_mul(&h, &h2);
    lanes v = lanes_mul_loose(&a->x, &h2);
    lanes away = lanes_add(&v, &v);
    away = lanes_add(&away, &h3);
    lanes x = lanes_sqr_loose(&r);
    x = lanes_sub(&x, &away, 64);
    a->x = lanes_tighten(x);
    lanes u = lanes_sub(&a->x, &v, 32);
    u = lanes_tighten(u);
    columns y = columns_zero();
    columns_add_product(&y, &r, &u);
    columns_add_product(&y, &a->y, &h3);
    lanes folded = columns_fold(&y);
    a->y = lanes_carry(folded);
}

/* One affine addition or doubling that waits for the inverse of its divisor. The line through the
 * points has the slope rise / run; the third point follows. Many share one inversion. */
typedef struct chord {
    lanes x, y;  /* of the first point; then of the result, tight. y may be loose before */
    lanes run;   /* tight */
    lanes rise;  /* tight */
    lanes sum;   /* x of both points, loose */
    lanes before; /* product of the runs of the chords before this one */
    size_t owner; /* whose mask of failed lanes this chord marks */
} chord;

/* p + q; the y of both below 2^53 in every limb. */
INLINE void chord_add(chord *c, const lanes_affine *p, const lanes_affine *q, size_t owner) {
    lanes run = lanes_sub(&q->x, &p->x, 2);
    lanes rise = lanes_sub(&q->y, &p->y, 4);
    c->x = p->x;
    c->y = p->y;
    c->run = lanes_tighten(run);
    c->rise = lanes_tighten(rise);
    c->sum = lanes_add(&p->x, &q->x);
    c->owner = owner;
}

INLINE void chord_double(chord *c, const lanes_affine *p, size_t owner) {
    lanes run = lanes_add(&p->y, &p->y);
    lanes square = lanes_sqr_loose(&p->x);
    lanes rise = lanes_add(&square, &square);
    rise = lanes_add(&rise, &square);
    c->x = p->x;
    c->y = p->y;
    c->run = lanes_tighten(run);
    c->rise = lanes_tighten(rise);
    c->sum = lanes_add(&p->x, &p->x);
    c->owner = owner;
}

#endif
