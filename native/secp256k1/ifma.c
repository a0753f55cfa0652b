/* Recovery of eight signatures at a time.
 *
 * The flow of one chunk, in vectors of eight lanes: the root that makes R of r; the odd multiples
 * R, 3 R, ... 31 R; for each of 26 digits of five bits one sum of what the four scalars (two of R,
 * two of the generator) contribute there; then one ladder of five doublings and one addition a
 * digit. All scalars are odd, hence no digit is zero and all lanes do the same. Tables and sums
 * are affine: an addition costs six products once the inversion is shared among many.
 *
 * Lanes whose points meet are done again by the portable code (see lanes_group.h). A signer can
 * force that, at the price of one portable recovery for each such signature and no more. */
#ifdef __x86_64__

#include <pthread.h>
#include <stdlib.h>

#pragma GCC target("avx512f,avx512dq,avx512vl,avx512ifma,bmi2")

#include "lanes_group.h"

#define VECTORS_MAX (RECOVERY_CHUNK_MAX / LANES)
#define ENTRIES 16
#define DIGITS 26
#define GENERATOR_DIGITS (DIGITS / 2)
#define TOP (DIGITS - 1)

/* Vectors whose digit sums share an inversion: many make it cheap, few fit the cache. */
#define SUM_GROUP 8
#define FIRST_SUMS (DIGITS + GENERATOR_DIGITS)

/* The last round of the tables has half a table of chords for each vector of the chunk. */
#define LAST_ROUND (ENTRIES / 2 * VECTORS_MAX)
#define CHORDS_MAX (FIRST_SUMS * SUM_GROUP > LAST_ROUND ? FIRST_SUMS * SUM_GROUP : LAST_ROUND)

typedef struct table_entry {
    lanes x, y;
    lanes twisted; /* beta * x: the x of lambda times the point */
} table_entry;

/* The bits of eight scalars, word by word. */
typedef struct lanes_signs {
    uint64_t words[3][LANES];
} lanes_signs;

/* One vector of eight signatures between the steps. */
typedef struct vector {
    lanes_affine point; /* R */
    lanes_affine even; /* 2^k R while the table grows */
    lanes_jacobian sum;
    lanes_signs signs[4]; /* R's two halves, the generator's two */
    uint64_t x[4][LANES];
    uint64_t odd[LANES];
    __mmask8 on_curve, failed;
    table_entry table[ENTRIES];
} vector;

typedef struct workspace {
    vector vectors[VECTORS_MAX];
    chord chords[CHORDS_MAX];
    chord second[GENERATOR_DIGITS * SUM_GROUP];
    struct workspace *next;
} workspace;

/* Workspaces wait here for the next chunk, since fresh pages would cost more than the work. There
 * are never more than threads that recovered at one time. */
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static workspace *spare;

static workspace *workspace_take(void) {
    pthread_mutex_lock(&spare_lock);
    workspace *taken = spare;
    if (taken) spare = taken->next;
    pthread_mutex_unlock(&spare_lock);
    return taken ? taken : aligned_alloc(64, sizeof(workspace));
}

static void workspace_give(workspace *given) {
    pthread_mutex_lock(&spare_lock);
    given->next = spare;
    spare = given;
    pthread_mutex_unlock(&spare_lock);
}

static lanes lanes_load(const uint64_t words[4][LANES]) {
    const __m512i mask = broadcast(FE_MASK);
    __m512i w[4];
    for (int i = 0; i < 4; i++) w[i] = _mm512_loadu_si512(words[i]);
    lanes r;
    r.n[0] = _mm512_and_si512(w[0], mask);
    for (unsigned i = 1; i < 4; i++) {
        __m512i low = _mm512_srli_epi64(w[i - 1], 64 - 12 * i);
        r.n[i] = _mm512_and_si512(_mm512_or_si512(low, _mm512_slli_epi64(w[i], 12 * i)), mask);
    }
    r.n[4] = _mm512_srli_epi64(w[3], 16);
    return r;
}

static void load_tasks(vector *v, const recovery_task *tasks, size_t count) {
    for (size_t lane = 0; lane < LANES; lane++) {
        /* Lanes without a task repeat the first one. */
        const recovery_task *task = &tasks[lane < count ? lane : 0];
        sign_bits signs[4];
        scalar_split_signs(&signs[0], &signs[1], &task->u2);
        scalar_generator_signs(&signs[2], &signs[3], &task->u1);
        for (int i = 0; i < 4; i++)
            for (int word = 0; word < 3; word++)
                v->signs[i].words[word][lane] = signs[i].words[word];
        for (int i = 0; i < 4; i++) v->x[i][lane] = task->x.limbs[i];
        v->odd[lane] = task->odd;
    }
    v->failed = 0;
}

/* a[i] = a[i]^(2^times) for all i: interleaved, since one chain alone waits for its products. */
static void square_times(lanes *a, size_t count, int times) {
    for (int t = 0; t < times; t++)
        for (size_t i = 0; i < count; i++) a[i] = lanes_sqr(&a[i]);
}

static void multiply_all(lanes *a, const lanes *b, size_t count) {
    for (size_t i = 0; i < count; i++) a[i] = lanes_mul(&a[i], &b[i]);
}

/* The most elements that one call of lanes_roots takes. */
#define ROOTS_MAX 4

/* r[i] = r[i]^(2^times) * b[i]. */
static void shift_multiply(lanes *r, int times, const lanes *b, size_t count) {
    square_times(r, count, times);
    multiply_all(r, b, count);
}

/* a[i]^((p + 1) / 4), by the chain of fe_root. */
static void lanes_roots(lanes *r, const lanes *a, size_t count) {
    lanes x2[ROOTS_MAX], x3[ROOTS_MAX], x22[ROOTS_MAX], x44[ROOTS_MAX], copy[ROOTS_MAX];
    const size_t bytes = count * sizeof(lanes);
    memcpy(x2, a, bytes);
    shift_multiply(x2, 1, a, count);
    memcpy(x3, x2, bytes);
    shift_multiply(x3, 1, a, count);
    memcpy(r, x3, bytes);
    shift_multiply(r, 3, x3, count); /* 6 */
    shift_multiply(r, 3, x3, count); /* 9 */
    shift_multiply(r, 2, x2, count); /* 11 */
    memcpy(copy, r, bytes);
    shift_multiply(r, 11, copy, count);
    memcpy(x22, r, bytes);
    shift_multiply(r, 22, x22, count);
    memcpy(x44, r, bytes);
    shift_multiply(r, 44, x44, count);
    memcpy(copy, r, bytes);
    shift_multiply(r, 88, copy, count); /* 176 */
    shift_multiply(r, 44, x44, count); /* 220 */
    shift_multiply(r, 3, x3, count); /* 223 */
    shift_multiply(r, 23, x22, count);
    shift_multiply(r, 6, x2, count);
    square_times(r, count, 2);
}

/* a with its lanes exchanged across a distance of 1, 2 or 4. */
static lanes exchange(const lanes *a, int distance) {
    const __m512i order = _mm512_xor_si512(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7),
                                           broadcast((uint64_t)distance));
    lanes r;
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_permutexvar_epi64(order, a->n[i]);
    return r;
}

/* 1 / a, no lane zero: one inversion of the product of all lanes, times the other seven. */
static lanes lanes_inverse(const lanes *a) {
    lanes others = exchange(a, 1);
    lanes all = lanes_mul(a, &others);
    for (int distance = 2; distance < LANES; distance *= 2) {
        lanes opposite = exchange(&all, distance);
        others = lanes_mul(&others, &opposite);
        all = lanes_mul(&all, &opposite);
    }
    fe product;
    for (int i = 0; i < 5; i++)
        product.n[i] = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(all.n[i]));
    product = fe_inverse(&product);
    all = lanes_broadcast(&product);
    return lanes_mul(&others, &all);
}

/* The lanes whose value modulo p is odd. */
static __mmask8 odd_mask(const lanes *a) {
    /* a - p, or a when that is negative: a is below 2 p. */
    lanes raised = *a;
    raised.n[0] = _mm512_add_epi64(raised.n[0], broadcast(FE_FOLD));
    raised = lanes_carry(raised);
    __mmask8 above = _mm512_cmpge_epu64_mask(raised.n[4], broadcast(1ULL << 48));
    lanes least = lanes_blend(above, a, &raised);
    return _mm512_test_epi64_mask(least.n[0], broadcast(1));
}

/* -y in the lanes of mask; limbs below 2^53. */
INLINE lanes negate_in(__mmask8 mask, lanes y) {
    const uint64_t prime[5] = {FE_P0, FE_MASK, FE_MASK, FE_MASK, FE_TOP_MASK};
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        y.n[i] = _mm512_mask_sub_epi64(y.n[i], mask, broadcast(2 * prime[i]), y.n[i]);
    return y;
}

/* Finds R for vectors[0..count), count at most ROOTS_MAX. */
static void lift(vector *vectors, size_t count) {
    lanes right[ROOTS_MAX] = {}, root[ROOTS_MAX];
    for (size_t i = 0; i < count; i++) {
        vectors[i].point.x = lanes_load(vectors[i].x);
        lanes cube = lanes_sqr(&vectors[i].point.x);
        cube = lanes_mul_loose(&cube, &vectors[i].point.x);
        cube.n[0] = _mm512_add_epi64(cube.n[0], broadcast(7));
        right[i] = lanes_carry(cube);
    }
    lanes_roots(root, right, count);
    for (size_t i = 0; i < count; i++) {
        lanes difference = lanes_sqr_loose(&root[i]);
        difference = lanes_sub(&difference, &right[i], 2);
        difference = lanes_tighten(difference);
        vectors[i].on_curve = lanes_zero_mask(&difference);
        lanes minus = negate_in(0xff, root[i]);
        minus = lanes_tighten(minus);
        __mmask8 wanted = _mm512_test_epi64_mask(_mm512_loadu_si512(vectors[i].odd), broadcast(1));
        vectors[i].point.y = lanes_blend(odd_mask(&root[i]) ^ wanted, &root[i], &minus);
    }
}

/* Asks for a chord that is wanted soon: the chords of a group lie beyond the first cache. */
INLINE void prefetch_chord(const chord *c) {
    const char *bytes = (const char *)c;
#pragma GCC unroll 32
    for (size_t offset = 0; offset < sizeof(chord); offset += 64)
        _mm_prefetch(bytes + offset, _MM_HINT_T0);
}

/* The third point of a chord whose run has the given inverse. */
INLINE void chord_finish(chord *c, const lanes *inverse) {
    lanes slope = lanes_mul(inverse, &c->rise);
    lanes x = lanes_sqr_loose(&slope);
    x = lanes_sub(&x, &c->sum, 4);
    x = lanes_tighten(x);
    lanes back = lanes_sub(&c->x, &x, 2);
    back = lanes_tighten(back);
    lanes y = lanes_mul_loose(&slope, &back);
    y = lanes_sub(&y, &c->y, 4);
    c->x = x;
    c->y = lanes_tighten(y);
}

/* Products that grow side by side: one alone would wait for each of its multiplications. */
#define CHAINS 2

/* Completes chords[0..count): x and y become those of the third point. A chord without a run is
 * marked in its owner's failed lanes and comes out as nonsense. */
static void chords_solve(chord *chords, size_t count, vector *vectors) {
    const lanes one = lanes_one();
    lanes products[CHAINS] = {one, one}, rest[CHAINS];
    for (size_t i = 0; i < count; i++) {
        chord *c = &chords[i];
        __mmask8 zero = lanes_zero_mask(&c->run);
        if (__builtin_expect(zero, 0)) {
            c->run = lanes_blend(zero, &c->run, &one);
            vectors[c->owner].failed |= zero;
        }
        c->before = products[i % CHAINS];
        products[i % CHAINS] = lanes_mul(&products[i % CHAINS], &c->run);
    }
    lanes both = lanes_mul(&products[0], &products[1]);
    both = lanes_inverse(&both);
    rest[0] = lanes_mul(&both, &products[1]);
    rest[1] = lanes_mul(&both, &products[0]);
    for (size_t i = count; i-- > 0;) {
        chord *c = &chords[i];

        lanes inverse = lanes_mul(&rest[i % CHAINS], &c->before);
        rest[i % CHAINS] = lanes_mul(&rest[i % CHAINS], &c->run);
        chord_finish(c, &inverse);
    }
}

/* Fills the tables: round k adds 2^k R to the first 2^(k - 1) odd multiples, and doubles it. */
static void make_tables(workspace *w, size_t count) {
    for (size_t v = 0; v < count; v++) {
        w->vectors[v].table[0].x = w->vectors[v].point.x;
        w->vectors[v].table[0].y = w->vectors[v].point.y;
        w->vectors[v].even = w->vectors[v].point;
    }
    for (size_t round = 0; round < 5; round++) {
        size_t sums = round ? (size_t)1 << (round - 1) : 0, used = 0;
        for (size_t v = 0; v < count; v++) {
            for (size_t i = 0; i < sums; i++) {
                const table_entry *entry = &w->vectors[v].table[i];
                const lanes_affine multiple = {entry->x, entry->y};
                chord_add(&w->chords[used++], &multiple, &w->vectors[v].even, v);
            }
            if (round < 4) chord_double(&w->chords[used++], &w->vectors[v].even, v);
        }
        chords_solve(w->chords, used, w->vectors);
        const chord *solved = w->chords;
        for (size_t v = 0; v < count; v++) {
            for (size_t i = 0; i < sums; i++, solved++) {
                w->vectors[v].table[sums + i].x = solved->x;
                w->vectors[v].table[sums + i].y = solved->y;
            }
            if (round < 4) {
                w->vectors[v].even = (lanes_affine){solved->x, solved->y};
                solved++;
            }
        }
    }
    const lanes beta = lanes_broadcast(&FIELD_BETA);
    for (size_t v = 0; v < count; v++)
        for (int i = 0; i < ENTRIES; i++) {
            table_entry *entry = &w->vectors[v].table[i];
            entry->twisted = lanes_mul(&entry->x, &beta);
        }
}

/* Cuts the digit of width bits at position out of each lane. */
INLINE __m512i digit_at(const lanes_signs *signs, unsigned position, unsigned width) {
    unsigned word = position / 64, shift = position % 64;
    __m512i digit = _mm512_srl_epi64(_mm512_loadu_si512(signs->words[word]),
                                     _mm_cvtsi32_si128((int)shift));
    if (shift + width > 64 && word < 2) {
        __m512i high = _mm512_sll_epi64(_mm512_loadu_si512(signs->words[word + 1]),
                                        _mm_cvtsi32_si128((int)(64 - shift)));
        digit = _mm512_or_si512(digit, high);
    }
    return _mm512_and_si512(digit, broadcast((1ULL << width) - 1));
}

/* Where a digit v of width bits stands in a table of odd multiples, and whether it is negative:
 * the number is 2 v - (2^width - 1). */
INLINE __m512i index_of(__m512i digit, unsigned width, __mmask8 *negative) {
    const __m512i half = broadcast(1ULL << (width - 1));
    *negative = _mm512_testn_epi64_mask(digit, half);
    __m512i flip = _mm512_mask_blend_epi64(*negative, half, broadcast((1ULL << (width - 1)) - 1));
    return _mm512_xor_si512(digit, flip);
}

INLINE lanes gather(const lanes *base, __m512i index) {
    lanes r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_i64gather_epi64(index, &base->n[i], 8);
    return r;
}

/* R's contribution at a digit: one half's entry of each lane, with its sign. */
INLINE lanes_affine select_multiple(const vector *v, int half, unsigned digit, bool flip) {
    __mmask8 negative;
    __m512i index = index_of(digit_at(&v->signs[half], 5 * digit, 5), 5, &negative);
    if (flip) negative = (__mmask8)~negative;
    const __m512i stride = broadcast(sizeof(table_entry) / 8);
    index = _mm512_add_epi64(_mm512_mullox_epi64(index, stride),
                             _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    lanes_affine r;
    r.x = gather(half ? &v->table[0].twisted : &v->table[0].x, index);
    r.y = negate_in(negative, gather(&v->table[0].y, index));
    return r;
}

/* The generator's: four words of x and of y, in the lane's own cache line. */
INLINE lanes_affine select_generator(const generator_tables *tables, const vector *v, int half,
                                     unsigned digit) {
    __mmask8 negative;
    unsigned width = GENERATOR_DIGIT_BITS;
    __m512i index = index_of(digit_at(&v->signs[2 + half], width * digit, width), width, &negative);
    index = _mm512_slli_epi64(index, 3);
    const packed_point *base = tables->points[half];
    uint64_t x[4][LANES], y[4][LANES];
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(x[i], _mm512_i64gather_epi64(index, &base->x.limbs[i], 8));
        _mm512_storeu_si512(y[i], _mm512_i64gather_epi64(index, &base->y.limbs[i], 8));
    }
    lanes_affine r;
    r.x = lanes_load(x);
    r.y = negate_in(negative, lanes_load(y));
    return r;
}

/* Adds up what each digit contributes: R's halves everywhere, the generator's at even digits. The
 * ladder wants its start negative: its steps negate (see lanes_group.h). Leaves the sum of an odd
 * digit d of vector v in chords[v * FIRST_SUMS + d], of an even one in
 * second[v * GENERATOR_DIGITS + d / 2], v counted from first. */
static void make_sums(workspace *w, size_t first, size_t count) {
    const generator_tables *tables = generator_tables_get();
    for (size_t i = 0; i < count; i++) {
        const vector *v = &w->vectors[first + i];
        chord *chords = &w->chords[i * FIRST_SUMS];
        for (unsigned digit = 0; digit < DIGITS; digit++) {
            lanes_affine plain = select_multiple(v, 0, digit, digit == TOP);
            lanes_affine twisted = select_multiple(v, 1, digit, digit == TOP);
            chord_add(&chords[digit], &plain, &twisted, first + i);
        }
        for (unsigned digit = 0; digit < GENERATOR_DIGITS; digit++) {
            lanes_affine low = select_generator(tables, v, 0, digit);
            lanes_affine high = select_generator(tables, v, 1, digit);
            chord_add(&chords[DIGITS + digit], &low, &high, first + i);
        }
    }
    chords_solve(w->chords, count * FIRST_SUMS, w->vectors);
    for (size_t i = 0; i < count; i++)
        for (size_t digit = 0; digit < GENERATOR_DIGITS; digit++) {
            const chord *r = &w->chords[i * FIRST_SUMS + 2 * digit];
            const chord *g = &w->chords[i * FIRST_SUMS + DIGITS + digit];
            const lanes_affine p = {r->x, r->y}, q = {g->x, g->y};
            chord_add(&w->second[i * GENERATOR_DIGITS + digit], &p, &q, first + i);
        }
    chords_solve(w->second, count * GENERATOR_DIGITS, w->vectors);
}

/* From the sums of vector i of a group to minus the public key. */
static void run_ladder(const workspace *w, size_t i, lanes_jacobian *result) {
    const chord *first = &w->chords[i * FIRST_SUMS];
    const chord *second = &w->second[i * GENERATOR_DIGITS];
    lanes_jacobian sum = {first[TOP].x, first[TOP].y, lanes_one()};
    for (int digit = TOP - 1; digit >= 0; digit--) {
        const chord *c = digit % 2 ? &first[digit] : &second[digit / 2];
        for (int step = 0; step < 5; step++) lanes_double_negate(&sum);
        const lanes_affine point = {c->x, c->y};
        lanes_add_negate(&sum, &point);
    }
    *result = sum;
}

/* Inverts each sum's z in place, marking the lanes where it is zero. */
static void invert_z(workspace *w, size_t count) {
    const lanes one = lanes_one();
    lanes before[VECTORS_MAX], product = one;
    for (size_t v = 0; v < count; v++) {
        lanes *z = &w->vectors[v].sum.z;
        __mmask8 zero = lanes_zero_mask(z);
        *z = lanes_blend(zero, z, &one);
        w->vectors[v].failed |= zero;
        before[v] = product;
        product = lanes_mul(&product, z);
    }
    lanes rest = lanes_inverse(&product);
    for (size_t v = count; v-- > 0;) {
        lanes inverse = lanes_mul(&rest, &before[v]);
        rest = lanes_mul(&rest, &w->vectors[v].sum.z);
        w->vectors[v].sum.z = inverse;
    }
}

static void store_key(uint8_t out[64], const uint64_t x[5][LANES], const uint64_t y[5][LANES],
                      size_t lane) {
    fe key_x, key_y;
    for (int i = 0; i < 5; i++) {
        key_x.n[i] = x[i][lane];
        key_y.n[i] = y[i][lane];
    }
    key_y = fe_negate(&key_y, 1);
    u256 word = fe_to_u256(&key_x);
    u256_to_be(out, &word);
    word = fe_to_u256(&key_y);
    u256_to_be(out + 32, &word);
}

/* Writes a vector's public keys; failed lanes are done again. */
static void store_vector(const vector *v, ghost_recovery *items, const recovery_task *tasks,
                         size_t count) {
    uint64_t x[5][LANES], y[5][LANES];
    lanes square = lanes_sqr(&v->sum.z);
    lanes cube = lanes_mul(&square, &v->sum.z);
    lanes key_x = lanes_mul(&v->sum.x, &square);
    lanes key_y = lanes_mul(&v->sum.y, &cube);
    for (int i = 0; i < 5; i++) {
        _mm512_storeu_si512(x[i], key_x.n[i]);
        _mm512_storeu_si512(y[i], key_y.n[i]);
    }
    for (size_t lane = 0; lane < count; lane++) {
        if (!(v->on_curve >> lane & 1)) continue;
        if (v->failed >> lane & 1) {
            recover_chunk_portable(items, &tasks[lane], 1);
            continue;
        }
        ghost_recovery *item = &items[tasks[lane].index];
        store_key(item->public_key, x, y, lane);
        item->ok = 1;
    }
}

bool recover_chunk_ifma(ghost_recovery *items, const recovery_task *tasks, size_t count) {
    workspace *w = workspace_take();
    if (!w) return false;
    size_t vectors = (count + LANES - 1) / LANES;
    for (size_t v = 0; v < vectors; v++)
        load_tasks(&w->vectors[v], tasks + v * LANES, count - v * LANES);
    for (size_t v = 0; v < vectors; v += ROOTS_MAX)
        lift(&w->vectors[v], vectors - v < ROOTS_MAX ? vectors - v : ROOTS_MAX);
    make_tables(w, vectors);
    for (size_t v = 0; v < vectors; v += SUM_GROUP) {
        size_t group = vectors - v < SUM_GROUP ? vectors - v : SUM_GROUP;
        make_sums(w, v, group);
        for (size_t i = 0; i < group; i++) run_ladder(w, i, &w->vectors[v + i].sum);
    }
    invert_z(w, vectors);
    for (size_t v = 0; v < vectors; v++) {
        size_t rest = count - v * LANES;
        store_vector(&w->vectors[v], items, tasks + v * LANES, rest < LANES ? rest : LANES);
    }
    workspace_give(w);
    return true;
}

#else

#include "group.h"

/* No other CPU has these instructions; the level is never asked for there. */
bool recover_chunk_ifma(ghost_recovery *items, const recovery_task *tasks, size_t count) {
    (void)items;
    (void)tasks;
    (void)count;
    return false;
}

#endif
