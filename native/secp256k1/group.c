/* Group law in Jacobian coordinates (curve y^2 = x^3 + 7) and the generator's tables. */
#include <pthread.h>

#include "group.h"

const fe FIELD_BETA = {{0x96c28719501eeULL, 0x7512f58995c13ULL, 0xc3434e99cf049ULL,
                        0x07106e64479eaULL, 0x07ae96a2b657cULL}};

static const affine GENERATOR = {
    {{0x2815b16f81798ULL, 0xdb2dce28d959fULL, 0xe870b07029bfcULL, 0xbbac55a06295cULL,
      0x079be667ef9dcULL}},
    {{0x7d08ffb10d4b8ULL, 0x48a68554199c4ULL, 0xe1108a8fd17b4ULL, 0xc4655da4fbfc0ULL,
      0x0483ada7726a3ULL}}};

/* With L = 3 x^2 / 2, S = y^2, T = -x S: x' = L^2 + 2 T, y' = -(L (x' + T) + S^2), z' = y z. */
jacobian point_double(const jacobian *a) {
    if (a->infinity) return *a;
    jacobian r;
    r.infinity = false; /* y is never zero: the group's order is odd */
    fe l = fe_sqr(&a->x);
    l = fe_times(&l, 3);
    l = fe_half(&l);
    fe s = fe_sqr(&a->y);
    fe t = fe_mul(&a->x, &s);
    t = fe_negate(&t, 1);
    fe twice = fe_times(&t, 2);
    r.x = fe_sqr(&l);
    r.x = fe_add(&r.x, &twice);
    fe sum = fe_add(&r.x, &t);
    fe y = fe_mul(&l, &sum);
    s = fe_sqr(&s);
    y = fe_add(&y, &s);
    r.z = fe_mul(&a->y, &a->z);
    r.y = fe_negate(&y, 2);
    return r;
}

jacobian point_add_affine(const jacobian *a, const affine *b) {
    if (a->infinity) return point_from_affine(b);
    fe z2 = fe_sqr(&a->z);
    fe u = fe_mul(&b->x, &z2);
    fe s = fe_mul(&b->y, &z2);
    s = fe_mul(&s, &a->z);
    fe minus_x = fe_negate(&a->x, 5), minus_y = fe_negate(&a->y, 3);
    fe h = fe_add(&u, &minus_x);
    fe slope = fe_add(&s, &minus_y);
    if (fe_is_zero(&h)) {
        if (fe_is_zero(&slope)) return point_double(a);
        return (jacobian){.infinity = true};
    }
    jacobian r;
    r.infinity = false;
    fe h2 = fe_sqr(&h);
    fe h3 = fe_mul(&h, &h2);
    fe v = fe_mul(&a->x, &h2);
    fe minus = fe_times(&v, 2);
    minus = fe_add(&minus, &h3);
    minus = fe_negate(&minus, 3);
    r.x = fe_sqr(&slope);
    r.x = fe_add(&r.x, &minus);
    minus = fe_negate(&r.x, 5);
    fe difference = fe_add(&v, &minus);
    r.y = fe_mul(&slope, &difference);
    minus = fe_mul(&a->y, &h3);
    minus = fe_negate(&minus, 1);
    r.y = fe_add(&r.y, &minus);
    r.z = fe_mul(&a->z, &h);
    return r;
}

void field_inverses(fe *inverses, const fe *values, size_t count) {
    if (count == 0) return;
    fe product = values[0];
    for (size_t i = 1; i < count; i++) {
        inverses[i] = product;
        product = fe_mul(&product, &values[i]);
    }
    fe rest = fe_inverse(&product);
    for (size_t i = count - 1; i > 0; i--) {
        inverses[i] = fe_mul(&rest, &inverses[i]);
        rest = fe_mul(&rest, &values[i]);
    }
    inverses[0] = rest;
}

/* Writes the odd multiples of base, which is made affine on the way. */
static void fill_table(packed_point table[GENERATOR_ENTRIES], const jacobian *base) {
    static jacobian points[GENERATOR_ENTRIES + 1];
    static fe values[GENERATOR_ENTRIES + 1], inverses[GENERATOR_ENTRIES + 1];
    jacobian twice = point_double(base);
    values[0] = base->z;
    values[1] = twice.z;
    field_inverses(inverses, values, 2);
    affine ends[2];
    const jacobian *sources[2] = {base, &twice};
    for (int i = 0; i < 2; i++) {
        fe square = fe_sqr(&inverses[i]);
        fe cube = fe_mul(&square, &inverses[i]);
        ends[i].x = fe_mul(&sources[i]->x, &square);
        ends[i].y = fe_mul(&sources[i]->y, &cube);
    }
    points[0] = point_from_affine(&ends[0]);
    for (int i = 1; i < GENERATOR_ENTRIES; i++)
        points[i] = point_add_affine(&points[i - 1], &ends[1]);
    for (int i = 0; i < GENERATOR_ENTRIES; i++) values[i] = points[i].z;
    field_inverses(inverses, values, GENERATOR_ENTRIES);
    for (int i = 0; i < GENERATOR_ENTRIES; i++) {
        fe square = fe_sqr(&inverses[i]);
        fe cube = fe_mul(&square, &inverses[i]);
        fe x = fe_mul(&points[i].x, &square);
        fe y = fe_mul(&points[i].y, &cube);
        table[i].x = fe_to_u256(&x);
        table[i].y = fe_to_u256(&y);
    }
}

static generator_tables tables;

static void make_tables(void) {
    jacobian base = point_from_affine(&GENERATOR);
    fill_table(tables.points[0], &base);
    for (int i = 0; i < GENERATOR_HALF_BITS; i++) base = point_double(&base);
    fill_table(tables.points[1], &base);
}

const generator_tables *generator_tables_get(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
    return &tables;
}
