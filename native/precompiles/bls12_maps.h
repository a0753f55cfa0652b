/* Field elements to points of BLS12-381 (RFC 9380, 6.6.3): the simplified map of Shallue, van de
 * Woestijne and Ulas to a curve isogenous to the wanted one, the isogeny, and the cofactor cleared.
 * Included once for each multiplication of bls12_field.h. */
#ifndef GHOST_PRECOMPILES_BLS12_MAPS_H
#define GHOST_PRECOMPILES_BLS12_MAPS_H

#include "bls12_isogenies.h"
#include "bls12_points.h"

static bool fp2_sign(const fp2 *a) {
    return fp_is_zero(&a->c0) ? fp_sign(&a->c1) : fp_sign(&a->c0);
}

/* A square root of a, or false. With s^2 the norm of a, one of (c0 + s) / 2 and (c0 - s) / 2 is a
 * square in Fp, and its root the real part of a root of a. A real a has a real root or, -1 being
 * no square, an imaginary one. */
static bool fp2_square_root(fp2 *root, const fp2 *a) {
    fp norm, t, half, real, imaginary;
    if (fp_is_zero(&a->c1)) {
        memset(root, 0, sizeof *root);
        if (fp_square_root(&root->c0, &a->c0)) return true;
        memset(&root->c0, 0, sizeof root->c0);
        fp_negate(&t, &a->c0);
        return fp_square_root(&root->c1, &t);
    }
    fp_square(&norm, &a->c0);
    fp_square(&t, &a->c1);
    fp_add(&norm, &norm, &t);
    if (!fp_square_root(&t, &norm)) return false;
    fp two;
    fp_double(&two, &field_one);
    fp_invert(&half, &two);
    fp_add(&norm, &a->c0, &t);
    fp_multiply(&norm, &norm, &half);
    if (!fp_square_root(&real, &norm)) {
        fp_sub(&norm, &a->c0, &t);
        fp_multiply(&norm, &norm, &half);
        if (!fp_square_root(&real, &norm)) return false;
    }
    fp_double(&imaginary, &real);
    fp_invert(&imaginary, &imaginary);
    fp_multiply(&root->c1, &imaginary, &a->c1);
    root->c0 = real;
    fp2 square;
    fp2_square(&square, root);
    return fp2_equal(&square, a);
}

#define MAP(name) g1_##name
#define ELEMENT fp
#define ELEMENT_OP(name) fp_##name
#define ELEMENT_ONE field_one
#include "swu.h"

#define MAP(name) g2_##name
#define ELEMENT fp2
#define ELEMENT_OP(name) fp2_##name
#define ELEMENT_ONE fp2_one
#include "swu.h"

/* (1 - x) p: RFC 9380, 8.8.1. */
static void g1_clear_cofactor(g1_point *out, const g1_point *p) {
    g1_point multiple;
    g1_multiply_by_minus_x(&multiple, p);
    g1_add(out, &multiple, p);
}

/* (x^2 - x - 1) p + (x - 1) psi(p) + psi^2(2 p): RFC 9380, appendix G.3. */
static void g2_clear_cofactor(g2_point *out, const g2_point *p) {
    g2_point t1, t2, t3, negative;
    g2_multiply_by_minus_x(&t1, p); /* t1 = -x p */
    g2_endomorphism(&t2, p);        /* t2 = psi(p) */
    g2_double(&t3, p);
    g2_endomorphism(&t3, &t3);
    g2_endomorphism(&t3, &t3); /* t3 = psi^2(2 p) */
    negative = t2;
    fp2_negate(&negative.y, &t2.y);
    g2_add(&t3, &t3, &negative); /* t3 = psi^2(2 p) - psi(p) */
    g2_add(&t2, &t1, &negative); /* t2 = -(x p + psi(p)) */
    g2_multiply_by_minus_x(&negative, &t2);
    g2_add(&t3, &t3, &negative); /* + x^2 p + x psi(p) */
    g2_add(&t3, &t3, &t1);       /* - x p */
    negative = *p;
    fp2_negate(&negative.y, &p->y);
    g2_add(out, &t3, &negative);
}

#endif
