/* Sums of multiples of many points (Straus): one chain of doublings for a group of points, each
 * with a table of its odd multiples, scalars cut into parts by an endomorphism. No include guard:
 * it is included once for each curve after jacobian.h, after defining
 *
 *   CURVE(name), ELEMENT, ELEMENT_OP(name)   as for jacobian.h, with invert
 *   ELEMENT_ONE                              the field's 1
 *   SCALAR_PARTS                             into how many parts CURVE(split_scalar) cuts
 *   CURVE(next_part)                         from a point of one part to that of the next
 *
 * Points must be in the subgroup, where the endomorphism multiplies. */

enum {
    CURVE(window_width) = 5,
    CURVE(odd_multiples) = 1 << (CURVE(window_width) - 2),
    CURVE(group_points) = 16
};

/* What one group needs: 16 points. */
typedef struct CURVE(group) {
    CURVE(point) points[CURVE(group_points)][CURVE(odd_multiples)];
    CURVE(affine) tables[CURVE(group_points)][SCALAR_PARTS][CURVE(odd_multiples)];
    ELEMENT products[CURVE(group_points) * CURVE(odd_multiples)];
    int8_t digits[CURVE(group_points)][SCALAR_PARTS][DIGITS_MAX];
} CURVE(group);

/* Odd multiples of count points, none of them infinity, in affine coordinates by one inversion
 * for all: the inverse of the product of all z gives back each, from the last to the first. No
 * multiple is infinity, the order being prime and large. */
static void CURVE(make_tables)(CURVE(group) *g, const CURVE(affine) *points, size_t count) {
    ELEMENT product = ELEMENT_ONE, inverse, one_inverse;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        CURVE(point) twice;
        g->points[i][0] = (CURVE(point)){points[i].x, points[i].y, ELEMENT_ONE};
        CURVE(double)(&twice, &g->points[i][0]);
        for (int j = 0; j < CURVE(odd_multiples); j++) {
            if (j != 0) CURVE(add)(&g->points[i][j], &g->points[i][j - 1], &twice);
            g->products[n++] = product;
            ELEMENT_OP(multiply)(&product, &product, &g->points[i][j].z);
        }
    }
    ELEMENT_OP(invert)(&inverse, &product);
    for (size_t i = count; i-- != 0;) {
        for (int j = CURVE(odd_multiples); j-- != 0;) {
            ELEMENT_OP(multiply)(&one_inverse, &inverse, &g->products[--n]);
            ELEMENT_OP(multiply)(&inverse, &inverse, &g->points[i][j].z);
            CURVE(affine) *entry = &g->tables[i][0][j];
            CURVE(scale)(entry, &g->points[i][j], &one_inverse);
            for (int part = 1; part < SCALAR_PARTS; part++) {
                CURVE(next_part)(&g->tables[i][part][j], &g->tables[i][part - 1][j]);
            }
        }
    }
}

/* sum = the sum of scalar * point over one group. */
static void CURVE(add_group)(CURVE(point) *sum, CURVE(group) *g, const CURVE(affine) *points,
                             const uint8_t (*scalars)[32], size_t count) {
    int length = 0;
    for (size_t i = 0; i < count; i++) {
        u256 parts[SCALAR_PARTS];
        CURVE(split_scalar)(parts, scalars[i]);
        for (int part = 0; part < SCALAR_PARTS; part++) {
            int used = signed_digits(g->digits[i][part], &parts[part], CURVE(window_width));
            if (used > length) length = used;
        }
    }
    memset(sum, 0, sizeof *sum);
    if (length == 0) return;
    CURVE(make_tables)(g, points, count);
    for (int bit = length; bit-- != 0;) {
        CURVE(double)(sum, sum);
        for (size_t i = 0; i < count; i++) {
            for (int part = 0; part < SCALAR_PARTS; part++) {
                int digit = g->digits[i][part][bit];
                if (digit == 0) continue;
                CURVE(affine) term = g->tables[i][part][(digit < 0 ? -digit : digit) / 2];
                if (digit < 0) ELEMENT_OP(negate)(&term.y, &term.y);
                CURVE(add_affine)(sum, sum, &term, &ELEMENT_ONE);
            }
        }
    }
}

#undef CURVE
#undef ELEMENT
#undef ELEMENT_OP
#undef ELEMENT_ONE
#undef SCALAR_PARTS
