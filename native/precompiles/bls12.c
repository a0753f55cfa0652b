/* BLS12-381 on any CPU, and the choice between this and bls12_adx.c. */
#define GHOST_FIELD_ADX 0
#include "bls12_body.h"

#if defined(__x86_64__)
outcome ghost_bls12_run_adx(uint32_t number, uint8_t *output, const uint8_t *input, size_t count);
#endif

outcome ghost_bls12_run(uint32_t number, uint8_t *output, const uint8_t *input, size_t count) {
#if defined(__x86_64__)
    if (precompiles_have_adx()) return ghost_bls12_run_adx(number, output, input, count);
#endif
    return bls12_run(number, output, input, count);
}
