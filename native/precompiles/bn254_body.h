/* Points and pairings of BN254 (EIP-196, EIP-197); included once for each multiplication of
 * field4.h by a file that has set GHOST_FIELD_ADX.
 *
 * The curve is y^2 = x^3 + 3 over Fp with its prime number of points r (G1); the second group is
 * the subgroup of order r on the twist y^2 = x^3 + 3 / xi over Fp2 (G2). The pairing is the
 * optimal ate pairing: a Miller loop over 6 u + 2 for each pair, all loops sharing the squarings,
 * and one final exponentiation for the product. */
#include <stdlib.h>

#include "bn254_field.h"
#include "parts.h"
#include "signed_digits.h"
#include "tower.h"

#define CURVE(name) g1_##name
#define ELEMENT fp
#define ELEMENT_OP(name) fp_##name
#define CURVE_A_IS_MINUS_3 0
#include "jacobian.h"

#define CURVE(name) g2_##name
#define ELEMENT fp2
#define ELEMENT_OP(name) fp2_##name
#define CURVE_A_IS_MINUS_3 0
#include "jacobian.h"

/* 3, and 3 / xi, in Montgomery's form. */
static const fp curve_b = {
    {0x7a17caa950ad28d7, 0x1f6ac17ae15521b9, 0x334bea4e696bd284, 0x2a1f6744ce179d8e}};
static const fp2 twist_b = {
    {{0x3bf938e377b802a8, 0x020b1b273633535d, 0x26b7edf049755260, 0x2514c6324384a86d}},
    {{0x38e7ecccd1dcff67, 0x65f0b37d93ce0d3e, 0xd749d0dd22ac00aa, 0x0141b9ce4a688d4d}}};
static const fp2 fp2_one = {
    {{0xd35d438dc58f0d9d, 0x0a78eb28f5c70b3d, 0x666ea36f7879462c, 0x0e0a77c19a07df2f}}, {{0}}};

/* The order of both groups. */
static const u256 group_order = {
    {0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029}};

/* u and 6 u + 2 as non-adjacent forms without their top digit, from the top. */
static const int8_t u_digits[] = {
    0, 0, 0, 1, 0, 1, 0, 0, -1, 0, 1, 0, 1, 0, -1, 0, 0, 1, 0, 1, 0, -1, 0, -1, 0, -1, 0, 1, 0, 0,
    0, 1, 0, 0, 1, 0, 1, 0, 1, 0, -1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0,
    1,
};
static const int8_t loop_digits[] = {
    0, -1, 0, 1, 0, 0, 0, -1, 0, -1, 0, 0, 0, -1, 0, 1, 0, -1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 0,
    -1, 0, 1, 0, 0, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, -1, 0, -1, 0, 0, 1, 0, 0, 0, -1, 0, 0, -1,
    0, 1, 0, 1, 0, 0, 0,
};

/* ---- decoding ---- */

/* A coordinate below p, into Montgomery's form. */
static bool fp_decode(fp *out, const uint8_t bytes[32]) {
    u256 plain = u256_from_be(bytes);
    if (!u256_less(&plain, &base_field.modulus)) return false;
    field_enter(out, &plain, &base_field);
    return true;
}

static void fp_encode(uint8_t bytes[32], const fp *a) {
    u256 plain;
    field_leave(&plain, a, &base_field);
    u256_to_be(bytes, &plain);
}

/* x | y; (0, 0) is infinity. False when a coordinate is too large or the point off the curve. */
static bool g1_decode(g1_affine *p, bool *is_infinity, const uint8_t bytes[64]) {
    if (!fp_decode(&p->x, bytes) || !fp_decode(&p->y, bytes + 32)) return false;
    *is_infinity = fp_is_zero(&p->x) && fp_is_zero(&p->y);
    if (*is_infinity) return true;
    fp left, right;
    fp_square(&left, &p->y);
    fp_square(&right, &p->x);
    fp_multiply(&right, &right, &p->x);
    fp_add(&right, &right, &curve_b);
    return u256_equal(&left, &right);
}

static g1_point g1_from_affine(const g1_affine *p, bool is_infinity) {
    g1_point out = {p->x, p->y, base_field.one};
    if (is_infinity) memset(&out.z, 0, sizeof out.z);
    return out;
}

static void g1_encode(uint8_t bytes[64], const g1_point *p) {
    memset(bytes, 0, 64);
    if (g1_is_infinity(p)) return;
    fp inverse, power, t;
    fp_invert(&inverse, &p->z);
    fp_square(&power, &inverse);
    fp_multiply(&t, &p->x, &power);
    fp_encode(bytes, &t);
    fp_multiply(&power, &power, &inverse);
    fp_multiply(&t, &p->y, &power);
    fp_encode(bytes + 32, &t);
}

/* ---- G2 ---- */

/* The p-power map carried over to the twist. */
static void g2_frobenius(g2_point *out, const g2_point *p) {
    fp2_conjugate(&out->x, &p->x);
    fp2_multiply(&out->x, &out->x, &frobenius_factors[1]);
    fp2_conjugate(&out->y, &p->y);
    fp2_multiply(&out->y, &out->y, &frobenius_factors[2]);
    fp2_conjugate(&out->z, &p->z);
}

/* out = u p. */
static void g2_multiply_by_u(g2_point *out, const g2_affine *p) {
    g2_affine negative = *p;
    fp2_negate(&negative.y, &p->y);
    *out = (g2_point){p->x, p->y, fp2_one};
    for (size_t i = 0; i < sizeof u_digits; i++) {
        g2_double(out, out);
        if (u_digits[i] != 0) {
            g2_add_affine(out, out, u_digits[i] > 0 ? p : &negative, &fp2_one);
        }
    }
}

/* Whether a point of the twist has order r: (u + 1) p + phi(u p) + phi^2(u p) = phi^3(2 u p) with
 * phi the map above (Dai, Lin, Zhao, Zhou, "Fast subgroup membership testings for G1, G2 and GT
 * on pairing-friendly curves", 2022). That no other point of the twist passes follows from the
 * greatest common divisor of the norm of (u + 1) + u phi + u phi^2 - 2 u phi^3 and the number of
 * points on the twist, which is r. */
static bool g2_has_right_order(const g2_affine *p) {
    g2_point multiple, mapped, left, right;
    g2_multiply_by_u(&multiple, p);
    g2_add_affine(&left, &multiple, p, &fp2_one);
    g2_frobenius(&mapped, &multiple);
    g2_add(&left, &left, &mapped);
    g2_frobenius(&mapped, &mapped);
    g2_add(&left, &left, &mapped);
    g2_frobenius(&mapped, &mapped);
    g2_double(&right, &mapped);
    fp2_negate(&right.y, &right.y);
    g2_add(&left, &left, &right);
    return g2_is_infinity(&left);
}

/* x imaginary | x real | y imaginary | y real; all zero is infinity. */
static bool g2_decode(g2_affine *p, bool *is_infinity, const uint8_t bytes[128]) {
    if (!fp_decode(&p->x.c1, bytes) || !fp_decode(&p->x.c0, bytes + 32)) return false;
    if (!fp_decode(&p->y.c1, bytes + 64) || !fp_decode(&p->y.c0, bytes + 96)) return false;
    *is_infinity = fp2_is_zero(&p->x) && fp2_is_zero(&p->y);
    if (*is_infinity) return true;
    fp2 left, right;
    fp2_square(&left, &p->y);
    fp2_square(&right, &p->x);
    fp2_multiply(&right, &right, &p->x);
    fp2_add(&right, &right, &twist_b);
    return fp2_equal(&left, &right) && g2_has_right_order(p);
}

/* ---- Miller loop ---- */

/* The line through points of the loop, evaluated at p later: a y_p + b x_p w + c w^3. */
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
    fp2 b, c, e, f, g, h, x2;
    fp2_multiply(&x2, &t->x, &t->y);
    fp2_square(&b, &t->y);
    fp2_square(&c, &t->z);
    fp2_double(&e, &c);
    fp2_add(&e, &e, &c);
    fp2_multiply(&e, &e, &twist_b); /* 3 b' z^2 */
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
    fp2_multiply(&t->x, &x2, &c);
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
static void miller_add(line *chord, miller_pair *t, const g2_affine *q) {
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

/* f *= a + b w + c w^3, the shape of a line. */
static void fp12_multiply_by_line(fp12 *f, const fp2 *a, const fp2 *b, const fp2 *c) {
    fp6 t0, t1, sum;
    fp2 a_plus_b;
    fp2_multiply(&t0.c0, &f->c0.c0, a);
    fp2_multiply(&t0.c1, &f->c0.c1, a);
    fp2_multiply(&t0.c2, &f->c0.c2, a);
    fp6_multiply_by_01(&t1, &f->c1, b, c);
    fp2_add(&a_plus_b, a, b);
    fp6_add(&sum, &f->c0, &f->c1);
    fp6_multiply_by_01(&sum, &sum, &a_plus_b, c);
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

/* The last two lines: through t and the p-power of q, then through that sum and minus the
 * p^2-power of q. */
static void miller_finish(fp12 *f, miller_pair *pair) {
    line l;
    g2_affine image;
    fp2_conjugate(&image.x, &pair->q.x);
    fp2_multiply(&image.x, &image.x, &frobenius_factors[1]);
    fp2_conjugate(&image.y, &pair->q.y);
    fp2_multiply(&image.y, &image.y, &frobenius_factors[2]);
    miller_add(&l, pair, &image);
    multiply_by_line_at(f, &l, &pair->p);
    /* The factor of y for the p^2-power is -1, so its negative keeps y. */
    fp2_scale(&image.x, &pair->q.x, &frobenius_square_factors[1]);
    image.y = pair->q.y;
    miller_add(&l, pair, &image);
    multiply_by_line_at(f, &l, &pair->p);
}

static void miller_loop(fp12 *f, miller_pair *pairs, size_t count) {
    line l;
    *f = fp12_one();
    for (size_t i = 0; i < sizeof loop_digits; i++) {
        if (i != 0) fp12_square(f, f);
        for (size_t j = 0; j < count; j++) {
            miller_pair *pair = &pairs[j];
            miller_double(&l, pair);
            multiply_by_line_at(f, &l, &pair->p);
            if (loop_digits[i] != 0) {
                g2_affine q = pair->q;
                if (loop_digits[i] < 0) fp2_negate(&q.y, &q.y);
                miller_add(&l, pair, &q);
                multiply_by_line_at(f, &l, &pair->p);
            }
        }
    }
    for (size_t j = 0; j < count; j++) miller_finish(f, &pairs[j]);
}

/* ---- final exponentiation ---- */

/* out = a^u in the cyclotomic subgroup, where the inverse is the conjugate. */
static void power_of_u(fp12 *out, const fp12 *a) {
    fp12 inverse, power = *a;
    fp12_conjugate(&inverse, a);
    for (size_t i = 0; i < sizeof u_digits; i++) {
        fp12_cyclotomic_square(&power);
        if (u_digits[i] != 0) fp12_multiply(&power, &power, u_digits[i] > 0 ? a : &inverse);
    }
    *out = power;
}

/* f = f^((p^12 - 1) / r). The hard part follows Scott, Benger, Charlemagne, Dominguez Perez and
 * Kachisa, "On the final exponentiation for calculating pairings on ordinary elliptic curves",
 * 2009: (p^4 - p^2 + 1) / r in powers of p and u, by one addition chain. */
static void final_exponentiation(fp12 *f) {
    fp12 t, a, y[7], a_u, a_u2, a_u3;
    fp12_invert(&t, f);
    fp12_conjugate(&a, f);
    fp12_multiply(&a, &a, &t); /* f^(p^6 - 1) */
    fp12_frobenius_square(&t, &a);
    fp12_multiply(&a, &a, &t); /* ... to the p^2 + 1 */

    power_of_u(&a_u, &a);
    power_of_u(&a_u2, &a_u);
    power_of_u(&a_u3, &a_u2);
    fp12_frobenius(&y[0], &a); /* y0 = a^(p + p^2 + p^3) */
    fp12_frobenius_square(&t, &a);
    fp12_multiply(&y[0], &y[0], &t);
    fp12_frobenius(&t, &t);
    fp12_multiply(&y[0], &y[0], &t);
    fp12_conjugate(&y[1], &a);
    fp12_frobenius_square(&y[2], &a_u2);
    fp12_frobenius(&y[3], &a_u);
    fp12_conjugate(&y[3], &y[3]);
    fp12_frobenius(&t, &a_u2);
    fp12_multiply(&y[4], &a_u, &t);
    fp12_conjugate(&y[4], &y[4]);
    fp12_conjugate(&y[5], &a_u2);
    fp12_frobenius(&t, &a_u3);
    fp12_multiply(&y[6], &a_u3, &t);
    fp12_conjugate(&y[6], &y[6]);

    /* y0 y1^2 y2^6 y3^12 y4^18 y5^30 y6^36. */
    fp12 left, right;
    left = y[6];
    fp12_cyclotomic_square(&left);
    fp12_multiply(&left, &left, &y[4]);
    fp12_multiply(&left, &left, &y[5]);
    fp12_multiply(&right, &y[3], &y[5]);
    fp12_multiply(&right, &right, &left);
    fp12_multiply(&left, &left, &y[2]);
    fp12_cyclotomic_square(&right);
    fp12_multiply(&right, &right, &left);
    fp12_cyclotomic_square(&right);
    fp12_multiply(&left, &right, &y[1]);
    fp12_multiply(&right, &right, &y[0]);
    fp12_cyclotomic_square(&left);
    fp12_multiply(f, &left, &right);
}

/* ---- what the precompiles ask for ---- */

static outcome bn254_add(uint8_t output[64], const uint8_t input[128]) {
    g1_affine a, b;
    bool a_is_infinity, b_is_infinity;
    if (!g1_decode(&a, &a_is_infinity, input)) return FAILED;
    if (!g1_decode(&b, &b_is_infinity, input + 64)) return FAILED;
    g1_point sum = g1_from_affine(&a, a_is_infinity);
    if (!b_is_infinity) g1_add_affine(&sum, &sum, &b, &base_field.one);
    g1_encode(output, &sum);
    return SUCCEEDED;
}

enum { SCALAR_WIDTH = 5, SCALAR_MULTIPLES = 1 << (SCALAR_WIDTH - 2) };

static outcome bn254_multiply(uint8_t output[64], const uint8_t input[96]) {
    g1_affine p;
    bool is_infinity;
    if (!g1_decode(&p, &is_infinity, input)) return FAILED;
    u256 scalar = u256_from_be(input + 64);
    /* Every point has order r; 2^256 is below 6 r. */
    while (!u256_less(&scalar, &group_order)) u256_sub(&scalar, &scalar, &group_order);

    g1_point multiples[SCALAR_MULTIPLES], twice, sum;
    multiples[0] = g1_from_affine(&p, is_infinity);
    g1_double(&twice, &multiples[0]);
    for (int i = 1; i < SCALAR_MULTIPLES; i++) g1_add(&multiples[i], &multiples[i - 1], &twice);
    int8_t digits[DIGITS_MAX];
    memset(&sum, 0, sizeof sum);
    for (int i = signed_digits(digits, &scalar, SCALAR_WIDTH); i-- != 0;) {
        g1_double(&sum, &sum);
        if (digits[i] == 0) continue;
        g1_point term = multiples[(digits[i] < 0 ? -digits[i] : digits[i]) / 2];
        if (digits[i] < 0) fp_negate(&term.y, &term.y);
        g1_add(&sum, &sum, &term);
    }
    g1_encode(output, &sum);
    return SUCCEEDED;
}

/* Decodes all pairs before any pairing is computed, so that bad input is refused cheaply; pairs
 * with a point at infinity pair to one and are left out. */
static outcome bn254_pairing(bool *is_one, const uint8_t *input, size_t count) {
    *is_one = true;
    if (count == 0) return SUCCEEDED;
    miller_pair *pairs = malloc(count * sizeof *pairs);
    if (pairs == NULL) return NO_MEMORY;
    size_t kept = 0;
    outcome outcome = SUCCEEDED;
    for (size_t i = 0; i < count && outcome == SUCCEEDED; i++, input += 192) {
        miller_pair *pair = &pairs[kept];
        bool p_is_infinity, q_is_infinity;
        if (!g1_decode(&pair->p, &p_is_infinity, input) ||
            !g2_decode(&pair->q, &q_is_infinity, input + 64)) {
            outcome = FAILED;
        } else if (!p_is_infinity && !q_is_infinity) {
            pair->x = pair->q.x;
            pair->y = pair->q.y;
            pair->z = fp2_one;
            kept++;
        }
    }
    if (outcome == SUCCEEDED && kept != 0) {
        fp12 f;
        miller_loop(&f, pairs, kept);
        final_exponentiation(&f);
        *is_one = fp12_is_one(&f);
    }
    free(pairs);
    return outcome;
}
