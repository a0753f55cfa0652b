/* BN254 on CPUs with MULX, ADCX and ADOX. */
#if defined(__x86_64__)
#define GHOST_FIELD_ADX 1
#include "bn254_body.h"

outcome ghost_bn254_add_adx(uint8_t output[64], const uint8_t input[128]);
outcome ghost_bn254_multiply_adx(uint8_t output[64], const uint8_t input[96]);
outcome ghost_bn254_pairing_adx(bool *is_one, const uint8_t *input, size_t count);

outcome ghost_bn254_add_adx(uint8_t output[64], const uint8_t input[128]) {
    return bn254_add(output, input);
}

outcome ghost_bn254_multiply_adx(uint8_t output[64], const uint8_t input[96]) {
    return bn254_multiply(output, input);
}

outcome ghost_bn254_pairing_adx(bool *is_one, const uint8_t *input, size_t count) {
    return bn254_pairing(is_one, input, count);
}
#endif
