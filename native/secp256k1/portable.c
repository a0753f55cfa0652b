/* Recovery one signature at a time, for every CPU and for the lanes that the vector code gives
 * up: u1 * G + u2 * R by interleaved signed digits, complete in every case. */
#include "group.h"

/* R's digits are odd and below 16 in size (width 5): a table of R, 3 R, ... 15 R. */
#define POINT_WIDTH 5
#define POINT_ENTRIES 8
#define GENERATOR_WIDTH (GENERATOR_DIGIT_BITS + 1)
#define DIGITS_MAX 132

typedef struct digits {
    int16_t digit[DIGITS_MAX];
    int length; /* one more than the highest position with a digit */
} digits;

/* One signature between the steps of a chunk. */
typedef struct portable_work {
    size_t task;
    affine multiples[POINT_ENTRIES];
    affine twisted[POINT_ENTRIES]; /* lambda times the same */
    jacobian sum;
} portable_work;

/* Writes the non-adjacent form of a number below 2^131 with digits below 2^(width - 1) in size,
 * any two non-zero ones at least width positions apart. */
static void write_digits(digits *out, const split_half *number, int width) {
    uint64_t words[4] = {number->limbs[0], number->limbs[1], number->limbs[2], 0};
    int carry = 0;
    *out = (digits){.length = 0};
    for (int position = 0; position < DIGITS_MAX;) {
        if ((int)(words[position / 64] >> (position % 64) & 1) == carry) {
            position++;
            continue;
        }
        int word = position / 64, shift = position % 64;
        uint64_t window = words[word] >> shift;
        if (shift) window |= words[word + 1] << (64 - shift);
        int value = (int)(window & ((1u << width) - 1)) + carry;
        carry = value >> (width - 1);
        value -= carry << width;
        out->digit[position] = (int16_t)(number->negative ? -value : value);
        out->length = position + 1;
        position += width;
    }
}

/* acc + digit * P from P's table of odd multiples. */
static jacobian add_digit(const jacobian *sum, const affine *entry, bool negative) {
    if (!negative) return point_add_affine(sum, entry);
    affine minus = {entry->x, fe_negate(&entry->y, 1)};
    return point_add_affine(sum, &minus);
}

static jacobian add_from(const jacobian *sum, const affine *table, int digit) {
    return add_digit(sum, &table[(digit < 0 ? -digit : digit) >> 1], digit < 0);
}

static jacobian add_from_packed(const jacobian *sum, const packed_point *table, int digit) {
    affine entry = point_unpack(&table[(digit < 0 ? -digit : digit) >> 1]);
    return add_digit(sum, &entry, digit < 0);
}

static int longest(const digits *all, int count) {
    int length = 0;
    for (int i = 0; i < count; i++)
        if (all[i].length > length) length = all[i].length;
    return length;
}

/* The two halves of 130 bits of an unsigned number. */
static void split_generator(split_half *low, split_half *high, const u256 *k) {
    const uint64_t *l = k->limbs;
    *low = (split_half){{l[0], l[1], l[2] & 3}, false};
    *high = (split_half){{l[2] >> 2 | l[3] << 62, l[3] >> 2, 0}, false};
}

static void run_ladder(portable_work *work, const recovery_task *task) {
    const generator_tables *generator = generator_tables_get();
    split_half halves[4];
    digits all[4];
    scalar_split(&halves[0], &halves[1], &task->u2);
    split_generator(&halves[2], &halves[3], &task->u1);
    for (int i = 0; i < 4; i++)
        write_digits(&all[i], &halves[i], i < 2 ? POINT_WIDTH : GENERATOR_WIDTH);

    jacobian sum = {.infinity = true};
    for (int position = longest(all, 4) - 1; position >= 0; position--) {
        sum = point_double(&sum);
        int digit = all[0].digit[position];
        if (digit) sum = add_from(&sum, work->multiples, digit);
        digit = all[1].digit[position];
        if (digit) sum = add_from(&sum, work->twisted, digit);
        for (int half = 0; half < 2; half++) {
            digit = all[2 + half].digit[position];
            if (digit) sum = add_from_packed(&sum, generator->points[half], digit);
        }
    }
    work->sum = sum;
}

/* Finds R over x. Returns false when there is no such point. */
static bool lift(affine *point, const u256 *x, bool odd) {
    point->x = fe_from_u256(x);
    fe square = fe_sqr(&point->x);
    fe right = fe_mul(&square, &point->x);
    right.n[0] += 7;
    fe y = fe_root(&right);
    square = fe_sqr(&y);
    if (!fe_equal(&square, &right, 2)) return false;
    y = fe_canonical(&y);
    if ((y.n[0] & 1) != (uint64_t)odd) y = fe_negate(&y, 1);
    point->y = fe_canonical(&y);
    return true;
}

/* Leaves R, 3 R, ... 15 R in multiples, each over z[i]. 2 R is taken as affine on an isomorphic
 * curve, where its own z is one; the factor returns at the end. */
static void odd_multiples(affine multiples[POINT_ENTRIES], fe z[POINT_ENTRIES],
                          const affine *point) {
    jacobian start = point_from_affine(point);
    jacobian twice = point_double(&start);
    affine step = {twice.x, twice.y};
    step.x = fe_canonical(&step.x);
    step.y = fe_canonical(&step.y);
    fe square = fe_sqr(&twice.z);
    fe cube = fe_mul(&square, &twice.z);
    jacobian sum = {fe_mul(&point->x, &square), fe_mul(&point->y, &cube), fe_small(1), false};
    for (int i = 0; i < POINT_ENTRIES; i++) {
        if (i > 0) sum = point_add_affine(&sum, &step);
        multiples[i] = (affine){sum.x, sum.y};
        z[i] = fe_mul(&sum.z, &twice.z);
    }
}

static void make_affine(affine *point, const fe *inverse_z) {
    fe square = fe_sqr(inverse_z);
    fe cube = fe_mul(&square, inverse_z);
    point->x = fe_mul(&point->x, &square);
    point->y = fe_mul(&point->y, &cube);
}

/* Signatures whose tables are made with one inversion; bounds the stack to about 100 KB. */
#define GROUP_MAX 32

static void recover_group(ghost_recovery *items, const recovery_task *tasks, size_t count) {
    portable_work work[GROUP_MAX];
    fe z[GROUP_MAX * POINT_ENTRIES] = {}, inverses[GROUP_MAX * POINT_ENTRIES];
    size_t live = 0;
    for (size_t i = 0; i < count; i++) {
        affine point;
        if (!lift(&point, &tasks[i].x, tasks[i].odd)) continue;
        work[live].task = i;
        odd_multiples(work[live].multiples, &z[live * POINT_ENTRIES], &point);
        live++;
    }
    field_inverses(inverses, z, live * POINT_ENTRIES);
    size_t finite = 0;
    for (size_t i = 0; i < live; i++) {
        for (int j = 0; j < POINT_ENTRIES; j++) {
            affine *entry = &work[i].multiples[j];
            make_affine(entry, &inverses[i * POINT_ENTRIES + (size_t)j]);
            work[i].twisted[j] = (affine){fe_mul(&entry->x, &FIELD_BETA), entry->y};
        }
        run_ladder(&work[i], &tasks[work[i].task]);
        if (!work[i].sum.infinity) z[finite++] = work[i].sum.z;
    }
    field_inverses(inverses, z, finite);
    size_t next = 0;
    for (size_t i = 0; i < live; i++) {
        if (work[i].sum.infinity) continue;
        affine key = {work[i].sum.x, work[i].sum.y};
        make_affine(&key, &inverses[next++]);
        u256 x = fe_to_u256(&key.x), y = fe_to_u256(&key.y);
        ghost_recovery *item = &items[tasks[work[i].task].index];
        u256_to_be(item->public_key, &x);
        u256_to_be(item->public_key + 32, &y);
        item->ok = 1;
    }
}

void recover_chunk_portable(ghost_recovery *items, const recovery_task *tasks, size_t count) {
    for (size_t start = 0; start < count; start += GROUP_MAX) {
        size_t size = count - start < GROUP_MAX ? count - start : GROUP_MAX;
        recover_group(items, tasks + start, size);
    }
}
