/* Points of y^2 = x^3 + a x + b in Jacobian coordinates (x / z^2, y / z^3), over whatever field
 * the includer names. No include guard: it is included once for each curve, after defining
 *
 *   CURVE(name)         the name of a type or function of this curve
 *   ELEMENT             the type of a coordinate
 *   ELEMENT_OP(name)    add, sub, double, negate, multiply, square: (out, a[, b]) with out allowed
 *                       to be an operand; is_zero, equal
 *   CURVE_A_IS_MINUS_3  1, or 0 for a = 0
 *
 * All additions are complete: equal points, opposite points and infinity (z = 0) come out right.
 * Formulas: Bernstein and Lange, Explicit-Formulas Database (dbl-2001-b, dbl-2009-l,
 * add-2007-bl, madd-2007-bl). Not constant-time. */

typedef struct CURVE(affine) {
    ELEMENT x, y;
} CURVE(affine);

typedef struct CURVE(point) {
    ELEMENT x, y, z;
} CURVE(point);

static inline bool CURVE(is_infinity)(const CURVE(point) *p) {
    return ELEMENT_OP(is_zero)(&p->z);
}

/* out = 2 p. */
static void CURVE(double)(CURVE(point) *out, const CURVE(point) *p) {
    ELEMENT alpha, beta, gamma, t, y, z;
    ELEMENT_OP(square)(&gamma, &p->y);
    ELEMENT_OP(multiply)(&beta, &p->x, &gamma);
#if CURVE_A_IS_MINUS_3
    ELEMENT delta;
    ELEMENT_OP(square)(&delta, &p->z);
    ELEMENT_OP(sub)(&t, &p->x, &delta);
    ELEMENT_OP(add)(&alpha, &p->x, &delta);
    ELEMENT_OP(multiply)(&alpha, &alpha, &t);
#else
    ELEMENT_OP(square)(&alpha, &p->x);
#endif
    ELEMENT_OP(double)(&t, &alpha);
    ELEMENT_OP(add)(&alpha, &alpha, &t);
    ELEMENT_OP(multiply)(&z, &p->y, &p->z);
    ELEMENT_OP(double)(&z, &z);

    ELEMENT_OP(double)(&beta, &beta);
    ELEMENT_OP(double)(&beta, &beta); /* 4 x y^2 */
    ELEMENT_OP(square)(&out->x, &alpha);
    ELEMENT_OP(sub)(&out->x, &out->x, &beta);
    ELEMENT_OP(sub)(&out->x, &out->x, &beta);
    ELEMENT_OP(sub)(&y, &beta, &out->x);
    ELEMENT_OP(multiply)(&y, &y, &alpha);
    ELEMENT_OP(double)(&gamma, &gamma);
    ELEMENT_OP(square)(&gamma, &gamma);
    ELEMENT_OP(double)(&gamma, &gamma); /* 8 y^4 */
    ELEMENT_OP(sub)(&out->y, &y, &gamma);
    out->z = z;
}

/* The part that addition has in common once both points are on one denominator: p is
 * (u1, s1), q is (u2, s2), h = u2 - u1, z the factor that makes out->z = z * h. */
static void CURVE(finish_add)(CURVE(point) *out, const ELEMENT *u1, const ELEMENT *s1,
                              const ELEMENT *h, const ELEMENT *r, const ELEMENT *z) {
    ELEMENT h2, h3, v;
    ELEMENT_OP(square)(&h2, h);
    ELEMENT_OP(multiply)(&h3, &h2, h);
    ELEMENT_OP(multiply)(&v, u1, &h2);
    ELEMENT_OP(multiply)(&out->z, z, h);
    ELEMENT_OP(multiply)(&h2, s1, &h3);
    ELEMENT_OP(square)(&out->x, r);
    ELEMENT_OP(sub)(&out->x, &out->x, &h3);
    ELEMENT_OP(sub)(&out->x, &out->x, &v);
    ELEMENT_OP(sub)(&out->x, &out->x, &v);
    ELEMENT_OP(sub)(&v, &v, &out->x);
    ELEMENT_OP(multiply)(&v, &v, r);
    ELEMENT_OP(sub)(&out->y, &v, &h2);
}

/* out = p + q. */
static void CURVE(add)(CURVE(point) *out, const CURVE(point) *p, const CURVE(point) *q) {
    if (CURVE(is_infinity)(p)) {
        *out = *q;
        return;
    }
    if (CURVE(is_infinity)(q)) {
        *out = *p;
        return;
    }
    ELEMENT pz2, qz2, u1, u2, s1, s2, h, r;
    ELEMENT_OP(square)(&pz2, &p->z);
    ELEMENT_OP(square)(&qz2, &q->z);
    ELEMENT_OP(multiply)(&u1, &p->x, &qz2);
    ELEMENT_OP(multiply)(&u2, &q->x, &pz2);
    ELEMENT_OP(multiply)(&s1, &p->y, &q->z);
    ELEMENT_OP(multiply)(&s1, &s1, &qz2);
    ELEMENT_OP(multiply)(&s2, &q->y, &p->z);
    ELEMENT_OP(multiply)(&s2, &s2, &pz2);
    ELEMENT_OP(sub)(&h, &u2, &u1);
    ELEMENT_OP(sub)(&r, &s2, &s1);
    if (ELEMENT_OP(is_zero)(&h)) {
        if (ELEMENT_OP(is_zero)(&r)) {
            CURVE(double)(out, p);
        } else {
            memset(out, 0, sizeof *out);
        }
        return;
    }
    ELEMENT_OP(multiply)(&pz2, &p->z, &q->z);
    CURVE(finish_add)(out, &u1, &s1, &h, &r, &pz2);
}

/* out = p + q for an affine q; one is the field's 1. */
static void CURVE(add_affine)(CURVE(point) *out, const CURVE(point) *p, const CURVE(affine) *q,
                              const ELEMENT *one) {
    if (CURVE(is_infinity)(p)) {
        *out = (CURVE(point)){q->x, q->y, *one};
        return;
    }
    ELEMENT z2, u2, s2, h, r;
    ELEMENT_OP(square)(&z2, &p->z);
    ELEMENT_OP(multiply)(&u2, &q->x, &z2);
    ELEMENT_OP(multiply)(&s2, &q->y, &p->z);
    ELEMENT_OP(multiply)(&s2, &s2, &z2);
    ELEMENT_OP(sub)(&h, &u2, &p->x);
    ELEMENT_OP(sub)(&r, &s2, &p->y);
    if (ELEMENT_OP(is_zero)(&h)) {
        if (ELEMENT_OP(is_zero)(&r)) {
            CURVE(double)(out, p);
        } else {
            memset(out, 0, sizeof *out);
        }
        return;
    }
    ELEMENT u1 = p->x, s1 = p->y, z = p->z;
    CURVE(finish_add)(out, &u1, &s1, &h, &r, &z);
}

/* out = p in affine coordinates, given 1 / z. */
static inline void CURVE(scale)(CURVE(affine) *out, const CURVE(point) *p,
                                const ELEMENT *inverse) {
    ELEMENT power;
    ELEMENT_OP(square)(&power, inverse);
    ELEMENT_OP(multiply)(&out->x, &p->x, &power);
    ELEMENT_OP(multiply)(&power, &power, inverse);
    ELEMENT_OP(multiply)(&out->y, &p->y, &power);
}

#undef CURVE
#undef ELEMENT
#undef ELEMENT_OP
#undef CURVE_A_IS_MINUS_3
