/* The tower of extension fields that BN254 and BLS12-381 share: Fp2 = Fp[i]/(i^2 + 1), Fp6 =
 * Fp2[v]/(v^3 - xi), Fp12 = Fp6[w]/(w^2 - v). Included after a curve's field, which defines fp,
 * fp2, the arithmetic of fp, xi, and the factors of the Frobenius map. */
#ifndef GHOST_PRECOMPILES_TOWER_H
#define GHOST_PRECOMPILES_TOWER_H

typedef struct fp6 {
    fp2 c0, c1, c2; /* c0 + c1 v + c2 v^2 */
} fp6;

typedef struct fp12 {
    fp6 c0, c1; /* c0 + c1 w */
} fp12;

/* ---- Fp2 ---- */

static inline void fp2_add(fp2 *out, const fp2 *a, const fp2 *b) {
    fp_add(&out->c0, &a->c0, &b->c0);
    fp_add(&out->c1, &a->c1, &b->c1);
}

static inline void fp2_sub(fp2 *out, const fp2 *a, const fp2 *b) {
    fp_sub(&out->c0, &a->c0, &b->c0);
    fp_sub(&out->c1, &a->c1, &b->c1);
}

static inline void fp2_double(fp2 *out, const fp2 *a) {
    fp2_add(out, a, a);
}

static inline void fp2_negate(fp2 *out, const fp2 *a) {
    fp_negate(&out->c0, &a->c0);
    fp_negate(&out->c1, &a->c1);
}

static inline void fp2_conjugate(fp2 *out, const fp2 *a) {
    out->c0 = a->c0;
    fp_negate(&out->c1, &a->c1);
}

static inline bool fp2_is_zero(const fp2 *a) {
    return fp_is_zero(&a->c0) && fp_is_zero(&a->c1);
}

static inline bool fp2_equal(const fp2 *a, const fp2 *b) {
    return fp_equal(&a->c0, &b->c0) && fp_equal(&a->c1, &b->c1);
}

/* Karatsuba: three multiplications. */
static __attribute__((noinline)) void fp2_multiply(fp2 *out, const fp2 *a, const fp2 *b) {
    fp t0, t1, sum_a, sum_b;
    fp_add(&sum_a, &a->c0, &a->c1);
    fp_add(&sum_b, &b->c0, &b->c1);
    fp_multiply_inline(&t0, &a->c0, &b->c0);
    fp_multiply_inline(&t1, &a->c1, &b->c1);
    fp_multiply_inline(&sum_a, &sum_a, &sum_b);
    fp_sub(&out->c0, &t0, &t1);
    fp_sub(&sum_a, &sum_a, &t0);
    fp_sub(&out->c1, &sum_a, &t1);
}

static __attribute__((noinline)) void fp2_square(fp2 *out, const fp2 *a) {
    fp sum, difference, product;
    fp_add(&sum, &a->c0, &a->c1);
    fp_sub(&difference, &a->c0, &a->c1);
    fp_multiply_inline(&product, &a->c0, &a->c1);
    fp_multiply_inline(&out->c0, &sum, &difference);
    fp_double(&out->c1, &product);
}

static inline void fp2_scale(fp2 *out, const fp2 *a, const fp *factor) {
    fp_multiply(&out->c0, &a->c0, factor);
    fp_multiply(&out->c1, &a->c1, factor);
}

/* out = xi a for xi = n + i; the field knows n. */
static void fp2_multiply_by_xi(fp2 *out, const fp2 *a) {
    fp2 t;
    fp c0 = a->c0;
    fp_multiply_by_xi_real(&t.c0, &a->c0);
    fp_multiply_by_xi_real(&t.c1, &a->c1);
    fp_sub(&out->c0, &t.c0, &a->c1);
    fp_add(&out->c1, &t.c1, &c0);
}

static void fp2_invert(fp2 *out, const fp2 *a) {
    fp norm, t;
    fp_square(&norm, &a->c0);
    fp_square(&t, &a->c1);
    fp_add(&norm, &norm, &t);
    fp_invert(&norm, &norm);
    fp2_conjugate(out, a);
    fp2_scale(out, out, &norm);
}

/* ---- Fp6 ---- */

static inline void fp6_add(fp6 *out, const fp6 *a, const fp6 *b) {
    fp2_add(&out->c0, &a->c0, &b->c0);
    fp2_add(&out->c1, &a->c1, &b->c1);
    fp2_add(&out->c2, &a->c2, &b->c2);
}

static inline void fp6_sub(fp6 *out, const fp6 *a, const fp6 *b) {
    fp2_sub(&out->c0, &a->c0, &b->c0);
    fp2_sub(&out->c1, &a->c1, &b->c1);
    fp2_sub(&out->c2, &a->c2, &b->c2);
}

static inline void fp6_negate(fp6 *out, const fp6 *a) {
    fp2_negate(&out->c0, &a->c0);
    fp2_negate(&out->c1, &a->c1);
    fp2_negate(&out->c2, &a->c2);
}

/* out = v a. */
static void fp6_multiply_by_v(fp6 *out, const fp6 *a) {
    fp2 t;
    fp2_multiply_by_xi(&t, &a->c2);
    out->c2 = a->c1;
    out->c1 = a->c0;
    out->c0 = t;
}

/* out = (a + b) (c + d) - ac - bd = ad + bc, the cross term of Karatsuba. */
static void fp2_cross(fp2 *out, const fp2 *a, const fp2 *b, const fp2 *c, const fp2 *d,
                      const fp2 *ac, const fp2 *bd) {
    fp2 left, right;
    fp2_add(&left, a, b);
    fp2_add(&right, c, d);
    fp2_multiply(out, &left, &right);
    fp2_sub(out, out, ac);
    fp2_sub(out, out, bd);
}

static void fp6_multiply(fp6 *out, const fp6 *a, const fp6 *b) {
    fp2 t0, t1, t2, x, y, z;
    fp2_multiply(&t0, &a->c0, &b->c0);
    fp2_multiply(&t1, &a->c1, &b->c1);
    fp2_multiply(&t2, &a->c2, &b->c2);
    fp2_cross(&x, &a->c1, &a->c2, &b->c1, &b->c2, &t1, &t2);
    fp2_cross(&y, &a->c0, &a->c1, &b->c0, &b->c1, &t0, &t1);
    fp2_cross(&z, &a->c0, &a->c2, &b->c0, &b->c2, &t0, &t2);
    fp2_multiply_by_xi(&x, &x);
    fp2_add(&out->c0, &t0, &x);
    fp2_multiply_by_xi(&t2, &t2);
    fp2_add(&out->c1, &y, &t2);
    fp2_add(&out->c2, &z, &t1);
}

/* out = a (b0 + b1 v): the shape of half a line. */
static void fp6_multiply_by_01(fp6 *out, const fp6 *a, const fp2 *b0, const fp2 *b1) {
    fp2 t0, t1, x, y, z;
    fp2_multiply(&t0, &a->c0, b0);
    fp2_multiply(&t1, &a->c1, b1);
    fp2_multiply(&x, &a->c2, b1);
    fp2_multiply(&z, &a->c2, b0);
    fp2_cross(&y, &a->c0, &a->c1, b0, b1, &t0, &t1);
    fp2_multiply_by_xi(&x, &x);
    fp2_add(&out->c0, &t0, &x);
    out->c1 = y;
    fp2_add(&out->c2, &z, &t1);
}

static void fp6_invert(fp6 *out, const fp6 *a) {
    fp2 x, y, z, t, norm;
    fp2_square(&x, &a->c0); /* x = c0^2 - xi c1 c2 */
    fp2_multiply(&t, &a->c1, &a->c2);
    fp2_multiply_by_xi(&t, &t);
    fp2_sub(&x, &x, &t);
    fp2_square(&y, &a->c2); /* y = xi c2^2 - c0 c1 */
    fp2_multiply_by_xi(&y, &y);
    fp2_multiply(&t, &a->c0, &a->c1);
    fp2_sub(&y, &y, &t);
    fp2_square(&z, &a->c1); /* z = c1^2 - c0 c2 */
    fp2_multiply(&t, &a->c0, &a->c2);
    fp2_sub(&z, &z, &t);
    fp2_multiply(&norm, &a->c2, &y); /* norm = c0 x + xi (c2 y + c1 z) */
    fp2_multiply(&t, &a->c1, &z);
    fp2_add(&norm, &norm, &t);
    fp2_multiply_by_xi(&norm, &norm);
    fp2_multiply(&t, &a->c0, &x);
    fp2_add(&norm, &norm, &t);
    fp2_invert(&norm, &norm);
    fp2_multiply(&out->c0, &x, &norm);
    fp2_multiply(&out->c1, &y, &norm);
    fp2_multiply(&out->c2, &z, &norm);
}

/* ---- Fp12 ---- */

static fp12 fp12_one(void) {
    fp12 one;
    memset(&one, 0, sizeof one);
    one.c0.c0.c0 = fp_one();
    return one;
}

static bool fp12_is_one(const fp12 *a) {
    fp12 one = fp12_one();
    return memcmp(a, &one, sizeof one) == 0; /* elements are fully reduced */
}

static void fp12_multiply(fp12 *out, const fp12 *a, const fp12 *b) {
    fp6 t0, t1, left, right;
    fp6_add(&left, &a->c0, &a->c1);
    fp6_add(&right, &b->c0, &b->c1);
    fp6_multiply(&t0, &a->c0, &b->c0);
    fp6_multiply(&t1, &a->c1, &b->c1);
    fp6_multiply(&left, &left, &right);
    fp6_sub(&left, &left, &t0);
    fp6_sub(&out->c1, &left, &t1);
    fp6_multiply_by_v(&t1, &t1);
    fp6_add(&out->c0, &t0, &t1);
}

/* (c0 + c1 w)^2 = (c0 + c1)(c0 + v c1) - (1 + v) c0 c1 + 2 c0 c1 w. */
static void fp12_square(fp12 *out, const fp12 *a) {
    fp6 product, sum, shifted;
    fp6_multiply(&product, &a->c0, &a->c1);
    fp6_add(&sum, &a->c0, &a->c1);
    fp6_multiply_by_v(&shifted, &a->c1);
    fp6_add(&shifted, &shifted, &a->c0);
    fp6_multiply(&sum, &sum, &shifted);
    fp6_sub(&sum, &sum, &product);
    fp6_multiply_by_v(&shifted, &product);
    fp6_sub(&out->c0, &sum, &shifted);
    fp6_add(&out->c1, &product, &product);
}

/* The p^6-power; the inverse of elements whose norm to Fp6 is 1. */
static void fp12_conjugate(fp12 *out, const fp12 *a) {
    out->c0 = a->c0;
    fp6_negate(&out->c1, &a->c1);
}

static void fp12_invert(fp12 *out, const fp12 *a) {
    fp6 norm, t;
    fp6_multiply(&norm, &a->c0, &a->c0);
    fp6_multiply(&t, &a->c1, &a->c1);
    fp6_multiply_by_v(&t, &t);
    fp6_sub(&norm, &norm, &t);
    fp6_invert(&norm, &norm);
    fp6_multiply(&out->c0, &a->c0, &norm);
    fp6_multiply(&t, &a->c1, &norm);
    fp6_negate(&out->c1, &t);
}

/* out = a^p. The coefficient of w^k is conjugated and multiplied by the k-th factor. */
static void fp12_frobenius(fp12 *out, const fp12 *a) {
    const fp2 *factors = frobenius_factors;
    fp2_conjugate(&out->c0.c0, &a->c0.c0);
    fp2_conjugate(&out->c1.c0, &a->c1.c0);
    fp2_conjugate(&out->c0.c1, &a->c0.c1);
    fp2_conjugate(&out->c1.c1, &a->c1.c1);
    fp2_conjugate(&out->c0.c2, &a->c0.c2);
    fp2_conjugate(&out->c1.c2, &a->c1.c2);
    fp2_multiply(&out->c1.c0, &out->c1.c0, &factors[0]);
    fp2_multiply(&out->c0.c1, &out->c0.c1, &factors[1]);
    fp2_multiply(&out->c1.c1, &out->c1.c1, &factors[2]);
    fp2_multiply(&out->c0.c2, &out->c0.c2, &factors[3]);
    fp2_multiply(&out->c1.c2, &out->c1.c2, &factors[4]);
}

/* out = a^(p^2). */
static void fp12_frobenius_square(fp12 *out, const fp12 *a) {
    const fp *factors = frobenius_square_factors;
    out->c0.c0 = a->c0.c0;
    fp2_scale(&out->c1.c0, &a->c1.c0, &factors[0]);
    fp2_scale(&out->c0.c1, &a->c0.c1, &factors[1]);
    fp2_scale(&out->c1.c1, &a->c1.c1, &factors[2]);
    fp2_scale(&out->c0.c2, &a->c0.c2, &factors[3]);
    fp2_scale(&out->c1.c2, &a->c1.c2, &factors[4]);
}

/* (x + y s)^2 = (x^2 + xi y^2) + 2 x y s with s^2 = xi. */
static void fp4_square(fp2 *out_x, fp2 *out_y, const fp2 *x, const fp2 *y) {
    fp2 x2, y2, sum;
    fp2_square(&x2, x);
    fp2_square(&y2, y);
    fp2_add(&sum, x, y);
    fp2_square(&sum, &sum);
    fp2_sub(&sum, &sum, &x2);
    fp2_sub(out_y, &sum, &y2);
    fp2_multiply_by_xi(&y2, &y2);
    fp2_add(out_x, &x2, &y2);
}

/* out = 3 square - 2 a, or 3 square + 2 a. */
static void fp2_triple_minus_double(fp2 *out, const fp2 *square, const fp2 *a) {
    fp2 t;
    fp2_sub(&t, square, a);
    fp2_double(&t, &t);
    fp2_add(out, &t, square);
}

static void fp2_triple_plus_double(fp2 *out, const fp2 *square, const fp2 *a) {
    fp2 t;
    fp2_add(&t, square, a);
    fp2_double(&t, &t);
    fp2_add(out, &t, square);
}

/* a^2 for a in the cyclotomic subgroup (Granger and Scott, "Faster squaring in the cyclotomic
 * subgroup of sixth degree extensions", 2010): three squarings in Fp4. */
static void fp12_cyclotomic_square(fp12 *a) {
    fp2 x, y;
    fp4_square(&x, &y, &a->c0.c0, &a->c1.c1);
    fp2_triple_minus_double(&a->c0.c0, &x, &a->c0.c0);
    fp2_triple_plus_double(&a->c1.c1, &y, &a->c1.c1);
    fp2 x2, y2;
    fp4_square(&x, &y, &a->c1.c0, &a->c0.c2);
    fp4_square(&x2, &y2, &a->c0.c1, &a->c1.c2);
    fp2_triple_minus_double(&a->c0.c1, &x, &a->c0.c1);
    fp2_triple_plus_double(&a->c1.c2, &y, &a->c1.c2);
    fp2_multiply_by_xi(&y2, &y2);
    fp2_triple_plus_double(&a->c1.c0, &y2, &a->c1.c0);
    fp2_triple_minus_double(&a->c0.c2, &x2, &a->c0.c2);
}

#endif
