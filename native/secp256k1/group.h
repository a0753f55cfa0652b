/* Points of secp256k1, complete in every case, and the tables of the generator. Inside the
 * kernel only. */
#ifndef GHOST_SECP256K1_GROUP_H
#define GHOST_SECP256K1_GROUP_H

#include "field.h"
#include "scalar.h"
#include "secp256k1.h"

/* A point that is not infinity. Magnitudes at most 1 and 2. */
typedef struct affine {
    fe x, y;
} affine;

/* (x / z^2, y / z^3). Magnitudes at most 5, 3 and 1. */
typedef struct jacobian {
    fe x, y, z;
    bool infinity;
} jacobian;

/* A point as it lies in a table: one cache line. */
typedef struct packed_point {
    u256 x, y;
} packed_point;

/* The generator's tables: table[h][i] = (2 i + 1) * 2^(130 h) * G. A scalar is read as two
 * halves of 130 bits, the width of 26 digits of five bits or 13 of ten. */
#define GENERATOR_HALF_BITS 130
#define GENERATOR_DIGIT_BITS 10
#define GENERATOR_ENTRIES 512

typedef struct generator_tables {
    packed_point points[2][GENERATOR_ENTRIES] __attribute__((aligned(64)));
} generator_tables;

/* The tables, made at the first call (under a millisecond); any thread may ask. */
const generator_tables *generator_tables_get(void);

/* The cube root of unity of the endomorphism: lambda * (x, y) = (beta * x, y). */
extern const fe FIELD_BETA;

jacobian point_double(const jacobian *a);
jacobian point_add_affine(const jacobian *a, const affine *b);

static inline jacobian point_from_affine(const affine *a) {
    return (jacobian){a->x, a->y, fe_small(1), false};
}

static inline affine point_unpack(const packed_point *packed) {
    return (affine){fe_from_u256(&packed->x), fe_from_u256(&packed->y)};
}

/* Sets inverses[i] = 1 / values[i]; no value is zero. Cost: one inversion, three products each.
 * inverses must not overlap values. */
void field_inverses(fe *inverses, const fe *values, size_t count);

/* What recovery computes with, made from an item whose r and s are in range:
 * the public key is u1 * G + u2 * R with R the point over x of parity y_parity. */
typedef struct recovery_task {
    u256 x;
    u256 u1, u2;
    bool odd;
    size_t index; /* of its item in the chunk */
} recovery_task;

/* Signatures that the vector code recovers together. */
#define LANES 8

/* The most tasks that one call of a chunk function takes. */
#define RECOVERY_CHUNK_MAX 256

/* Fills public_key and ok of items[task.index] for each task. */
void recover_chunk_portable(ghost_recovery *items, const recovery_task *tasks, size_t count);

/* The same, eight signatures at a time. Needs AVX-512 IFMA, and memory for its tables: returns
 * false, with nothing done, when there is none. */
bool recover_chunk_ifma(ghost_recovery *items, const recovery_task *tasks, size_t count);

#endif
