/* The map of RFC 9380, 6.6.2 and 6.6.3, over whatever field the includer names. No include guard:
 * it is included once for each curve, after defining
 *
 *   MAP(name)                the name of a function or point type of this curve
 *   ELEMENT, ELEMENT_OP(name), ELEMENT_ONE   as for multiples.h, with sign and square_root
 *
 * and swu_<curve>_a, _b, _z and the isogeny's four polynomials. */

#define SWU_JOIN(a, b) a##b
#define SWU_NAME(curve, name) SWU_JOIN(curve, name)
#define SWU(name) SWU_NAME(swu_, MAP(name))
#define LENGTH(polynomial) (sizeof(polynomial) / sizeof(polynomial)[0])

/* x^3 + A x + B. */
static void MAP(isogenous_right_side)(ELEMENT *out, const ELEMENT *x) {
    ELEMENT t;
    ELEMENT_OP(square)(&t, x);
    ELEMENT_OP(add)(&t, &t, &SWU(a));
    ELEMENT_OP(multiply)(&t, &t, x);
    ELEMENT_OP(add)(out, &t, &SWU(b));
}

/* A point of the isogenous curve for u: 6.6.2, with its steps' numbers. */
static void MAP(map_to_isogenous)(ELEMENT *x, ELEMENT *y, const ELEMENT *u) {
    ELEMENT zu2, t, x1, right;
    ELEMENT_OP(square)(&zu2, u);
    ELEMENT_OP(multiply)(&zu2, &zu2, &SWU(z));
    ELEMENT_OP(square)(&t, &zu2);
    ELEMENT_OP(add)(&t, &t, &zu2); /* Z^2 u^4 + Z u^2 */
    if (ELEMENT_OP(is_zero)(&t)) {
        ELEMENT_OP(multiply)(&t, &SWU(z), &SWU(a)); /* 3: x1 = B / (Z A) */
        ELEMENT_OP(invert)(&t, &t);
        ELEMENT_OP(multiply)(&x1, &t, &SWU(b));
    } else {
        ELEMENT denominator; /* 2: x1 = -B (t + 1) / (A t) */
        ELEMENT_OP(multiply)(&denominator, &SWU(a), &t);
        ELEMENT_OP(invert)(&denominator, &denominator);
        ELEMENT_OP(add)(&t, &t, &ELEMENT_ONE);
        ELEMENT_OP(multiply)(&t, &t, &SWU(b));
        ELEMENT_OP(multiply)(&x1, &t, &denominator);
        ELEMENT_OP(negate)(&x1, &x1);
    }
    MAP(isogenous_right_side)(&right, &x1);
    *x = x1;
    if (!ELEMENT_OP(square_root)(y, &right)) { /* 5 to 7: x2 = Z u^2 x1 */
        ELEMENT_OP(multiply)(x, &zu2, &x1);
        MAP(isogenous_right_side)(&right, x);
        ELEMENT_OP(square_root)(y, &right);
    }
    if (ELEMENT_OP(sign)(u) != ELEMENT_OP(sign)(y)) ELEMENT_OP(negate)(y, y); /* 8 */
}

static void MAP(evaluate)(ELEMENT *out, const ELEMENT *polynomial, size_t length,
                          const ELEMENT *x) {
    ELEMENT value = polynomial[length - 1];
    for (size_t i = length - 1; i-- != 0;) {
        ELEMENT_OP(multiply)(&value, &value, x);
        ELEMENT_OP(add)(&value, &value, &polynomial[i]);
    }
    *out = value;
}

/* out = the point of the curve for u, before its cofactor is cleared. The isogeny's denominators
 * go into z; where one is zero the point is infinity, as 6.6.3 wants. */
static void MAP(map_to_curve)(MAP(point) *out, const ELEMENT *u) {
    ELEMENT x, y, x_num, x_den, y_num, y_den, t;
    MAP(map_to_isogenous)(&x, &y, u);
    MAP(evaluate)(&x_num, MAP(x_numerator), LENGTH(MAP(x_numerator)), &x);
    MAP(evaluate)(&x_den, MAP(x_denominator), LENGTH(MAP(x_denominator)), &x);
    MAP(evaluate)(&y_num, MAP(y_numerator), LENGTH(MAP(y_numerator)), &x);
    MAP(evaluate)(&y_den, MAP(y_denominator), LENGTH(MAP(y_denominator)), &x);
    ELEMENT_OP(multiply)(&out->z, &x_den, &y_den);
    ELEMENT_OP(multiply)(&t, &x_num, &y_den); /* x_num / x_den = x_num y_den z / z^2 */
    ELEMENT_OP(multiply)(&out->x, &t, &out->z);
    ELEMENT_OP(square)(&t, &out->z); /* y y_num / y_den = y y_num x_den z^2 / z^3 */
    ELEMENT_OP(multiply)(&t, &t, &x_den);
    ELEMENT_OP(multiply)(&t, &t, &y_num);
    ELEMENT_OP(multiply)(&out->y, &t, &y);
}

#undef SWU_JOIN
#undef SWU_NAME
#undef SWU
#undef LENGTH
#undef MAP
#undef ELEMENT
#undef ELEMENT_OP
#undef ELEMENT_ONE
