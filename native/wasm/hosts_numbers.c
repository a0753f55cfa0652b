/* Arithmetic on 32-byte words and hashing: what would be slow in the contract's own code. */
#include "../keccak/keccak.h"
#include "activation.h"

enum { KECCAK_RATE_BYTES = 136 };

typedef u256 two_words(const u256 *a, const u256 *b);
typedef u256 three_words(const u256 *a, const u256 *b, const u256 *modulus);

/* The result takes the place of the first word, as Stylus has it. */
static int of_two(activation *self, wasmtime_raw *values, two_words *work) {
    uint8_t *first = bytes_at(self, values[0], 32);
    const uint8_t *second = bytes_at(self, values[1], 32);
    if (first == NULL || second == NULL)
        return HOST_BOUNDS;
    if (!take_ink(self, INK_MATH))
        return GHOST_EXIT_OUT_OF_GAS;
    u256 a = u256_from_be(first), b = u256_from_be(second);
    u256 answer = work(&a, &b);
    u256_to_be(first, &answer);
    return 0;
}

static int of_three(activation *self, wasmtime_raw *values, three_words *work) {
    uint8_t *first = bytes_at(self, values[0], 32);
    const uint8_t *second = bytes_at(self, values[1], 32);
    const uint8_t *third = bytes_at(self, values[2], 32);
    if (first == NULL || second == NULL || third == NULL)
        return HOST_BOUNDS;
    if (!take_ink(self, INK_MATH))
        return GHOST_EXIT_OUT_OF_GAS;
    u256 a = u256_from_be(first), b = u256_from_be(second), modulus = u256_from_be(third);
    u256 answer = work(&a, &b, &modulus);
    u256_to_be(first, &answer);
    return 0;
}

int host_math_div(activation *self, wasmtime_raw *values) {
    return of_two(self, values, u256_div);
}

int host_math_mod(activation *self, wasmtime_raw *values) {
    return of_two(self, values, u256_mod);
}

int host_math_add_mod(activation *self, wasmtime_raw *values) {
    return of_three(self, values, u256_add_mod);
}

int host_math_mul_mod(activation *self, wasmtime_raw *values) {
    return of_three(self, values, u256_mul_mod);
}

int host_math_pow(activation *self, wasmtime_raw *values) {
    const uint8_t *exponent_bytes = bytes_at(self, values[1], 32);
    if (exponent_bytes == NULL)
        return HOST_BOUNDS;
    u256 exponent = u256_from_be(exponent_bytes);
    unsigned bytes = (256 - u256_leading_zeros(&exponent) + 7) / 8;
    if (!take_ink(self, (uint64_t)bytes * INK_POW_BYTE))
        return GHOST_EXIT_OUT_OF_GAS;
    return of_two(self, values, u256_exp);
}

int host_native_keccak256(activation *self, wasmtime_raw *values) {
    uint32_t length = values[1].i32;
    const uint8_t *bytes = bytes_at(self, values[0], length);
    uint8_t *out = bytes_at(self, values[2], 32);
    if (bytes == NULL || out == NULL)
        return HOST_BOUNDS;
    if (!take_ink(self, (uint64_t)(length / KECCAK_RATE_BYTES + 1) * INK_KECCAK_BLOCK))
        return GHOST_EXIT_OUT_OF_GAS;
    uint8_t digest[32];
    ghost_keccak256(digest, bytes, length);
    memcpy(out, digest, sizeof digest);
    return 0;
}
