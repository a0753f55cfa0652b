/* Inversion by division steps. A step takes (delta, f, g), f odd, to
 *     (1 - delta, g, (g - f) / 2)   when delta > 0 and g is odd,
 *     (1 + delta, f, (g + (g mod 2) f) / 2)   otherwise,
 * which keeps gcd(f, g) and ends at g = 0. What a step does depends on the low bits only, so 62
 * steps are first run on single words and then applied to the whole numbers as one matrix. */
#include "inverse.h"

typedef __int128 i128;

#define STEPS 62
#define WORDS 5
#define WORD_MASK ((1ULL << STEPS) - 1)

/* A number in words of 62 bits, all below 2^62 but the last, which carries the sign. */
typedef struct wide {
    int64_t words[WORDS];
} wide;

/* 2^62 times what 62 steps do: f' = (u f + v g) / 2^62, g' = (q f + r g) / 2^62. The sizes of u
 * and v, and of q and r, add up to at most 2^62. */
typedef struct transition {
    int64_t u, v, q, r;
} transition;

static wide wide_from(const u256 *a) {
    const uint64_t *l = a->limbs;
    return (wide){{(int64_t)(l[0] & WORD_MASK), (int64_t)((l[0] >> 62 | l[1] << 2) & WORD_MASK),
                   (int64_t)((l[1] >> 60 | l[2] << 4) & WORD_MASK),
                   (int64_t)((l[2] >> 58 | l[3] << 6) & WORD_MASK), (int64_t)(l[3] >> 56)}};
}

/* Runs 62 steps on the low words and returns the new delta. Words wrap as unsigned: only their low
 * bits are looked at, and the matrix stays within its bound. */
static int64_t run_steps(int64_t delta, uint64_t f, uint64_t g, transition *t) {
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = STEPS;
    for (;;) {
        /* Even g: halve it, which doubles the other row instead. */
        int zeros = __builtin_ctzll(g | ~0ULL << left);
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        delta += zeros;
        left -= zeros;
        if (left == 0) break;
        if (delta > 0) {
            uint64_t old_f = f, old_u = u, old_v = v;
            f = g;
            g = 0 - old_f;
            u = q;
            q = 0 - old_u;
            v = r;
            r = 0 - old_v;
            delta = -delta;
        }
        /* Both odd: the sum is even, and the next round halves it with its step's increment. */
        g += f;
        q += u;
        r += v;
    }
    *t = (transition){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return delta;
}

/* (a x + b y + c m) / 2^62; the low word of the sum is zero. */
static wide combine(int64_t a, const wide *x, int64_t b, const wide *y, int64_t c, const wide *m) {
    wide out;
    i128 sum = 0;
    for (int i = 0; i < WORDS; i++) {
        sum += (i128)a * x->words[i] + (i128)b * y->words[i] + (i128)c * m->words[i];
        if (i > 0) out.words[i - 1] = (int64_t)((uint64_t)sum & WORD_MASK);
        sum >>= STEPS;
    }
    out.words[WORDS - 1] = (int64_t)sum;
    return out;
}

/* As combine, with the multiple of m that makes the low word zero. When x and y lie between -k m
 * and k m, the result lies between -k m and (k + 1) m. */
static wide combine_modulo(int64_t a, const wide *x, int64_t b, const wide *y, const wide *m,
                           uint64_t inverse62) {
    uint64_t low = (uint64_t)a * (uint64_t)x->words[0] + (uint64_t)b * (uint64_t)y->words[0];
    uint64_t c = (0 - low * inverse62) & WORD_MASK;
    return combine(a, x, b, y, (int64_t)c, m);
}

static bool wide_is_zero(const wide *a) {
    int64_t any = 0;
    for (int i = 0; i < WORDS; i++) any |= a->words[i];
    return any == 0;
}

/* sign * a modulo m, for a within 31 m of zero. */
static u256 reduce(const wide *a, int64_t sign, const modulus *m) {
    /* a + 32 m is positive, and below 2^262. */
    const wide prime = wide_from(&m->value);
    i128 carry = 0;
    uint64_t w[WORDS];
    for (int i = 0; i < WORDS; i++) {
        carry += (i128)sign * a->words[i] + (i128)32 * prime.words[i];
        w[i] = (uint64_t)carry & WORD_MASK;
        carry >>= STEPS;
    }
    u256 r = {{w[0] | w[1] << 62, w[1] >> 2 | w[2] << 60, w[2] >> 4 | w[3] << 58,
               w[3] >> 6 | w[4] << 56}};
    uint64_t excess = w[4] >> 8;
    /* 2^256 is 2^256 - m modulo m, a number so small that the second fold leaves no excess. */
    const u256 nothing = u256_from_u64(0);
    u256 fold;
    u256_sub(&fold, &nothing, &m->value);
    for (int pass = 0; pass < 2; pass++) {
        unsigned __int128 sum = 0;
        for (int i = 0; i < 4; i++) {
            sum += (unsigned __int128)excess * fold.limbs[i] + r.limbs[i];
            r.limbs[i] = (uint64_t)sum;
            sum >>= 64;
        }
        excess = (uint64_t)sum;
    }
    u256 less;
    return u256_sub(&less, &r, &m->value) ? r : less;
}

u256 modular_inverse(const u256 *a, const modulus *m) {
    const wide prime = wide_from(&m->value);
    /* f = d a and g = e a modulo m throughout. */
    wide f = prime, g = wide_from(a), d = {{0}}, e = {{1}};
    int64_t delta = 1;
    while (!wide_is_zero(&g)) {
        transition t;
        delta = run_steps(delta, (uint64_t)f.words[0], (uint64_t)g.words[0], &t);
        const wide old_f = f, old_d = d;
        f = combine(t.u, &f, t.v, &g, 0, &prime);
        g = combine(t.q, &old_f, t.r, &g, 0, &prime);
        d = combine_modulo(t.u, &d, t.v, &e, &prime, m->inverse62);
        e = combine_modulo(t.q, &old_d, t.r, &e, &prime, m->inverse62);
    }
    /* f is now plus or minus the gcd, 1; or m itself when a was 0, and d is 0 then. */
    return reduce(&d, f.words[WORDS - 1] < 0 ? -1 : 1, m);
}
