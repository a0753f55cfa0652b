/* What the precompiles of EIP-2537 and EIP-4844 compute; included once for each multiplication of
 * bls12_field.h. */
#include <stdlib.h>

#include "bls12_maps.h"
#include "bls12_pairing.h"

/* The generators, and tau times that of G2 from the ceremony of EIP-4844. */
static const g1_affine g1_generator = {
    {{0x5cb38790fd530c16, 0x7817fc679976fff5, 0x154f95c7143ba1c1,
      0xf0ae6acdf3d0e747, 0xedce6ecc21dbf440, 0x120177419e0bfb75}},
    {{0xbaac93d50ce72271, 0x8c22631a7918fd8e, 0xdd595f13570725ce,
      0x51ac582950405194, 0x0e1c8c3fad0059c0, 0x0bbc3efc5008a26a}}};
static const g2_affine g2_generator = {
    {{{0xf5f28fa202940a10, 0xb3f5fb2687b4961a, 0xa1a893b53e2ae580,
       0x9894999d1a3caee9, 0x6f67b7631863366b, 0x058191924350bcd7}},
     {{0xa5a9c0759e23f606, 0xaaa0c59dbccd60c3, 0x3bb17e18e2867806,
       0x1b1ab6cc8541b367, 0xc2b6ed0ef2158547, 0x11922a097360edf3}}},
    {{{0x4c730af860494c4a, 0x597cfa1f5e369c5a, 0xe7e6856caa0a635a,
       0xbbefb5e96e0d495f, 0x07d3a975f0ef25a2, 0x0083fd8e7e80dae5}},
     {{0xadc0fc92df64b05d, 0x18aa270a2b1461dc, 0x86adac6a3be4eba0,
       0x79495c4ec93da33a, 0xe7175850a43ccaed, 0x0b2bc2a163de1bf2}}}};
static const g2_affine g2_tau = {
    {{{0x6120a2099b0379f9, 0xa2df815cb8210e4e, 0xcb57be5577bd3d4f,
       0x62da0ea89a0c93f8, 0x02e0ee16968e150d, 0x171f09aea833acd5}},
     {{0x11a3670749dfd455, 0x04991d7b3abffadc, 0x85446a8e14437f41,
       0x27174e7b4e76e3f2, 0x7bfa6dd397f60a20, 0x02fcc329ac07080f}}},
    {{{0xaa130838793b2317, 0xe236dd220f891637, 0x6502782925760980,
       0xd05c25f60557ec89, 0x6095767a44064474, 0x185693917080d405}},
     {{0x549f9e175b03dc0a, 0x32c0c95a77106cfe, 0x64a74eae5705d080,
       0x53deeaf56659ed9e, 0x09a1d368508afb93, 0x12cf3a4525b5e9bd}}}};
enum { SCALAR_BYTES = 32 };

/* ---- additions and maps ---- */

static outcome run_g1_add(uint8_t *output, const uint8_t *input, size_t count) {
    g1_affine a, b;
    bool a_is_infinity, b_is_infinity;
    (void)count;
    if (!g1_decode(&a, &a_is_infinity, input)) return FAILED;
    if (!g1_decode(&b, &b_is_infinity, input + G1_BYTES)) return FAILED;
    g1_point sum = {a.x, a.y, field_one};
    if (a_is_infinity) memset(&sum, 0, sizeof sum);
    if (!b_is_infinity) g1_add_affine(&sum, &sum, &b, &field_one);
    g1_encode(output, &sum);
    return SUCCEEDED;
}

static outcome run_g2_add(uint8_t *output, const uint8_t *input, size_t count) {
    g2_affine a, b;
    bool a_is_infinity, b_is_infinity;
    (void)count;
    if (!g2_decode(&a, &a_is_infinity, input)) return FAILED;
    if (!g2_decode(&b, &b_is_infinity, input + G2_BYTES)) return FAILED;
    g2_point sum = {a.x, a.y, fp2_one};
    if (a_is_infinity) memset(&sum, 0, sizeof sum);
    if (!b_is_infinity) g2_add_affine(&sum, &sum, &b, &fp2_one);
    g2_encode(output, &sum);
    return SUCCEEDED;
}

static outcome run_map_to_g1(uint8_t *output, const uint8_t *input, size_t count) {
    fp u;
    g1_point p;
    (void)count;
    if (!fp_decode_padded(&u, input)) return FAILED;
    g1_map_to_curve(&p, &u);
    g1_clear_cofactor(&p, &p);
    g1_encode(output, &p);
    return SUCCEEDED;
}

static outcome run_map_to_g2(uint8_t *output, const uint8_t *input, size_t count) {
    fp2 u;
    g2_point p;
    (void)count;
    if (!fp2_decode_padded(&u, input)) return FAILED;
    g2_map_to_curve(&p, &u);
    g2_clear_cofactor(&p, &p);
    g2_encode(output, &p);
    return SUCCEEDED;
}

/* ---- sums of multiples, 16 points at a time ---- */

static outcome run_g1_multiples(uint8_t *output, const uint8_t *input, size_t count) {
    g1_group *group = malloc(sizeof *group);
    if (group == NULL) return NO_MEMORY;
    g1_affine points[g1_group_points];
    uint8_t scalars[g1_group_points][SCALAR_BYTES];
    g1_point sum, part;
    memset(&sum, 0, sizeof sum);
    outcome outcome = SUCCEEDED;
    for (size_t i = 0, kept = 0; i < count && outcome == SUCCEEDED; i++) {
        bool is_infinity;
        if (!g1_decode(&points[kept], &is_infinity, input) ||
            (!is_infinity && !g1_is_in_subgroup(&points[kept]))) {
            outcome = FAILED;
            break;
        }
        memcpy(scalars[kept], input + G1_BYTES, SCALAR_BYTES);
        input += G1_BYTES + SCALAR_BYTES;
        if (!is_infinity) kept++;
        if (kept == g1_group_points || (i + 1 == count && kept != 0)) {
            g1_add_group(&part, group, points, (const uint8_t(*)[SCALAR_BYTES])scalars, kept);
            g1_add(&sum, &sum, &part);
            kept = 0;
        }
    }
    free(group);
    if (outcome == SUCCEEDED) g1_encode(output, &sum);
    return outcome;
}

static outcome run_g2_multiples(uint8_t *output, const uint8_t *input, size_t count) {
    g2_group *group = malloc(sizeof *group);
    if (group == NULL) return NO_MEMORY;
    g2_affine points[g2_group_points];
    uint8_t scalars[g2_group_points][SCALAR_BYTES];
    g2_point sum, part;
    memset(&sum, 0, sizeof sum);
    outcome outcome = SUCCEEDED;
    for (size_t i = 0, kept = 0; i < count && outcome == SUCCEEDED; i++) {
        bool is_infinity;
        if (!g2_decode(&points[kept], &is_infinity, input) ||
            (!is_infinity && !g2_is_in_subgroup(&points[kept]))) {
            outcome = FAILED;
            break;
        }
        memcpy(scalars[kept], input + G2_BYTES, SCALAR_BYTES);
        input += G2_BYTES + SCALAR_BYTES;
        if (!is_infinity) kept++;
        if (kept == g2_group_points || (i + 1 == count && kept != 0)) {
            g2_add_group(&part, group, points, (const uint8_t(*)[SCALAR_BYTES])scalars, kept);
            g2_add(&sum, &sum, &part);
            kept = 0;
        }
    }
    free(group);
    if (outcome == SUCCEEDED) g2_encode(output, &sum);
    return outcome;
}

/* ---- pairing ---- */

/* All points are checked before any pairing is computed; pairs with infinity are left out. */
static outcome run_pairing(uint8_t *output, const uint8_t *input, size_t count) {
    miller_pair *pairs = malloc(count * sizeof *pairs);
    if (pairs == NULL) return NO_MEMORY;
    size_t kept = 0;
    outcome outcome = SUCCEEDED;
    for (size_t i = 0; i < count; i++, input += G1_BYTES + G2_BYTES) {
        g1_affine p;
        g2_affine q;
        bool p_is_infinity, q_is_infinity;
        if (!g1_decode(&p, &p_is_infinity, input) ||
            !g2_decode(&q, &q_is_infinity, input + G1_BYTES) ||
            (!p_is_infinity && !g1_is_in_subgroup(&p)) ||
            (!q_is_infinity && !g2_is_in_subgroup(&q))) {
            outcome = FAILED;
            break;
        }
        if (!p_is_infinity && !q_is_infinity) miller_start(&pairs[kept++], &p, &q);
    }
    if (outcome == SUCCEEDED) {
        memset(output, 0, 32);
        output[31] = pairings_are_one(pairs, kept);
    }
    free(pairs);
    return outcome;
}

/* ---- KZG ---- */

/* A point of G1 in 48 bytes: the highest bit is set, the next means infinity, the third that y is
 * the larger of the two roots. False when it is not the one encoding of a point of the subgroup. */
static bool g1_decompress(g1_affine *p, bool *is_infinity, const uint8_t bytes[FP_BYTES]) {
    uint8_t x[FP_BYTES];
    bool is_larger = bytes[0] & 0x20;
    memcpy(x, bytes, FP_BYTES);
    x[0] &= 0x1f;
    *is_infinity = bytes[0] & 0x40;
    if ((bytes[0] & 0x80) == 0) return false;
    if (*is_infinity) {
        static const uint8_t zeros[FP_BYTES];
        return !is_larger && memcmp(x, zeros, FP_BYTES) == 0;
    }
    fp right, plain;
    if (!fp_decode(&p->x, x)) return false;
    g1_right_side(&right, &p->x);
    if (!fp_square_root(&p->y, &right)) return false;
    fp_leave(&plain, &p->y);
    if (is_larger == fp_plain_at_most(&plain, &half_of_modulus)) fp_negate(&p->y, &p->y);
    return g1_is_in_subgroup(p);
}

/* out = scalar p, or infinity. */
static outcome multiply_one(g1_point *out, const g1_affine *p, bool is_infinity,
                            const uint8_t scalar[SCALAR_BYTES]) {
    memset(out, 0, sizeof *out);
    if (is_infinity) return SUCCEEDED;
    g1_group *group = malloc(sizeof *group);
    if (group == NULL) return NO_MEMORY;
    g1_add_group(out, group, p, (const uint8_t(*)[SCALAR_BYTES])scalar, 1);
    free(group);
    return SUCCEEDED;
}

/* Appends a pair unless its first point is infinity. */
static void add_pair(miller_pair *pairs, size_t *count, const g1_point *p, const g2_affine *q) {
    if (g1_is_infinity(p)) return;
    g1_affine affine;
    fp inverse;
    fp_invert(&inverse, &p->z);
    g1_scale(&affine, p, &inverse);
    miller_start(&pairs[(*count)++], &affine, q);
}

/* Whether e(C - y G + z pi, G2) = e(pi, tau G2), which is e(C - y G, G2) = e(pi, (tau - z) G2) with
 * both G2 points known beforehand. input: versioned hash | z | y | C | pi. */
static outcome run_point_evaluation(uint8_t *output, const uint8_t *input, size_t count) {
    const uint8_t *z = input + 32, *y = input + 64;
    (void)count;
    u256 z_value = u256_from_be(z), y_value = u256_from_be(y);
    if (!u256_less(&z_value, &group_order) || !u256_less(&y_value, &group_order)) return FAILED;
    g1_affine commitment, proof;
    bool commitment_is_infinity, proof_is_infinity;
    if (!g1_decompress(&commitment, &commitment_is_infinity, input + 96)) return FAILED;
    if (!g1_decompress(&proof, &proof_is_infinity, input + 144)) return FAILED;

    g1_point left, term, right = {proof.x, proof.y, field_one};
    outcome outcome = multiply_one(&left, &proof, proof_is_infinity, z);
    if (outcome == SUCCEEDED) outcome = multiply_one(&term, &g1_generator, false, y);
    if (outcome != SUCCEEDED) return outcome;
    fp_negate(&term.y, &term.y);
    g1_add(&left, &left, &term);
    if (!commitment_is_infinity) g1_add_affine(&left, &left, &commitment, &field_one);
    if (proof_is_infinity) memset(&right, 0, sizeof right);
    fp_negate(&right.y, &right.y);

    miller_pair pairs[2];
    size_t kept = 0;
    add_pair(pairs, &kept, &left, &g2_generator);
    add_pair(pairs, &kept, &right, &g2_tau);
    if (!pairings_are_one(pairs, kept)) return FAILED;
    memset(output, 0, 64);
    output[30] = 0x10; /* FIELD_ELEMENTS_PER_BLOB, 4096 */
    u256_to_be(output + 32, &group_order);
    return SUCCEEDED;
}

/* By the precompile's number, from 0x0a. */
static outcome bls12_run(uint32_t number, uint8_t *output, const uint8_t *input, size_t count) {
    static outcome (*const runs[])(uint8_t *, const uint8_t *, size_t) = {
        run_point_evaluation, run_g1_add,  run_g1_multiples, run_g2_add,
        run_g2_multiples,     run_pairing, run_map_to_g1,    run_map_to_g2,
    };
    return runs[number - 0x0a](output, input, count);
}
