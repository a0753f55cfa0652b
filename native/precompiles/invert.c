/* Inversion modulo an odd number of 256 or 384 bits by division steps (Bernstein and Yang, "Fast
 * constant-time gcd computation and modular inversion", 2019), here with variable time.
 *
 * f starts as the modulus, g as the number. A division step halves g, after making it even with
 * f. 62 steps depend on the low 62 bits of f and g alone, so they are found as one 2x2 matrix on
 * machine words, which then is applied to the long numbers f, g and to d, e, the factors with
 * d * a = f and e * a = g modulo m. When g is 0, f is 1 or -1, and d the inverse or its negative.
 */
#include "carry.h"

#define LIMBS_MAX 7
#define LIMB_BITS 62
#define LIMB_MASK ((uint64_t)-1 >> (64 - LIMB_BITS))

typedef __int128 i128;

/* Signed: value = sum of limbs[i] * 2^(62 i) for i < n, limbs below 2^62 but the last, which has
 * the sign. n is 5 or 7 and known to the compiler in each of the two instances below. */
typedef struct signed_long {
    int64_t limbs[LIMBS_MAX];
} signed_long;

/* What 62 steps do: 2^62 f' = u f + v g, 2^62 g' = q f + r g. */
typedef struct step_matrix {
    int64_t u, v, q, r;
} step_matrix;

/* From `count` plain words; 62 n bits hold them. */
ALWAYS_INLINE signed_long split(const uint64_t *words, int count, const int n) {
    signed_long out = {{0}};
    for (int i = 0; i < n; i++) {
        int word = LIMB_BITS * i / 64, shift = LIMB_BITS * i % 64;
        uint64_t limb = word < count ? words[word] >> shift : 0;
        if (shift != 0 && word + 1 < count) limb |= words[word + 1] << (64 - shift);
        out.limbs[i] = (int64_t)(limb & LIMB_MASK);
    }
    return out;
}

/* To `count` plain words, of a number that is not negative and fits them. */
ALWAYS_INLINE void join(uint64_t *words, int count, const signed_long *a, const int n) {
    for (int i = 0; i < count; i++) {
        int limb = 64 * i / LIMB_BITS, shift = 64 * i % LIMB_BITS;
        words[i] = (uint64_t)a->limbs[limb] >> shift;
        if (limb + 1 < n) words[i] |= (uint64_t)a->limbs[limb + 1] << (LIMB_BITS - shift);
    }
}

/* 62 steps on the low words of f (odd) and g. delta is the difference that decides whether f and
 * g change places; returns the new one. */
static int64_t find_steps(step_matrix *m, int64_t delta, uint64_t f, uint64_t g) {
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = LIMB_BITS;
    for (;;) {
        /* Halve g while it is even; doubling the row of f keeps the common factor. */
        int zeros = __builtin_ctzll(g | (~(uint64_t)0 << left));
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        delta += zeros;
        left -= zeros;
        if (left == 0) break;
        if (delta > 0) {
            uint64_t old_f = f, old_u = u, old_v = v;
            f = g, u = q, v = r;
            g = 0 - old_f, q = 0 - old_u, r = 0 - old_v;
            delta = -delta;
        }
        /* Until delta is positive again the next steps only add f to g: add the multiple of f
         * that clears up to six bits at once. f * (2 - f^2) is 1/f modulo 64. */
        int64_t limit = 1 - delta;
        if (limit > left) limit = left;
        if (limit > 6) limit = 6;
        uint64_t mask = ((uint64_t)1 << limit) - 1;
        uint64_t multiple = (0 - g * (f * (2 - f * f))) & mask;
        g += f * multiple;
        q += u * multiple;
        r += v * multiple;
    }
    *m = (step_matrix){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return delta;
}

/* (f, g) = matrix * (f, g) / 2^62, exactly. */
ALWAYS_INLINE void apply_to_values(signed_long *f, signed_long *g, const step_matrix *m,
                                   const int n) {
    i128 sum_f = (i128)m->u * f->limbs[0] + (i128)m->v * g->limbs[0];
    i128 sum_g = (i128)m->q * f->limbs[0] + (i128)m->r * g->limbs[0];
    for (int i = 1; i < n; i++) {
        int64_t fi = f->limbs[i], gi = g->limbs[i];
        sum_f = (sum_f >> LIMB_BITS) + (i128)m->u * fi + (i128)m->v * gi;
        sum_g = (sum_g >> LIMB_BITS) + (i128)m->q * fi + (i128)m->r * gi;
        f->limbs[i - 1] = (int64_t)((uint64_t)sum_f & LIMB_MASK);
        g->limbs[i - 1] = (int64_t)((uint64_t)sum_g & LIMB_MASK);
    }
    f->limbs[n - 1] = (int64_t)(sum_f >> LIMB_BITS);
    g->limbs[n - 1] = (int64_t)(sum_g >> LIMB_BITS);
}

/* (d, e) = matrix * (d, e) / 2^62 modulo the modulus, keeping both within (-2m, m): negative
 * inputs first gain m, then a multiple of m makes the lowest limb zero. */
ALWAYS_INLINE void apply_to_factors(signed_long *d, signed_long *e, const step_matrix *t,
                                    const signed_long *modulus, uint64_t inverse, const int n) {
    int64_t d_negative = d->limbs[n - 1] >> 63, e_negative = e->limbs[n - 1] >> 63;
    int64_t md = (t->u & d_negative) + (t->v & e_negative);
    int64_t me = (t->q & d_negative) + (t->r & e_negative);
    i128 sum_d = (i128)t->u * d->limbs[0] + (i128)t->v * e->limbs[0];
    i128 sum_e = (i128)t->q * d->limbs[0] + (i128)t->r * e->limbs[0];
    md -= (int64_t)((inverse * (uint64_t)sum_d + (uint64_t)md) & LIMB_MASK);
    me -= (int64_t)((inverse * (uint64_t)sum_e + (uint64_t)me) & LIMB_MASK);
    sum_d += (i128)modulus->limbs[0] * md;
    sum_e += (i128)modulus->limbs[0] * me;
    for (int i = 1; i < n; i++) {
        int64_t di = d->limbs[i], ei = e->limbs[i], mi = modulus->limbs[i];
        sum_d = (sum_d >> LIMB_BITS) + (i128)t->u * di + (i128)t->v * ei + (i128)mi * md;
        sum_e = (sum_e >> LIMB_BITS) + (i128)t->q * di + (i128)t->r * ei + (i128)mi * me;
        d->limbs[i - 1] = (int64_t)((uint64_t)sum_d & LIMB_MASK);
        e->limbs[i - 1] = (int64_t)((uint64_t)sum_e & LIMB_MASK);
    }
    d->limbs[n - 1] = (int64_t)(sum_d >> LIMB_BITS);
    e->limbs[n - 1] = (int64_t)(sum_e >> LIMB_BITS);
}

/* a += factor * b, factor 1 or -1. */
ALWAYS_INLINE void accumulate(signed_long *a, const signed_long *b, int64_t factor, const int n) {
    int64_t carry = 0;
    for (int i = 0; i < n; i++) {
        int64_t sum = a->limbs[i] + factor * b->limbs[i] + carry;
        carry = i + 1 < n ? sum >> LIMB_BITS : 0;
        a->limbs[i] = i + 1 < n ? (int64_t)((uint64_t)sum & LIMB_MASK) : sum;
    }
}

ALWAYS_INLINE bool is_negative(const signed_long *a, const int n) {
    return a->limbs[n - 1] < 0;
}

ALWAYS_INLINE bool is_zero(const signed_long *a, const int n) {
    int64_t any = 0;
    for (int i = 0; i < n; i++) any |= a->limbs[i];
    return any == 0;
}

ALWAYS_INLINE void invert(uint64_t *out, const uint64_t *a, const uint64_t *m, const int count,
                          const int n) {
    const signed_long modulus = split(m, count, n);
    signed_long f = modulus, g = split(a, count, n), d = {{0}}, e = {{1}};
    uint64_t inverse = (3 * m[0]) ^ 2;
    for (int i = 0; i < 4; i++) inverse *= 2 - m[0] * inverse;
    int64_t delta = 1;
    while (!is_zero(&g, n)) {
        step_matrix steps;
        /* The low limbs alone: 62 steps look at 62 bits. */
        delta = find_steps(&steps, delta, (uint64_t)f.limbs[0], (uint64_t)g.limbs[0]);
        apply_to_factors(&d, &e, &steps, &modulus, inverse, n);
        apply_to_values(&f, &g, &steps, n);
    }
    if (is_negative(&f, n)) {
        signed_long negated = {{0}};
        accumulate(&negated, &d, -1, n);
        d = negated;
    }
    while (is_negative(&d, n)) accumulate(&d, &modulus, 1, n);
    signed_long reduced = d;
    accumulate(&reduced, &modulus, -1, n);
    join(out, count, is_negative(&reduced, n) ? &d : &reduced, n);
}

void ghost_limbs_invert(uint64_t *out, const uint64_t *a, const uint64_t *m, int count) {
    if (count == 4) {
        invert(out, a, m, 4, 5);
    } else {
        invert(out, a, m, 6, 7);
    }
}
