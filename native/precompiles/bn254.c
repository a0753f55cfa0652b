/* BN254 on any CPU, and the choice between this and bn254_adx.c. */
#define GHOST_FIELD_ADX 0
#include "bn254_body.h"

#if defined(__x86_64__)
outcome ghost_bn254_add_adx(uint8_t output[64], const uint8_t input[128]);
outcome ghost_bn254_multiply_adx(uint8_t output[64], const uint8_t input[96]);
outcome ghost_bn254_pairing_adx(bool *is_one, const uint8_t *input, size_t count);
#endif

outcome ghost_bn254_add(uint8_t output[64], const uint8_t input[128]) {
#if defined(__x86_64__)
    if (precompiles_have_adx()) return ghost_bn254_add_adx(output, input);
#endif
    return bn254_add(output, input);
}

outcome ghost_bn254_multiply(uint8_t output[64], const uint8_t input[96]) {
#if defined(__x86_64__)
    if (precompiles_have_adx()) return ghost_bn254_multiply_adx(output, input);
#endif
    return bn254_multiply(output, input);
}

outcome ghost_bn254_pairing(bool *is_one, const uint8_t *input, size_t count) {
#if defined(__x86_64__)
    if (precompiles_have_adx()) return ghost_bn254_pairing_adx(is_one, input, count);
#endif
    return bn254_pairing(is_one, input, count);
}
