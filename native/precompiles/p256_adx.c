/* P-256 verification on CPUs with MULX, ADCX and ADOX. */
#if defined(__x86_64__)
#define GHOST_FIELD_ADX 1
#include "p256_body.h"

bool ghost_p256_verify_adx(const uint8_t input[160]);

bool ghost_p256_verify_adx(const uint8_t input[160]) {
    return verify(input);
}
#endif
