/* base^exponent mod modulus for numbers of any length.
 *
 * An odd modulus is worked in Montgomery's form. Any other modulus is d * 2^k with d odd: the
 * power is taken modulo d and modulo 2^k and put together by the Chinese remainder theorem. Both
 * are rings to the one sliding-window loop. */
#include <stdlib.h>

#include "limbs.h"
#include "parts.h"

/* Adds a * q to t, limb by limb; returns the carry. The loop nearly all time goes into. */
typedef uint64_t (*add_multiple_function)(uint64_t *t, const uint64_t *a, size_t n, uint64_t q);

typedef struct ring ring;
struct ring {
    size_t n;                  /* limbs of an element */
    const uint64_t *modulus;   /* odd rings: n limbs */
    uint64_t negative_inverse; /* odd rings: -modulus^-1 mod 2^64 */
    uint64_t mask;             /* rings modulo 2^k: of the highest limb */
    uint64_t *scratch;         /* 2n limbs */
    add_multiple_function add_multiple;
    void (*multiply)(const ring *r, uint64_t *out, const uint64_t *a, const uint64_t *b);
    void (*square)(const ring *r, uint64_t *out, const uint64_t *a);
};

/* ---- rows ---- */

static uint64_t add_multiple_portable(uint64_t *t, const uint64_t *a, size_t n, uint64_t q) {
    return limbs_add_multiple(t, a, n, q);
}

#if defined(__x86_64__)
/* One limb: low half into the overflow chain with t, high half of the limb before into the carry
 * chain. The two chains run side by side, which no C compiler writes by itself. */
#define ADX_LIMB(offset, high_before, high)                 \
    "mulxq " #offset "(%[a]), %%rax, %[" #high "]\n\t"      \
    "adcxq %[" #high_before "], %%rax\n\t"                  \
    "adoxq " #offset "(%[t]), %%rax\n\t"                    \
    "movq %%rax, " #offset "(%[t])\n\t"

static uint64_t add_multiple_adx(uint64_t *t, const uint64_t *a, size_t n, uint64_t q) {
    uint64_t carry = 0, other;
    for (; n >= 8; n -= 8, t += 8, a += 8) {
        __asm__ volatile(
            "xorl %%eax, %%eax\n\t" /* clears both flags */
            ADX_LIMB(0, carry, other) ADX_LIMB(8, other, carry)
            ADX_LIMB(16, carry, other) ADX_LIMB(24, other, carry)
            ADX_LIMB(32, carry, other) ADX_LIMB(40, other, carry)
            ADX_LIMB(48, carry, other) ADX_LIMB(56, other, carry)
            "movl $0, %%eax\n\t"
            "adcxq %%rax, %[carry]\n\t"
            "adoxq %%rax, %[carry]\n\t"
            : [carry] "+&r"(carry), [other] "=&r"(other)
            : [t] "r"(t), [a] "r"(a), "d"(q)
            : "rax", "cc", "memory");
    }
    for (size_t i = 0; i < n; i++) {
        u128 sum = (u128)a[i] * q + t[i] + carry;
        t[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}
#endif

static add_multiple_function choose_add_multiple(void) {
#if defined(__x86_64__)
    if (precompiles_have_adx()) return add_multiple_adx;
#endif
    return add_multiple_portable;
}

/* ---- odd rings: Montgomery ---- */

/* out = t / 2^(64n) mod m for t of 2n limbs below m * 2^(64n); t is destroyed. The carry of row
 * i belongs at limb i + n; it waits in limb i, which the row has just made zero. */
static void montgomery_reduce(const ring *r, uint64_t *out, uint64_t *t) {
    size_t n = r->n;
    for (size_t i = 0; i < n; i++) {
        uint64_t q = t[i] * r->negative_inverse;
        t[i] = r->add_multiple(t + i, r->modulus, n, q);
    }
    uint64_t carry = limbs_add(out, t + n, t, n);
    if (carry != 0 || !limbs_less(out, r->modulus, n)) limbs_sub(out, out, r->modulus, n);
}

static void montgomery_multiply(const ring *r, uint64_t *out, const uint64_t *a,
                                const uint64_t *b) {
    size_t n = r->n;
    uint64_t *t = r->scratch;
    memset(t, 0, n * 8);
    for (size_t i = 0; i < n; i++) t[n + i] = r->add_multiple(t + i, b, n, a[i]);
    montgomery_reduce(r, out, t);
}

/* The products off the diagonal once, doubled, plus the diagonal: half the limb products. */
static void montgomery_square(const ring *r, uint64_t *out, const uint64_t *a) {
    size_t n = r->n;
    uint64_t *t = r->scratch;
    memset(t, 0, (n + 1) * 8);
    for (size_t i = 0; i + 1 < n; i++) {
        t[n + i] = r->add_multiple(t + 2 * i + 1, a + i + 1, n - 1 - i, a[i]);
    }
    t[2 * n - 1] = 0;
    uint64_t carry = 0, shifted = 0;
    for (size_t i = 0; i < n; i++) {
        u128 diagonal = (u128)a[i] * a[i];
        uint64_t low = t[2 * i], high = t[2 * i + 1];
        u128 sum = (u128)((low << 1) | shifted) + (uint64_t)diagonal + carry;
        t[2 * i] = (uint64_t)sum;
        sum = (u128)((high << 1) | (low >> 63)) + (uint64_t)(diagonal >> 64) +
              (uint64_t)(sum >> 64);
        t[2 * i + 1] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
        shifted = high >> 63;
    }
    montgomery_reduce(r, out, t);
}

/* Montgomery multiplication with the limb count known to the compiler, for short moduli. */
static inline __attribute__((always_inline)) void multiply_fixed(const ring *r, uint64_t *out,
                                                                 const uint64_t *a,
                                                                 const uint64_t *b,
                                                                 const size_t n) {
    uint64_t t[10] = {0};
    const uint64_t *m = r->modulus;
#pragma GCC unroll 8
    for (size_t i = 0; i < n; i++) {
        u128 top = (u128)t[n] + limbs_add_multiple(t, b, n, a[i]);
        uint64_t q = t[0] * r->negative_inverse;
        top += limbs_add_multiple(t, m, n, q);
#pragma GCC unroll 8
        for (size_t j = 0; j + 1 < n; j++) t[j] = t[j + 1];
        t[n - 1] = (uint64_t)top;
        t[n] = (uint64_t)(top >> 64);
    }
    uint64_t reduced[8];
    uint64_t borrow = limbs_sub(reduced, t, m, n);
    const uint64_t *chosen = borrow > t[n] ? t : reduced;
#pragma GCC unroll 8
    for (size_t i = 0; i < n; i++) out[i] = chosen[i];
}

#define FIXED_RING(n)                                                                   \
    static void multiply_##n(const ring *r, uint64_t *out, const uint64_t *a,           \
                             const uint64_t *b) {                                       \
        multiply_fixed(r, out, a, b, n);                                                \
    }                                                                                   \
    static void square_##n(const ring *r, uint64_t *out, const uint64_t *a) {           \
        multiply_fixed(r, out, a, a, n);                                                \
    }
FIXED_RING(1)
FIXED_RING(2)
FIXED_RING(3)
FIXED_RING(4)
FIXED_RING(6)

static void use_fixed_length(ring *r) {
    switch (r->n) {
    case 1: r->multiply = multiply_1, r->square = square_1; break;
    case 2: r->multiply = multiply_2, r->square = square_2; break;
    case 3: r->multiply = multiply_3, r->square = square_3; break;
    case 4: r->multiply = multiply_4, r->square = square_4; break;
    case 6: r->multiply = multiply_6, r->square = square_6; break;
    default: break;
    }
}

/* ---- rings modulo 2^k ---- */

/* The low n limbs of a * b: rows that grow shorter. */
static void low_multiply(const ring *r, uint64_t *out, const uint64_t *a, const uint64_t *b) {
    size_t n = r->n;
    uint64_t *t = r->scratch;
    memset(t, 0, n * 8);
    for (size_t i = 0; i < n; i++) r->add_multiple(t + i, b, n - i, a[i]);
    memcpy(out, t, n * 8);
    out[n - 1] &= r->mask;
}

static void low_square(const ring *r, uint64_t *out, const uint64_t *a) {
    low_multiply(r, out, a, a);
}

static void low_multiply_1(const ring *r, uint64_t *out, const uint64_t *a, const uint64_t *b) {
    out[0] = (a[0] * b[0]) & r->mask;
}

static void low_square_1(const ring *r, uint64_t *out, const uint64_t *a) {
    out[0] = (a[0] * a[0]) & r->mask;
}

/* The ring modulo 2^k, k > 0. */
static ring ring_modulo_two(size_t k, uint64_t *scratch) {
    ring r = {.n = (k + 63) / 64, .scratch = scratch, .multiply = low_multiply,
              .square = low_square, .add_multiple = choose_add_multiple()};
    r.mask = k % 64 == 0 ? ~(uint64_t)0 : ((uint64_t)1 << (k % 64)) - 1;
    if (r.n == 1) r.multiply = low_multiply_1, r.square = low_square_1;
    return r;
}

/* ---- division ---- */

/* One quotient digit's estimate, at most two too large, mostly right after the test against the
 * second divisor limb (Knuth, The Art of Computer Programming 2, 4.3.1, D3). d is normalised,
 * n >= 2. */
static uint64_t estimate_digit(const uint64_t *a, const uint64_t *d, size_t n) {
    uint64_t top = a[n], next = a[n - 1];
    if (top >= d[n - 1]) return ~(uint64_t)0;
    u128 dividend = ((u128)top << 64) | next;
    uint64_t q = (uint64_t)(dividend / d[n - 1]);
    u128 rest = dividend - (u128)q * d[n - 1];
    while ((rest >> 64) == 0 && (u128)q * d[n - 2] > ((rest << 64) | a[n - 2])) {
        q--;
        rest += d[n - 1];
    }
    return q;
}

/* r = a mod d. a has count + 1 limbs, the highest zero, count >= n, and is destroyed; d has its
 * highest limb not zero; normalised is scratch for n limbs. */
static void limbs_remainder(uint64_t *r, uint64_t *a, size_t count, const uint64_t *d, size_t n,
                            uint64_t *normalised) {
    if (n == 1) {
        uint64_t rest = 0;
        for (size_t i = count; i-- != 0;) {
            rest = (uint64_t)((((u128)rest << 64) | a[i]) % d[0]);
        }
        r[0] = rest;
        return;
    }
    unsigned shift = (unsigned)__builtin_clzll(d[n - 1]);
    limbs_shift_left(normalised, d, n, shift);
    a[count] = limbs_shift_left(a, a, count, shift);
    for (size_t i = count - n + 1; i-- != 0;) {
        uint64_t q = estimate_digit(a + i, normalised, n);
        uint64_t borrow = limbs_sub_multiple(a + i, normalised, n, q);
        bool is_negative = a[i + n] < borrow;
        a[i + n] -= borrow;
        while (is_negative) { /* the estimate was too large: give one back */
            uint64_t carry = limbs_add(a + i, a + i, normalised, n);
            a[i + n] += carry;
            is_negative = carry == 0 || a[i + n] != 0;
        }
    }
    limbs_shift_right(r, a, n, shift);
}

/* ---- powers ---- */

static size_t exponent_bits(const padded_number *e) {
    for (size_t i = 0; i < e->available; i++) {
        if (e->bytes[i] != 0) {
            return 8 * (e->length - i) - (size_t)__builtin_clz(e->bytes[i]) + 24;
        }
    }
    return 0;
}

static inline unsigned exponent_bit(const padded_number *e, size_t bit) {
    size_t index = e->length - 1 - bit / 8;
    return index < e->available ? (e->bytes[index] >> (bit % 8)) & 1 : 0;
}

/* The window that makes the fewest multiplications for that many bits. */
static unsigned window_width(size_t bits) {
    if (bits <= 24) return 1;
    if (bits <= 80) return 3;
    if (bits <= 240) return 4;
    return bits <= 672 ? 5 : 6;
}

#define TABLE_ELEMENTS_MAX 32

/* power = base^e in the ring for e > 0, from the top bit in sliding windows that end in a one.
 * table holds TABLE_ELEMENTS_MAX elements; power must not be base. */
static void ring_power(const ring *r, uint64_t *power, const uint64_t *base,
                       const padded_number *e, uint64_t *table) {
    size_t n = r->n, bits = exponent_bits(e);
    unsigned width = window_width(bits);
    memcpy(table, base, n * 8);
    if (width > 1) {
        r->square(r, power, base);
        for (size_t i = 1; i < (size_t)1 << (width - 1); i++) {
            r->multiply(r, table + i * n, table + (i - 1) * n, power);
        }
    }
    bool started = false;
    for (size_t bit = bits; bit-- != 0;) {
        if (exponent_bit(e, bit) == 0) {
            r->square(r, power, power); /* never before the first window: the top bit is one */
            continue;
        }
        size_t low = bit + 1 >= width ? bit + 1 - width : 0;
        while (exponent_bit(e, low) == 0) low++;
        size_t value = 0;
        for (size_t i = bit + 1; i-- != low;) {
            value = 2 * value + exponent_bit(e, i);
            if (started) r->square(r, power, power);
        }
        const uint64_t *odd_power = table + (value >> 1) * n;
        if (started) {
            r->multiply(r, power, power, odd_power);
        } else {
            memcpy(power, odd_power, n * 8);
            started = true;
        }
        bit = low;
    }
}

/* Everything one call needs, carved out of one allocation. Lengths in limbs. */
typedef struct workspace {
    size_t base_count;    /* of base; the array has one more */
    size_t modulus_count; /* of modulus, and the most of any element */
    uint64_t *base, *modulus;
    uint64_t *odd, *power_odd, *power_two, *element, *one;
    uint64_t *wide;       /* 2 * modulus_count + 2 */
    uint64_t *scratch;    /* 2 * modulus_count + 2 */
    uint64_t *table;
} workspace;

/* power_odd = base^e mod odd, n limbs. Destroys base. */
static void power_modulo_odd(workspace *w, size_t n, const padded_number *e) {
    ring r = {.n = n, .modulus = w->odd, .scratch = w->scratch, .multiply = montgomery_multiply,
              .square = montgomery_square, .add_multiple = choose_add_multiple()};
    r.negative_inverse = limb_negative_inverse(w->odd[0]);
    use_fixed_length(&r);

    /* element = base * 2^(64n) mod odd: reduce base, shift it up by n limbs, reduce again. */
    memset(w->wide, 0, (2 * n + 1) * 8);
    if (w->base_count >= n) {
        limbs_remainder(w->wide + n, w->base, w->base_count, w->odd, n, w->scratch);
    } else {
        memcpy(w->wide + n, w->base, w->base_count * 8);
    }
    limbs_remainder(w->element, w->wide, 2 * n, w->odd, n, w->scratch);
    ring_power(&r, w->power_odd, w->element, e, w->table);

    memset(w->one, 0, n * 8);
    w->one[0] = 1;
    r.multiply(&r, w->power_odd, w->power_odd, w->one);
}

/* out = odd^-1 mod 2^k by Newton: x = x * (2 - odd * x). Uses wide. */
static void invert_modulo_two(const workspace *w, const ring *r, uint64_t *out,
                              const uint64_t *odd) {
    size_t n = r->n;
    memset(out, 0, n * 8);
    out[0] = (uint64_t)0 - limb_negative_inverse(odd[0]);
    for (size_t right = 1; right < n; right *= 2) {
        uint64_t *t = w->wide;
        r->multiply(r, t, odd, out);
        uint64_t borrow = 0; /* t = 2 - t */
        for (size_t i = 0; i < n; i++) {
            u128 difference = (u128)(i == 0 ? 2 : 0) - t[i] - borrow;
            t[i] = (uint64_t)difference;
            borrow = (uint64_t)(difference >> 64) & 1;
        }
        r->multiply(r, out, out, t);
    }
    out[n - 1] &= r->mask;
}

/* power_two = base^e mod 2^k, then power_odd = the one number below odd * 2^k that is congruent
 * to both powers: power_odd + odd * ((power_two - power_odd) / odd mod 2^k). */
static void lift_to_even(workspace *w, size_t odd_count, size_t k) {
    size_t n = (k + 63) / 64, total = w->modulus_count;
    ring r = ring_modulo_two(k, w->scratch);

    uint64_t *inverse = w->element, *odd = w->one, *difference = w->power_two;
    size_t kept = odd_count < n ? odd_count : n;
    memset(odd, 0, n * 8);
    memcpy(odd, w->odd, kept * 8);
    invert_modulo_two(w, &r, inverse, odd);

    memset(w->wide, 0, n * 8);
    memcpy(w->wide, w->power_odd, kept * 8);
    limbs_sub(difference, difference, w->wide, n);
    r.multiply(&r, difference, difference, inverse);

    uint64_t *sum = w->wide; /* odd_count + n limbs; those above `total` come out zero */
    memset(sum, 0, (odd_count + n) * 8);
    memcpy(sum, w->power_odd, odd_count * 8);
    for (size_t i = 0; i < n; i++) {
        uint64_t carry = limbs_add_multiple(sum + i, w->odd, odd_count, difference[i]);
        for (size_t j = i + odd_count; carry != 0 && j < odd_count + n; j++) {
            sum[j] += carry;
            carry = sum[j] < carry;
        }
    }
    memcpy(w->power_odd, sum, total * 8);
}

/* power_two = base^e mod 2^k. Leaves base as it is. */
static void power_modulo_two(workspace *w, size_t k, const padded_number *e) {
    size_t n = (k + 63) / 64;
    ring r = ring_modulo_two(k, w->scratch);
    size_t kept = w->base_count < n ? w->base_count : n;
    memset(w->element, 0, n * 8);
    memcpy(w->element, w->base, kept * 8);
    w->element[n - 1] &= r.mask;
    ring_power(&r, w->power_two, w->element, e, w->table);
}

/* ---- the call ---- */

static void limbs_from_number(uint64_t *limbs, size_t count, const padded_number *number) {
    memset(limbs, 0, count * 8);
    for (size_t i = 0; i < number->available; i++) {
        size_t place = number->length - 1 - i; /* of the byte, from the least significant */
        limbs[place / 8] |= (uint64_t)number->bytes[i] << (place % 8 * 8);
    }
}

static void limbs_to_bytes(uint8_t *bytes, size_t length, const uint64_t *limbs, size_t count) {
    for (size_t place = 0; place < length && place / 8 < count; place++) {
        bytes[length - 1 - place] = (uint8_t)(limbs[place / 8] >> (place % 8 * 8));
    }
}

/* Drops leading zero bytes; a number that is zero becomes empty. */
static padded_number without_leading_zeros(padded_number number) {
    while (number.available != 0 && number.bytes[0] == 0) {
        number.bytes++;
        number.available--;
        number.length--;
    }
    if (number.available == 0) number.length = 0;
    return number;
}

static bool workspace_open(workspace *w, size_t base_count, size_t modulus_count) {
    size_t n = modulus_count;
    size_t limbs = base_count + 1 + 6 * n + 2 * (2 * n + 2) + TABLE_ELEMENTS_MAX * n;
    uint64_t *at = malloc(limbs * 8);
    if (at == NULL) return false;
    *w = (workspace){.base_count = base_count, .modulus_count = n, .base = at};
    at += base_count + 1;
    uint64_t **elements[] = {&w->modulus, &w->odd, &w->power_odd, &w->power_two, &w->element,
                             &w->one};
    for (size_t i = 0; i < 6; i++, at += n) *elements[i] = at;
    w->wide = at;
    w->scratch = w->wide + 2 * n + 2;
    w->table = w->scratch + 2 * n + 2;
    return true;
}

/* modulus = odd * 2^k; sets odd (returns its limbs) and *k. */
static size_t split_modulus(workspace *w, size_t *k) {
    size_t n = w->modulus_count, limb = 0;
    while (w->modulus[limb] == 0) limb++;
    unsigned bits = (unsigned)__builtin_ctzll(w->modulus[limb]);
    *k = 64 * limb + bits;
    limbs_shift_right(w->odd, w->modulus + limb, n - limb, bits);
    return limbs_significant(w->odd, n - limb);
}

outcome ghost_modexp(uint8_t *result, padded_number base, padded_number exponent,
                     padded_number modulus) {
    size_t result_length = modulus.length;
    memset(result, 0, result_length);
    base = without_leading_zeros(base);
    exponent = without_leading_zeros(exponent);
    modulus = without_leading_zeros(modulus);
    bool is_one = modulus.length == 1 && modulus.bytes[0] == 1;
    if (modulus.length == 0 || is_one) return SUCCEEDED;
    if (exponent.length == 0 || base.length == 0) {
        result[result_length - 1] = exponent.length == 0; /* 0^0 is 1 here */
        return SUCCEEDED;
    }

    workspace w;
    if (!workspace_open(&w, (base.length + 7) / 8, (modulus.length + 7) / 8)) return NO_MEMORY;
    limbs_from_number(w.base, w.base_count + 1, &base);
    limbs_from_number(w.modulus, w.modulus_count, &modulus);
    size_t k, odd_count = split_modulus(&w, &k);
    bool is_power_of_two = odd_count == 1 && w.odd[0] == 1;

    const uint64_t *answer = w.power_odd;
    size_t answer_count = w.modulus_count;
    if (k != 0) power_modulo_two(&w, k, &exponent);
    if (is_power_of_two) {
        answer = w.power_two;
        answer_count = (k + 63) / 64;
    } else {
        power_modulo_odd(&w, odd_count, &exponent);
        if (k != 0) lift_to_even(&w, odd_count, k);
    }
    limbs_to_bytes(result, result_length, answer, answer_count);
    free(w.base);
    return SUCCEEDED;
}
