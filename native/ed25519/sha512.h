/* SHA-512 (FIPS 180-4) of a few parts, one after the other. */
#ifndef GHOST_ED25519_SHA512_H
#define GHOST_ED25519_SHA512_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sha512 {
    uint64_t state[8];
    uint64_t length;
    uint8_t block[128];
} sha512;

void sha512_begin(sha512 *hash);
void sha512_add(sha512 *hash, const uint8_t *data, size_t length);
void sha512_end(uint8_t digest[64], sha512 *hash);

#endif
