/* P-256 verification on any CPU, and the choice between this and p256_adx.c. */
#define GHOST_FIELD_ADX 0
#include "p256_body.h"

#if defined(__x86_64__)
bool ghost_p256_verify_adx(const uint8_t input[160]);
#endif

bool ghost_p256_verify(const uint8_t input[160]) {
#if defined(__x86_64__)
    if (precompiles_have_adx()) return ghost_p256_verify_adx(input);
#endif
    return verify(input);
}
