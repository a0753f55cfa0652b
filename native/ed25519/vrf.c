/* Verifiable randomness: a proof (Gamma, c, s) by the key Y for the point H of an input holds when
 * c is the hash of Y, H, Gamma, s B - c Y and s H - c Gamma. RFC 9381, section 5.3. */
#include "ed25519.h"

#include "decode.h"
#include "scalar.h"
#include "sha512.h"

#define SUITE 3
#define TRIES 256

/* What is hashed or given out of one proof, and so encoded. */
enum { POINT, FIRST, SECOND, OUTPUT, ENCODED };

static void add_byte(sha512 *hash, uint8_t byte) {
    sha512_add(hash, &byte, 1);
}

static ge affine(const uint8_t *point) {
    fe x = fe_from_bytes(point), y = fe_from_bytes(point + 32);
    return ge_from_affine(&x, &y);
}

static void times_cofactor(ge *p) {
    for (int i = 0; i < 3; i++) {
        ge_completed completed = ge_double(p);
        ge_finish(p, &completed);
    }
}

/* 8 times the point that the bytes encode. Returns 0 where they encode none (RFC 8032, section
 * 5.1.3), and where 8 times is the identity. */
static int decode_times_cofactor(ge *r, const uint8_t *bytes) {
    fe given = fe_from_bytes(bytes), y = fe_canonical(&given), root;
    if (!fe_same(&y, &given)) {
        return 0;
    }
    fe yy = fe_square(&y);
    fe numerator = fe_sub(&yy, &FE_ONE);
    if (fe_is_zero(&numerator)) {
        return 0; /* order 1 or 2, or no encoding */
    }
    fe denominator = fe_mul(&yy, &FE_D);
    denominator = fe_add(&denominator, &FE_ONE);
    fe product = fe_mul(&numerator, &denominator);
    if (!fe_inverse_root(&root, &product)) {
        return 0;
    }
    fe x = fe_mul(&numerator, &root);
    ge_set_sign(&x, bytes);
    *r = ge_from_affine(&x, &y);
    times_cofactor(r);
    return !ge_is_identity(r);
}

/* The point of an input, by try and increment: section 5.4.1.1. Returns 0 when no try gives one. */
static int point_of(ge *r, const uint8_t *key, const uint8_t *alpha, size_t length) {
    uint8_t digest[64];
    for (int counter = 0; counter < TRIES; counter++) {
        sha512 hash;
        sha512_begin(&hash);
        add_byte(&hash, SUITE);
        add_byte(&hash, 1);
        sha512_add(&hash, key, 32);
        sha512_add(&hash, alpha, length);
        add_byte(&hash, (uint8_t)counter);
        add_byte(&hash, 0);
        sha512_end(digest, &hash);
        if (decode_times_cofactor(r, digest)) {
            return 1;
        }
    }
    return 0;
}

/* s p - c q; digits of s and c. */
static ge difference(const int8_t *s, const ge *p, const int8_t *c, const ge *q) {
    ge_addend of_p[MULTIPLES], of_q[MULTIPLES];
    ge sum = GE_IDENTITY;
    ge_odd_multiples(of_p, p);
    ge_odd_multiples(of_q, q);
    for (int at = SCALAR_DIGITS - 1; at >= 0; at--) {
        ge_completed completed = ge_double(&sum);
        ge_finish(&sum, &completed);
        if (s[at]) {
            ge_add_multiple(&sum, of_p, s[at]);
        }
        if (c[at]) {
            ge_add_multiple(&sum, of_q, -c[at]);
        }
    }
    return sum;
}

/* The encodings of the points, whose denominators are inverted together. */
static void encode(uint8_t out[ENCODED][32], const ge points[ENCODED]) {
    fe products[ENCODED];
    products[0] = points[0].Z;
    for (int i = 1; i < ENCODED; i++) {
        products[i] = fe_mul(&products[i - 1], &points[i].Z);
    }
    /* a^(p - 2) = (a^((p - 5) / 8))^8 a^3 */
    const fe *all = &products[ENCODED - 1];
    fe inverse = fe_power(all), cube = fe_square(all);
    inverse = fe_squares(&inverse, 3);
    cube = fe_mul(&cube, all);
    inverse = fe_mul(&inverse, &cube);
    for (int i = ENCODED - 1; i >= 0; i--) {
        fe own = i > 0 ? fe_mul(&inverse, &products[i - 1]) : inverse;
        fe x = fe_mul(&points[i].X, &own), y = fe_mul(&points[i].Y, &own);
        inverse = fe_mul(&inverse, &points[i].Z);
        x = fe_canonical(&x);
        y = fe_canonical(&y);
        fe_to_bytes(out[i], &y);
        out[i][31] |= (uint8_t)((x.n[0] & 1) << 7);
    }
}

static int is_zero(const scalar *a) {
    return (a->n[0] | a->n[1] | a->n[2] | a->n[3]) == 0;
}

static int verify(uint8_t output[64], const uint8_t *key, const uint8_t *points,
                  const uint8_t *alpha, size_t length, const uint8_t *proof) {
    int8_t s_digits[SCALAR_DIGITS] = {0}, c_digits[SCALAR_DIGITS] = {0};
    uint8_t encoded[ENCODED][32], digest[64];
    scalar s, c = {{0, 0, 0, 0}};
    ge found[ENCODED];
    words_from_bytes(c.n, proof + 32, 2);
    if (!scalar_from_bytes(&s, proof + 48) || is_zero(&s) || is_zero(&c)) {
        return 0;
    }
    if (!point_of(&found[POINT], key, alpha, length)) {
        return 0;
    }
    scalar_digits(s_digits, 1, &s);
    scalar_digits(c_digits, 1, &c);
    ge base = ge_from_affine(&BASE_X, &BASE_Y), y = affine(points), gamma = affine(points + 64);
    found[FIRST] = difference(s_digits, &base, c_digits, &y);
    found[SECOND] = difference(s_digits, &found[POINT], c_digits, &gamma);
    found[OUTPUT] = gamma;
    times_cofactor(&found[OUTPUT]);
    encode(encoded, found);
    sha512 hash;
    sha512_begin(&hash);
    add_byte(&hash, SUITE);
    add_byte(&hash, 2);
    sha512_add(&hash, key, 32);
    sha512_add(&hash, encoded[POINT], 32);
    sha512_add(&hash, proof, 32);
    sha512_add(&hash, encoded[FIRST], 32);
    sha512_add(&hash, encoded[SECOND], 32);
    add_byte(&hash, 0);
    sha512_end(digest, &hash);
    if (memcmp(digest, proof + 32, 16) != 0) {
        return 0;
    }
    sha512_begin(&hash);
    add_byte(&hash, SUITE);
    add_byte(&hash, 3);
    sha512_add(&hash, encoded[OUTPUT], 32);
    add_byte(&hash, 0);
    sha512_end(output, &hash);
    return 1;
}

void ghost_vrf_verify_batch(uint8_t *ok, uint8_t *outputs, const uint8_t *keys,
                            const uint8_t *points, const uint8_t *alphas, const uint32_t *lengths,
                            const uint8_t *proofs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ok[i] = (uint8_t)verify(outputs + 64 * i, keys + 32 * i, points + 128 * i, alphas,
                                lengths[i], proofs + 80 * i);
        alphas += lengths[i];
    }
}
