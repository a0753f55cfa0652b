/* Points of BLS12-381: y^2 = x^3 + 4 over Fp (G1 its subgroup of order r) and y^2 = x^3 + 4 xi over
 * Fp2 (G2 likewise). Encodings of EIP-2537, subgroup checks, sums of multiples. Included once for
 * each multiplication of bls12_field.h. */
#ifndef GHOST_PRECOMPILES_BLS12_POINTS_H
#define GHOST_PRECOMPILES_BLS12_POINTS_H

#include "bls12_field.h"
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

/* Minus the curve's parameter x; both groups' order is r = x^4 - x^2 + 1. */
#define MINUS_X 0xd201000000010000

/* The coordinates' factors of the Frobenius map on the twist, 1 / xi^((p - 1) / 3) and
 * 1 / xi^((p - 1) / 2), and the cube root of one with (beta x, y) = -x^2 (x, y) on G1. */
static const fp2 twist_factor_x = {{{0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
       0x0000000000000000, 0x0000000000000000, 0x0000000000000000}},
     {{0x890dc9e4867545c3, 0x2af322533285a5d5, 0x50880866309b7e2c,
       0xa20d1b8c7e881024, 0x14e4f04fe2db9068, 0x14e56d3f1564853a}}};
static const fp2 twist_factor_y = {{{0x3e2f585da55c9ad1, 0x4294213d86c18183, 0x382844c88b623732,
       0x92ad2afd19103e18, 0x1d794e4fac7cf0b9, 0x0bd592fc7d825ec8}},
     {{0x7bcfa7a25aa30fda, 0xdc17dec12a927e7c, 0x2f088dd86b4ebef1,
       0xd1ca2087da74d4a7, 0x2da2596696cebc1d, 0x0e2b7eedbbfd87d2}}};
static const fp cube_root = {{0x30f1361b798a64e8, 0xf3b8ddab7ece5a2a, 0x16a8ca3ac61577f7,
      0xc26a2ff874fd029b, 0x3636b76660701c6e, 0x051ba4ab241b6160}};

/* 4, and 4 xi. */
static const fp curve_b = {{0xaa270000000cfff3, 0x53cc0032fc34000a, 0x478fe97a6b0a807f,
      0xb1d37ebee6ba24d7, 0x8ec9733bbf78ab2f, 0x09d645513d83de7e}};
static const fp2 twist_b = {{{0xaa270000000cfff3, 0x53cc0032fc34000a, 0x478fe97a6b0a807f,
       0xb1d37ebee6ba24d7, 0x8ec9733bbf78ab2f, 0x09d645513d83de7e}},
     {{0xaa270000000cfff3, 0x53cc0032fc34000a, 0x478fe97a6b0a807f,
       0xb1d37ebee6ba24d7, 0x8ec9733bbf78ab2f, 0x09d645513d83de7e}}};

static const fp2 fp2_one = {{{0x760900000002fffd, 0xebf4000bc40c0002, 0x5f48985753c758ba,
                              0x77ce585370525745, 0x5c071a97a256ec6d, 0x15f65ec3fa80e493}},
                            {{0}}};

/* r. */
static const u256 group_order = {
    {0xffffffff00000001, 0x53bda402fffe5bfe, 0x3339d80809a1d805, 0x73eda753299d7d48}};

/* ---- encodings ---- */

enum { PADDED_BYTES = 64, G1_BYTES = 2 * PADDED_BYTES, G2_BYTES = 4 * PADDED_BYTES };

/* A field element behind 16 zero bytes. */
static bool fp_decode_padded(fp *out, const uint8_t bytes[PADDED_BYTES]) {
    static const uint8_t zeros[PADDED_BYTES - FP_BYTES];
    return memcmp(bytes, zeros, sizeof zeros) == 0 && fp_decode(out, bytes + sizeof zeros);
}

static void fp_encode_padded(uint8_t bytes[PADDED_BYTES], const fp *a) {
    memset(bytes, 0, PADDED_BYTES - FP_BYTES);
    fp_encode(bytes + PADDED_BYTES - FP_BYTES, a);
}

static bool fp2_decode_padded(fp2 *out, const uint8_t bytes[2 * PADDED_BYTES]) {
    return fp_decode_padded(&out->c0, bytes) && fp_decode_padded(&out->c1, bytes + PADDED_BYTES);
}

static void fp2_encode_padded(uint8_t bytes[2 * PADDED_BYTES], const fp2 *a) {
    fp_encode_padded(bytes, &a->c0);
    fp_encode_padded(bytes + PADDED_BYTES, &a->c1);
}

/* x^3 + 4. */
static void g1_right_side(fp *out, const fp *x) {
    fp t;
    fp_square(&t, x);
    fp_multiply(&t, &t, x);
    fp_add(out, &t, &curve_b);
}

/* x | y, all zero for infinity. False for coordinates out of range and points off the curve; the
 * subgroup is not looked at. */
static bool g1_decode(g1_affine *p, bool *is_infinity, const uint8_t bytes[G1_BYTES]) {
    if (!fp_decode_padded(&p->x, bytes)) return false;
    if (!fp_decode_padded(&p->y, bytes + PADDED_BYTES)) return false;
    *is_infinity = fp_is_zero(&p->x) && fp_is_zero(&p->y);
    if (*is_infinity) return true;
    fp left, right;
    fp_square(&left, &p->y);
    g1_right_side(&right, &p->x);
    return fp_equal(&left, &right);
}

static bool g2_decode(g2_affine *p, bool *is_infinity, const uint8_t bytes[G2_BYTES]) {
    if (!fp2_decode_padded(&p->x, bytes)) return false;
    if (!fp2_decode_padded(&p->y, bytes + 2 * PADDED_BYTES)) return false;
    *is_infinity = fp2_is_zero(&p->x) && fp2_is_zero(&p->y);
    if (*is_infinity) return true;
    fp2 left, right;
    fp2_square(&left, &p->y);
    fp2_square(&right, &p->x);
    fp2_multiply(&right, &right, &p->x);
    fp2_add(&right, &right, &twist_b);
    return fp2_equal(&left, &right);
}

static void g1_encode(uint8_t bytes[G1_BYTES], const g1_point *p) {
    memset(bytes, 0, G1_BYTES);
    if (g1_is_infinity(p)) return;
    g1_affine affine;
    fp inverse;
    fp_invert(&inverse, &p->z);
    g1_scale(&affine, p, &inverse);
    fp_encode_padded(bytes, &affine.x);
    fp_encode_padded(bytes + PADDED_BYTES, &affine.y);
}

static void g2_encode(uint8_t bytes[G2_BYTES], const g2_point *p) {
    memset(bytes, 0, G2_BYTES);
    if (g2_is_infinity(p)) return;
    g2_affine affine;
    fp2 inverse;
    fp2_invert(&inverse, &p->z);
    g2_scale(&affine, p, &inverse);
    fp2_encode_padded(bytes, &affine.x);
    fp2_encode_padded(bytes + 2 * PADDED_BYTES, &affine.y);
}

/* ---- endomorphisms and subgroups ---- */

/* out = -x^2 p on G1; on the whole curve an endomorphism. */
static void g1_endomorphism(g1_point *out, const g1_point *p) {
    fp_multiply(&out->x, &p->x, &cube_root);
    out->y = p->y;
    out->z = p->z;
}

/* out = x p on G2; on the whole twist the p-power map. */
static void g2_endomorphism(g2_point *out, const g2_point *p) {
    fp2_conjugate(&out->x, &p->x);
    fp2_multiply(&out->x, &out->x, &twist_factor_x);
    fp2_conjugate(&out->y, &p->y);
    fp2_multiply(&out->y, &out->y, &twist_factor_y);
    fp2_conjugate(&out->z, &p->z);
}

/* out = -x p; six bits of it are set. out must not be p. */
static void g1_multiply_by_minus_x(g1_point *out, const g1_point *p) {
    *out = *p;
    for (int bit = 63; bit-- != 0;) {
        g1_double(out, out);
        if (MINUS_X >> bit & 1) g1_add(out, out, p);
    }
}

static void g2_multiply_by_minus_x(g2_point *out, const g2_point *p) {
    *out = *p;
    for (int bit = 63; bit-- != 0;) {
        g2_double(out, out);
        if (MINUS_X >> bit & 1) g2_add(out, out, p);
    }
}

/* Whether x^2 p + phi(p) is infinity (Scott, "A note on group membership tests for G1, G2 and GT
 * on BLS pairing-friendly curves", 2021). The norm of x^2 + phi is r: only G1 passes. */
static bool g1_is_in_subgroup(const g1_affine *affine) {
    g1_point p = {affine->x, affine->y, field_one}, multiple, square, image;
    g1_multiply_by_minus_x(&multiple, &p);
    g1_multiply_by_minus_x(&square, &multiple);
    g1_endomorphism(&image, &p);
    g1_add(&square, &square, &image);
    return g1_is_infinity(&square);
}

/* Whether psi(p) - x p is infinity. The norm of psi - x is p - x, whose greatest common divisor
 * with the twist's number of points is r: only G2 passes. */
static bool g2_is_in_subgroup(const g2_affine *affine) {
    g2_point p = {affine->x, affine->y, fp2_one}, multiple, image;
    g2_multiply_by_minus_x(&multiple, &p);
    g2_endomorphism(&image, &p);
    g2_add(&multiple, &multiple, &image);
    return g2_is_infinity(&multiple);
}

/* ---- sums of multiples ---- */

/* The scalar modulo r as digits[0] + digits[1] (-x) + digits[2] (-x)^2 + digits[3] (-x)^3. */
static void split_scalar(uint64_t digits[4], const uint8_t bytes[32]) {
    u256 scalar = u256_from_be(bytes);
    while (!u256_less(&scalar, &group_order)) u256_sub(&scalar, &scalar, &group_order);
    for (int i = 0; i < 4; i++) {
        u128 rest = 0;
        for (int j = 4; j-- != 0;) {
            rest = rest << 64 | scalar.limbs[j];
            scalar.limbs[j] = (uint64_t)(rest / MINUS_X);
            rest %= MINUS_X;
        }
        digits[i] = (uint64_t)rest;
    }
}

/* G1: two parts of 128 bits, the second for x^2 p = -phi(p). */
static void g1_split_scalar(u256 parts[2], const uint8_t bytes[32]) {
    uint64_t d[4];
    split_scalar(d, bytes);
    for (int i = 0; i < 2; i++) {
        u128 part = (u128)d[2 * i + 1] * MINUS_X + d[2 * i];
        parts[i] = (u256){{(uint64_t)part, (uint64_t)(part >> 64), 0, 0}};
    }
}

static void g1_next_part(g1_affine *out, const g1_affine *p) {
    fp_multiply(&out->x, &p->x, &cube_root);
    fp_negate(&out->y, &p->y);
}

/* G2: four parts of 64 bits, each for -x p = -psi(p) of the part before. */
static void g2_split_scalar(u256 parts[4], const uint8_t bytes[32]) {
    uint64_t d[4];
    split_scalar(d, bytes);
    for (int i = 0; i < 4; i++) parts[i] = u256_from_u64(d[i]);
}

static void g2_next_part(g2_affine *out, const g2_affine *p) {
    fp2_conjugate(&out->x, &p->x);
    fp2_multiply(&out->x, &out->x, &twist_factor_x);
    fp2_conjugate(&out->y, &p->y);
    fp2_multiply(&out->y, &out->y, &twist_factor_y);
    fp2_negate(&out->y, &out->y);
}

#define CURVE(name) g1_##name
#define ELEMENT fp
#define ELEMENT_OP(name) fp_##name
#define ELEMENT_ONE field_one
#define SCALAR_PARTS 2
#include "multiples.h"

#define CURVE(name) g2_##name
#define ELEMENT fp2
#define ELEMENT_OP(name) fp2_##name
#define ELEMENT_ONE fp2_one
#define SCALAR_PARTS 4
#include "multiples.h"

#endif
