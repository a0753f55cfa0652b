/* BLS12-381 on CPUs with MULX, ADCX and ADOX. */
#if defined(__x86_64__)
#define GHOST_FIELD_ADX 1
#include "bls12_body.h"

outcome ghost_bls12_run_adx(uint32_t number, uint8_t *output, const uint8_t *input, size_t count);

outcome ghost_bls12_run_adx(uint32_t number, uint8_t *output, const uint8_t *input, size_t count) {
    return bls12_run(number, output, input, count);
}
#endif
