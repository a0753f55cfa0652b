/* What the files of this folder offer one another. For C only, never read by cffi. */
#ifndef GHOST_PRECOMPILES_PARTS_H
#define GHOST_PRECOMPILES_PARTS_H

#include <stdbool.h>

#include "../common/common.h"

/* How one computation went. Everything but SUCCEEDED leaves no output. */
typedef enum outcome {
    SUCCEEDED,
    FAILED,   /* the input is invalid: the call fails and takes all its gas */
    NO_MEMORY /* the whole run must stop */
} outcome;

/* What this CPU offers, under the cap of ghost_precompiles_set_level. */
bool precompiles_have_sha(void);  /* SHA-NI with SSE4.1 */
bool precompiles_have_adx(void);  /* MULX, ADCX, ADOX */

/* FIPS 180-4 SHA-256. */
void ghost_sha256(uint8_t digest[32], const uint8_t *data, size_t length);

/* RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996). */
void ghost_ripemd160(uint8_t digest[20], const uint8_t *data, size_t length);

/* The BLAKE2b compression function F (RFC 7693, 3.2) with any number of rounds. state is h in
 * and h' out, block the 16 message words, counter t, all little-endian already decoded. */
void ghost_blake2b_compress(uint64_t state[8], const uint64_t block[16],
                            const uint64_t counter[2], bool is_final, uint32_t rounds);

/* One operand of modexp inside the call's input: `length` bytes from `bytes`, of which only
 * `available` are there; the rest are zeros. bytes may be NULL when available is 0. */
typedef struct padded_number {
    const uint8_t *bytes;
    size_t available;
    size_t length;
} padded_number;

#define MODEXP_BYTES_MAX ((uint64_t)1 << 26)

/* Writes base^exponent mod modulus, big-endian, in modulus.length bytes (all zero when modulus
 * is 0 or 1). Cost: quadratic in the modulus, linear in the exponent's bits; one allocation,
 * linear in base and modulus, none in the exponent. Lengths must be at most MODEXP_BYTES_MAX, and
 * the exponent's 64 times that, so that no sum of them overflows. */
outcome ghost_modexp(uint8_t *result, padded_number base, padded_number exponent,
                     padded_number modulus);

/* ECDSA over NIST P-256 (FIPS 186-5, 6.4.2) of input = digest | r | s | x | y, 32 bytes each,
 * with the range checks of EIP-7951. Public data only: not constant-time. */
bool ghost_p256_verify(const uint8_t input[160]);

/* EIP-196: output = input[0..64) + input[64..128). FAILED when a coordinate is not below p or a
 * point not on the curve. */
outcome ghost_bn254_add(uint8_t output[64], const uint8_t input[128]);

/* EIP-196: output = input[64..96) * input[0..64). */
outcome ghost_bn254_multiply(uint8_t output[64], const uint8_t input[96]);

/* EIP-197: *is_one = (product of e(P_i, Q_i) is one), over count pairs of 192 bytes. FAILED when
 * a coordinate, a point or a subgroup is wrong. Cost: one Miller loop a pair, one final
 * exponentiation in all; memory linear in count. */
outcome ghost_bn254_pairing(bool *is_one, const uint8_t *input, size_t count);

/* The precompiles 0x0a to 0x11 over BLS12-381 (EIP-4844, EIP-2537), after gas, lengths and the
 * versioned hash were checked: count items of the number's length from input, its answer to
 * output. FAILED when a field element, a point, a subgroup or the proof is wrong. */
outcome ghost_bls12_run(uint32_t number, uint8_t *output, const uint8_t *input, size_t count);

#endif
