/* The optimal ate pairing of BLS12-381: a Miller loop over x for each pair, all loops sharing the
 * squarings, and one final exponentiation for the product. Included once for each multiplication
 * of bls12_field.h. */
#ifndef GHOST_PRECOMPILES_BLS12_PAIRING_H
#define GHOST_PRECOMPILES_BLS12_PAIRING_H

#include "bls12_points.h"

/* A line through points of the loop, evaluated at p later: c + b x_p w^2 + a y_p w^3. */
typedef struct line {
    fp2 a, b, c;
} line;

/* One pair on its way: t runs through multiples of q in homogeneous coordinates (x / z, y / z).
 * Formulas of Costello, Lange and Naehrig, "Faster pairing computations on curves with high-degree
 * twists", 2010. */
typedef struct miller_pair {
    g1_affine p;
    g2_affine q;
    fp2 x, y, z;
} miller_pair;

/* t = 2 t; the tangent at t is scaled by -2 y z. */
static void miller_double(line *tangent, miller_pair *t) {
    fp2 b, c, e, f, g, h, xy;
    fp2_multiply(&xy, &t->x, &t->y);
    fp2_square(&b, &t->y);
    fp2_square(&c, &t->z);
    fp2_double(&e, &c);
    fp2_add(&e, &e, &c);
    fp2_multiply_by_xi(&e, &e);
    fp2_double(&e, &e);
    fp2_double(&e, &e); /* 3 b' z^2 = 12 xi z^2 */
    fp2_double(&f, &e);
    fp2_add(&f, &f, &e);
    fp2_multiply(&h, &t->y, &t->z);
    fp2_double(&h, &h);
    fp2_sub(&tangent->c, &e, &b);
    fp2_negate(&tangent->a, &h);
    fp2_square(&g, &t->x);
    fp2_double(&tangent->b, &g);
    fp2_add(&tangent->b, &tangent->b, &g);
    /* All three coordinates times 4, which saves the halvings of the paper. */
    fp2_sub(&c, &b, &f);
    fp2_multiply(&t->x, &xy, &c);
    fp2_double(&t->x, &t->x);
    fp2_add(&g, &b, &f);
    fp2_square(&g, &g);
    fp2_square(&e, &e);
    fp2_double(&c, &e);
    fp2_add(&e, &c, &e);
    fp2_double(&e, &e);
    fp2_double(&e, &e);
    fp2_sub(&t->y, &g, &e);
    fp2_multiply(&t->z, &b, &h);
    fp2_double(&t->z, &t->z);
    fp2_double(&t->z, &t->z);
}

/* t = t + q; the line through both is scaled by x_t - x_q z_t. */
static void miller_add(line *chord, miller_pair *t) {
    const g2_affine *q = &t->q;
    fp2 theta, lambda, c, d, e, f, g, h;
    fp2_multiply(&theta, &q->y, &t->z);
    fp2_sub(&theta, &t->y, &theta);
    fp2_multiply(&lambda, &q->x, &t->z);
    fp2_sub(&lambda, &t->x, &lambda);
    fp2_square(&c, &theta);
    fp2_square(&d, &lambda);
    fp2_multiply(&e, &lambda, &d);
    fp2_multiply(&f, &t->z, &c);
    fp2_multiply(&g, &t->x, &d);
    fp2_add(&h, &e, &f);
    fp2_sub(&h, &h, &g);
    fp2_sub(&h, &h, &g);
    fp2_multiply(&t->x, &lambda, &h);
    fp2_sub(&g, &g, &h);
    fp2_multiply(&g, &g, &theta);
    fp2_multiply(&t->y, &t->y, &e);
    fp2_sub(&t->y, &g, &t->y);
    fp2_multiply(&t->z, &t->z, &e);
    chord->a = lambda;
    fp2_negate(&chord->b, &theta);
    fp2_multiply(&c, &theta, &q->x);
    fp2_multiply(&d, &lambda, &q->y);
    fp2_sub(&chord->c, &c, &d);
}

/* f *= c + b w^2 + a w^3, the shape of a line on this kind of twist. */
static void fp12_multiply_by_line(fp12 *f, const fp2 *a, const fp2 *b, const fp2 *c) {
    fp6 t0, t1, sum;
    fp2 a_plus_b;
    fp6_multiply_by_01(&t0, &f->c0, c, b);
    fp2_multiply(&t1.c0, &f->c1.c0, a);
    fp2_multiply(&t1.c1, &f->c1.c1, a);
    fp2_multiply(&t1.c2, &f->c1.c2, a);
    fp6_multiply_by_v(&t1, &t1);
    fp2_add(&a_plus_b, a, b);
    fp6_add(&sum, &f->c0, &f->c1);
    fp6_multiply_by_01(&sum, &sum, c, &a_plus_b);
    fp6_sub(&sum, &sum, &t0);
    fp6_sub(&f->c1, &sum, &t1);
    fp6_multiply_by_v(&t1, &t1);
    fp6_add(&f->c0, &t0, &t1);
}

static void multiply_by_line_at(fp12 *f, const line *l, const g1_affine *p) {
    fp2 a, b;
    fp2_scale(&a, &l->a, &p->y);
    fp2_scale(&b, &l->b, &p->x);
    fp12_multiply_by_line(f, &a, &b, &l->c);
}

static void miller_start(miller_pair *pair, const g1_affine *p, const g2_affine *q) {
    *pair = (miller_pair){.p = *p, .q = *q, .x = q->x, .y = q->y, .z = fp2_one};
}

static void miller_loop(fp12 *f, miller_pair *pairs, size_t count) {
    line l;
    *f = fp12_one();
    for (int bit = 63; bit-- != 0;) {
        if (bit != 62) fp12_square(f, f);
        for (size_t j = 0; j < count; j++) {
            miller_double(&l, &pairs[j]);
            multiply_by_line_at(f, &l, &pairs[j].p);
            if (MINUS_X >> bit & 1) {
                miller_add(&l, &pairs[j]);
                multiply_by_line_at(f, &l, &pairs[j].p);
            }
        }
    }
    fp12_conjugate(f, f); /* x is negative */
}

/* out = a^x in the cyclotomic subgroup, where the inverse is the conjugate. */
static void power_of_x(fp12 *out, const fp12 *a) {
    fp12 power = *a;
    for (int bit = 63; bit-- != 0;) {
        fp12_cyclotomic_square(&power);
        if (MINUS_X >> bit & 1) fp12_multiply(&power, &power, a);
    }
    fp12_conjugate(out, &power);
}

/* f = f^(3 (p^12 - 1) / r). Three times the hard part is (x - 1)^2 (x + p) (x^2 + p^2 - 1) + 3
 * (Hayashida, Hayasaka, Teruya, "Efficient final exponentiation via cyclotomic structure for
 * pairings over families of elliptic curves", 2020); 3 does not divide r. */
static void final_exponentiation(fp12 *f) {
    fp12 t, a, b, c;
    fp12_invert(&t, f);
    fp12_conjugate(&a, f);
    fp12_multiply(&a, &a, &t); /* f^(p^6 - 1) */
    fp12_frobenius_square(&t, &a);
    fp12_multiply(&a, &a, &t); /* ... to the p^2 + 1 */

    b = a;
    for (int i = 0; i < 2; i++) { /* b = b^(x - 1) */
        power_of_x(&t, &b);
        fp12_conjugate(&b, &b);
        fp12_multiply(&b, &b, &t);
    }
    power_of_x(&t, &b); /* b = b^(x + p) */
    fp12_frobenius(&b, &b);
    fp12_multiply(&b, &b, &t);
    power_of_x(&t, &b); /* c = b^(x^2 + p^2 - 1) */
    power_of_x(&c, &t);
    fp12_frobenius_square(&t, &b);
    fp12_multiply(&c, &c, &t);
    fp12_conjugate(&t, &b);
    fp12_multiply(&c, &c, &t);

    t = a;
    fp12_cyclotomic_square(&t);
    fp12_multiply(&t, &t, &a);
    fp12_multiply(f, &c, &t);
}

/* Whether the product of the pairings is one. */
static bool pairings_are_one(miller_pair *pairs, size_t count) {
    fp12 f;
    if (count == 0) return true;
    miller_loop(&f, pairs, count);
    final_exponentiation(&f);
    return fp12_is_one(&f);
}

#endif
