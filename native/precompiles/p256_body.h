/* ECDSA verification over P-256; included once for each multiplication of field4.h by a file that
 * has set GHOST_FIELD_ADX. */
#include <pthread.h>

#include "field4.h"
#include "parts.h"
#include "signed_digits.h"

/* FIPS 186-5 and SP 800-186, 3.2.1.3: the field of the coordinates and that of the scalars. */
static const field4 coordinates = {
    .modulus = {{0xffffffffffffffff, 0x00000000ffffffff, 0x0000000000000000, 0xffffffff00000001}},
    .one = {{0x0000000000000001, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}},
    .r_squared = {{0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe,
                   0x00000004fffffffd}},
    .negative_inverse = 1,
    .has_spare_bit = false,
};

static const field4 scalars = {
    .modulus = {{0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}},
    .one = {{0x0c46353d039cdaaf, 0x4319055258e8617b, 0x0000000000000000, 0x00000000ffffffff}},
    .r_squared = {{0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59,
                   0x66e12d94f3d95620}},
    .negative_inverse = 0xccd1c8aaee00bc4f,
    .has_spare_bit = false,
};

static void element_add(u256 *out, const u256 *a, const u256 *b) {
    field_add(out, a, b, &coordinates);
}

static void element_sub(u256 *out, const u256 *a, const u256 *b) {
    field_sub(out, a, b, &coordinates);
}

static void element_double(u256 *out, const u256 *a) {
    field_add(out, a, a, &coordinates);
}

/* Montgomery multiplication with this modulus' own reduction: p = 2^256 - 2^224 + 2^192 + 2^96 - 1
 * and -1/p is 1 modulo 2^64, so the factor of each step is the lowest limb t itself, and t + t p is
 * 2^96 t, a shift, plus 2^192 t (2^64 - 2^32 + 1), one product. The limbs change their names
 * instead of their places: after each step the lowest is free and becomes the highest. */
#if GHOST_FIELD_ADX && defined(__OPTIMIZE__) /* unoptimised, registers run out */

#define P256_REDUCE(t0, t1, t2, t3, t4)                                                         \
    "movq %[" #t0 "], %%rdx\n\t movq %[" #t0 "], %[zero]\n\t"                                   \
    "mulxq %[top], %[low], %[high]\n\t shlq $32, %[zero]\n\t shrq $32, %[" #t0 "]\n\t"          \
    "addq %[zero], %[" #t1 "]\n\t adcq %[" #t0 "], %[" #t2 "]\n\t"                              \
    "adcq %[low], %[" #t3 "]\n\t adcq %[high], %[" #t4 "]\n\t"                                  \
    "movl $0, %k[" #t0 "]\n\t adcq $0, %[" #t0 "]\n\t"
#define P256_PRODUCT(offset, here, next)                                                        \
    "mulxq " #offset "(%[b]), %[low], %[high]\n\t adcxq %[low], %[" #here "]\n\t"               \
    "adoxq %[high], %[" #next "]\n\t"
#define P256_ROW(offset, t0, t1, t2, t3, t4)                                                    \
    "movq " #offset "(%[a]), %%rdx\n\t xorl %k[zero], %k[zero]\n\t"                             \
    P256_PRODUCT(0, t0, t1) P256_PRODUCT(8, t1, t2) P256_PRODUCT(16, t2, t3)                    \
    P256_PRODUCT(24, t3, t4)                                                                    \
    "adcxq %[zero], %[" #t4 "]\n\t"

static __attribute__((noinline)) void element_multiply(u256 *out, const u256 *a, const u256 *b) {
    uint64_t t0, t1, t2, t3, t4, low, high, zero;
    __asm__(FIELD_ROW_FIRST P256_REDUCE(t0, t1, t2, t3, t4)
            P256_ROW(8, t1, t2, t3, t4, t0) P256_REDUCE(t1, t2, t3, t4, t0)
            P256_ROW(16, t2, t3, t4, t0, t1) P256_REDUCE(t2, t3, t4, t0, t1)
            P256_ROW(24, t3, t4, t0, t1, t2) P256_REDUCE(t3, t4, t0, t1, t2)
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4),
              [low] "=&r"(low), [high] "=&r"(high), [zero] "=&r"(zero)
            : [a] "r"(a), [b] "r"(b), [top] "m"(coordinates.modulus.limbs[3]), "m"(*a), "m"(*b)
            : "rdx", "cc");
    field_reduce_once(out, t4, t0, t1, t2, t3, &coordinates);
}

#else

static __attribute__((noinline)) void element_multiply(u256 *out, const u256 *a, const u256 *b) {
    uint64_t t[5] = {0};
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        u128 product = (u128)multiply_row(t, a->limbs[i], b) + t[4];
        uint64_t factor = t[0];
        u128 high = (u128)factor * coordinates.modulus.limbs[3];
        uint8_t carry = add_carry(0, t[1], factor << 32, &t[0]);
        carry = add_carry(carry, t[2], factor >> 32, &t[1]);
        carry = add_carry(carry, t[3], (uint64_t)high, &t[2]);
        carry = add_carry(carry, (uint64_t)product, (uint64_t)(high >> 64), &t[3]);
        t[4] = (uint64_t)(product >> 64) + carry;
    }
    field_reduce_once(out, t[0], t[1], t[2], t[3], t[4], &coordinates);
}

#endif

static void element_square(u256 *out, const u256 *a) {
    element_multiply(out, a, a);
}

static bool element_is_zero(const u256 *a) {
    return u256_is_zero(a);
}

#define CURVE(name) p256_##name
#define ELEMENT u256
#define ELEMENT_OP(name) element_##name
#define CURVE_A_IS_MINUS_3 1
#include "jacobian.h"

/* b of the curve equation and the base point, in Montgomery's form. */
static const u256 curve_b = {
    {0xd89cdf6229c4bddf, 0xacf005cd78843090, 0xe5a220abf7212ed6, 0xdc30061d04874834}};
static const p256_affine base_point = {
    {{0x79e730d418a9143c, 0x75ba95fc5fedb601, 0x79fb732b77622510, 0x18905f76a53755c6}},
    {{0xddf25357ce95560a, 0x8b4ab8e4ba19e45c, 0xd2e88688dd21f325, 0x8571ff1825885d85}},
};

/* y^2 = x^3 - 3 x + b. */
static bool is_on_curve(const p256_affine *p) {
    u256 left, right, t;
    element_square(&left, &p->y);
    element_square(&right, &p->x);
    element_multiply(&right, &right, &p->x);
    element_double(&t, &p->x);
    element_add(&t, &t, &p->x);
    element_sub(&right, &right, &t);
    element_add(&right, &right, &curve_b);
    return u256_equal(&left, &right);
}

enum {
    BASE_WIDTH = 8,
    BASE_MULTIPLES = 1 << (BASE_WIDTH - 2),
    KEY_WIDTH = 5,
    KEY_MULTIPLES = 1 << (KEY_WIDTH - 2)
};

/* multiples[i] = (2 i + 1) p. */
static void odd_multiples(p256_point *multiples, int count, const p256_affine *p) {
    p256_point twice;
    multiples[0] = (p256_point){p->x, p->y, coordinates.one};
    p256_double(&twice, &multiples[0]);
    for (int i = 1; i < count; i++) p256_add(&multiples[i], &multiples[i - 1], &twice);
}

/* Odd multiples of the base point, made at the first verification: 4 KiB. */
static p256_affine base_multiples[BASE_MULTIPLES];
static pthread_once_t base_multiples_once = PTHREAD_ONCE_INIT;

static void make_base_multiples(void) {
    p256_point points[BASE_MULTIPLES];
    odd_multiples(points, BASE_MULTIPLES, &base_point);
    for (int i = 0; i < BASE_MULTIPLES; i++) {
        u256 inverse, power;
        field_invert(&inverse, &points[i].z, &coordinates);
        element_square(&power, &inverse);
        element_multiply(&base_multiples[i].x, &points[i].x, &power);
        element_multiply(&power, &power, &inverse);
        element_multiply(&base_multiples[i].y, &points[i].y, &power);
    }
}

/* sum = base_scalar * G + key_scalar * key: one chain of doublings for both. */
static void add_multiples(p256_point *sum, const u256 *base_scalar, const u256 *key_scalar,
                          const p256_affine *key) {
    p256_point key_multiples[KEY_MULTIPLES];
    int8_t base_digits[DIGITS_MAX], key_digits[DIGITS_MAX];
    pthread_once(&base_multiples_once, make_base_multiples);
    odd_multiples(key_multiples, KEY_MULTIPLES, key);
    int count = signed_digits(base_digits, base_scalar, BASE_WIDTH);
    int key_count = signed_digits(key_digits, key_scalar, KEY_WIDTH);
    if (key_count > count) count = key_count;
    memset(sum, 0, sizeof *sum);
    for (int i = count; i-- != 0;) {
        p256_double(sum, sum);
        if (key_digits[i] != 0) {
            int digit = key_digits[i];
            p256_point term = key_multiples[(digit < 0 ? -digit : digit) / 2];
            if (digit < 0) field_negate(&term.y, &term.y, &coordinates);
            p256_add(sum, sum, &term);
        }
        if (base_digits[i] != 0) {
            int digit = base_digits[i];
            p256_affine term = base_multiples[(digit < 0 ? -digit : digit) / 2];
            if (digit < 0) field_negate(&term.y, &term.y, &coordinates);
            p256_add_affine(sum, sum, &term, &coordinates.one);
        }
    }
}

/* Whether the affine x of p, reduced modulo the group order, is r: x is r or r + n, compared
 * without an inversion as x * z^2. */
static bool has_x(const p256_point *p, const u256 *r) {
    u256 z2, expected, candidate = *r;
    element_square(&z2, &p->z);
    do {
        field_enter(&expected, &candidate, &coordinates);
        element_multiply(&expected, &expected, &z2);
        if (u256_equal(&expected, &p->x)) return true;
    } while (!u256_add(&candidate, &candidate, &scalars.modulus) &&
             u256_less(&candidate, &coordinates.modulus));
    return false;
}

/* digest | r | s | x | y. */
static bool verify(const uint8_t input[160]) {
    u256 digest = u256_from_be(input), r = u256_from_be(input + 32);
    u256 s = u256_from_be(input + 64), x = u256_from_be(input + 96);
    u256 y = u256_from_be(input + 128);
    if (u256_is_zero(&r) || !u256_less(&r, &scalars.modulus)) return false;
    if (u256_is_zero(&s) || !u256_less(&s, &scalars.modulus)) return false;
    if (!u256_less(&x, &coordinates.modulus) || !u256_less(&y, &coordinates.modulus)) return false;
    /* (0, 0), which stands for infinity, is not on the curve either: b is not 0. */
    p256_affine key;
    field_enter(&key.x, &x, &coordinates);
    field_enter(&key.y, &y, &coordinates);
    if (!is_on_curve(&key)) return false;

    u256 inverse, base_scalar, key_scalar;
    ghost_limbs_invert(inverse.limbs, s.limbs, scalars.modulus.limbs, 4);
    field_enter(&inverse, &inverse, &scalars);
    field_multiply(&base_scalar, &digest, &inverse, &scalars);
    field_multiply(&key_scalar, &r, &inverse, &scalars);
    p256_point sum;
    add_multiples(&sum, &base_scalar, &key_scalar, &key);
    return !p256_is_infinity(&sum) && has_x(&sum, &r);
}
