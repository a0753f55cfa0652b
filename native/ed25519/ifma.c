/* Eight encodings at a time: whether each is a point of prime order, and which. The same steps as
 * in group.h, where they are explained; a lane that fails goes on with what it has, and its bit is
 * taken out of the answer. */
#include "decode.h"

#ifdef __x86_64__

#pragma GCC target("avx512f,avx512dq,avx512vl,avx512ifma,bmi2")

#include "lanes.h"

static lanes squares(lanes a, int count) {
    while (count--) a = lanes_square(&a);
    return a;
}

/* fe_power of each. */
static lanes power(const lanes *a) {
    lanes t = lanes_square(a);
    lanes x = squares(t, 2);
    x = lanes_mul(a, &x);
    t = lanes_mul(&t, &x);
    t = lanes_square(&t);
    lanes x5 = lanes_mul(&x, &t);
    t = squares(x5, 5);
    lanes x10 = lanes_mul(&t, &x5);
    t = squares(x10, 10);
    lanes x20 = lanes_mul(&t, &x10);
    t = squares(x20, 20);
    t = lanes_mul(&t, &x20);
    t = squares(t, 10);
    lanes x50 = lanes_mul(&t, &x10);
    t = squares(x50, 50);
    lanes x100 = lanes_mul(&t, &x50);
    t = squares(x100, 100);
    t = lanes_mul(&t, &x100);
    t = squares(t, 50);
    t = lanes_mul(&t, &x50);
    t = squares(t, 2);
    return lanes_mul(&t, a);
}

/* Which lanes are of each class. */
typedef struct classes {
    __mmask8 of[4];
} classes;

static classes classify(lanes *t, const lanes *a) {
    fe q[LANES];
    classes r = {{0, 0, 0, 0}};
    *t = power(a);
    lanes product = lanes_square(t);
    product = lanes_mul(&product, a);
    lanes_store(q, &product);
    for (int i = 0; i < LANES; i++) r.of[fe_class_of(&q[i])] |= (__mmask8)(1 << i);
    return r;
}

static __mmask8 inverse_root(lanes *r, const lanes *a) {
    const lanes i = lanes_broadcast(&FE_I);
    classes class = classify(r, a);
    lanes turned = lanes_mul(r, &i);
    *r = lanes_choose(r, &turned, class.of[FE_IS_MINUS_ONE]);
    return class.of[FE_IS_ONE] | class.of[FE_IS_MINUS_ONE];
}

/* u of the half of a point with these u, w and e. */
static lanes halved(const lanes *u, const lanes *w, const lanes *e) {
    const lanes a = lanes_broadcast(&MONTGOMERY_A), i = lanes_broadcast(&FE_I);
    const lanes over_i = lanes_broadcast(&ROOT_OVER_I);
    const lanes over_minus_i = lanes_broadcast(&ROOT_OVER_MINUS_I);
    lanes half_s = lanes_add(u, e), other = lanes_sub(u, e), t;
    lanes m = lanes_add(&half_s, &half_s);
    m = lanes_add(&m, &a);
    classes class = classify(&t, &m);
    lanes r = lanes_mul(&m, &t), part = lanes_mul(&r, &i);
    r = lanes_choose(&r, &part, class.of[FE_IS_MINUS_ONE]);
    part = lanes_mul(&t, &over_i);
    r = lanes_choose(&r, &part, class.of[FE_IS_I]);
    part = lanes_mul(&t, &over_minus_i);
    r = lanes_choose(&r, &part, class.of[FE_IS_MINUS_I]);
    half_s = lanes_choose(&half_s, &other, class.of[FE_IS_I] | class.of[FE_IS_MINUS_I]);
    r = lanes_mul(w, &r);
    return lanes_add(&half_s, &r);
}

static __mmask8 are_of_prime_order(const lanes *y, const lanes *inverse_x) {
    const lanes one = lanes_broadcast(&FE_ONE), half = lanes_broadcast(&FE_HALF);
    const lanes c = lanes_broadcast(&MONTGOMERY_C);
    lanes plus = lanes_add(&one, y), minus = lanes_sub(&one, y), root, second;
    lanes product = lanes_mul(&plus, &minus);
    __mmask8 good = inverse_root(&root, &product);
    lanes w = lanes_mul(&plus, &root), inverse_w = lanes_mul(&minus, &root);
    lanes u = lanes_square(&w);
    lanes e = lanes_mul(&c, &w);
    e = lanes_mul(&e, inverse_x);
    lanes h = halved(&u, &w, &e);
    good &= inverse_root(&root, &h);
    e = lanes_square(&h);
    e = lanes_sub(&e, &one);
    e = lanes_mul(&e, &inverse_w);
    e = lanes_mul(&e, &root);
    e = lanes_mul(&e, &half);
    w = lanes_mul(&h, &root);
    h = halved(&h, &w, &e);
    return good & inverse_root(&second, &h);
}

unsigned ge_decode_eight(fe x[LANES], fe y[LANES], const uint8_t *const encodings[LANES]) {
    fe ys[LANES];
    __mmask8 good = 0;
    for (int i = 0; i < LANES; i++) {
        int is_candidate = ge_decode_y(&y[i], encodings[i]);
        good |= (__mmask8)(is_candidate << i);
        ys[i] = is_candidate ? y[i] : BASE_Y;
    }
    const lanes one = lanes_broadcast(&FE_ONE), d = lanes_broadcast(&FE_D);
    lanes vy = lanes_load(ys), root;
    lanes yy = lanes_square(&vy);
    lanes numerator = lanes_sub(&yy, &one), denominator = lanes_mul(&yy, &d);
    denominator = lanes_add(&denominator, &one);
    lanes product = lanes_mul(&numerator, &denominator);
    good &= inverse_root(&root, &product);
    lanes vx = lanes_mul(&numerator, &root), inverse_x = lanes_mul(&denominator, &root);
    lanes_store(x, &vx);
    for (int i = 0; i < LANES; i++) ge_set_sign(&x[i], encodings[i]);
    return good & are_of_prime_order(&vy, &inverse_x);
}

#else

/* No other CPU has these instructions; the level is never asked for there. */
unsigned ge_decode_eight(fe x[8], fe y[8], const uint8_t *const encodings[8]) {
    unsigned good = 0;
    for (int i = 0; i < 8; i++) good |= (unsigned)ge_decode(&x[i], &y[i], encodings[i]) << i;
    return good;
}

#endif
